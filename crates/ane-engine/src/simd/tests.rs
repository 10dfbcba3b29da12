//! Every instruction set against fp16 and f64.

use super::*;
use half::f16;

fn available() -> Vec<Isa> {
    let all: Vec<Isa> = Isa::ALL.into_iter().filter(|i| i.available()).collect();
    assert!(all.contains(&Isa::Portable));
    all
}

struct Map<'a, F> {
    x: &'a mut [f32],
    f: F,
}

trait Unary {
    fn apply<S: Lanes>(&self, s: S, x: S::V) -> S::V;
}

impl<F: Unary> Kernel for Map<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        for c in self.x.chunks_exact_mut(S::N) {
            let v = self.f.apply(s, s.load(c));
            s.store(c, v);
        }
    }
}

macro_rules! unary {
    ($name:ident, |$s:ident, $x:ident| $e:expr) => {
        struct $name;
        impl Unary for $name {
            #[inline(always)]
            fn apply<S: Lanes>(&self, $s: S, $x: S::V) -> S::V {
                $e
            }
        }
    };
}
unary!(Round, |s, x| s.round_f16(x));
unary!(Exp, |s, x| math::exp(s, x));
unary!(ExpM1, |s, x| math::exp_m1(s, x));
unary!(Log, |s, x| math::log(s, x));
unary!(Tanh, |s, x| math::tanh(s, x));
unary!(Erf, |s, x| math::erf(s, x));

/// Every fp16 value, padded to whole vectors.
fn every_f16() -> Vec<f32> {
    (0..=u16::MAX).map(|b| f16::from_bits(b).to_f32()).collect()
}

#[test]
fn rounding_is_that_of_fp16_on_every_instruction_set() {
    // Around every fp16 value: the value, ties, and neighbours of ties, by offsets in f32 bits.
    let mut x: Vec<f32> = Vec::new();
    for v in every_f16().into_iter().filter(|v| v.is_finite()) {
        for d in [0_i64, 1, -1, 0x0FFF, 0x1000, 0x1001, 0x1800] {
            x.push(f32::from_bits((i64::from(v.to_bits()) + d) as u32));
        }
    }
    x.extend([
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        65_519.9,
        65_520.0,
        1e-8,
        3e-8,
        -2e-8,
    ]);
    x.resize(x.len().next_multiple_of(16), 0.0);
    for isa in available() {
        let mut y = x.clone();
        dispatch(
            isa,
            Map {
                x: &mut y,
                f: Round,
            },
        );
        for (x, y) in x.iter().zip(&y) {
            let want = f16::from_f32(*x).to_f32();
            assert!(
                want.to_bits() == y.to_bits() || (want.is_nan() && y.is_nan()),
                "{isa}: {x:e} -> {y:e}, expected {want:e}"
            );
        }
    }
}

fn within_one_ulp(name: &str, isa: Isa, x: &[f32], y: &[f32], f: impl Fn(f64) -> f64) {
    for (&x, &y) in x.iter().zip(y) {
        let want = f(f64::from(x));
        let found = f64::from(f16::from_f32(y).to_f32());
        let ulps = ane_ir::testing::fp16_ulps(want, found);
        assert!(ulps <= 1, "{isa}: {name}({x:e}) = {y:e}, expected {want:e}");
    }
}

#[test]
fn functions_are_within_one_fp16_ulp_of_f64_for_every_fp16_argument() {
    let x = every_f16();
    for isa in available() {
        let mut y = x.clone();
        dispatch(isa, Map { x: &mut y, f: Exp });
        within_one_ulp("exp", isa, &x, &y, f64::exp);
        let mut y = x.clone();
        dispatch(
            isa,
            Map {
                x: &mut y,
                f: ExpM1,
            },
        );
        within_one_ulp("exp_m1", isa, &x, &y, f64::exp_m1);
        let mut y = x.clone();
        dispatch(isa, Map { x: &mut y, f: Tanh });
        within_one_ulp("tanh", isa, &x, &y, f64::tanh);
        let mut y = x.clone();
        dispatch(isa, Map { x: &mut y, f: Log });
        within_one_ulp("log", isa, &x, &y, f64::ln);
        let mut y = x.clone();
        dispatch(isa, Map { x: &mut y, f: Erf });
        within_one_ulp("erf", isa, &x, &y, ane_ir::erf);
    }
}

#[test]
fn all_instruction_sets_return_the_same_bits() {
    let x = every_f16();
    let run = |isa| {
        let mut y = x.clone();
        dispatch(isa, Map { x: &mut y, f: Exp });
        dispatch(isa, Map { x: &mut y, f: Tanh });
        dispatch(isa, Map { x: &mut y, f: Erf });
        y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let portable = run(Isa::Portable);
    for isa in available() {
        assert!(run(isa) == portable, "{isa}");
    }
}

struct Transpose<'a>(&'a [f32], &'a mut [f32]);

impl Kernel for Transpose<'_> {
    type Output = usize;
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> usize {
        let Self(from, to) = self;
        let rows = std::array::from_fn(|i| s.load(&from[i % S::N * S::N..]));
        for (to, column) in to.chunks_exact_mut(S::N).zip(s.transpose(rows)).take(S::N) {
            s.store(to, column);
        }
        S::N
    }
}

#[test]
fn transposing_exchanges_rows_and_columns() {
    for isa in available() {
        let from: Vec<f32> = (0..MOST_LANES * MOST_LANES).map(|i| i as f32).collect();
        let mut to = vec![f32::NAN; from.len()];
        let n = dispatch(isa, Transpose(&from, &mut to));
        for (i, row) in to[..n * n].chunks_exact(n).enumerate() {
            for (j, &x) in row.iter().enumerate() {
                assert_eq!(x, from[j * n + i], "{isa}: row {i}, column {j}");
            }
        }
    }
}

struct EverySecond<'a>(&'a [f32], &'a mut [f32]);

impl Kernel for EverySecond<'_> {
    type Output = usize;
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> usize {
        let v = s.every_second(s.load(self.0), s.load(&self.0[S::N..]));
        s.store(self.1, v);
        S::N
    }
}

#[test]
fn every_second_lane_of_two_vectors_is_kept() {
    for isa in available() {
        let from: Vec<f32> = (0..2 * MOST_LANES).map(|i| i as f32).collect();
        let mut to = [f32::NAN; MOST_LANES];
        let n = dispatch(isa, EverySecond(&from, &mut to));
        let want: Vec<f32> = (0..n).map(|i| (2 * i) as f32).collect();
        assert_eq!(to[..n], want, "{isa}");
    }
}

struct LargestMagnitude<'a>(&'a [f32]);

impl Kernel for LargestMagnitude<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> f32 {
        let mut so_far = s.splat(0.0);
        for c in self.0.chunks_exact(S::N) {
            so_far = s.max_magnitude(so_far, s.load(c));
        }
        s.reduce_max(so_far)
    }
}

#[test]
fn the_largest_magnitude_is_nan_when_anything_is() {
    for isa in available() {
        let mut x = [0.5_f32; 32];
        x[7] = -3.0;
        assert_eq!(dispatch(isa, LargestMagnitude(&x)), 3.0, "{isa}");
        x[30] = f32::NEG_INFINITY;
        assert_eq!(dispatch(isa, LargestMagnitude(&x)), f32::INFINITY, "{isa}");
        x[1] = -f32::NAN;
        assert!(dispatch(isa, LargestMagnitude(&x)).is_nan(), "{isa}");
    }
}

/// Bytes as numbers, and which of the lanes are not zero.
struct Bytes<'a>(&'a [u8]);

impl Kernel for Bytes<'_> {
    type Output = Vec<(f32, bool)>;
    #[inline(always)]
    fn run<S: Lanes>(self, s: S) -> Self::Output {
        let mut found = Vec::new();
        for bytes in self.0.chunks_exact(S::N) {
            let v = s.load_u8(bytes);
            let mut lanes = [0.0; MOST_LANES];
            s.store(&mut lanes, v);
            let bits = s.nonzero(v);
            found.extend((0..S::N).map(|i| (lanes[i], bits >> i & 1 == 1)));
        }
        found
    }
}

#[test]
fn bytes_are_numbers_and_zeros_are_seen_on_every_instruction_set() {
    let bytes: Vec<u8> = (0..=255)
        .chain((0..64).map(|i| u8::from(i % 3 == 0)))
        .collect();
    let want: Vec<(f32, bool)> = bytes.iter().map(|&b| (f32::from(b), b != 0)).collect();
    for isa in available() {
        assert_eq!(dispatch(isa, Bytes(&bytes)), want, "{isa}");
    }
}
