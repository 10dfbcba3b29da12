//! Sparse skip lists: which terms of a product count.
//!
//! A term whose factors from a whole block of rows are zero adds ±0 to the sums, so it may be left out without changing a
//! bit, as long as the other factor is finite and no sum is −0, which only fp32 terms that underflow make. Images have
//! their background, and rectified activations and their cotangents are zero in many places.

use super::{ROWS, STRIP};
use crate::simd::Lanes;

/// The skip list of a block of rows, in memory: how many positions along the depth count, and then which, in ascending
/// order; the others are skipped.
pub(crate) struct SkipList;

/// Positions looked at in one go.
const STEP: usize = 16;

/// For every byte the positions of its bits, lowest first.
static POSITIONS: [[u8; 8]; 256] = positions();

const fn positions() -> [[u8; 8]; 256] {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut found) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte][found] = bit as u8;
                found += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
}

impl SkipList {
    /// Elements of a list for depth `k`: its length, its positions, and what a table's row of eight writes beyond them.
    pub(crate) const fn space(k: usize) -> usize {
        1 + k + 8
    }

    /// Elements of the lists of a strip.
    pub(crate) const fn strip_space(k: usize) -> usize {
        STRIP / ROWS * Self::space(k)
    }

    /// The list that skips nothing of depth `k`, as the bits of a constant.
    pub(crate) fn dense(k: usize) -> Vec<f32> {
        std::iter::once(k)
            .chain(0..k)
            .map(|p| f32::from_bits(u32::try_from(p).expect("axes are far shorter")))
            .collect()
    }

    /// The list at `list`.
    ///
    /// # Safety
    /// There must be one.
    pub(crate) unsafe fn at<'a>(list: *const f32) -> &'a [u32] {
        let list = list.cast::<u32>();
        // SAFETY: the caller vouches for the list.
        unsafe { std::slice::from_raw_parts(list.add(1), *list as usize) }
    }

    /// Writes the lists of the blocks of a strip of `row_count` rows of depth `k`, one after the other.
    ///
    /// # Safety
    /// The rows must be readable by their strides, and the lists have their space.
    #[inline(always)]
    pub(crate) unsafe fn find<S: Lanes>(
        s: S,
        rows: *const f32,
        (step, stride): (usize, usize),
        row_count: usize,
        k: usize,
        lists: *mut f32,
    ) {
        let lists = lists.cast::<u32>();
        // SAFETY: passed on from the caller.
        unsafe {
            if stride == 1 && row_count == STRIP {
                return Self::of_strip(s, rows, step, k, lists);
            }
            for row in (0..row_count).step_by(ROWS) {
                let count = ROWS.min(row_count - row);
                let (rows, list) = (
                    rows.add(row * stride),
                    lists.add(row / ROWS * Self::space(k)),
                );
                let (looked_at, found) = if step == 1 {
                    Self::of_block(s, rows, stride, count, k, list)
                } else {
                    (0, 0)
                };
                Self::one_by_one(rows, (step, stride), count, (looked_at, k), found, list);
            }
        }
    }

    /// Lists of whole strips whose rows lie side by side.
    ///
    /// # Safety
    /// As [`SkipList::find`].
    #[inline(always)]
    unsafe fn of_strip<S: Lanes>(s: S, rows: *const f32, step: usize, k: usize, lists: *mut u32) {
        let mut found = [0; STRIP / ROWS];
        for p in 0..k {
            // SAFETY: passed on from the caller; no list grows faster than `p`.
            unsafe {
                let row = std::slice::from_raw_parts(rows.add(p * step), STRIP);
                let mut bits = 0;
                for at in (0..STRIP).step_by(S::N) {
                    bits |= s.nonzero(s.load(&row[at..])) << at;
                }
                for (block, found) in found.iter_mut().enumerate() {
                    *lists.add(block * Self::space(k) + 1 + *found) = p as u32;
                    *found += usize::from(bits >> (block * ROWS) & ((1 << ROWS) - 1) != 0);
                }
            }
        }
        for (block, found) in found.into_iter().enumerate() {
            // SAFETY: passed on from the caller.
            unsafe { *lists.add(block * Self::space(k)) = found as u32 };
        }
    }

    /// Positions `from..k`, after `found` before them.
    ///
    /// # Safety
    /// As [`SkipList::find`], for one block.
    #[inline(always)]
    unsafe fn one_by_one(
        rows: *const f32,
        (step, stride): (usize, usize),
        row_count: usize,
        (from, k): (usize, usize),
        mut found: usize,
        list: *mut u32,
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            for p in from..k {
                *list.add(1 + found) = p as u32;
                let counts = (0..row_count).any(|r| *rows.add(p * step + r * stride) != 0.0);
                found += usize::from(counts);
            }
            *list = found as u32;
        }
    }

    /// Positions in whole steps of a block of rows whose elements lie side by side; returns how many those are, and how many
    /// of them count.
    ///
    /// # Safety
    /// As [`SkipList::find`], for one block.
    #[inline(always)]
    unsafe fn of_block<S: Lanes>(
        s: S,
        rows: *const f32,
        stride: usize,
        row_count: usize,
        k: usize,
        list: *mut u32,
    ) -> (usize, usize) {
        let mut found = 0;
        let whole = k / STEP * STEP;
        for p in (0..whole).step_by(STEP) {
            // SAFETY: passed on from the caller; eight more than found so far are within the list's space.
            unsafe {
                let mut bits = 0;
                for r in 0..row_count {
                    let row = std::slice::from_raw_parts(rows.add(r * stride + p), STEP);
                    for at in (0..STEP).step_by(S::N) {
                        bits |= s.nonzero(s.load(&row[at..])) << at;
                    }
                }
                for half in 0..STEP / 8 {
                    let byte = (bits >> (8 * half) & 0xFF) as usize;
                    let list = list.add(1 + found).cast::<[u32; 8]>();
                    let first = (p + 8 * half) as u32;
                    list.write_unaligned(POSITIONS[byte].map(|at| first + u32::from(at)));
                    found += byte.count_ones() as usize;
                }
            }
        }
        (whole, found)
    }
}
