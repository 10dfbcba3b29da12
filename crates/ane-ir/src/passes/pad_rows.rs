//! Rows of ports padded to what the route carries.
//!
//! Before: `x: [8, 10]; y = relu(x): [8, 10]`. After, where rows are 64 bytes and an fp16 element has two:
//! `x: [8, 32]; a = slice_by_size(x): [8, 10]; b = relu(a): [8, 10]; y = pad(b): [8, 32]`.
//!
//! Ports keep their names, and a scalar becomes a row of its own. What arrives in the padding is ignored, what leaves
//! there is zero. Memory whose rows of the narrow tensor begin 64 bytes or a multiple of that apart is, byte for byte,
//! memory of the wide one: that is why whoever fills buffers needs to know the narrow type only.

use super::PassError;
use crate::{
    graph::{Graph, Value},
    ops::TypeError,
    place::Place,
    target::Target,
    types::{DType, Shape, TensorType},
};

const NAME: &str = "pad_rows";

/// Other types than floating point stay as they are: the routes with rows refuse them anyway.
pub(super) fn run(graph: &Graph, target: &Target) -> Result<Graph, PassError> {
    match target.row_alignment() {
        Some(line) => pad(graph, line, &[DType::Fp16, DType::Fp32]),
        None => Ok(graph.clone()),
    }
}

/// Pads the rows of ports of these types to multiples of `line` bytes: what [`super::LEGALIZE`] does where a target's
/// routes have rows, for a graph that runs elsewhere on the same buffers.
///
/// # Errors
/// When a node does not type: our bug.
pub fn pad(graph: &Graph, line: usize, dtypes: &[DType]) -> Result<Graph, PassError> {
    let padded = |ty: &TensorType| match dtypes.contains(&ty.dtype) {
        true => padded(ty, line),
        false => ty.clone(),
    };
    let port = |source| PassError::Port { pass: NAME, source };
    let typed = |source| PassError::Type { pass: NAME, source };
    let mut out = Graph::new();
    let mut map: Vec<Option<Value>> = vec![None; graph.values().len()];
    for &v in graph.inputs() {
        let ty = graph.ty(v);
        let wide = padded(ty);
        let x = out.input(graph.port(v), wide.clone()).map_err(port)?;
        map[v.index()] = Some(if wide == *ty {
            x
        } else {
            narrow(&mut out, x, ty).map_err(typed)?
        });
    }
    let infallible = "operands are defined before their uses";
    for (i, node) in graph.nodes().iter().enumerate() {
        out.set_scope(graph.place(i).clone());
        let operands: Vec<Value> = node
            .operands
            .iter()
            .map(|x| map[x.index()].expect(infallible))
            .collect();
        let results = out
            .push_segments(node.op.clone(), &operands, &node.segments)
            .map_err(typed)?;
        for (&old, &new) in node.results.iter().zip(&results) {
            map[old.index()] = Some(new);
            if graph.stops_gradient(old) {
                out.mark_stop(new);
            }
            // The name of a port belongs to the padded value.
            if let Some(name) = graph.name(old).filter(|_| !graph.is_port(old)) {
                out.set_name(new, name);
            }
        }
    }
    out.set_scope(Place::UNKNOWN);
    for &v in graph.outputs() {
        let mut y = map[v.index()].expect(infallible);
        let wide = padded(graph.ty(v));
        if wide != *graph.ty(v) {
            y = widen(&mut out, y, &wide).map_err(typed)?;
        }
        out.output(graph.port(v), y).map_err(port)?;
    }
    out.copy_in_place(graph);
    Ok(out)
}

/// The type of a port whose rows are multiples of `line` bytes.
fn padded(ty: &TensorType, line: usize) -> TensorType {
    let mut dims = ty.shape.dims().to_vec();
    if dims.is_empty() {
        dims.push(1);
    }
    if let Some(last) = dims.last_mut() {
        *last = last.next_multiple_of(line / ty.dtype.bytes());
    }
    TensorType::new(ty.dtype, Shape::new(&dims))
}

/// The tensor of type `ty` at the beginning of the rows of `x`.
fn narrow(g: &mut Graph, x: Value, ty: &TensorType) -> Result<Value, TypeError> {
    let rank = g.ty(x).shape.rank();
    let mut size = vec![-1; rank];
    size[rank - 1] = i32::try_from(ty.shape.last()).unwrap_or(i32::MAX);
    let block = g.slice_by_size(x, &vec![0; rank], &size)?;
    if ty.shape.rank() == rank {
        return Ok(block);
    }
    g.reshape(block, &ty.shape)
}

/// `y` as a tensor of type `wide`, with zeros at the end of its rows.
fn widen(g: &mut Graph, y: Value, wide: &TensorType) -> Result<Value, TypeError> {
    let ty = g.ty(y).clone();
    let rank = wide.shape.rank();
    let row = if ty.shape.rank() == rank {
        y
    } else {
        g.reshape(y, &Shape::new(&[1]))?
    };
    let mut pad = vec![0; 2 * rank];
    pad[2 * rank - 1] = i32::try_from(wide.shape.last() - ty.shape.last()).unwrap_or(i32::MAX);
    g.pad(row, &pad, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Numerics, Tensor, eval, verify::verify};

    fn graph() -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 10])).unwrap();
        let whole = g.input("whole", TensorType::fp16([2, 64])).unwrap();
        let scalar = g.input("scalar", TensorType::fp16([])).unwrap();
        let y = g.mul(x, scalar).unwrap();
        let z = g.relu(y).unwrap();
        let doubled = g.add(whole, whole).unwrap();
        let s = g.abs(scalar).unwrap();
        g.output("y", y).unwrap();
        g.output("z", z).unwrap();
        g.output("doubled", doubled).unwrap();
        g.output("s", s).unwrap();
        g
    }

    #[test]
    fn ports_get_whole_rows_where_surfaces_carry_them() {
        let g = graph();
        let client = run(&g, &"h13:client".parse().unwrap()).unwrap();
        assert!(verify(&client).is_empty());
        let dims = |name: &str| {
            let v = client.input_named(name).or(client.output_named(name));
            client.ty(v.unwrap()).shape.dims().to_vec()
        };
        for (name, expected) in [
            ("x", vec![2, 32]),
            ("whole", vec![2, 64]),
            ("scalar", vec![32]),
            ("y", vec![2, 32]),
            ("z", vec![2, 32]),
            ("doubled", vec![2, 64]),
            ("s", vec![32]),
        ] {
            assert_eq!(dims(name), expected, "{name}");
        }
        for dense in ["h13", "software"] {
            assert_eq!(run(&g, &dense.parse().unwrap()).unwrap(), g);
        }
    }

    #[test]
    fn padding_is_ignored_and_zero() {
        let g = graph();
        let wide = run(&g, &"h16:memory".parse().unwrap()).unwrap();
        let xs: Vec<Tensor<f32>> = g
            .inputs()
            .iter()
            .map(|&v| crate::testing::tensor(g.ty(v), crate::ops::Fill::Signed, 7))
            .collect();
        let wide_xs: Vec<Tensor<f32>> = wide
            .inputs()
            .iter()
            .zip(&xs)
            .map(|(&v, x)| rows(x, wide.ty(v), f32::NAN))
            .collect();
        let ys = eval(&g, &xs, &Numerics::ieee()).unwrap();
        let wide_ys = eval(&wide, &wide_xs, &Numerics::ieee()).unwrap();
        for (y, wide_y) in ys.iter().zip(&wide_ys) {
            assert_eq!(rows(y, &wide_y.ty, 0.0), *wide_y);
        }
    }

    /// `x` with its rows padded to those of `ty`.
    fn rows(x: &Tensor<f32>, ty: &TensorType, padding: f32) -> Tensor<f32> {
        let data = x
            .data
            .chunks_exact(x.ty.shape.last())
            .flat_map(|r| {
                let mut wide = r.to_vec();
                wide.resize(ty.shape.last(), padding);
                wide
            })
            .collect();
        Tensor {
            ty: ty.clone(),
            data,
        }
    }
}
