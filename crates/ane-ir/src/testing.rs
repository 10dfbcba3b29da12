//! Sample tensors, random graphs and comparisons for the test suites of every crate.

mod soak;

pub use soak::seeds;

use crate::{
    graph::{Graph, Value},
    numerics::Numerics,
    ops::{Fill, OpDef, Sample},
    tensor::{Real, Tensor},
    types::{DType, MAX_RANK, TensorType},
};
use half::f16;

/// A deterministic tensor filled as `fill` says; `seed` makes operands differ.
pub fn tensor<T: Real>(ty: &TensorType, fill: Fill, seed: u64) -> Tensor<T> {
    let n = ty.shape.numel();
    let mut state = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(0x1234_5678_9ABC_DEF1);
    let mut next = move || {
        // SplitMix64, Steele et al. 2014.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    };
    let mut order: Vec<usize> = (0..n).collect();
    if matches!(fill, Fill::Distinct | Fill::Order) {
        order.sort_by_cached_key(|_| (next() * 1e9) as u64);
    }
    let data = (0..n)
        .map(|i| {
            let u = next();
            let x = match fill {
                Fill::Signed => (0.1 + 1.9 * u) * if next() < 0.5 { -1.0 } else { 1.0 },
                Fill::Positive => 0.25 + 1.75 * u,
                Fill::Distinct => {
                    (order[i] as f64 - n as f64 / 2.0 + 0.3 + 0.1 * (seed % 7) as f64) * 0.07
                }
                Fill::Truth => f64::from(u8::from(u < 0.5)),
                Fill::Integers => (u * 20.0 - 10.0).round(),
                Fill::Order => order[i] as f64,
            };
            Numerics::ieee().store(ty.dtype, T::from_f64(x))
        })
        .collect();
    Tensor::new(ty.clone(), data)
}

/// The operands of a sample.
pub fn operands<T: Real, O>(sample: &Sample<O>) -> Vec<Tensor<T>> {
    sample
        .operands
        .iter()
        .enumerate()
        .map(|(i, (ty, fill))| tensor(ty, *fill, i as u64 + 1))
        .collect()
}

/// A graph that applies the sample's op to its operands; inputs `x0…`, outputs `y0…`.
pub fn graph_of<O: OpDef>(sample: &Sample<O>) -> Graph {
    let mut g = Graph::new();
    let xs: Vec<Value> = sample
        .operands
        .iter()
        .enumerate()
        .map(|(i, (ty, _))| g.input(&format!("x{i}"), ty.clone()).expect("names differ"))
        .collect();
    let ys = g
        .push_segments(sample.op.clone(), &xs, &sample.segments)
        .expect("samples type");
    for (i, y) in ys.into_iter().enumerate() {
        g.output(&format!("y{i}"), y).expect("names differ");
    }
    g
}

/// Distance of two fp16 values in units in the last place; 0 for equal values, including ±0 and NaN with NaN.
pub fn fp16_ulps(a: f64, b: f64) -> u32 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0;
    }
    let key = |x: f64| {
        let bits = i32::from(f16::from_f64(x).to_bits());
        if bits & 0x8000 != 0 {
            0x8000 - bits
        } else {
            bits
        }
    };
    if a.is_nan() || b.is_nan() {
        return u32::MAX;
    }
    key(a).abs_diff(key(b))
}

/// Leading axes that the inputs of a random graph have before the last two, so that they broadcast.
const LEADING: [&[usize]; 4] = [&[2, 1, 3], &[1, 2, 3], &[1, 1, 1], &[2, 2, 1]];

/// A graph of random elementwise ops, matmuls, reductions and movements on small fp16 tensors, from random bytes. The
/// first byte says how many axes its inputs have, 1 to 5.
pub fn random_graph(choices: &[u8]) -> Graph {
    let mut g = Graph::new();
    let rank = 1 + usize::from(choices.first().copied().unwrap_or(1)) % MAX_RANK.min(5);
    let mut pool: Vec<Value> = [[4, 6], [6, 3], [1, 6], [4, 1]]
        .iter()
        .zip(LEADING)
        .enumerate()
        .map(|(i, (matrix, leading))| {
            let mut dims = leading.to_vec();
            dims.extend(matrix);
            g.input(&format!("x{i}"), TensorType::fp16(&dims[5 - rank..]))
                .expect("names differ")
        })
        .collect();
    let axis = |g: &Graph, v: Value, c: u8| i32::from(c) % g.ty(v).shape.rank().max(1) as i32;
    for c in choices.chunks_exact(3) {
        let pick = |i: u8| pool[usize::from(i) % pool.len()];
        let (a, b) = (pick(c[1]), pick(c[2]));
        let made = match c[0] % 22 {
            0 => g.add(a, b),
            1 => g.sub(a, b),
            2 => g.mul(a, b),
            3 => g.maximum(a, b),
            4 => g.tanh(a),
            5 => g.relu(a),
            6 => g.sigmoid(a),
            7 => g.abs(a),
            8 => g.matmul(a, b, false, false),
            9 => g.matmul(a, b, true, false),
            10 => g.matmul(a, b, false, true),
            11 => g.reduce_sum(a, &[axis(&g, a, c[2])], true),
            12 => g.reduce_max(a, &[-1], true),
            13 => g.softmax(a, axis(&g, a, c[2])),
            14 => {
                let rank = g.ty(a).shape.rank();
                let turned = (0..rank).map(|i| ((i + usize::from(c[2])) % rank) as i32);
                g.transpose(a, &turned.collect::<Vec<_>>())
            }
            15 => g.greater(a, b).and_then(|p| g.select(p, a, b)),
            16 => g.concat(&[a, b], axis(&g, a, c[2])),
            17 => g
                .scalar(DType::Fp16, f64::from(c[2]) / 64.0)
                .and_then(|s| g.mul(a, s)),
            18 => g.identity(a),
            19 => {
                let at = axis(&g, a, c[2]);
                let terms = g.ty(a).shape.dims().get(at as usize).copied();
                // Others divide by a number that fp16 does not have, and no lowering can say it.
                if !terms.is_some_and(usize::is_power_of_two) {
                    continue;
                }
                g.reduce_mean(a, &[at], c[2] % 2 == 0)
            }
            20 => {
                let dims = g.ty(a).shape.dims().to_vec();
                let at = axis(&g, a, c[2]) as usize;
                let begin: Vec<i32> = (0..dims.len())
                    .map(|i| i32::from(i == at && dims[i] > 1))
                    .collect();
                let size: Vec<i32> = dims
                    .iter()
                    .zip(&begin)
                    .map(|(&d, b)| d as i32 - b)
                    .collect();
                g.slice_by_size(a, &begin, &size)
            }
            _ => g.minimum(a, b),
        };
        // Operands that do not fit each other are skipped: the bytes choose blindly.
        if let Ok(v) = made
            && g.ty(v).shape.numel() <= 512
        {
            pool.push(v);
        }
    }
    let mut outputs = 0;
    for &v in pool.iter().rev() {
        if g.node_of(v).is_some() && outputs < 3 {
            g.output(&format!("y{outputs}"), v)
                .expect("distinct values");
            outputs += 1;
        }
    }
    g
}
