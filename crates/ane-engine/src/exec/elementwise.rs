//! Elementwise functions over tiles: one pass per instruction.

use crate::{
    plan::{
        function::{Ew, Round},
        fused_pair::{FusedPair, fused_pairs},
    },
    simd::{Lanes, math},
};
use ane_ir::SILICON_INF_PRODUCT;
use std::mem::MaybeUninit;

/// Where a pass reads an operand.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) start: *const f32,
    /// Mask of the distance from the start: 0 stays at the first vector.
    pub(super) step: usize,
}

impl Operand {
    /// The elements from `i` on.
    #[inline(always)]
    fn at(self, i: usize) -> *const f32 {
        self.start.wrapping_add(i & self.step)
    }
}

/// Applies an expression to vectors of `$n` elements of the operands; what is left at the end has a second pass over a
/// vector on the stack, so that the expression stands in the program once.
/// A macro and not a function of a closure: closures are not sure to be compiled for the instruction set at hand.
macro_rules! sweep {
    ($s:ident, $out:expr, $n:expr, $xs:expr, |$($x:ident),*| $e:expr) => {{
        let mut from = $xs;
        let (s, out, n): (_, *mut f32, usize) = ($s, $out, $n);
        let whole = n / S::N * S::N;
        // Made only when needed: it costs more than a vector's worth of work.
        let mut last = MaybeUninit::<[[f32; 16]; 6]>::uninit();
        let (mut to, mut len, mut is_last) = (out, whole, false);
        loop {
            let mut i = 0;
            while i < len {
                let [$($x),*] = from;
                // SAFETY: the caller vouches for `n` elements of every operand.
                $(let $x = unsafe { s.load(std::slice::from_raw_parts($x.at(i), S::N)) };)*
                $(let _ = $x;)*
                let r = $e;
                // SAFETY: the caller vouches for `n` elements of the result.
                s.store(unsafe { std::slice::from_raw_parts_mut(to.add(i), S::N) }, r);
                i += S::N;
            }
            let rest = n - whole;
            if is_last {
                // SAFETY: as above.
                unsafe { std::ptr::copy_nonoverlapping(to, out.add(whole), rest) };
                break;
            }
            if rest == 0 {
                break;
            }
            let [last_out, last @ ..] = last.write([[1.0; 16]; 6]);
            for (x, lanes) in from.iter_mut().zip(last) {
                // SAFETY: as above.
                unsafe { std::ptr::copy_nonoverlapping(x.at(whole), lanes.as_mut_ptr(), rest) };
                x.start = lanes.as_ptr();
            }
            (to, len, is_last) = (last_out.as_mut_ptr(), S::N, true);
        }
    }};
}

/// The functions that training steps are made of, over vectors.
macro_rules! apply {
    ($s:ident, Add, $a:expr, $b:expr, $c:expr) => {
        $s.add($a, $b)
    };
    ($s:ident, Sub, $a:expr, $b:expr, $c:expr) => {
        $s.sub($a, $b)
    };
    ($s:ident, Mul, $a:expr, $b:expr, $c:expr) => {
        $s.mul($a, $b)
    };
    ($s:ident, Div, $a:expr, $b:expr, $c:expr) => {
        $s.div($a, $b)
    };
    ($s:ident, Max, $a:expr, $b:expr, $c:expr) => {
        $s.select($s.or($s.gt($a, $b), $s.is_nan($a)), $a, $b)
    };
    ($s:ident, Abs, $a:expr, $b:expr, $c:expr) => {
        $s.abs($a)
    };
    ($s:ident, Sqrt, $a:expr, $b:expr, $c:expr) => {
        $s.sqrt($a)
    };
    ($s:ident, Relu, $a:expr, $b:expr, $c:expr) => {
        $s.select(
            $s.or($s.gt($a, $s.splat(0.0)), $s.is_nan($a)),
            $a,
            $s.splat(0.0),
        )
    };
    ($s:ident, Greater, $a:expr, $b:expr, $c:expr) => {
        $s.select($s.gt($a, $b), $s.splat(1.0), $s.splat(0.0))
    };
    ($s:ident, Less, $a:expr, $b:expr, $c:expr) => {
        $s.select($s.gt($b, $a), $s.splat(1.0), $s.splat(0.0))
    };
    ($s:ident, Select, $a:expr, $b:expr, $c:expr) => {
        $s.select($s.eq($a, $s.splat(0.0)), $c, $b)
    };
}

/// [`apply`] with the rounding that goes with the function.
macro_rules! rounded {
    ($s:ident, Add, $($x:expr),*) => { $s.round_f16(apply!($s, Add, $($x),*)) };
    ($s:ident, Sub, $($x:expr),*) => { $s.round_f16(apply!($s, Sub, $($x),*)) };
    ($s:ident, Mul, $($x:expr),*) => { $s.round_f16(apply!($s, Mul, $($x),*)) };
    ($s:ident, Div, $($x:expr),*) => { $s.round_f16(apply!($s, Div, $($x),*)) };
    ($s:ident, Sqrt, $($x:expr),*) => { $s.round_f16(apply!($s, Sqrt, $($x),*)) };
    ($s:ident, $f:ident, $($x:expr),*) => { apply!($s, $f, $($x),*) };
}

/// A function of the result `$r` at place 0, 1 or 2 of its operands, and of two others.
macro_rules! after {
    ($s:ident, $g:ident, 0, $r:expr, $d:expr, $e:expr) => {
        rounded!($s, $g, $r, $d, $e)
    };
    ($s:ident, $g:ident, 1, $r:expr, $d:expr, $e:expr) => {
        rounded!($s, $g, $d, $r, $e)
    };
    ($s:ident, $g:ident, 2, $r:expr, $d:expr, $e:expr) => {
        rounded!($s, $g, $d, $e, $r)
    };
}

/// Two functions in one pass over `n` elements.
///
/// # Safety
/// As [`super::chain::Run::block`].
#[inline(always)]
pub(super) unsafe fn compute_pair<S: Lanes>(
    s: S,
    pair: FusedPair,
    out: *mut f32,
    xs: [Operand; 5],
    n: usize,
) {
    macro_rules! passes {
        ($($name:ident = $f:ident, $g:ident at $place:tt;)*) => {
            match pair {
                $(FusedPair::$name => sweep!(s, out, n, xs, |a, b, c, d, e| {
                    let r = rounded!(s, $f, a, b, c);
                    after!(s, $g, $place, r, d, e)
                }),)*
            }
        };
    }
    fused_pairs!(passes);
}

/// One instruction over `n` elements.
///
/// # Safety
/// As [`super::chain::Run::block`].
#[inline(always)]
pub(super) unsafe fn compute<S: Lanes>(
    s: S,
    f: Ew,
    round: Round,
    out: *mut f32,
    xs: [Operand; 3],
    n: usize,
) {
    /// Rounds to fp16 in registers: for what training steps are made of. Gives whether rounding is left to do.
    macro_rules! each {
        (|$a:ident, $b:ident, $c:ident| $e:expr) => {
            if round == Round::Fp16 {
                sweep!(s, out, n, xs, |$a, $b, $c| s.round_f16($e));
                false
            } else {
                sweep!(s, out, n, xs, |$a, $b, $c| $e);
                true
            }
        };
    }
    /// Leaves rounding to a second pass: for what is rare, or long enough not to feel it.
    macro_rules! unrounded {
        (|$a:ident, $b:ident, $c:ident| $e:expr) => {{
            sweep!(s, out, n, xs, |$a, $b, $c| $e);
            true
        }};
    }
    let zero = s.splat(0.0);
    let one = s.splat(1.0);
    let truth = |m: S::M| s.select(m, one, zero);
    let round_yet = match f {
        Ew::Add => each!(|a, b, c| apply!(s, Add, a, b, c)),
        Ew::Sub => each!(|a, b, c| apply!(s, Sub, a, b, c)),
        Ew::Mul => each!(|a, b, c| apply!(s, Mul, a, b, c)),
        Ew::MulSilicon => unrounded!(|a, b, _c| {
            let inf = s.splat(f32::INFINITY);
            let infinite = s.or(s.eq(s.abs(a), inf), s.eq(s.abs(b), inf));
            s.select(infinite, s.splat(SILICON_INF_PRODUCT), s.mul(a, b))
        }),
        Ew::Div => each!(|a, b, c| apply!(s, Div, a, b, c)),
        Ew::Square => each!(|a, _b, _c| s.mul(a, a)),
        Ew::Inverse(e) => unrounded!(|a, _b, _c| s.div(one, s.add(a, s.splat(e)))),
        Ew::Max => each!(|a, b, c| apply!(s, Max, a, b, c)),
        Ew::Min => each!(|a, b, _c| s.select(s.or(s.gt(b, a), s.is_nan(a)), a, b)),
        Ew::Pow => unrounded!(|a, b, _c| lane_by_lane(s, a, b, f32::powf)),
        Ew::Sqrt => each!(|a, b, c| apply!(s, Sqrt, a, b, c)),
        Ew::Rsqrt(e) => unrounded!(|a, _b, _c| s.div(one, s.sqrt(s.add(a, s.splat(e))))),
        Ew::Exp => unrounded!(|a, _b, _c| math::exp(s, a)),
        Ew::Sin => unrounded!(|a, _b, _c| lane_by_lane(s, a, a, |x, _| x.sin())),
        Ew::Cos => unrounded!(|a, _b, _c| lane_by_lane(s, a, a, |x, _| x.cos())),
        Ew::Log(e) => unrounded!(|a, _b, _c| math::log(s, s.add(a, s.splat(e)))),
        Ew::LogSilicon(e) => unrounded!(|a, _b, _c| {
            let x = s.add(a, s.splat(e));
            s.select(s.eq(x, s.splat(f32::INFINITY)), zero, math::log(s, x))
        }),
        Ew::Tanh => unrounded!(|a, _b, _c| math::tanh(s, a)),
        Ew::Sigmoid => unrounded!(|a, _b, _c| math::sigmoid(s, a)),
        Ew::Silu => unrounded!(|a, _b, _c| math::silu(s, a)),
        Ew::Relu => each!(|a, b, c| apply!(s, Relu, a, b, c)),
        Ew::LeakyRelu(slope) => each!(|a, _b, _c| {
            let sloped = s.mul(a, s.splat(slope));
            s.select(s.gt(zero, a), sloped, a)
        }),
        Ew::Clip(low, high) => each!(|a, _b, _c| {
            let (low, high) = (s.splat(low), s.splat(high));
            s.select(s.gt(low, a), low, s.select(s.gt(a, high), high, a))
        }),
        Ew::Elu(alpha) => unrounded!(|a, _b, _c| {
            let negative = s.mul(s.splat(alpha), math::exp_m1(s, a));
            s.select(s.gt(a, zero), a, negative)
        }),
        Ew::SigmoidHard(alpha, beta) => unrounded!(|a, _b, _c| {
            let y = s.add(s.mul(a, s.splat(alpha)), s.splat(beta));
            s.select(s.gt(zero, y), zero, s.select(s.gt(y, one), one, y))
        }),
        Ew::Softplus => unrounded!(|a, _b, _c| math::softplus(s, a)),
        Ew::Softsign => unrounded!(|a, _b, _c| s.div(a, s.add(one, s.abs(a)))),
        Ew::Erf => unrounded!(|a, _b, _c| math::erf(s, a)),
        Ew::GeluExact => unrounded!(|a, _b, _c| {
            let tail = math::erfc(s, s.mul(a, s.splat(-std::f32::consts::FRAC_1_SQRT_2)));
            s.mul(s.mul(s.splat(0.5), a), tail)
        }),
        Ew::GeluTanh => unrounded!(|a, _b, _c| {
            let cubic = s.mul(
                s.mul(s.mul(s.splat(ane_ir::ops::gelu::CUBIC as f32), a), a),
                a,
            );
            let slope = s.mul(s.splat(-2.0 * 0.797_884_6), s.add(a, cubic));
            s.div(a, s.add(one, math::exp(s, slope)))
        }),
        Ew::GeluSigmoid => unrounded!(|a, _b, _c| {
            let slope = s.splat(-ane_ir::ops::gelu::SIGMOID_SLOPE as f32);
            s.div(a, s.add(one, math::exp(s, s.mul(slope, a))))
        }),
        Ew::Abs => each!(|a, b, c| apply!(s, Abs, a, b, c)),
        Ew::Sign => unrounded!(|a, _b, _c| {
            let signed = s.copysign(one, a);
            s.select(s.gt(s.abs(a), zero), signed, a)
        }),
        Ew::Floor => unrounded!(|a, _b, _c| lane_by_lane(s, a, a, |x, _| x.floor())),
        Ew::Ceil => unrounded!(|a, _b, _c| lane_by_lane(s, a, a, |x, _| x.ceil())),
        Ew::RoundEven => unrounded!(|a, _b, _c| lane_by_lane(s, a, a, |x, _| x.round_ties_even())),
        Ew::Greater => unrounded!(|a, b, c| apply!(s, Greater, a, b, c)),
        Ew::GreaterEqual => unrounded!(|a, b, _c| truth(s.ge(a, b))),
        Ew::Less => unrounded!(|a, b, c| apply!(s, Less, a, b, c)),
        Ew::LessEqual => unrounded!(|a, b, _c| truth(s.ge(b, a))),
        Ew::Equal => unrounded!(|a, b, _c| truth(s.eq(a, b))),
        // NaN is equal to nothing.
        Ew::NotEqual => unrounded!(|a, b, _c| s.select(s.eq(a, b), zero, one)),
        Ew::Not => unrounded!(|a, _b, _c| truth(s.eq(a, zero))),
        Ew::And => unrounded!(|a, b, _c| {
            let one_is_false = s.or(s.eq(a, zero), s.eq(b, zero));
            s.select(one_is_false, zero, one)
        }),
        Ew::Or => unrounded!(|a, b, _c| {
            let of_b = s.select(s.eq(b, zero), zero, one);
            s.select(s.eq(a, zero), of_b, one)
        }),
        Ew::Xor => unrounded!(|a, b, _c| {
            let of_b = s.select(s.eq(b, zero), zero, one);
            s.select(s.eq(a, zero), of_b, s.sub(one, of_b))
        }),
        Ew::NonZero => unrounded!(|a, _b, _c| s.select(s.eq(a, zero), zero, one)),
        Ew::Select => each!(|a, b, c| apply!(s, Select, a, b, c)),
        Ew::Copy => each!(|a, _b, _c| a),
        Ew::Truncate(low, high) => unrounded!(|a, _b, _c| lane_by_lane(s, a, a, |x, _| {
            if x.is_nan() {
                0.0_f32.clamp(low, high)
            } else {
                x.trunc().clamp(low, high)
            }
        })),
        Ew::Cliff(limit) => each!(|a, _b, _c| {
            let beyond = s.gt(s.abs(a), s.splat(limit));
            s.select(beyond, s.copysign(s.splat(f32::INFINITY), a), a)
        }),
        Ew::SumError => each!(|high, low, sum| {
            let low_seen = s.round_f16(s.sub(sum, high));
            let high_seen = s.round_f16(s.sub(sum, low_seen));
            let high_error = s.round_f16(s.sub(high, high_seen));
            let low_error = s.round_f16(s.sub(low, low_seen));
            s.add(high_error, low_error)
        }),
    };
    if round_yet && round != Round::Keep {
        let result = Operand {
            start: out,
            step: usize::MAX,
        };
        sweep!(s, out, n, [result], |a| round_by(s, round, a));
    }
}

/// Rounding with the habits of hardware: rare enough to be looked up per vector.
#[inline(always)]
pub(super) fn round_by<S: Lanes>(s: S, round: Round, v: S::V) -> S::V {
    let zero = s.splat(0.0);
    match round {
        Round::Keep => v,
        Round::Fp16 => s.round_f16(v),
        Round::NoNan => s.select(s.is_nan(v), zero, v),
        Round::Fp16By { flush, no_nan } => {
            let v = if no_nan {
                s.select(s.is_nan(v), zero, v)
            } else {
                v
            };
            let v = s.round_f16(v);
            if flush {
                let smallest_normal = s.splat(6.103_515_6e-5);
                s.select(s.gt(smallest_normal, s.abs(v)), s.copysign(zero, v), v)
            } else {
                v
            }
        }
    }
}

/// A function that has no vector form here.
#[inline(always)]
fn lane_by_lane<S: Lanes>(s: S, a: S::V, b: S::V, f: impl Fn(f32, f32) -> f32) -> S::V {
    let (mut x, mut y) = ([0.0_f32; 16], [0.0_f32; 16]);
    s.store(&mut x, a);
    s.store(&mut y, b);
    for (x, y) in x.iter_mut().zip(y).take(S::N) {
        *x = f(*x, y);
    }
    s.load(&x)
}
