//! Numbers that both `make_fixtures.py` and the tests compute, so that no fixture holds them.

/// The `count` numbers in [-1, 1) that the script calls `drawn`.
pub(crate) fn drawn(name: &str, count: usize) -> Vec<f64> {
    let state = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    (1..=count as u64)
        .map(|i| {
            let z = state.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let z = z ^ (z >> 31);
            (z >> 40) as f64 / 2.0_f64.powi(23) - 1.0
        })
        .collect()
}

/// The numbers that the script calls `weight`.
pub(crate) fn weight(name: &str, shape: &[usize]) -> Vec<f64> {
    let count = shape.iter().product::<usize>();
    let values = drawn(name, count);
    if shape.len() == 1 {
        return values.iter().map(|x| 0.5 + 0.25 * x).collect();
    }
    let last = shape.last().copied().unwrap_or(1) as f64;
    let scale = (3.0 * last / count.max(1) as f64).sqrt();
    values.iter().map(|x| x * scale).collect()
}

/// Larger tensors are stored as sums of their elements with random signs, so many of them.
const LARGEST: usize = 64;
const PROJECTIONS: usize = 16;

/// What the fixture holds of a tensor under `name`.
pub(crate) fn stored(name: &str, tensor: &[f64]) -> Vec<f64> {
    if tensor.len() <= LARGEST {
        return tensor.to_vec();
    }
    (0..PROJECTIONS)
        .map(|i| {
            let signs = drawn(&format!("{name}/{i}"), tensor.len());
            let signed = signs.iter().zip(tensor);
            signed.map(|(&s, &x)| if s < 0.0 { -x } else { x }).sum()
        })
        .collect()
}
