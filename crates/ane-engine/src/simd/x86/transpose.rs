//! Transposing squares in registers: pairs, then quads, then halves of rows change places.

use crate::simd::MOST_LANES;
use std::arch::x86_64::*;

/// The square of the first eight rows.
#[inline]
#[target_feature(enable = "avx")]
pub(super) fn eight(r: [__m256; MOST_LANES]) -> [__m256; MOST_LANES] {
    let mut u = r;
    for q in [0, 4] {
        let low = |a, b| _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
        let high = |a, b| _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
        let pairs = [
            low(r[q], r[q + 1]),
            low(r[q + 2], r[q + 3]),
            high(r[q], r[q + 1]),
            high(r[q + 2], r[q + 3]),
        ];
        for half in [0, 2] {
            let (a, b) = (pairs[half], pairs[half + 1]);
            u[q + half] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
            u[q + half + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        }
    }
    std::array::from_fn(|i| {
        let (a, b) = (u[i % 4], u[i % 4 + 4]);
        if i < 4 {
            _mm256_permute2f128_ps::<0x20>(a, b)
        } else {
            _mm256_permute2f128_ps::<0x31>(a, b)
        }
    })
}

/// The square of sixteen rows.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn sixteen(r: [__m512; MOST_LANES]) -> [__m512; MOST_LANES] {
    let mut u = r;
    for q in [0, 4, 8, 12] {
        let low = |a, b| _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
        let high = |a, b| _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
        let pairs = [
            low(r[q], r[q + 1]),
            low(r[q + 2], r[q + 3]),
            high(r[q], r[q + 1]),
            high(r[q + 2], r[q + 3]),
        ];
        for half in [0, 2] {
            let (a, b) = (pairs[half], pairs[half + 1]);
            u[q + half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            u[q + half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    // Quad `l` of `u[4·q + j]` is column 4·l + j of rows 4·q to 4·q + 3.
    let mut columns = r;
    for j in 0..4 {
        let even = |a, b| _mm512_shuffle_f32x4::<0x88>(a, b);
        let odd = |a, b| _mm512_shuffle_f32x4::<0xDD>(a, b);
        let (e0, e1) = (even(u[j], u[4 + j]), even(u[8 + j], u[12 + j]));
        let (o0, o1) = (odd(u[j], u[4 + j]), odd(u[8 + j], u[12 + j]));
        let four = [even(e0, e1), even(o0, o1), odd(e0, e1), odd(o0, o1)];
        for (l, column) in four.into_iter().enumerate() {
            columns[4 * l + j] = column;
        }
    }
    columns
}
