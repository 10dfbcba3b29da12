//! The update inside the program: its state as inputs and outputs, clipping, and what its results are accepted by.

use super::{
    LARGEST_STATE, LOSS_SCALE, PackedPort, Step, StepConfig, StepError, overflow::largest_of,
};
use crate::{
    model::{Model, Parameter},
    optim::pair::{GRADIENT_UNIT, Pair},
    stage::HostNode,
};
use ane_ir::{DType, Def, Graph, GraphError, Shape, TensorType, TypeError, Value};

/// Scalar input: gradient units per raw unit.
pub const UNSCALE: &str = "unscale";
/// Scalar input: the largest norm, in gradient units.
pub const MAX_NORM: &str = "max_norm";

/// A state tensor of the fused plan: read from `old`, its next value written to `new`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatePort {
    /// Parameter it belongs to, by position.
    pub parameter: usize,
    /// `weight`, or the optimizer's name of the state.
    pub role: &'static str,
    /// Whether this is the low part of a pair.
    pub low: bool,
    /// Input port.
    pub old: String,
    /// Output port.
    pub new: String,
    /// Its type.
    pub ty: TensorType,
}

/// Inputs and outputs of the fused update.
pub(super) struct FusedPorts {
    weights: Vec<Pair>,
    moments: Vec<Vec<Pair>>,
    unscale: Value,
    max_norm: Option<Value>,
    scalars: Vec<Value>,
    pub(super) scalar_names: Vec<String>,
    pub(super) state: Vec<StatePort>,
}

impl FusedPorts {
    pub(super) fn inputs(
        g: &mut Graph,
        config: &StepConfig<'_>,
        trained: &[usize],
        weights: &[Value],
    ) -> Result<Self, StepError> {
        let mut ports = Self {
            weights: Vec::new(),
            moments: Vec::new(),
            unscale: weights[0],
            max_norm: None,
            scalars: Vec::new(),
            scalar_names: Vec::new(),
            state: Vec::new(),
        };
        ports.unscale = ports.scalar(g, UNSCALE)?;
        if config.max_norm.is_some() {
            ports.max_norm = Some(ports.scalar(g, MAX_NORM)?);
        }
        for name in config.optimizer.scalars() {
            let v = ports.scalar(g, name)?;
            ports.scalars.push(v);
        }
        for (&i, &hi) in trained.iter().zip(weights) {
            let p = &config.model.parameters[i];
            ports.note(i, "weight", false, p.port(), p);
            let lo = ports.state_input(g, i, "weight", true, &format!("{}_lo", p.port()), p)?;
            ports.weights.push(Pair { hi, lo });
            let mut moments = Vec::new();
            for role in config.optimizer.state() {
                let name = format!("{role}_{}", p.identifier());
                let hi = ports.state_input(g, i, role, false, &name, p)?;
                let lo = ports.state_input(g, i, role, true, &format!("{name}_lo"), p)?;
                moments.push(Pair { hi, lo });
            }
            ports.moments.push(moments);
        }
        Ok(ports)
    }

    fn scalar(&mut self, g: &mut Graph, name: &str) -> Result<Value, GraphError> {
        self.scalar_names.push(name.to_owned());
        g.input(name, TensorType::fp16([1, 1]))
    }

    fn note(
        &mut self,
        parameter: usize,
        role: &'static str,
        low: bool,
        old: String,
        p: &Parameter,
    ) {
        self.state.push(StatePort {
            parameter,
            role,
            low,
            new: format!("new_{old}"),
            old,
            ty: fp16(&p.shape),
        });
    }

    fn state_input(
        &mut self,
        g: &mut Graph,
        parameter: usize,
        role: &'static str,
        low: bool,
        name: &str,
        p: &Parameter,
    ) -> Result<Value, GraphError> {
        self.note(parameter, role, low, name.to_owned(), p);
        g.input(name, fp16(&p.shape))
    }

    pub(super) fn update(
        &mut self,
        g: &mut Graph,
        config: &StepConfig<'_>,
        gradients: &[Value],
        largest: Value,
    ) -> Result<(), StepError> {
        let mut factor = self.unscale;
        if let Some(max_norm) = self.max_norm {
            let clip = clip_coefficient(g, gradients, largest, self.unscale, max_norm)?;
            factor = g.mul(factor, clip)?;
        }
        let mut new_values = Vec::new();
        for (i, &raw) in gradients.iter().enumerate() {
            let gradient = g.mul(raw, factor)?;
            // Rank 1 times [1, 1] is [1, n]: back to the parameter's own shape.
            let shape = g.ty(raw).shape.clone();
            let gradient = g.reshape(gradient, &shape)?;
            let scalars: Vec<Value> = self.scalars.clone();
            let scalars = in_rank(g, &scalars, shape.rank())?;
            let (weight, moments) =
                config
                    .optimizer
                    .fuse(g, gradient, self.weights[i], &self.moments[i], &scalars)?;
            for pair in std::iter::once(weight).chain(moments) {
                new_values.extend([pair.hi, pair.lo]);
            }
        }
        let largest = largest_of(g, &new_values)?.expect("something is trained");
        g.output(LARGEST_STATE, largest)?;
        for (port, &v) in self.state.iter().zip(&new_values) {
            g.output(&port.new, v)?;
        }
        Ok(())
    }
}

impl Step {
    /// Whether what updates read leaves the gradients on the engine. Stages on the host before the loss are as good as a
    /// batch that came that way; after it they would stand between the gradients and the update.
    ///
    /// # Errors
    /// When one of these nodes on the host is between the loss and new state, with the parameter it is nearest to.
    pub(crate) fn refuse_host_gradients(
        &self,
        model: &Model,
        host: &[HostNode],
    ) -> Result<(), StepError> {
        let g = &self.graph;
        let nodes = g.nodes();
        let node_of = |v: Value| match g.def(v) {
            Def::Input(_) => None,
            Def::Result { node, .. } => Some(node),
        };
        let Some(seed) = g.input_named(LOSS_SCALE) else {
            return Ok(());
        };
        let mut backward = vec![false; nodes.len()];
        for (i, node) in nodes.iter().enumerate() {
            let follows = |&x: &Value| x == seed || node_of(x).is_some_and(|n| backward[n]);
            backward[i] = node.operands.iter().any(follows);
        }
        // Of each node: how far behind the nearest of those on the host it is, and which that is.
        let mut behind: Vec<Option<(usize, usize)>> = vec![None; nodes.len()];
        let mut on_host = vec![None; nodes.len()];
        for (i, h) in host.iter().enumerate().filter(|(_, h)| backward[h.node]) {
            on_host[h.node] = Some(i);
        }
        for (i, node) in nodes.iter().enumerate() {
            let before = node.operands.iter().filter_map(|&x| behind[node_of(x)?]);
            let nearest = before.min().map(|(distance, h)| (distance + 1, h));
            behind[i] = on_host[i].map(|h| (0, h)).or(nearest);
        }
        let distance = |port: &StatePort| {
            let holds = |p: &&PackedPort| p.members.iter().any(|m| m.port == port.new);
            let packed = self.packed.iter().find(holds).map(|p| &p.name);
            let new = g
                .output_named(packed.unwrap_or(&port.new))
                .and_then(node_of)?;
            Some((behind[new]?, port.parameter))
        };
        let Some(((_, h), parameter)) = self.state.iter().filter_map(distance).min() else {
            return Ok(());
        };
        Err(StepError::HostGradient {
            parameter: model.parameters[parameter].path.clone(),
            op: host[h].op,
            place: host[h].place.clone(),
            reason: host[h].reason.clone(),
        })
    }
}

/// Scalars [1, 1] under a shape of ones of the rank of the tensor they meet, so that they do not add an axis to it.
fn in_rank(g: &mut Graph, scalars: &[Value], rank: usize) -> Result<Vec<Value>, TypeError> {
    let shape = Shape::new(&vec![1; rank]);
    scalars.iter().map(|&s| g.reshape(s, &shape)).collect()
}

/// min(1, max_norm/(norm + 1e-6)) as `torch.nn.utils.clip_grad_norm_`, for raw gradients.
///
/// Squares of raw gradients leave fp16 in both directions, so they are taken relative to the largest gradient: each is
/// at most 1, and what vanishes does not count beside it. Row sums run inside matmuls, in fp32; before they are summed
/// up they are multiplied by a power of two that keeps the total below 2¹³ even if every element were the largest.
fn clip_coefficient(
    g: &mut Graph,
    gradients: &[Value],
    largest: Value,
    unscale: Value,
    max_norm: Value,
) -> Result<Value, TypeError> {
    let c = |g: &mut Graph, x: f64| g.scalar(DType::Fp16, x);
    let smallest = c(g, 2.0_f64.powi(-14))?;
    let unit = g.maximum(largest, smallest)?;
    let elements: usize = gradients.iter().map(|&v| g.ty(v).shape.numel()).sum();
    let shrink = 2.0_f64.powi(-((elements as f64).log2().ceil() as i32 - 13).max(0));
    let mut total: Option<Value> = None;
    for &raw in gradients {
        let shape = g.ty(raw).shape.clone();
        let matrix = Shape::new(&[shape.numel() / shape.last(), shape.last()]);
        let rows = g.reshape(raw, &matrix)?;
        let relative = g.real_div(rows, unit)?;
        let square = g.mul(relative, relative)?;
        // At most 1 per element: a row of 16,384 still fits below the cliff.
        let by_row = g.reduce_sum(square, &[1], true)?;
        let factor = c(g, shrink)?;
        let by_row = g.mul(by_row, factor)?;
        let sum = g.reduce_sum(by_row, &[0], true)?;
        total = Some(match total {
            Some(so_far) => g.add(so_far, sum)?,
            None => sum,
        });
    }
    let total = total.expect("something is trained");
    let root = g.sqrt(total)?;
    let grow = c(g, (1.0 / shrink).sqrt())?;
    let relative_norm = g.mul(root, grow)?;
    let relative_norm = g.maximum(relative_norm, smallest)?;
    // largest·unscale is the largest gradient in gradient units; dividing twice keeps the norm itself, which may be
    // larger than fp16, from being formed.
    let unit = g.mul(unit, unscale)?;
    let unit = g.maximum(unit, smallest)?;
    let allowed = g.real_div(max_norm, unit)?;
    let coefficient = g.real_div(allowed, relative_norm)?;
    let one = c(g, 1.0)?;
    g.minimum(coefficient, one)
}

/// Gradient units per raw unit at this loss scale.
pub fn unscale_value(loss_scale: f64) -> f64 {
    GRADIENT_UNIT / loss_scale
}

/// Whether a gradient of this magnitude, in the update's units, is an fp16 number.
pub fn accepts_gradient(in_units: f64) -> bool {
    in_units < 65_504.0
}

/// Magnitude that new state may not reach. What ranges allow stays below 32,768 (`optim::pair`); on silicon a product with
/// infinity is the finite −52,416, which must not pass for state.
pub(crate) const LARGEST_STATE_ACCEPTED: f64 = 49_152.0;

/// Whether new state of this magnitude may be used.
pub fn accepts_state(largest: f32) -> bool {
    f64::from(largest) < LARGEST_STATE_ACCEPTED
}

fn fp16(shape: &Shape) -> TensorType {
    TensorType {
        dtype: DType::Fp16,
        shape: shape.clone(),
    }
}
