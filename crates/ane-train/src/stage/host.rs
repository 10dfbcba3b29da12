//! A part of a step as the host computes it: in fp32.
//!
//! fp16 is how tensors lie in buffers that the engine shares. What moves elements leaves them as they are, so that a
//! table is not widened for the few rows that are gathered from it; whatever computes on them gets them in fp32, and what
//! it makes is rounded only where it goes back to the engine. A conversion that the step itself has rounds as it says.

use super::{StageError, engine::output};
use ane_ir::{
    DType, Graph, Literal, Shape, Target, TensorType, TypeError, Value,
    ops::{Op, fill::Fill, one_hot::OneHot},
    passes,
};
use std::collections::HashMap;

/// `part` in fp32, with ports of these types, by name.
pub(super) fn in_fp32(
    part: &Graph,
    types: impl Fn(&str) -> TensorType,
) -> Result<Graph, StageError> {
    let graph = retyped(part, types)?;
    // Conversions of constants are folded, and what is there twice is computed once.
    Ok(passes::run(&graph, &Target::SOFTWARE, passes::LEGALIZE)?)
}

fn retyped(part: &Graph, types: impl Fn(&str) -> TensorType) -> Result<Graph, StageError> {
    let mut wide = Wide::default();
    let mut map: Vec<Option<Value>> = vec![None; part.values().len()];
    for &v in part.inputs() {
        let name = part.port(v);
        let mut x = wide.g.input(name, types(name))?;
        if wide.g.ty(x).shape != part.ty(v).shape {
            x = wide.g.reshape(x, &part.ty(v).shape)?;
        }
        if part.ty(v).dtype == DType::Bool && wide.g.ty(x).dtype != DType::Bool {
            x = wide.g.cast(x, DType::Bool)?;
        }
        map[v.index()] = Some(x);
    }
    for (i, node) in part.nodes().iter().enumerate() {
        wide.g.set_scope(part.place(i).clone());
        let mut operands: Vec<Value> = Vec::with_capacity(node.operands.len());
        for x in &node.operands {
            operands.push(map[x.index()].expect("operands are defined before their uses"));
        }
        let is = |dtype| move |&v: &Value, g: &Graph| g.ty(v).dtype == dtype;
        let has_fp32 = operands.iter().any(|v| is(DType::Fp32)(v, &wide.g));
        let stays = matches!(node.op, Op::Cast(_)) || (node.op.only_moves() && !has_fp32);
        if !stays {
            for x in &mut operands {
                *x = wide.of(*x)?;
            }
        }
        let op = in_fp32_op(&node.op);
        let results = wide.g.push_segments(op, &operands, &node.segments)?;
        for (&old, &new) in node.results.iter().zip(&results) {
            map[old.index()] = Some(new);
        }
    }
    for &v in part.outputs() {
        let ty = types(part.port(v));
        let mut y = map[v.index()].expect("every value was copied");
        if wide.g.ty(y).dtype != ty.dtype {
            y = wide.g.cast(y, ty.dtype)?;
        }
        if wide.g.ty(y).shape != ty.shape {
            y = wide.g.reshape(y, &Shape::new(ty.shape.dims()))?;
        }
        output(&mut wide.g, part.port(v), y)?;
    }
    Ok(wide.g)
}

/// A graph with fp32 copies of its values.
#[derive(Default)]
struct Wide {
    g: Graph,
    copies: HashMap<Value, Value>,
}

impl Wide {
    /// `x` in fp32 if it is fp16, itself otherwise.
    fn of(&mut self, x: Value) -> Result<Value, TypeError> {
        if self.g.ty(x).dtype != DType::Fp16 {
            return Ok(x);
        }
        if let Some(&copy) = self.copies.get(&x) {
            return Ok(copy);
        }
        let copy = self.g.cast(x, DType::Fp32)?;
        self.copies.insert(x, copy);
        Ok(copy)
    }
}

/// The op, with the elements that it names in fp32.
fn in_fp32_op(op: &Op) -> Op {
    let wide = |element: &Option<Literal>| {
        element.as_ref().map(|x| match x.ty().dtype {
            DType::Fp16 => {
                let ty = TensorType {
                    dtype: DType::Fp32,
                    shape: x.ty().shape.clone(),
                };
                Literal::from_f64(ty, &x.to_f64())
            }
            _ => x.clone(),
        })
    };
    match op {
        Op::Fill(fill) => Fill {
            shape: fill.shape.clone(),
            value: wide(&fill.value),
        }
        .into(),
        Op::OneHot(hot) => OneHot {
            on_value: wide(&hot.on_value),
            off_value: wide(&hot.off_value),
            ..hot.clone()
        }
        .into(),
        other => other.clone(),
    }
}
