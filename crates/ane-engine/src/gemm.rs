//! Matrix products: packing, lists of the terms that count, and the kernel that adds them up.
//!
//! The kernel adds up all terms of an element in the order of the depth, one fused multiply-add each where the machine
//! has it, and leaves out only terms that are zero for a whole block of rows: an element's bits depend on its row, its
//! column and the depth alone, not on blocks, panels, lists or threads.

mod pack;
mod terms;
mod tile;

pub(crate) use pack::{Pack, Source};
pub(crate) use terms::Terms;
pub(crate) use tile::{ROWS, Tile};

use crate::simd::Isa;

/// Columns of a packed panel for `isa`.
pub(crate) fn panel(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => tile::columns(8),
        Isa::Avx512 => tile::columns(16),
    }
}

/// Rows of a strip: a few blocks of the kernel, as wide as a cache line.
pub(crate) const STRIP: usize = 4 * ROWS;

/// How the rows that the kernel reads lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RowLayout {
    /// Row after row.
    Rows,
    /// As the columns of a matrix: side by side.
    Columns,
}

impl RowLayout {
    /// Where row `row` starts, of depth `k`.
    pub(crate) fn start(self, row: usize, k: usize) -> usize {
        match self {
            Self::Rows => row * k,
            Self::Columns => row,
        }
    }

    /// Distances of neighbouring elements of a row, and of neighbouring rows, where `rows` have the depth `k`.
    pub(crate) fn strides(self, rows: usize, k: usize) -> (usize, usize) {
        match self {
            Self::Rows => (1, k),
            Self::Columns => (rows, 1),
        }
    }
}

#[cfg(test)]
mod bench {
    use super::*;
    use crate::simd::{Kernel, Lanes, dispatch};
    struct B<'a> { k: usize, m: usize, n: usize, rows: &'a [f32], layout: RowLayout, cols: &'a [f32], terms: &'a [u32], out: &'a mut [f32], panel: usize }
    impl Kernel for B<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Lanes>(self, s: S) {
            for j in (0..self.n).step_by(self.panel) {
                for i in (0..self.m).step_by(ROWS) {
                    let t = Tile { rows: self.rows[self.layout.start(i, self.k)..].as_ptr(), strides: self.layout.strides(self.m, self.k), row_count: ROWS,
                        columns: self.cols[j * self.k..].as_ptr(), column_count: self.panel, terms: self.terms, out: self.out[i * self.n + j..].as_mut_ptr(), out_stride: self.n };
                    unsafe { t.run(s) };
                }
            }
        }
    }
    #[test]
    fn bench_tile() {
        let isa = Isa::detect();
        let panel = panel(isa);
        for (m, n, k) in [(32, panel * 3, 784), (32, panel * 3, 512), (784, panel, 128), (32,panel,128)] {
            for plain in [true, false] {
                let rows = vec![1.0f32; m * k];
                let cols = vec![1.0f32; n * k];
                let mut out = vec![0.0f32; m * n];
                for d in [1, 2, 3] {
                    let terms: Vec<u32> = (0..k as u32).filter(|p| p / 8 % d == 0).collect();
                    let mut best = f64::MAX;
                    for _ in 0..200 {
                        let t = std::time::Instant::now();
                        dispatch(isa, B { k, m, n, rows: &rows, layout: if plain { RowLayout::Rows } else { RowLayout::Columns }, cols: &cols, terms: &terms, out: &mut out, panel });
                        best = best.min(t.elapsed().as_secs_f64());
                    }
                    println!("{m} {n} {k} plain {plain} 1/{d}: {:.1} GFLOP/s", 2.0 * (m * n * terms.len()) as f64 / best / 1e9);
                }
            }
        }
    }
}
