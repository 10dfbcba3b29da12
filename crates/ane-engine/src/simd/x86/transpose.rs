//! Transposing squares in registers: pairs, then quads, then halves of rows change places.

use crate::simd::{Square, lanes::SIDE};
use std::arch::x86_64::*;

/// Four squares of eight.
///
/// # Safety
/// The machine must have AVX.
#[inline]
#[target_feature(enable = "avx")]
pub(super) unsafe fn by_eights(square: &mut Square) {
    let rows = square.0.as_mut_ptr().cast::<f32>();
    // SAFETY: every block of eight by eight lies within the sixteen by sixteen elements.
    unsafe {
        for at in [0, 8 * SIDE + 8] {
            let block = eight(read(rows.add(at)));
            write(rows.add(at), block);
        }
        let upper = eight(read(rows.add(8)));
        let lower = eight(read(rows.add(8 * SIDE)));
        write(rows.add(8), lower);
        write(rows.add(8 * SIDE), upper);
    }
}

/// # Safety
/// Eight elements at each of eight distances of [`SIDE`] must be readable.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn read(from: *const f32) -> [__m256; 8] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|i| unsafe { _mm256_loadu_ps(from.add(i * SIDE)) })
}

/// # Safety
/// Eight elements at each of eight distances of [`SIDE`] must be writable.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn write(to: *mut f32, rows: [__m256; 8]) {
    for (i, row) in rows.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(to.add(i * SIDE), row) };
    }
}

#[inline]
#[target_feature(enable = "avx")]
fn eight(r: [__m256; 8]) -> [__m256; 8] {
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

/// One square of sixteen.
///
/// # Safety
/// The machine must have AVX-512 F.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn by_sixteens(square: &mut Square) {
    // SAFETY: a row has sixteen elements.
    let r: [__m512; SIDE] =
        std::array::from_fn(|i| unsafe { _mm512_loadu_ps(square.0[i].as_ptr()) });
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
    for j in 0..4 {
        let even = |a, b| _mm512_shuffle_f32x4::<0x88>(a, b);
        let odd = |a, b| _mm512_shuffle_f32x4::<0xDD>(a, b);
        let (e0, e1) = (even(u[j], u[4 + j]), even(u[8 + j], u[12 + j]));
        let (o0, o1) = (odd(u[j], u[4 + j]), odd(u[8 + j], u[12 + j]));
        let columns = [even(e0, e1), even(o0, o1), odd(e0, e1), odd(o0, o1)];
        for (l, column) in columns.into_iter().enumerate() {
            // SAFETY: a row has sixteen elements.
            unsafe { _mm512_storeu_ps(square.0[4 * l + j].as_mut_ptr(), column) };
        }
    }
}
