//! fp16 and f32, either way, over whole slices.

use super::{Isa, Kernel, Lanes, MOST_LANES, dispatch};
use half::f16;

/// fp16 bit patterns to f32.
///
/// # Panics
/// When the lengths differ.
pub fn widen(isa: Isa, x: &[u16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "one result per element");
    dispatch(isa, Widen { x, out });
}

/// fp16 bit patterns to f32, times a factor; the largest magnitude among the results, NaN if one is NaN.
///
/// # Panics
/// When the lengths differ.
pub fn widen_by(isa: Isa, x: &[u16], factor: f32, out: &mut [f32]) -> f32 {
    assert_eq!(x.len(), out.len(), "one result per element");
    dispatch(isa, WidenBy { x, factor, out })
}

/// f32 to fp16 bit patterns, to nearest even.
///
/// # Panics
/// When the lengths differ.
pub fn narrow(isa: Isa, x: &[f32], out: &mut [u16]) {
    assert_eq!(x.len(), out.len(), "one result per element");
    dispatch(isa, Narrow { x, out });
}

struct Widen<'a> {
    x: &'a [u16],
    out: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        widen_lanes(s, self.x, self.out);
    }
}

struct WidenBy<'a> {
    x: &'a [u16],
    factor: f32,
    out: &'a mut [f32],
}

impl Kernel for WidenBy<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> f32 {
        let Self { x, factor, out } = self;
        let whole = x.len() / S::N * S::N;
        let (by, mut most) = (s.splat(factor), s.splat(0.0));
        for (x, out) in x[..whole]
            .chunks_exact(S::N)
            .zip(out[..whole].chunks_exact_mut(S::N))
        {
            let v = s.mul(s.load_f16(x), by);
            most = s.max_magnitude(most, v);
            s.store(out, v);
        }
        let mut lanes = [0.0; MOST_LANES];
        s.store(&mut lanes, most);
        for (x, out) in x[whole..].iter().zip(&mut out[whole..]) {
            *out = f16::from_bits(*x).to_f32() * factor;
        }
        let rest = out[whole..].iter().map(|x| x.abs());
        lanes.into_iter().chain(rest).fold(0.0, larger)
    }
}

/// The larger of two magnitudes, NaN if either is.
fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

struct Narrow<'a> {
    x: &'a [f32],
    out: &'a mut [u16],
}

impl Kernel for Narrow<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        narrow_lanes(s, self.x, self.out);
    }
}

#[inline(always)]
pub(crate) fn widen_lanes<S: Lanes>(s: S, x: &[u16], out: &mut [f32]) {
    let whole = x.len() / S::N * S::N;
    for (x, out) in x[..whole]
        .chunks_exact(S::N)
        .zip(out[..whole].chunks_exact_mut(S::N))
    {
        s.store(out, s.load_f16(x));
    }
    for (x, out) in x[whole..].iter().zip(&mut out[whole..]) {
        *out = f16::from_bits(*x).to_f32();
    }
}

#[inline(always)]
pub(crate) fn narrow_lanes<S: Lanes>(s: S, x: &[f32], out: &mut [u16]) {
    let whole = x.len() / S::N * S::N;
    for (x, out) in x[..whole]
        .chunks_exact(S::N)
        .zip(out[..whole].chunks_exact_mut(S::N))
    {
        s.store_f16(out, s.load(x));
    }
    for (x, out) in x[whole..].iter().zip(&mut out[whole..]) {
        *out = f16::from_f32(*x).to_bits();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_by_a_factor_gives_the_largest_magnitude_or_nan() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            for length in [0, 1, 15, 16, 37] {
                let x: Vec<u16> = (0..length)
                    .map(|i| f16::from_f32(i as f32 - 20.0).to_bits())
                    .collect();
                let mut out = vec![0.0; length];
                let most = widen_by(isa, &x, 0.25, &mut out);
                let expected: Vec<f32> = (0..length).map(|i| (i as f32 - 20.0) * 0.25).collect();
                assert_eq!(out, expected, "{isa}, {length}");
                let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
                assert_eq!(most, largest, "{isa}, {length}");
            }
            for (bad, is_nan) in [(f16::NAN, true), (f16::NEG_INFINITY, false)] {
                for at in [0, 20, 36] {
                    let mut x = vec![f16::ONE.to_bits(); 37];
                    x[at] = bad.to_bits();
                    let most = widen_by(isa, &x, 2.0, &mut [0.0; 37]);
                    assert_eq!(
                        (most.is_nan(), most.is_finite()),
                        (is_nan, false),
                        "{isa}, {at}"
                    );
                }
            }
        }
    }
}
