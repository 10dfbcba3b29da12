//! Ports in few: where a request holds fewer surfaces than a step has tensors, tensors of one width share a port.
//!
//! A packed port is [rows, width]; a tensor of shape [n, …] lies in it as n rows of everything behind its first axis, and
//! a vector as one row. So a tensor is a run of whole rows, the program cuts it out along the first axis, where no slice
//! has a limit, and the host sees it as a view of the port's buffer.
//!
//! ```text
//! before  %a: [6, 1, 5, 5]  %b: [16, 25]        after  %p: [22, 25]
//!                                                      %a = reshape(slice_by_size(%p, [0, 0], [6, 25]))
//!                                                      %b = slice_by_size(%p, [6, 0], [16, 25])
//! ```

use super::{Step, StepError};
use ane_ir::{Graph, Place, Shape, TensorType, Value};
use std::collections::HashMap;

/// A port that stands for several.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedPort {
    /// Its name.
    pub name: String,
    /// Its type, [rows, width].
    pub ty: TensorType,
    /// The ports that it stands for.
    pub members: Vec<Member>,
}

/// A tensor within a packed port.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The port that it would have alone.
    pub port: String,
    /// Its first row.
    pub row: usize,
    /// Its own type as rows, [rows, width].
    pub rows: TensorType,
}

/// Rows and width of a tensor in a packed port.
fn as_rows(shape: &Shape) -> (usize, usize) {
    match shape.dims() {
        [] => (1, 1),
        [n] => (1, *n),
        [n, rest @ ..] => (*n, rest.iter().product()),
    }
}

impl Step {
    /// Packs ports of these names, in order; each list is packed for itself, so that lists of the same tensors have the
    /// same layout.
    ///
    /// # Errors
    /// When a node does not type: our bug.
    pub fn pack(&mut self, lists: &[(&str, Vec<String>)]) -> Result<(), StepError> {
        let mut packed: Vec<PackedPort> = Vec::new();
        for (name, ports) in lists {
            packed.extend(layout(&self.graph, name, ports));
        }
        packed.retain(|p| p.members.len() > 1);
        self.graph = rewrite(&self.graph, &packed)?;
        self.packed.extend(packed);
        Ok(())
    }
}

/// The packed ports of one list: one per width and dtype.
fn layout(graph: &Graph, name: &str, ports: &[String]) -> Vec<PackedPort> {
    let mut packed: Vec<PackedPort> = Vec::new();
    for port in ports {
        let named = |v: &&Value| graph.port(**v) == port;
        let all = graph.inputs().iter().chain(graph.outputs());
        let Some(&value) = all.clone().find(named) else {
            continue;
        };
        let ty = graph.ty(value);
        let (rows, width) = as_rows(&ty.shape);
        let shared = packed
            .iter_mut()
            .find(|p| p.ty.dtype == ty.dtype && p.ty.shape.last() == width);
        let rows_of = |n: usize| TensorType::new(ty.dtype, [n, width]);
        let member = |row: usize| Member {
            port: port.clone(),
            row,
            rows: rows_of(rows),
        };
        match shared {
            Some(p) => {
                let row = p.ty.shape.dims()[0];
                p.members.push(member(row));
                p.ty = rows_of(row + rows);
            }
            None => packed.push(PackedPort {
                name: format!("packed_{name}_{}", packed.len()),
                ty: rows_of(rows),
                members: vec![member(0)],
            }),
        }
    }
    packed
}

/// The graph with packed ports instead of their members.
fn rewrite(graph: &Graph, packed: &[PackedPort]) -> Result<Graph, StepError> {
    let home: HashMap<&str, (usize, &Member)> = packed
        .iter()
        .enumerate()
        .flat_map(|(i, p)| p.members.iter().map(move |m| (m.port.as_str(), (i, m))))
        .collect();
    let mut out = Graph::new();
    let mut map: Vec<Option<Value>> = vec![None; graph.values().len()];
    let mut ports: Vec<Option<Value>> = vec![None; packed.len()];
    for &v in graph.inputs() {
        let name = graph.port(v);
        let ty = graph.ty(v);
        let value = match home.get(name) {
            None => out.input(name, ty.clone())?,
            Some(&(i, member)) => {
                let whole = match ports[i] {
                    Some(whole) => whole,
                    None => out.input(&packed[i].name, packed[i].ty.clone())?,
                };
                ports[i] = Some(whole);
                cut(&mut out, whole, member, &ty.shape)?
            }
        };
        map[v.index()] = Some(value);
    }
    for (i, node) in graph.nodes().iter().enumerate() {
        out.set_scope(graph.place(i).clone());
        let operands: Option<Vec<Value>> = node.operands.iter().map(|x| map[x.index()]).collect();
        let operands = operands.expect("operands are defined before they are used");
        let results = out.push_segments(node.op.clone(), &operands, &node.segments)?;
        for (&old, &new) in node.results.iter().zip(&results) {
            map[old.index()] = Some(new);
        }
    }
    out.set_scope(Place::UNKNOWN);
    let mut parts: Vec<Vec<Value>> = vec![Vec::new(); packed.len()];
    for &v in graph.outputs() {
        let value = map[v.index()].expect("every value was copied");
        match home.get(graph.port(v)) {
            None => out.output(graph.port(v), value)?,
            Some(&(i, member)) => {
                let is_rows = out.ty(value).shape == member.rows.shape;
                parts[i].push(if is_rows {
                    value
                } else {
                    out.reshape(value, &member.rows.shape)?
                });
                if parts[i].len() == packed[i].members.len() {
                    let whole = out.concat(&parts[i], 0)?;
                    out.output(&packed[i].name, whole)?;
                }
            }
        }
    }
    Ok(out)
}

/// A member of a packed input in its own shape.
fn cut(g: &mut Graph, whole: Value, member: &Member, shape: &Shape) -> Result<Value, StepError> {
    let int = |n: usize| i32::try_from(n).expect("an axis is shorter than 2^31");
    let dims = member.rows.shape.dims();
    let rows = g.slice_by_size(whole, &[int(member.row), 0], &[int(dims[0]), int(dims[1])])?;
    if *shape == member.rows.shape {
        return Ok(rows);
    }
    Ok(g.reshape(rows, shape)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::{Numerics, Tensor, eval};

    #[test]
    fn a_packed_step_computes_the_same_from_the_same_rows() {
        let mut g = Graph::new();
        let shapes: [&[usize]; 4] = [&[2, 1, 3], &[3], &[4], &[2, 2]];
        let inputs: Vec<Value> = shapes
            .iter()
            .enumerate()
            .map(|(i, dims)| {
                let ty = TensorType::fp16(Shape::new(dims));
                g.input(&format!("x{i}"), ty).unwrap()
            })
            .collect();
        for (i, &x) in inputs.iter().enumerate() {
            let c = g.scalar(ane_ir::DType::Fp16, (i + 2) as f64).unwrap();
            let y = g.mul(x, c).unwrap();
            g.output(&format!("y{i}"), y).unwrap();
        }
        let data: Vec<Vec<f32>> = shapes
            .iter()
            .enumerate()
            .map(|(i, d)| {
                (0..d.iter().product())
                    .map(|j| (10 * i + j) as f32)
                    .collect()
            })
            .collect();
        let tensor = |i: usize, x: &[f32]| Tensor::new(g.ty(inputs[i]).clone(), x.to_vec());
        let plain: Vec<Tensor<f32>> = (0..4).map(|i| tensor(i, &data[i])).collect();
        let numerics = Numerics::ieee();
        let expected = eval(&g, &plain, &numerics).unwrap();
        let names = |p: &str| (0..4).map(|i| format!("{p}{i}")).collect::<Vec<_>>();
        let mut step = Step {
            graph: g.clone(),
            ..Step::default()
        };
        step.pack(&[("in", names("x")), ("out", names("y"))])
            .unwrap();
        let ports = |of: &[Value]| -> Vec<String> {
            of.iter().map(|&v| step.graph.port(v).to_owned()).collect()
        };
        // x0 and x1 are three wide; x2 and x3 have widths of their own.
        assert_eq!(ports(step.graph.inputs()), ["packed_in_0", "x2", "x3"]);
        assert_eq!(ports(step.graph.outputs()), ["packed_out_0", "y2", "y3"]);
        let both = [data[0].clone(), data[1].clone()].concat();
        let whole = Tensor::new(step.packed[0].ty.clone(), both);
        let found = eval(
            &step.graph,
            &[whole, plain[2].clone(), plain[3].clone()],
            &numerics,
        );
        let found = found.unwrap();
        let joined = [expected[0].data.clone(), expected[1].data.clone()].concat();
        assert_eq!(found[0].data, joined);
        assert_eq!(found[1].data, expected[2].data);
        assert_eq!(found[2].data, expected[3].data);
        let rows: Vec<usize> = step.packed[0].members.iter().map(|m| m.row).collect();
        assert_eq!(rows, [0, 2]);
    }
}
