//! Products, and functions that are several nodes.

use super::{Call, Done, Setting};
use ane_ir::ops::{
    clip::Clip,
    gelu::{Gelu, Mode},
    matmul::Matmul,
};

/// min(max(x, alpha), beta).
pub(super) fn clip(c: &mut Call<'_>, op: &Clip) -> Done {
    let alpha = c.to.scalar(c.dtype(), op.alpha);
    let beta = c.to.scalar(c.dtype(), op.beta);
    c.last("Clip", &[c.x(0), &alpha, &beta], Vec::new())
}

/// Functions in turn of x + epsilon.
pub(super) fn shifted(c: &mut Call<'_>, epsilon: f64, functions: &[&str]) -> Done {
    let mut x = c.x(0).to_owned();
    // What fp32 rounds to nothing changes nothing.
    if epsilon as f32 != 0.0 && epsilon > f64::from(f32::MIN_POSITIVE) {
        let epsilon = c.to.scalar(c.dtype(), epsilon);
        x = c.node("Add", &[&x, &epsilon], Vec::new());
    }
    let (last, first) = functions.split_last().ok_or("a function is wanted")?;
    for function in first {
        x = c.node(function, &[&x], Vec::new());
    }
    c.last(last, &[&x], Vec::new())
}

/// x/2 · (1 + erf(x/√2)) and its approximations; ONNX has an op of its own from opset 20 on.
pub(super) fn gelu(c: &mut Call<'_>, op: &Gelu) -> Done {
    let (x, dtype) = (c.x(0), c.dtype());
    let bent = match op.mode {
        Mode::Exact => {
            let root = c.to.scalar(dtype, std::f64::consts::SQRT_2);
            let y = c.node("Div", &[x, &root], Vec::new());
            c.node("Erf", &[&y], Vec::new())
        }
        Mode::TanhApproximation => {
            let square = c.node("Mul", &[x, x], Vec::new());
            let cube = c.node("Mul", &[&square, x], Vec::new());
            let share = c.to.scalar(dtype, 0.044_715);
            let part = c.node("Mul", &[&cube, &share], Vec::new());
            let sum = c.node("Add", &[x, &part], Vec::new());
            let root = c.to.scalar(dtype, std::f64::consts::FRAC_2_PI.sqrt());
            let y = c.node("Mul", &[&sum, &root], Vec::new());
            c.node("Tanh", &[&y], Vec::new())
        }
        Mode::SigmoidApproximation => {
            let slope = c.to.scalar(dtype, 1.702);
            let y = c.node("Mul", &[x, &slope], Vec::new());
            let gate = c.node("Sigmoid", &[&y], Vec::new());
            return c.last("Mul", &[x, &gate], Vec::new());
        }
    };
    let (one, half) = (c.to.scalar(dtype, 1.0), c.to.scalar(dtype, 0.5));
    let weight = c.node("Add", &[&bent, &one], Vec::new());
    let halved = c.node("Mul", &[x, &half], Vec::new());
    c.last("Mul", &[&halved, &weight], Vec::new())
}

/// x · weightᵀ + bias: `Gemm` of rows, otherwise a product and a sum.
pub(super) fn linear(c: &mut Call<'_>) -> Done {
    let bias = c.xs().optional("bias");
    if c.rank(0) == 2 {
        let operands: Vec<&str> = [c.x(0), c.x(1)].into_iter().chain(bias).collect();
        return c.last("Gemm", &operands, vec![("transB", Setting::Int(1))]);
    }
    let weight = c.node(
        "Transpose",
        &[c.x(1)],
        vec![("perm", Setting::Ints(vec![1, 0]))],
    );
    match bias {
        None => c.last("MatMul", &[c.x(0), &weight], Vec::new()),
        Some(bias) => {
            let y = c.node("MatMul", &[c.x(0), &weight], Vec::new());
            c.last("Add", &[&y, bias], Vec::new())
        }
    }
}

/// A product of matrices, whose operands ONNX does not transpose.
pub(super) fn matmul(c: &mut Call<'_>, op: &Matmul) -> Done {
    let mut factor = |i: usize, transposed: bool| {
        let rank = c.rank(i) as i64;
        if !transposed || rank < 2 {
            return c.x(i).to_owned();
        }
        let perm = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
        c.node("Transpose", &[c.x(i)], vec![("perm", Setting::Ints(perm))])
    };
    let x = factor(0, op.transpose_x);
    let y = factor(1, op.transpose_y);
    c.last("MatMul", &[&x, &y], Vec::new())
}
