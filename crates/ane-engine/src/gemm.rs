//! Matrix products: packing here, the inner kernel from the `gemm` family of crates.
//!
//! The crate's fp32 microkernel multiplies a packed panel by rows over the *whole* depth, one fused multiply-add per
//! term, so that an element's bits depend on its row, its column and the depth alone: not on panels, tiles or threads.
//! Columns are packed by the caller's tasks, fp16 ones converted on the way; rows are packed where they are columns in
//! memory, and else read as they lie.

use crate::simd::{Isa, Kernel, Lanes, MOST_LANES, dispatch, widen_lanes};

/// The crate's microkernel: columns, rows, depth, result, packed columns, packed rows, strides of the result and of the
/// packed operands, alpha, beta, alpha status, three conjugation flags, prefetch hint.
type Microkernel = unsafe fn(
    usize,
    usize,
    usize,
    *mut f32,
    *const f32,
    *const f32,
    isize,
    isize,
    isize,
    isize,
    isize,
    f32,
    f32,
    u8,
    bool,
    bool,
    bool,
    *const f32,
);

/// Tile sizes and kernels of an instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gemm {
    /// Columns of the result per packed panel.
    pub(crate) panel: usize,
    /// Rows of the result per packed block.
    pub(crate) block: usize,
    lanes: usize,
    kernel: fn(usize, usize) -> Microkernel,
}

macro_rules! kernels {
    ($module:path, $lanes:literal) => {{
        use $module as k;
        Gemm {
            panel: $lanes * k::MR_DIV_N,
            block: k::NR,
            lanes: $lanes,
            kernel: |vectors, rows| k::UKR[vectors - 1][rows - 1],
        }
    }};
}

/// Where the kernel finds the elements of up to a block of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowLayout {
    /// Distance of neighbouring elements of a row.
    step: usize,
    /// Distance of neighbouring rows.
    stride: usize,
}

impl Gemm {
    /// Rows of depth `k` as a tensor holds them.
    pub(crate) fn plain_rows(k: usize) -> RowLayout {
        RowLayout { step: 1, stride: k }
    }

    /// Rows that [`Pack`] has put side by side.
    pub(crate) fn packed_rows(&self) -> RowLayout {
        RowLayout {
            step: self.block,
            stride: 1,
        }
    }

    /// The kernels of `isa`.
    pub(crate) fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => kernels!(gemm_f32::microkernel::avx512f::f32, 16),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => kernels!(gemm_f32::microkernel::fma::f32, 8),
            #[cfg(target_arch = "aarch64")]
            _ => kernels!(gemm_f32::microkernel::neon::f32, 4),
            #[cfg(not(target_arch = "aarch64"))]
            _ => kernels!(gemm_f32::microkernel::scalar::f32, 1),
        }
    }

    /// `out[rows, columns] = rows · columns` for rows in either layout and one packed panel of columns.
    ///
    /// # Safety
    /// `columns` points to a packed panel and `rows` to the first of rows of depth `k`, in the packed layout the first of a block; `out` may be written for
    /// `row_count` rows of stride `out_stride` and `column_count ≤ panel` columns.
    #[allow(clippy::too_many_arguments)]
    pub(crate) unsafe fn multiply(
        &self,
        row_count: usize,
        column_count: usize,
        k: usize,
        (rows, layout): (*const f32, RowLayout),
        columns: *const f32,
        out: *mut f32,
        out_stride: usize,
    ) {
        let vectors = column_count.div_ceil(self.lanes);
        let mut done = 0;
        while done < row_count {
            let n = self.block.min(row_count - done);
            // SAFETY: the caller vouches for the operands and the result; the kernel for `vectors` vectors and
            // `n` rows writes only `column_count` × `n` elements.
            unsafe {
                (self.kernel)(vectors, n)(
                    column_count,
                    n,
                    k,
                    out.add(done * out_stride),
                    columns,
                    rows.add(done * k),
                    out_stride as isize,
                    1,
                    self.panel as isize,
                    layout.step as isize,
                    layout.stride as isize,
                    0.0,
                    1.0,
                    0,
                    false,
                    false,
                    false,
                    columns,
                );
            }
            done += n;
        }
    }
}

/// Elements of an operand in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// f32 elements.
    F32(*const f32),
    /// fp16 bit patterns.
    F16(*const u16),
}

/// Packs `count` vectors of length `k` into one group `[k][width]`; the rest of the width is finite and means nothing,
/// since the kernel stores no result of it.
///
/// Vector `i`, element `p` is read at `i · stride + p · step`.
pub(crate) struct Pack {
    /// Where the first vector starts.
    pub(crate) source: Source,
    /// Distance of vectors.
    pub(crate) stride: usize,
    /// Distance of elements of a vector.
    pub(crate) step: usize,
    /// Vectors there are, at most `width`.
    pub(crate) count: usize,
    /// Length of a vector.
    pub(crate) k: usize,
    /// Vectors of a group.
    pub(crate) width: usize,
    /// The group, `k · width` elements.
    pub(crate) out: *mut f32,
}

impl Pack {
    /// Packs.
    ///
    /// # Safety
    /// The source may be read where the strides lead, the group may be written.
    pub(crate) unsafe fn run(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for Pack {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        // SAFETY: `Pack::run` is unsafe to call, with the condition that these accesses are within bounds.
        unsafe {
            let out = std::slice::from_raw_parts_mut(self.out, self.k * self.width);
            if self.count < self.width {
                out.fill(0.0);
            }
            match self.source {
                Source::F32(x) if self.stride == 1 => {
                    self.copy_rows(s, x, |x| s.load(x), |row, out| out.copy_from_slice(row));
                }
                Source::F16(x) if self.stride == 1 => {
                    self.copy_rows(s, x, |x| s.load_f16(x), |row, out| widen_lanes(s, row, out));
                }
                Source::F32(x) if self.step == 1 => {
                    self.transpose(s, x, |x| s.load(x), |&x| x);
                }
                Source::F16(x) if self.step == 1 => {
                    self.transpose(
                        s,
                        x,
                        |x| s.load_f16(x),
                        |&x| half::f16::from_bits(x).to_f32(),
                    );
                }
                Source::F32(x) => self.gather(|at| *x.add(at)),
                Source::F16(x) => self.gather(|at| half::f16::from_bits(*x.add(at)).to_f32()),
            }
        }
    }
}

impl Pack {
    /// Elements of neighbouring vectors lie side by side: whole rows of the group are copied.
    ///
    /// Rows narrower than a vector are written a vector at a time all the same, each over the surplus of the one
    /// before, as long as source and group go on far enough.
    ///
    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn copy_rows<S: Lanes, T>(
        &self,
        s: S,
        x: *const T,
        load: impl Fn(&[T]) -> S::V,
        convert: impl Fn(&[T], &mut [f32]),
    ) {
        let readable = (self.k - 1) * self.step + self.count;
        let narrow = self.count == self.width && self.width < S::N;
        for p in 0..self.k {
            let (from, to) = (p * self.step, p * self.width);
            if narrow && from + S::N <= readable && to + S::N <= self.k * self.width {
                // SAFETY: the condition keeps both within what `run` vouches for.
                let (row, out) = unsafe {
                    (
                        std::slice::from_raw_parts(x.add(from), S::N),
                        std::slice::from_raw_parts_mut(self.out.add(to), S::N),
                    )
                };
                s.store(out, load(row));
                continue;
            }
            // SAFETY: see `run`.
            let (row, out) = unsafe {
                (
                    std::slice::from_raw_parts(x.add(from), self.count),
                    std::slice::from_raw_parts_mut(self.out.add(to), self.count),
                )
            };
            let whole = self.count / S::N * S::N;
            let (row, row_rest) = row.split_at(whole);
            let (out, out_rest) = out.split_at_mut(whole);
            for (row, out) in row.chunks_exact(S::N).zip(out.chunks_exact_mut(S::N)) {
                s.store(out, load(row));
            }
            if !row_rest.is_empty() {
                convert(row_rest, out_rest);
            }
        }
    }

    /// Elements of a vector lie side by side: they go through squares that are transposed in registers, so that the
    /// strided side of the copy touches each line once.
    ///
    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn transpose<S: Lanes, T>(
        &self,
        s: S,
        x: *const T,
        load: impl Fn(&[T]) -> S::V,
        convert: impl Fn(&T) -> f32,
    ) {
        for p0 in (0..self.k).step_by(S::N) {
            let depth = S::N.min(self.k - p0);
            for i0 in (0..self.count).step_by(S::N) {
                let vectors = S::N.min(self.count - i0);
                if depth == S::N && i0 + S::N <= self.width {
                    let mut rows = [s.splat(0.0); MOST_LANES];
                    for (i, row) in rows.iter_mut().enumerate().take(vectors) {
                        let from = (i0 + i) * self.stride + p0;
                        // SAFETY: see `run`.
                        *row = load(unsafe { std::slice::from_raw_parts(x.add(from), S::N) });
                    }
                    for (p, column) in s.transpose(rows).into_iter().enumerate().take(S::N) {
                        let to = (p0 + p) * self.width + i0;
                        // SAFETY: the row of the group goes on that far.
                        let to = unsafe { std::slice::from_raw_parts_mut(self.out.add(to), S::N) };
                        s.store(to, column);
                    }
                    continue;
                }
                for i in i0..i0 + vectors {
                    for p in p0..p0 + depth {
                        // SAFETY: see `run`.
                        unsafe {
                            *self.out.add(p * self.width + i) =
                                convert(&*x.add(i * self.stride + p));
                        }
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`Pack::run`].
    #[inline(always)]
    unsafe fn gather(&self, at: impl Fn(usize) -> f32) {
        for p in 0..self.k {
            for i in 0..self.count {
                // SAFETY: see `run`.
                unsafe {
                    *self.out.add(p * self.width + i) = at(i * self.stride + p * self.step);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize, f: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * f).sin()).collect()
    }

    /// `a[m, k] · b[k, n]`, with either stored transposed, rows `rows` and columns `columns` of it.
    fn product(
        isa: Isa,
        (m, n, k): (usize, usize, usize),
        (ta, tb): (bool, bool),
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> Vec<f32> {
        let g = Gemm::of(isa);
        let (a, b) = (wave(m * k, 0.37), wave(k * n, 0.71));
        let (row_count, column_count) = (rows.len(), columns.len());
        let mut packed_rows = vec![0.0; row_count.next_multiple_of(g.block) * k];
        let (stride, step) = if ta { (1, m) } else { (k, 1) };
        for i in (0..row_count).step_by(g.block) {
            let pack = Pack {
                source: Source::F32(a[(rows.start + i) * stride..].as_ptr()),
                stride,
                step,
                count: g.block.min(row_count - i),
                k,
                width: g.block,
                out: packed_rows[i * k..].as_mut_ptr(),
            };
            // SAFETY: the strides stay within `a`, the group within `packed_rows`.
            unsafe { pack.run(isa) };
        }
        let plain = (a[rows.start * k..].as_ptr(), Gemm::plain_rows(k));
        let packed = (packed_rows.as_ptr(), g.packed_rows());
        let left = if ta { packed } else { plain };
        let mut out = vec![f32::NAN; row_count * column_count];
        let mut panel = vec![0.0; g.panel * k];
        let (stride, step) = if tb { (k, 1) } else { (1, n) };
        for j in (0..column_count).step_by(g.panel) {
            let count = g.panel.min(column_count - j);
            let pack = Pack {
                source: Source::F32(b[(columns.start + j) * stride..].as_ptr()),
                stride,
                step,
                count,
                k,
                width: g.panel,
                out: panel.as_mut_ptr(),
            };
            // SAFETY: the strides stay within `b`, the group within `panel`, the result within `out`.
            unsafe {
                pack.run(isa);
                g.multiply(
                    row_count,
                    count,
                    k,
                    left,
                    panel.as_ptr(),
                    out[j..].as_mut_ptr(),
                    column_count,
                );
            }
        }
        out
    }

    #[test]
    fn a_panel_has_the_bits_of_the_whole_in_every_layout() {
        for isa in Isa::ALL.into_iter().filter(|i| i.available()) {
            for layout in [(false, false), (false, true), (true, false), (true, true)] {
                let (m, n, k) = (37, 83, 300);
                let whole = product(isa, (m, n, k), layout, 0..m, 0..n);
                for (rows, columns) in [(0..20, 0..n), (20..m, 0..n), (0..m, 11..12), (7..9, 40..n)]
                {
                    let part = product(isa, (m, n, k), layout, rows.clone(), columns.clone());
                    let same: Vec<f32> = rows
                        .flat_map(|i| columns.clone().map(move |j| (i, j)))
                        .map(|(i, j)| whole[i * n + j])
                        .collect();
                    assert!(
                        part.iter()
                            .map(|x| x.to_bits())
                            .eq(same.iter().map(|x| x.to_bits()))
                    );
                }
            }
        }
    }

    #[test]
    fn products_are_near_those_of_f64() {
        for isa in Isa::ALL.into_iter().filter(|i| i.available()) {
            let (m, n, k) = (9, 21, 130);
            let (a, b) = (wave(m * k, 0.37), wave(k * n, 0.71));
            let found = product(isa, (m, n, k), (false, false), 0..m, 0..n);
            for i in 0..m {
                for j in 0..n {
                    let want: f64 = (0..k)
                        .map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j]))
                        .sum();
                    assert!((f64::from(found[i * n + j]) - want).abs() < 1e-4);
                }
            }
        }
    }
}
