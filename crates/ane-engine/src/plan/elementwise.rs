//! The chain instruction of every elementwise op.

use super::{Options, chain::Ew};
use ane_ir::{DType, NonFinite, ops::Op};

/// The function of an elementwise op, and whether its results may leave the grid of its dtype.
pub(super) fn elementwise(op: &Op, from: DType, options: &Options) -> (Ew, bool) {
    use ane_ir::ops::gelu::Mode;
    let numerics = &options.numerics;
    let silicon = numerics.non_finite == NonFinite::Silicon;
    match op {
        Op::Add(_) => (Ew::Add, true),
        Op::Sub(_) => (Ew::Sub, true),
        Op::Mul(_) if silicon => (Ew::MulSilicon, true),
        Op::Mul(_) => (Ew::Mul, true),
        Op::RealDiv(_) => (Ew::Div, true),
        Op::Maximum(_) => (Ew::Max, false),
        Op::Minimum(_) => (Ew::Min, false),
        Op::Pow(_) => (Ew::Pow, true),
        Op::Sqrt(_) => (Ew::Sqrt, true),
        Op::Rsqrt(op) => (Ew::Rsqrt(op.epsilon_in(from, numerics)), true),
        Op::Exp(_) => (Ew::Exp, true),
        Op::Log(op) if silicon => (Ew::LogSilicon(op.epsilon_in(from, numerics)), true),
        Op::Log(op) => (Ew::Log(op.epsilon_in(from, numerics)), true),
        Op::Tanh(_) => (Ew::Tanh, true),
        Op::Sigmoid(_) => (Ew::Sigmoid, true),
        Op::Silu(_) => (Ew::Silu, true),
        Op::Relu(_) => (Ew::Relu, false),
        Op::Erf(_) => (Ew::Erf, true),
        Op::Gelu(op) => match op.mode {
            Mode::Exact => (Ew::GeluExact, true),
            Mode::TanhApproximation => (Ew::GeluTanh, true),
            Mode::SigmoidApproximation => (Ew::GeluSigmoid, true),
        },
        Op::Abs(_) => (Ew::Abs, false),
        Op::Sign(_) => (Ew::Sign, false),
        Op::Greater(_) => (Ew::Greater, false),
        Op::GreaterEqual(_) => (Ew::GreaterEqual, false),
        Op::Less(_) => (Ew::Less, false),
        Op::Equal(_) => (Ew::Equal, false),
        Op::LogicalNot(_) => (Ew::Not, false),
        Op::Select(_) => (Ew::Select, false),
        Op::Cast(op) => match op.dtype.integer_range() {
            None => (Ew::Copy, true),
            Some(_) if op.dtype == DType::Bool => (Ew::NonZero, false),
            Some((low, high)) => (Ew::Truncate(low as f32, high as f32), false),
        },
        _ => unreachable!("only elementwise ops are asked"),
    }
}
