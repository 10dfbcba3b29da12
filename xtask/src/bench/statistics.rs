//! Medians, extremes and ratios of a few measurements.

/// The middle of the values, or the mean of the middle two; NaN when there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (count, middle) if count % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The smallest and the largest value.
pub(crate) fn extremes(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        })
}

/// The ratio of each value to its partner of the same round.
pub(crate) fn ratios(values: &[f64], partners: &[f64]) -> Vec<f64> {
    values
        .iter()
        .zip(partners)
        .map(|(value, partner)| value / partner)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine was twice as slow in the second round: the ratio does not notice.
        let (ours, theirs) = ([200.0, 100.0, 210.0], [100.0, 50.0, 100.0]);
        assert_eq!(ratios(&ours, &theirs), [2.0, 2.0, 2.1]);
        assert_eq!(extremes(&ours), (100.0, 210.0));
    }
}
