//! The self-test: every op and the training step of MNIST on a device, against the software engine.
//!
//! Both sides run the same program for the same target and the same numeric policy. Where the device is the software
//! engine itself, ops are compared with their definitions, and the step with the portable instruction set.

mod op;
mod step;

use ane_device::{Device, DeviceError, Hardware, Settings};
use ane_ir::ops::Op;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::step::PlanKind;

/// What is tested.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Name of the device.
    pub device: String,
    /// What it and the software engine are opened with.
    pub settings: Settings,
    /// Training steps that are compared, at least 1.
    pub steps: u64,
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Within the tolerance.
    Right,
    /// The target's rules allow no sample, so nothing ran.
    NotAllowed,
    /// Beyond the tolerance, refused although the rules allow it, or an error.
    Wrong,
}

/// What came of one op or one plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The op, or the step with its plan.
    pub name: String,
    /// Samples or steps there are.
    pub samples: usize,
    /// Samples or steps that ran.
    pub ran: usize,
    /// Largest distance in units in the last place of fp16; none for steps, whose numbers are fp32.
    pub max_ulps: Option<u32>,
    /// Largest absolute distance.
    pub max_abs: f64,
    /// What is allowed.
    pub tolerance: String,
    /// Median latency of an execution or a step in microseconds.
    pub p50_us: Option<f64>,
    /// Its 95th percentile.
    pub p95_us: Option<f64>,
    /// Why samples did not run: a rule's name, or the device's words.
    pub refused: Vec<String>,
    /// What is wrong.
    pub problems: Vec<String>,
    /// The verdict.
    pub verdict: Verdict,
}

impl Row {
    fn new(name: impl Into<String>, samples: usize, tolerance: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            samples,
            ran: 0,
            max_ulps: None,
            max_abs: 0.0,
            tolerance: tolerance.into(),
            p50_us: None,
            p95_us: None,
            refused: Vec::new(),
            problems: Vec::new(),
            verdict: Verdict::Right,
        }
    }

    /// A test whose process ended without an answer.
    pub fn died(name: &str, how: String) -> Self {
        Self {
            problems: vec![how],
            verdict: Verdict::Wrong,
            ..Self::new(name, 0, "")
        }
    }

    fn settle(mut self, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let at = |share: usize| {
            let i = (latencies.len() * share).div_ceil(100).saturating_sub(1);
            latencies.get(i).map(|d| d.as_secs_f64() * 1e6)
        };
        (self.p50_us, self.p95_us) = (at(50), at(95));
        self.verdict = if !self.problems.is_empty() {
            Verdict::Wrong
        } else if self.ran == 0 {
            Verdict::NotAllowed
        } else {
            Verdict::Right
        };
        self
    }
}

/// The names of the steps, on a synthetic batch: no data is needed.
const STEPS: [(&str, PlanKind); 2] = [
    ("mnist_step_fused", PlanKind::Fused),
    ("mnist_step_split", PlanKind::Split),
];

/// Every test by name: the ops, then the steps.
pub fn names() -> Vec<&'static str> {
    let steps = STEPS.iter().map(|(name, _)| *name);
    Op::NAMES.iter().copied().chain(steps).collect()
}

/// Runs the test called `name`; `None` when there is none.
///
/// # Errors
/// When a device cannot be opened. What goes wrong afterwards is in the row.
pub fn run(name: &str, subject: &Subject) -> Result<Option<Row>, DeviceError> {
    if let Some((name, plan)) = STEPS.iter().find(|(n, _)| *n == name) {
        return step::run(name, *plan, subject).map(Some);
    }
    if !Op::NAMES.contains(&name) {
        return Ok(None);
    }
    op::run(name, subject).map(Some)
}

impl Subject {
    fn open(&self) -> Result<Box<dyn Device>, DeviceError> {
        ane_device::open(&self.device, &self.settings)
    }

    /// Whether the software engine is tested, which is not compared with itself.
    fn is_software(&self) -> bool {
        self.device == SOFTWARE
    }

    /// The software engine for the target that the device has, which may be another one than was asked for.
    fn reference(&self, device: &dyn Device) -> Result<Box<dyn Device>, DeviceError> {
        let mut settings = self.settings.clone();
        settings.target = *device.target();
        if self.is_software() {
            settings.isa = ane_engine::simd::Isa::Portable;
        }
        ane_device::open(SOFTWARE, &settings)
    }

    fn is_silicon(&self) -> bool {
        Hardware::of(&self.device, &self.settings.apple.replaced()).is_apple()
    }
}

/// The software engine.
const SOFTWARE: &str = "software";

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        let pool = ane_engine::Pool::new(1).unwrap();
        Subject {
            device: SOFTWARE.into(),
            settings: Settings {
                pool: Some(pool.into()),
                ..Settings::default()
            },
            steps: 1,
        }
    }

    #[test]
    fn every_op_of_the_software_engine_is_right() {
        for target in ["software", "h13", "h16:client"] {
            let mut subject = subject();
            subject.settings.target = target.parse().unwrap();
            subject.settings.numerics = ane_ir::Numerics::of(&subject.settings.target);
            let mut right = 0;
            for name in Op::NAMES {
                let row = run(name, &subject).unwrap().unwrap();
                assert_ne!(row.verdict, Verdict::Wrong, "{target}: {row:?}");
                right += usize::from(row.verdict == Verdict::Right);
            }
            assert!(right > 30, "{target}: only {right} ops ran");
        }
        assert_eq!(run("no_such_op", &subject()).unwrap(), None);
    }

    #[test]
    fn a_row_with_a_problem_is_wrong_and_one_where_nothing_ran_is_not() {
        let mut row = Row::new("x", 1, "exact");
        row.problems.push("sample 0: far off".into());
        let row = row.settle(vec![Duration::from_micros(3); 40]);
        assert_eq!(row.verdict, Verdict::Wrong);
        assert_eq!((row.p50_us, row.p95_us), (Some(3.0), Some(3.0)));
        assert_eq!(
            Row::new("x", 1, "").settle(Vec::new()).verdict,
            Verdict::NotAllowed
        );
    }
}
