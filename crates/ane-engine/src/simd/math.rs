//! Elementary functions over lanes, accurate to a few f32 units in the last place: far below one of fp16.
//!
//! Range reduction and polynomials follow the classic single-precision scheme (Moshier, *Methods and Programs for
//! Mathematical Functions*, 1989); coefficients of the exponential and the logarithm are Taylor and minimax values
//! of that scheme, those of erf its Taylor series and Abramowitz & Stegun 7.1.26, those of erfc the Chebyshev fit of
//! Press et al., *Numerical Recipes*, §6.2.

use super::Lanes;

#[inline(always)]
fn polynomial<S: Lanes>(s: S, x: S::V, coefficients: &[f32]) -> S::V {
    let mut y = s.splat(coefficients[0]);
    for &c in &coefficients[1..] {
        y = s.add(s.mul(y, x), s.splat(c));
    }
    y
}

/// eˣ.
#[inline(always)]
pub fn exp<S: Lanes>(s: S, x: S::V) -> S::V {
    // Beyond these bounds the result is infinite or zero in f32.
    let high = s.splat(89.0);
    let low = s.splat(-104.0);
    let clamped = s.select(s.gt(x, high), high, s.select(s.gt(low, x), low, x));
    let n = s.round_int(s.mul(clamped, s.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts: the first has so few bits that n times it is exact.
    let r = s.sub(clamped, s.mul(n, s.splat(0.693_359_4)));
    let r = s.sub(r, s.mul(n, s.splat(-2.121_944_4e-4)));
    let p = polynomial(
        s,
        r,
        &[
            1.0 / 5040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        ],
    );
    // 2ⁿ in two factors, so that n from −150 to 128 stays within the exponent range of each.
    let half = s.round_int(s.mul(n, s.splat(0.5)));
    let y = s.mul(s.mul(p, s.exp2i(half)), s.exp2i(s.sub(n, half)));
    s.select(s.is_nan(x), x, y)
}

/// eˣ − 1.
#[inline(always)]
pub fn exp_m1<S: Lanes>(s: S, x: S::V) -> S::V {
    // Near zero the difference cancels; the Taylor series does not.
    let series = polynomial(
        s,
        x,
        &[
            1.0 / 40_320.0,
            1.0 / 5040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
        ],
    );
    let near = s.mul(x, series);
    let far = s.sub(exp(s, x), s.splat(1.0));
    s.select(s.gt(s.splat(0.5), s.abs(x)), near, far)
}

/// Natural logarithm; −∞ at 0, NaN below.
#[inline(always)]
pub fn log<S: Lanes>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let (m, e) = s.split_exponent(x);
    // Mantissa in [√½, √2) keeps the series short.
    let large = s.gt(m, s.splat(std::f32::consts::SQRT_2));
    let m = s.select(large, s.mul(m, s.splat(0.5)), m);
    let e = s.select(large, s.add(e, one), e);
    // ln m = 2 atanh((m − 1)/(m + 1)), whose argument is below 0.172.
    let t = s.div(s.sub(m, one), s.add(m, one));
    let t2 = s.mul(t, t);
    let p = polynomial(
        s,
        t2,
        &[2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0],
    );
    let y = s.add(s.mul(t, p), s.mul(e, s.splat(-2.121_944_4e-4)));
    let y = s.add(y, s.mul(e, s.splat(0.693_359_4)));
    let zero = s.splat(0.0);
    let y = s.select(s.eq(x, zero), s.splat(f32::NEG_INFINITY), y);
    let y = s.select(s.gt(zero, x), s.splat(f32::NAN), y);
    let y = s.select(s.eq(x, s.splat(f32::INFINITY)), x, y);
    s.select(s.is_nan(x), x, y)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<S: Lanes>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let a = s.abs(x);
    // Near zero the quotient of exponentials cancels; the odd Taylor series does not.
    let x2 = s.mul(x, x);
    let series = polynomial(
        s,
        x2,
        &[
            21_844.0 / 6_081_075.0,
            -1_382.0 / 155_925.0,
            62.0 / 2_835.0,
            -17.0 / 315.0,
            2.0 / 15.0,
            -1.0 / 3.0,
            1.0,
        ],
    );
    let near = s.mul(x, series);
    let e = exp(s, s.add(a, a));
    let far = s.sub(one, s.div(s.splat(2.0), s.add(e, one)));
    let far = s.copysign(far, x);
    let y = s.select(s.gt(s.splat(0.5), a), near, far);
    s.select(s.is_nan(x), x, y)
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid<S: Lanes>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// x / (1 + e⁻ˣ).
#[inline(always)]
pub fn silu<S: Lanes>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(x, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// ln(1 + eˣ).
#[inline(always)]
pub fn softplus<S: Lanes>(s: S, x: S::V) -> S::V {
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let e = exp(s, s.sub(zero, s.abs(x)));
    // 1 + e is rounded; the logarithm of what it became is wrong by as much as it is itself.
    let sum = s.add(one, e);
    let corrected = s.mul(log(s, sum), s.div(e, s.sub(sum, one)));
    let tail = s.select(s.eq(sum, one), e, corrected);
    s.add(s.select(s.gt(x, zero), x, zero), tail)
}

/// Complementary error function 1 − erf(x), to 2⁻²¹ of its own size.
#[inline(always)]
pub fn erfc<S: Lanes>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let a = s.abs(x);
    let t = s.div(one, s.add(one, s.mul(s.splat(0.5), a)));
    let p = polynomial(
        s,
        t,
        &[
            0.170_872_77,
            -0.822_152_2,
            1.488_515_9,
            -1.135_204,
            0.278_868_07,
            -0.186_288_06,
            0.096_784_18,
            0.374_091_96,
            1.000_023_7,
            -1.265_512_2,
        ],
    );
    let tail = s.mul(t, exp(s, s.sub(p, s.mul(a, a))));
    let y = s.select(s.gt(s.splat(0.0), x), s.sub(s.splat(2.0), tail), tail);
    s.select(s.is_nan(x), x, y)
}

/// Gauss error function.
#[inline(always)]
pub fn erf<S: Lanes>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let a = s.abs(x);
    let x2 = s.mul(x, x);
    let series = polynomial(
        s,
        x2,
        &[
            1.0 / 685_440.0,
            -1.0 / 75_600.0,
            1.0 / 9_360.0,
            -1.0 / 1_320.0,
            1.0 / 216.0,
            -1.0 / 42.0,
            0.1,
            -1.0 / 3.0,
            1.0,
        ],
    );
    let near = s.mul(s.mul(x, series), s.splat(std::f32::consts::FRAC_2_SQRT_PI));
    let t = s.div(one, s.add(one, s.mul(a, s.splat(0.327_591_1))));
    let p = polynomial(
        s,
        t,
        &[
            1.061_405_4,
            -1.453_152,
            1.421_413_8,
            -0.284_496_74,
            0.254_829_6,
            0.0,
        ],
    );
    let tail = s.mul(p, exp(s, s.sub(s.splat(0.0), x2)));
    let far = s.copysign(s.sub(one, tail), x);
    let y = s.select(s.gt(one, a), near, far);
    s.select(s.is_nan(x), x, y)
}
