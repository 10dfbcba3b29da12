//! The operations that kernels are written in.

/// Most lanes of a vector.
pub const MOST_LANES: usize = 16;

/// A vector of [`Lanes::N`] f32 lanes and what can be done with it. The implementing token is proof that the machine
/// has the instructions.
///
/// Comparisons with NaN are false. `round_f16` rounds to nearest even, overflows to infinity and keeps NaN.
#[allow(missing_docs)]
pub trait Lanes: Copy + Send + Sync + 'static {
    /// Number of lanes, a power of two up to 16.
    const N: usize;
    /// A vector.
    type V: Copy;
    /// A truth value per lane.
    type M: Copy;

    fn splat(self, x: f32) -> Self::V;
    /// Reads the first `N` elements.
    ///
    /// # Panics
    /// When there are fewer.
    fn load(self, x: &[f32]) -> Self::V;
    /// Writes the first `N` elements.
    ///
    /// # Panics
    /// When there are fewer.
    fn store(self, out: &mut [f32], v: Self::V);
    /// Reads the first `N` fp16 elements.
    ///
    /// # Panics
    /// When there are fewer.
    fn load_f16(self, x: &[u16]) -> Self::V;
    /// Reads the first `N` bytes as numbers.
    ///
    /// # Panics
    /// When there are fewer.
    fn load_u8(self, x: &[u8]) -> Self::V;
    /// Rounds to fp16 and writes the first `N` elements.
    ///
    /// # Panics
    /// When there are fewer.
    fn store_f16(self, out: &mut [u16], v: Self::V);
    /// Prefetches the cache line at `x`, wherever it points.
    #[inline(always)]
    fn prefetch(self, _x: *const u8) {}

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`, rounded once where the instruction set fuses the two. For products alone: what else is computed has
    /// the same bits everywhere.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    fn abs(self, a: Self::V) -> Self::V;
    /// Magnitude of `a`, sign of `b`.
    fn copysign(self, a: Self::V, b: Self::V) -> Self::V;
    /// Rounded to fp16, still as f32.
    fn round_f16(self, a: Self::V) -> Self::V;
    /// Nearest integer, ties to even; |a| < 2²².
    fn round_int(self, a: Self::V) -> Self::V;
    /// 2ⁿ for integral n from −126 to 127.
    fn exp2i(self, n: Self::V) -> Self::V;
    /// Mantissa in [1, 2) and exponent of a positive normal number.
    fn split_exponent(self, a: Self::V) -> (Self::V, Self::V);

    fn gt(self, a: Self::V, b: Self::V) -> Self::M;
    fn ge(self, a: Self::V, b: Self::V) -> Self::M;
    fn eq(self, a: Self::V, b: Self::V) -> Self::M;
    fn is_nan(self, a: Self::V) -> Self::M;
    fn or(self, a: Self::M, b: Self::M) -> Self::M;
    /// `a` where `m`, else `b`.
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V;

    /// The lanes that are not ±0, the first in the lowest bit.
    fn nonzero(self, a: Self::V) -> u32;
    /// The larger of `so_far`, which is not negative, and the magnitude of `a`; NaN if either is.
    fn max_magnitude(self, so_far: Self::V, a: Self::V) -> Self::V;

    /// The first, third and so on of the lanes of `a` and `b`, one behind the other.
    #[inline(always)]
    fn every_second(self, a: Self::V, b: Self::V) -> Self::V {
        let (mut both, mut lanes) = ([0.0; 2 * MOST_LANES], [0.0; MOST_LANES]);
        self.store(&mut both, a);
        self.store(&mut both[Self::N..], b);
        for (i, lane) in lanes.iter_mut().enumerate().take(Self::N) {
            *lane = both[2 * i];
        }
        self.load(&lanes)
    }

    /// The columns of the square of the first [`Lanes::N`] rows; what comes after them means nothing.
    #[inline(always)]
    fn transpose(self, rows: [Self::V; MOST_LANES]) -> [Self::V; MOST_LANES] {
        let mut square = [[0.0; MOST_LANES]; MOST_LANES];
        for (i, row) in rows.into_iter().enumerate().take(Self::N) {
            let mut lanes = [0.0; MOST_LANES];
            self.store(&mut lanes, row);
            for (column, x) in square.iter_mut().zip(lanes) {
                column[i] = x;
            }
        }
        square.map(|column| self.load(&column))
    }

    /// Largest lane, NaN if one is.
    #[inline(always)]
    fn reduce_max(self, v: Self::V) -> f32 {
        let mut lanes = [0.0_f32; MOST_LANES];
        self.store(&mut lanes, v);
        let mut n = Self::N;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                let (a, b) = (lanes[i], lanes[i + n]);
                lanes[i] = if a.is_nan() || a > b { a } else { b };
            }
        }
        lanes[0]
    }

    /// Sum of the lanes in pairs, quads and so on.
    #[inline(always)]
    fn reduce_sum(self, v: Self::V) -> f32 {
        let mut lanes = [0.0_f32; 16];
        self.store(&mut lanes, v);
        let mut n = Self::N;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                lanes[i] += lanes[i + n];
            }
        }
        lanes[0]
    }
}
