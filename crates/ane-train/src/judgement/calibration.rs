//! How far a model's confidence can be trusted: of answers given with 80 %, are 80 % right?
//!
//! Guo et al., "On Calibration of Modern Neural Networks" (2017), equation 3, with their fifteen bins of the same width,
//! each without its lower end and with its upper one.

use super::classes::Decision;
use serde::Serialize;

/// Bins of confidence.
pub const BINS: usize = 15;

/// How far confidence can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error: the distance between confidence and accuracy, over all examples.
    pub ece: f64,
    /// From the least confident answers to the most confident.
    pub bins: Vec<Bin>,
}

/// Answers of about the same confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// More than so confident.
    pub from: f64,
    /// At most so confident.
    pub to: f64,
    /// Answers.
    pub count: u64,
    /// Their mean confidence; none without answers.
    pub confidence: Option<f64>,
    /// Share of them that is right; none without answers.
    pub accuracy: Option<f64>,
}

impl Calibration {
    /// Of decisions; those without a probability, such as those of outputs that are not finite, are left out.
    pub(super) fn of(decisions: &[Decision]) -> Self {
        let mut sums = [(0_u64, 0.0_f64, 0_u64); BINS];
        let mut all = 0;
        for d in decisions {
            let Some(confidence) = d.confidence.filter(|p| (0.0..=1.0).contains(p)) else {
                continue;
            };
            let bin = (confidence * BINS as f64).ceil() as usize;
            let (count, sum, right) = &mut sums[bin.clamp(1, BINS) - 1];
            *count += 1;
            *sum += confidence;
            *right += u64::from(d.is_right());
            all += 1;
        }
        let edge = |i: usize| i as f64 / BINS as f64;
        let bins = sums.iter().enumerate().map(|(i, &(count, sum, right))| {
            let share = |x: f64| (count > 0).then(|| x / count as f64);
            Bin {
                from: edge(i),
                to: edge(i + 1),
                count,
                confidence: share(sum),
                accuracy: share(right as f64),
            }
        });
        let bins: Vec<Bin> = bins.collect();
        let distances = bins.iter().filter_map(|b| {
            let distance = (b.accuracy? - b.confidence?).abs();
            Some(distance * b.count as f64)
        });
        Self {
            ece: distances.sum::<f64>() / f64::from(u32::max(all, 1)),
            bins,
        }
    }
}
