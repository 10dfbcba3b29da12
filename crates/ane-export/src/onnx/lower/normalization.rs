//! Normalisations by statistics that are given or taken.

use super::{Call, Done, Setting};
use crate::onnx::builder::tensor;
use ane_ir::{
    Literal, Shape, TensorType,
    ops::{batch_norm::BatchNorm, instance_norm::InstanceNorm, layer_norm::LayerNorm},
};

/// `gamma` or `beta`, or what changes nothing in its place: ONNX wants both.
fn affine(c: &mut Call<'_>, name: &str, shape: &Shape, neutral: f64) -> String {
    if let Some(given) = c.xs().optional(name) {
        return given.to_owned();
    }
    let ty = TensorType::new(c.dtype(), shape.clone());
    c.to.constant(tensor(String::new(), &Literal::splat(ty, neutral)))
}

fn epsilon(epsilon: f64) -> (&'static str, Setting) {
    ("epsilon", Setting::Float(epsilon))
}

pub(super) fn batch_norm(c: &mut Call<'_>, op: &BatchNorm) -> Done {
    let channels = Shape::new(&[c.ty(0).shape.dims()[1]]);
    let gamma = affine(c, "gamma", &channels, 1.0);
    let beta = affine(c, "beta", &channels, 0.0);
    let operands = [c.x(0), &gamma, &beta, c.x(1), c.x(2)];
    c.last("BatchNormalization", &operands, vec![epsilon(op.epsilon)])
}

pub(super) fn instance_norm(c: &mut Call<'_>, op: &InstanceNorm) -> Done {
    let channels = Shape::new(&[c.ty(0).shape.dims()[1]]);
    let gamma = affine(c, "gamma", &channels, 1.0);
    let beta = affine(c, "beta", &channels, 0.0);
    let operands = [c.x(0), &gamma, &beta];
    c.last(
        "InstanceNormalization",
        &operands,
        vec![epsilon(op.epsilon)],
    )
}

/// `LayerNormalization` is over the last axes; over others it is written out.
pub(super) fn layer_norm(c: &mut Call<'_>, op: &LayerNorm) -> Done {
    let over = (op.over(&c.ty(0).shape)).map_err(|_| "axes that do not exist")?;
    let (rank, first) = (c.rank(0), c.rank(0) - over.axes.len());
    if over.axes.iter().copied().eq(first..rank) && !over.axes.is_empty() {
        let gamma = affine(c, "gamma", &over.affine, 1.0);
        let beta = affine(c, "beta", &over.affine, 0.0);
        let settings = vec![("axis", Setting::Int(first as i64)), epsilon(op.epsilon)];
        return c.last("LayerNormalization", &[c.x(0), &gamma, &beta], settings);
    }
    let axes: Vec<i64> = over.axes.iter().map(|&a| a as i64).collect();
    let mean_of = |c: &mut Call<'_>, x: &str| {
        let settings = vec![
            ("axes", Setting::Ints(axes.clone())),
            ("keepdims", Setting::Int(1)),
        ];
        c.node("ReduceMean", &[x], settings)
    };
    let mean = mean_of(c, c.x(0));
    let distance = c.node("Sub", &[c.x(0), &mean], Vec::new());
    let square = c.node("Mul", &[&distance, &distance], Vec::new());
    let variance = mean_of(c, &square);
    let epsilon = c.to.scalar(c.dtype(), op.epsilon);
    let shifted = c.node("Add", &[&variance, &epsilon], Vec::new());
    let deviation = c.node("Sqrt", &[&shifted], Vec::new());
    let mut y = c.node("Div", &[&distance, &deviation], Vec::new());
    let shape: Vec<i64> = over.broadcast.dims().iter().map(|&d| d as i64).collect();
    for (name, function) in [("gamma", "Mul"), ("beta", "Add")] {
        if let Some(given) = c.xs().optional(name) {
            let shape = c.to.ints(&shape);
            let along = c.node("Reshape", &[given, &shape], Vec::new());
            y = c.node(function, &[&y, &along], Vec::new());
        }
    }
    c.last("Identity", &[&y], Vec::new())
}
