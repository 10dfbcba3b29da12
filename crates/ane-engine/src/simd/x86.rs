//! AVX2 and AVX-512 lanes. Only intrinsics: what is computed stands in the kernels.

mod transpose;

use super::{Kernel, Lanes, MOST_LANES};
use std::arch::x86_64::*;

/// Proof that the machine has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

/// Proof that the machine has AVX-512 F, BW, DQ and VL, and all of [`Avx2`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

impl Avx2 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

impl Avx512 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let found = Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        found.then_some(Self(()))
    }
}

/// # Safety
/// The machine must have the features, as `Avx2::detect` finds out.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn enter_avx2<K: Kernel>(s: Avx2, kernel: K) -> K::Output {
    kernel.run(s)
}

/// # Safety
/// The machine must have the features, as `Avx512::detect` finds out.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn enter_avx512<K: Kernel>(s: Avx512, kernel: K) -> K::Output {
    kernel.run(s)
}

const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
/// The conversions to fp16 take the rounding mode without the exception bit.
const NEAREST_HALF: i32 = _MM_FROUND_TO_NEAREST_INT;

/// One intrinsic call per method: the token proves that the instruction exists, the length checks that memory does.
macro_rules! lanes {
    ($token:ident, $n:literal, $v:ty, $m:ty, $h:ty, {
        $($name:ident($($arg:ident: $ty:ident),*) -> $ret:ident = $e:expr;)*
    }, split($a:ident) = $mantissa:expr, $exponent:expr;
    load = $load:ident, store = $store:ident, load_h = $load_h:ident, store_h = $store_h:ident,
    load_b = $load_b:ident, of_byte = $of_byte:ident, of_int = $of_int:ident,
    widen = $widen:ident, narrow = $narrow:ident, transpose = $transpose:path) => {
        impl Lanes for $token {
            const N: usize = $n;
            type V = $v;
            type M = $m;

            #[inline(always)]
            fn load(self, x: &[f32]) -> $v {
                let x: &[f32; $n] = x[..$n].try_into().expect("sliced to length");
                // SAFETY: the reference covers the lanes; the token proves the instruction.
                unsafe { $load(x.as_ptr()) }
            }
            #[inline(always)]
            fn store(self, out: &mut [f32], v: $v) {
                let out: &mut [f32; $n] = (&mut out[..$n]).try_into().expect("sliced to length");
                // SAFETY: the reference covers the lanes; the token proves the instruction.
                unsafe { $store(out.as_mut_ptr(), v) }
            }
            #[inline(always)]
            fn load_f16(self, x: &[u16]) -> $v {
                let x: &[u16; $n] = x[..$n].try_into().expect("sliced to length");
                // SAFETY: the reference covers the lanes; the token proves the instructions.
                unsafe { $widen($load_h(x.as_ptr().cast::<$h>())) }
            }
            #[inline(always)]
            fn load_u8(self, x: &[u8]) -> $v {
                let x: &[u8; $n] = x[..$n].try_into().expect("sliced to length");
                // SAFETY: the reference covers the lanes; the token proves the instructions.
                unsafe { $of_int($of_byte($load_b(x.as_ptr().cast::<__m128i>()))) }
            }
            #[inline(always)]
            fn store_f16(self, out: &mut [u16], v: $v) {
                let out: &mut [u16; $n] = (&mut out[..$n]).try_into().expect("sliced to length");
                // SAFETY: the reference covers the lanes; the token proves the instructions.
                unsafe { $store_h(out.as_mut_ptr().cast::<$h>(), $narrow::<NEAREST_HALF>(v)) }
            }
            #[inline(always)]
            fn round_f16(self, v: $v) -> $v {
                // SAFETY: the token proves the instructions.
                unsafe { $widen($narrow::<NEAREST_HALF>(v)) }
            }
            #[inline(always)]
            fn prefetch(self, x: *const u8) {
                // SAFETY: a prefetch never faults.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(x.cast()) }
            }
            #[inline(always)]
            fn transpose(self, rows: [$v; MOST_LANES]) -> [$v; MOST_LANES] {
                // SAFETY: the token proves the instructions.
                unsafe { $transpose(rows) }
            }
            #[inline(always)]
            fn split_exponent(self, $a: $v) -> ($v, $v) {
                // SAFETY: the token proves the instructions.
                unsafe { ($mantissa, $exponent) }
            }
            $(#[inline(always)]
            fn $name(self, $($arg: lanes!(@ $ty $token)),*) -> lanes!(@ $ret $token) {
                // SAFETY: the token proves the instructions.
                unsafe { $e }
            })*
        }
    };
    (@ V $token:ident) => { <$token as Lanes>::V };
    (@ M $token:ident) => { <$token as Lanes>::M };
    (@ f32 $token:ident) => { f32 };
    (@ u32 $token:ident) => { u32 };
}

lanes!(Avx2, 8, __m256, __m256, __m128i, {
    splat(x: f32) -> V = _mm256_set1_ps(x);
    add(a: V, b: V) -> V = _mm256_add_ps(a, b);
    sub(a: V, b: V) -> V = _mm256_sub_ps(a, b);
    mul(a: V, b: V) -> V = _mm256_mul_ps(a, b);
    mul_add(a: V, b: V, c: V) -> V = _mm256_fmadd_ps(a, b, c);
    div(a: V, b: V) -> V = _mm256_div_ps(a, b);
    sqrt(a: V) -> V = _mm256_sqrt_ps(a);
    abs(a: V) -> V = _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
    copysign(a: V, b: V) -> V = {
        let sign = _mm256_set1_ps(-0.0);
        _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b))
    };
    round_int(a: V) -> V = _mm256_round_ps::<NEAREST>(a);
    exp2i(n: V) -> V = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(
        _mm256_cvtps_epi32(n),
        _mm256_set1_epi32(127),
    )));
    gt(a: V, b: V) -> M = _mm256_cmp_ps::<_CMP_GT_OQ>(a, b);
    ge(a: V, b: V) -> M = _mm256_cmp_ps::<_CMP_GE_OQ>(a, b);
    eq(a: V, b: V) -> M = _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b);
    nonzero(a: V) -> u32 =
        _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(a, _mm256_setzero_ps())) as u32;
    max_magnitude(so_far: V, a: V) -> V = {
        // Magnitudes order like their bits, and NaN above infinity.
        let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
        _mm256_castsi256_ps(_mm256_max_epu32(
            _mm256_castps_si256(so_far),
            _mm256_castps_si256(magnitude),
        ))
    };
    every_second(a: V, b: V) -> V = _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(
        _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(a, b)),
    ));
    is_nan(a: V) -> M = _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a);
    or(a: M, b: M) -> M = _mm256_or_ps(a, b);
    select(m: M, a: V, b: V) -> V = _mm256_blendv_ps(b, a, m);
}, split(a) = _mm256_or_ps(
        _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x007F_FFFF))),
        _mm256_set1_ps(1.0),
    ), _mm256_cvtepi32_ps(_mm256_sub_epi32(
        _mm256_srli_epi32::<23>(_mm256_castps_si256(a)),
        _mm256_set1_epi32(127),
    ));
    load = _mm256_loadu_ps, store = _mm256_storeu_ps,
    load_h = _mm_loadu_si128, store_h = _mm_storeu_si128,
    load_b = _mm_loadl_epi64, of_byte = _mm256_cvtepu8_epi32, of_int = _mm256_cvtepi32_ps,
    widen = _mm256_cvtph_ps, narrow = _mm256_cvtps_ph, transpose = transpose::eight);

lanes!(Avx512, 16, __m512, __mmask16, __m256i, {
    splat(x: f32) -> V = _mm512_set1_ps(x);
    add(a: V, b: V) -> V = _mm512_add_ps(a, b);
    sub(a: V, b: V) -> V = _mm512_sub_ps(a, b);
    mul(a: V, b: V) -> V = _mm512_mul_ps(a, b);
    mul_add(a: V, b: V, c: V) -> V = _mm512_fmadd_ps(a, b, c);
    div(a: V, b: V) -> V = _mm512_div_ps(a, b);
    sqrt(a: V) -> V = _mm512_sqrt_ps(a);
    abs(a: V) -> V = _mm512_andnot_ps(_mm512_set1_ps(-0.0), a);
    copysign(a: V, b: V) -> V = {
        let sign = _mm512_set1_ps(-0.0);
        _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b))
    };
    round_int(a: V) -> V = _mm512_roundscale_ps::<NEAREST>(a);
    exp2i(n: V) -> V = _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_add_epi32(
        _mm512_cvtps_epi32(n),
        _mm512_set1_epi32(127),
    )));
    gt(a: V, b: V) -> M = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b);
    ge(a: V, b: V) -> M = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b);
    eq(a: V, b: V) -> M = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b);
    nonzero(a: V) -> u32 =
        _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(a, _mm512_setzero_ps()).into();
    max_magnitude(so_far: V, a: V) -> V = _mm512_castsi512_ps(_mm512_max_epu32(
        _mm512_castps_si512(so_far),
        _mm512_castps_si512(_mm512_abs_ps(a)),
    ));
    every_second(a: V, b: V) -> V = {
        let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
        _mm512_permutex2var_ps(a, even, b)
    };
    is_nan(a: V) -> M = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a);
    or(a: M, b: M) -> M = _kor_mask16(a, b);
    select(m: M, a: V, b: V) -> V = _mm512_mask_blend_ps(m, b, a);
}, split(a) = _mm512_or_ps(
        _mm512_and_ps(a, _mm512_castsi512_ps(_mm512_set1_epi32(0x007F_FFFF))),
        _mm512_set1_ps(1.0),
    ), _mm512_cvtepi32_ps(_mm512_sub_epi32(
        _mm512_srli_epi32::<23>(_mm512_castps_si512(a)),
        _mm512_set1_epi32(127),
    ));
    load = _mm512_loadu_ps, store = _mm512_storeu_ps,
    load_h = _mm256_loadu_si256, store_h = _mm256_storeu_si256,
    load_b = _mm_loadu_si128, of_byte = _mm512_cvtepu8_epi32, of_int = _mm512_cvtepi32_ps,
    widen = _mm512_cvtph_ps, narrow = _mm512_cvtps_ph, transpose = transpose::sixteen);
