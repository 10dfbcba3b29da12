//! What the op set `CoreML6`, that of macOS 13 and iOS 16, calls the attributes of an op.
//!
//! Our ops are those of MIL, so names and operands are the same; newer op sets than this one have more attributes, and
//! Core ML's own tools write every attribute, also one that has its default.

use ane_ir::{
    DType, Graph, Literal, Node, TensorType,
    ops::{Attr, Op},
};

/// Name of the op set.
pub(super) const OPSET: &str = "CoreML6";

/// Attributes that are not in this op set: they say how a program is checked, not what it computes.
pub(super) const NEWER: [&str; 2] = ["validate_indices", "output_dtype"];

/// The attributes of a node, or why the op set has none such.
pub(super) fn attributes(
    graph: &Graph,
    node: &Node,
) -> Result<Vec<(&'static str, Attr)>, &'static str> {
    if let Some(reason) = refused(graph, node) {
        return Err(reason);
    }
    let mut all = node.op.attrs();
    all.retain(|(name, _)| !NEWER.contains(name));
    let mut default = |name: &'static str, value: Attr| {
        if all.iter().all(|(given, _)| *given != name) {
            all.push((name, value));
        }
    };
    let rank = node
        .operands
        .first()
        .map_or(0, |&x| graph.ty(x).shape.rank());
    let spatial = rank.saturating_sub(2);
    match &node.op {
        Op::Conv(_) | Op::ConvTranspose(_) => {
            default("strides", Attr::Ints(vec![1; spatial]));
            default("dilations", Attr::Ints(vec![1; spatial]));
            default("pad", Attr::Ints(vec![0; 2 * spatial]));
        }
        Op::AvgPool(_) | Op::MaxPool(_) => {
            default("strides", Attr::Ints(vec![1; spatial]));
            default("pad", Attr::Ints(vec![0; 2 * spatial]));
        }
        Op::Concat(_) => default("interleave", Attr::Bool(false)),
        Op::Inverse(_) => default("epsilon", Attr::Float(1e-4)),
        Op::LayerNorm(_) => default("axes", Attr::Ints((0..rank as i32).collect())),
        Op::Log(_) => default("epsilon", Attr::Float(1e-45)),
        Op::Rsqrt(_) => default("epsilon", Attr::Float(1e-12)),
        Op::UpsampleBilinear(op) => {
            // Both factors are of one type, int32 or fp32, whatever the image holds.
            let factors = [
                ("scale_factor_height", op.scale_factor_height.0),
                ("scale_factor_width", op.scale_factor_width.0),
            ];
            if factors.iter().any(|(_, factor)| factor.fract() != 0.0) {
                for (name, value) in &mut all {
                    if let Some((_, factor)) = factors.iter().find(|(factor, _)| factor == name) {
                        let ty = TensorType::fp32([]);
                        *value = Attr::Literal(Literal::splat(ty, f64::from(*factor)));
                    }
                }
            }
        }
        _ => {}
    }
    Ok(all)
}

/// Operands that have to be known before the program runs.
fn constants(op: &Op) -> &'static [&'static str] {
    match op {
        Op::BatchNorm(_) => &["mean", "variance", "gamma", "beta"],
        Op::Conv(_) => &["bias"],
        Op::ConvTranspose(_) | Op::Linear(_) => &["weight", "bias"],
        Op::InstanceNorm(_) | Op::LayerNorm(_) => &["gamma", "beta"],
        _ => &[],
    }
}

/// Why the op set has no such node.
fn refused(graph: &Graph, node: &Node) -> Option<&'static str> {
    let dtypes = |values: &[ane_ir::Value]| -> Vec<DType> {
        values.iter().map(|&v| graph.ty(v).dtype).collect()
    };
    let (operands, results) = (dtypes(&node.operands), dtypes(&node.results));
    let narrow = |dtype: &DType| {
        matches!(
            dtype,
            DType::Int8 | DType::UInt8 | DType::Int16 | DType::UInt16
        )
    };
    if operands.iter().chain(&results).any(narrow) {
        return Some("integers other than int32, which macOS 14 brings");
    }
    let view = node.view(&node.operands);
    let mut wanted = constants(&node.op).iter().flat_map(|name| view.list(name));
    if wanted.any(|&v| graph.literal(v).is_none()) {
        return Some("weights that are computed while it runs");
    }
    let absent = |name| view.optional(name).is_none();
    if matches!(node.op, Op::LayerNorm(_)) && absent("gamma") && !absent("beta") {
        return Some("a beta without a gamma");
    }
    if let (Op::Select(_), [_, a, b]) = (&node.op, &node.operands[..]) {
        let both = graph.ty(*a).shape.broadcast(&graph.ty(*b).shape);
        if both.as_ref() != Some(&graph.ty(node.results[0]).shape) {
            return Some("a choice of values that are smaller than the condition");
        }
    }
    None
}
