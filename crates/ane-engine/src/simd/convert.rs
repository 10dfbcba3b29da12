//! fp16 and f32, either way, over whole slices.

use super::{Isa, Kernel, Lanes, dispatch};
use half::f16;

/// fp16 bit patterns to f32.
///
/// # Panics
/// When the lengths differ.
pub fn widen(isa: Isa, x: &[u16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "one result per element");
    dispatch(isa, Widen { x, out });
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
