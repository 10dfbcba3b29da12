//! Eight lanes in an array: what the compiler makes of it on the build's baseline.

use super::Lanes;
use half::f16;

/// Proof of nothing: every machine runs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

const N: usize = 8;
type V = [f32; N];

#[inline(always)]
fn map(a: V, f: impl Fn(f32) -> f32) -> V {
    std::array::from_fn(|i| f(a[i]))
}

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// fp16 rounding in integer arithmetic, without branches so that it vectorises.
///
/// Normal results: add half a unit in the 11-bit significand, minus what makes ties even, and drop the rest.
/// Subnormal results are multiples of 2⁻²⁴, the spacing of f32 in [0.5, 1): adding and subtracting 0.5 rounds there.
#[inline(always)]
pub(super) fn round_f16(x: f32) -> f32 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7FFF_FFFF;
    let odd = (magnitude >> 13) & 1;
    let normal = (magnitude.wrapping_add(0x0FFF + odd)) & !0x1FFF;
    let subnormal = ((f32::from_bits(magnitude) + 0.5) - 0.5).to_bits();
    let small = magnitude < 0x3880_0000; // 2⁻¹⁴
    let rounded = if small { subnormal } else { normal };
    let rounded = if rounded >= 0x4780_0000 {
        0x7F80_0000
    } else {
        rounded
    }; // 2¹⁶
    let rounded = if magnitude > 0x7F80_0000 {
        magnitude
    } else {
        rounded
    };
    f32::from_bits(rounded | (bits & 0x8000_0000))
}

impl Lanes for Portable {
    const N: usize = N;
    type V = V;
    type M = [bool; N];

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; N]
    }
    #[inline(always)]
    fn load(self, x: &[f32]) -> V {
        std::array::from_fn(|i| x[i])
    }
    #[inline(always)]
    fn store(self, out: &mut [f32], v: V) {
        out[..N].copy_from_slice(&v);
    }
    #[inline(always)]
    fn load_f16(self, x: &[u16]) -> V {
        std::array::from_fn(|i| f16::from_bits(x[i]).to_f32())
    }
    #[inline(always)]
    fn load_u8(self, x: &[u8]) -> V {
        std::array::from_fn(|i| f32::from(x[i]))
    }
    #[inline(always)]
    fn store_f16(self, out: &mut [u16], v: V) {
        for (o, x) in out[..N].iter_mut().zip(v) {
            *o = f16::from_f32(x).to_bits();
        }
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        zip(a, b, |x, y| x + y)
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        zip(a, b, |x, y| x - y)
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        zip(a, b, |x, y| x * y)
    }
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        // Without the instruction a fused sum is a call for every lane.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            std::array::from_fn(|i| a[i] * b[i] + c[i])
        }
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        zip(a, b, |x, y| x / y)
    }
    #[inline(always)]
    fn sqrt(self, a: V) -> V {
        map(a, f32::sqrt)
    }
    #[inline(always)]
    fn abs(self, a: V) -> V {
        map(a, f32::abs)
    }
    #[inline(always)]
    fn copysign(self, a: V, b: V) -> V {
        zip(a, b, f32::copysign)
    }
    #[inline(always)]
    fn round_f16(self, a: V) -> V {
        map(a, round_f16)
    }
    #[inline(always)]
    fn round_int(self, a: V) -> V {
        // 1.5·2²³ has unit spacing around it, so adding it rounds to an integer.
        map(a, |x| (x + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    fn exp2i(self, n: V) -> V {
        map(n, |x| f32::from_bits(((x as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn split_exponent(self, a: V) -> (V, V) {
        (
            map(a, |x| {
                f32::from_bits((x.to_bits() & 0x007F_FFFF) | 0x3F80_0000)
            }),
            map(a, |x| ((x.to_bits() >> 23) as i32 - 127) as f32),
        )
    }
    #[inline(always)]
    fn nonzero(self, a: V) -> u32 {
        (0..N).fold(0, |bits, i| bits | u32::from(a[i] != 0.0) << i)
    }
    #[inline(always)]
    fn max_magnitude(self, so_far: V, a: V) -> V {
        // Magnitudes order like their bits, and NaN above infinity.
        zip(so_far, a, |x, y| {
            f32::from_bits(x.to_bits().max(y.abs().to_bits()))
        })
    }
    #[inline(always)]
    fn gt(self, a: V, b: V) -> [bool; N] {
        std::array::from_fn(|i| a[i] > b[i])
    }
    #[inline(always)]
    fn ge(self, a: V, b: V) -> [bool; N] {
        std::array::from_fn(|i| a[i] >= b[i])
    }
    #[inline(always)]
    fn eq(self, a: V, b: V) -> [bool; N] {
        std::array::from_fn(|i| a[i] == b[i])
    }
    #[inline(always)]
    fn is_nan(self, a: V) -> [bool; N] {
        std::array::from_fn(|i| a[i].is_nan())
    }
    #[inline(always)]
    fn or(self, a: [bool; N], b: [bool; N]) -> [bool; N] {
        std::array::from_fn(|i| a[i] | b[i])
    }
    #[inline(always)]
    fn select(self, m: [bool; N], a: V, b: V) -> V {
        std::array::from_fn(|i| if m[i] { a[i] } else { b[i] })
    }
}
