//! Elementwise functions, and how their results are rounded.

use ane_ir::{DType, NonFinite, Numerics};

/// Elementwise functions, computed in f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ew {
    Add,
    Sub,
    Mul,
    MulSilicon,
    Div,
    /// A number times itself.
    Square,
    /// Reciprocal of the sum with a number.
    Inverse(f32),
    Max,
    Min,
    Pow,
    Sqrt,
    Rsqrt(f32),
    Exp,
    Sin,
    Cos,
    Log(f32),
    LogSilicon(f32),
    Tanh,
    Sigmoid,
    Silu,
    Relu,
    /// A slope below zero.
    LeakyRelu(f32),
    /// Kept within bounds.
    Clip(f32, f32),
    /// Exponential below zero, that far.
    Elu(f32),
    /// Slope and value at 0, kept from 0 to 1.
    SigmoidHard(f32, f32),
    Softplus,
    Softsign,
    Erf,
    GeluExact,
    GeluTanh,
    GeluSigmoid,
    Abs,
    Sign,
    Floor,
    Ceil,
    /// To the nearest whole number, ties to even.
    RoundEven,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Equal,
    NotEqual,
    Not,
    And,
    Or,
    Xor,
    NonZero,
    Select,
    Copy,
    /// Toward zero, within bounds; NaN becomes the bound nearest to zero.
    Truncate(f32, f32),
    /// Infinite beyond a magnitude.
    Cliff(f32),
    /// What rounding the sum of two numbers left, given both and their sum.
    SumError,
}

/// What happens to a result before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// Nothing: fp32, integers, and results that are fp16 values already.
    Keep,
    /// Rounded to fp16.
    Fp16,
    /// Rounded to fp16, subnormals flushed and NaN replaced as the numerics say.
    Fp16By { flush: bool, no_nan: bool },
    /// Kept, but NaN replaced.
    NoNan,
}

impl Round {
    /// The rounding of a node of `dtype` whose function may leave the fp16 grid (`inexact`) or not. What stays on the
    /// grid still has its subnormals flushed.
    pub(crate) fn of(dtype: DType, inexact: bool, numerics: &Numerics) -> Self {
        let no_nan = numerics.non_finite == NonFinite::Silicon;
        let rounds =
            numerics.round && dtype == DType::Fp16 && (inexact || numerics.flush_subnormals);
        match (rounds, numerics.flush_subnormals, no_nan) {
            (true, false, false) => Self::Fp16,
            (true, flush, no_nan) => Self::Fp16By { flush, no_nan },
            (false, _, true) => Self::NoNan,
            (false, _, false) => Self::Keep,
        }
    }
}
