//! State in place: which outputs may be written straight into the buffer of the input whose next value they are.
//!
//! That is so when every other reader of the input runs on a level before the writer's, and the writer itself reads only
//! the elements that it is about to write. Where it is not, an execution first copies the input aside and reads the copy.

use super::{
    Place, Unit, Work,
    chain::{Chain, Instr, Uniform},
    indexing::Data,
};
use ane_ir::Graph;

/// A declared pair of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InPlace {
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// Whether the input must be copied aside when both have one buffer.
    pub(crate) copy: bool,
}

/// The declared pairs of `graph`, for units of these levels.
pub(super) fn pairs(graph: &Graph, units: &[Unit], level: &[usize]) -> Vec<InPlace> {
    let declared = graph.in_place();
    let mut writer = vec![None; graph.outputs().len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.inputs().len()];
    if !declared.is_empty() {
        for (i, unit) in units.iter().enumerate() {
            for port in unit.chain().into_iter().flat_map(written_ports) {
                writer[port] = Some(i);
            }
            unit.read_ports(|port| readers[port].push(i));
        }
    }
    let safe = |input: usize, output: usize| {
        let Some(w) = writer[output] else {
            return false;
        };
        let before =
            |&r: &usize| level[r] < level[w] || (r == w && units[w].is_safe(input, output));
        readers[input].iter().all(before)
    };
    declared
        .iter()
        .map(|&(input, output)| InPlace {
            input,
            output,
            copy: !safe(input, output),
        })
        .collect()
}

fn written_port(instr: &Instr) -> Option<usize> {
    match instr {
        Instr::Export { port, .. } | Instr::GradientOutput { port, .. } => Some(*port),
        _ => None,
    }
}

fn written_ports(chain: &Chain) -> impl Iterator<Item = usize> + '_ {
    chain.instrs.iter().filter_map(written_port)
}

fn is_port(place: Place, port: usize) -> bool {
    matches!(place, Place::Port(p, _) if p == port)
}

impl Unit {
    /// Calls `visit` with every input port that the unit reads, perhaps more than once.
    fn read_ports(&self, mut visit: impl FnMut(usize)) {
        let mut place = |place: Place| {
            if let Place::Port(port, _) = place {
                visit(port);
            }
        };
        match &self.work {
            Work::Pack(pack) => place(pack.place),
            Work::Definition(work) => work.operands.iter().for_each(|(at, _)| place(*at)),
            Work::Weights(work) => place(work.weights.place),
            Work::Sweep(work) => {
                place(work.image.place);
                work.bias.into_iter().for_each(&mut place);
            }
            Work::Dots(work) => {
                place(work.image.place);
                place(work.window.place);
            }
            Work::Sum(work) => work.bias.into_iter().for_each(&mut place),
            Work::Gather(work) => {
                [work.x, work.indices.place]
                    .into_iter()
                    .for_each(&mut place);
            }
            Work::Scatter(work) => {
                place(work.updates);
                place(work.indices.place);
                if let Data::At(data) = work.data {
                    place(data);
                }
            }
            Work::OneHot(work) => place(work.indices.place),
            // Chains are below; the others read the arena.
            Work::Chain { .. }
            | Work::Matmul(_)
            | Work::SkipLists(_)
            | Work::Pool(_)
            | Work::MaxPoolGradient(_)
            | Work::Normalize(_)
            | Work::Argmax(_)
            | Work::Reduce(_)
            | Work::Softmax(_)
            | Work::Concat(_)
            | Work::LargestOf { .. } => {}
        }
        if let Some(chain) = self.chain() {
            chain.loads.iter().for_each(|load| place(load.place));
            for uniform in &chain.uniforms {
                if let Uniform::Element(at, _) = uniform {
                    place(*at);
                }
            }
        }
    }

    /// Whether the unit, which writes `output`, reads `input` in no pass over a tile but at the tile's own elements, and
    /// before it writes them.
    fn is_safe(&self, input: usize, output: usize) -> bool {
        let by_kernel = match &self.work {
            Work::Sweep(work) => [Some(work.image.place), work.bias],
            Work::Sum(work) => [work.bias, None],
            _ => [None, None],
        };
        let Some(chain) = self.chain() else {
            return false;
        };
        let is_uniform = |u: &Uniform| matches!(u, Uniform::Element(at, _) if is_port(*at, input));
        let own = |load: usize| chain.loads[load].walk.is_contiguous();
        let of_input = |instr: &Instr| match instr {
            Instr::Load { load, .. } if is_port(chain.loads[*load].place, input) => Some(*load),
            _ => None,
        };
        let written = chain
            .instrs
            .iter()
            .position(|instr| written_port(instr) == Some(output));
        !by_kernel.into_iter().flatten().any(|at| is_port(at, input))
            && !chain.uniforms.iter().any(is_uniform)
            && chain.instrs.iter().filter_map(of_input).all(own)
            && written.is_some_and(|at| chain.instrs[at..].iter().all(|i| of_input(i).is_none()))
    }

    fn chain(&self) -> Option<&Chain> {
        match &self.work {
            Work::Chain { chain, .. } => Some(chain),
            Work::Matmul(work) => Some(&work.chain),
            Work::Sweep(work) => Some(&work.chain),
            Work::Sum(work) => Some(&work.chain),
            Work::Pool(work) => Some(&work.chain),
            Work::MaxPoolGradient(work) => Some(&work.chain),
            Work::Normalize(work) => Some(&work.chain),
            Work::Gather(_)
            | Work::Scatter(_)
            | Work::OneHot(_)
            | Work::Argmax(_)
            | Work::Pack(_)
            | Work::Weights(_)
            | Work::Dots(_)
            | Work::SkipLists(_)
            | Work::Reduce(_)
            | Work::Softmax(_)
            | Work::Concat(_)
            | Work::Definition(_)
            | Work::LargestOf { .. } => None,
        }
    }
}
