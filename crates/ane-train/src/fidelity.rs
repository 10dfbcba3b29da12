//! How near the gradients of a program come to those that nothing rounds.
//!
//! The step is evaluated twice from the bits in the program's ports: in f64 with nothing rounded, which says what the
//! gradients are, and with every result rounded as the target is known to, which says how far off arithmetic like the
//! engine's has to be. Both are the definition of the ops ([`ane_ir::eval`]) and share nothing with an engine but the
//! graph, so that an engine that computes wrongly is seen.
//!
//! The bound follows from that. Rounding the same tensors in another order, or once where a chip keeps more digits between
//! two ops, gives errors of the same size and another sign, so that an engine's is a few times the evaluation's at most;
//! [`FACTOR`] is what the gradients of our models are held to against PyTorch's emulation of fp16 too. Where the evaluation
//! happens to be exact, a half of the last digit of each element of the result is allowed. Apart from the engine, rounding
//! itself may lose a gradient: one that is as far from the exact one as zeros are is no better than none.
//!
//! Some gradients are sums whose terms cancel, whatever the batch is: that of a bias before a batch norm, which takes off
//! what the bias adds. What f64 leaves of it is rounding too, so that an error relative to it says nothing. Where it is
//! [`ZERO`] of the largest gradient of the step and rounding makes [`DROWNED`] times as much, the error is held to
//! [`NOISE`] of the largest gradient instead.

use crate::{Trainer, data::Batch, error::TrainerError};
use ane_ir::{Literal, Numerics, Tensor, eval, eval_literals};
use serde::Serialize;

/// Times the error of the evaluation that rounds, that an engine's may be.
pub const FACTOR: f64 = 4.0;
/// Distance from the exact gradient, relative to its norm, from which on a gradient is worth nothing: that of zeros.
pub const LOST: f64 = 1.0;

/// Norm of an exact gradient, relative to the largest of the step, up to which it may be what f64 leaves of zero: factors
/// such as 1 / n are fp32 or fp16 numbers in it, so that what cancels leaves their last digit.
pub const ZERO: f64 = 1e-6;
/// Times such a gradient that rounding makes of it, from which on there is nothing else in it. One that is truly small
/// vanishes instead, or keeps its size.
pub const DROWNED: f64 = 10.0;
/// Norm of what rounding makes of zero, relative to the largest gradient of the step, up to which it does no harm.
pub const NOISE: f64 = 0.01;

/// Half of the last digit of an fp16 number, relative to it.
const HALF_DIGIT: f64 = 1.0 / 2048.0;
/// Smallest normal fp16 number.
const SMALLEST_NORMAL: f64 = 1.0 / 16_384.0;
/// Half of the smallest fp16 number.
const HALF_SMALLEST: f64 = 1.0 / 33_554_432.0;

/// What is to be said of a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As near as rounding lets it be.
    Right,
    /// Zero in exact arithmetic, and what rounding makes of it is small beside the other gradients.
    Zero,
    /// Rounding alone makes it no better than zeros.
    Lost,
    /// Further off than rounding explains.
    Wrong,
}

/// How near the gradient of a parameter comes, over all batches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParameterFidelity {
    /// Path of the parameter.
    pub path: String,
    /// Cosine between the program's gradient and the exact one; 1 of two that are zero, 0 where one is.
    pub cosine: f64,
    /// Norm of the difference over the norm of the exact gradient; none where that is zero and the other is not.
    pub error: Option<f64>,
    /// What the error may be, as it is measured.
    pub bound: f64,
    /// The error of the evaluation that rounds.
    pub rounding: f64,
    /// Norm of the program's gradient, the loss scale taken off.
    pub norm: f64,
    /// Norm of the exact gradient.
    pub exact_norm: f64,
    /// Share of the elements that are zero and should not be.
    pub vanished: f64,
    /// Share of the elements that are below the normal fp16 numbers at the loss scale: zero on an engine that flushes.
    pub subnormal: f64,
    /// What is to be said of it.
    pub verdict: Verdict,
}

/// Sums over batches, of one parameter.
#[derive(Debug, Clone, Default)]
struct Sums {
    dot: f64,
    program: f64,
    exact: f64,
    off: f64,
    rounding: f64,
    /// Of half digits.
    floor: f64,
    elements: u64,
    vanished: u64,
    subnormal: u64,
}

/// Compares gradients of a trainer, of the split plan, batch by batch.
#[derive(Debug)]
pub struct Fidelity {
    numerics: Numerics,
    /// By parameter that is trained.
    sums: Vec<(String, Sums)>,
}

impl Fidelity {
    /// For the parameters of `trainer`, whose device rounds by `numerics`.
    pub fn new(trainer: &Trainer, numerics: Numerics) -> Self {
        let paths = trainer.step().trained.iter();
        let paths = paths.map(|&i| trainer.parameters()[i].path.clone());
        Self {
            numerics,
            sums: paths.map(|path| (path, Sums::default())).collect(),
        }
    }

    /// Adds a batch, with nothing dropped, at the largest loss scale up to the present one that does not overflow; gives
    /// that scale.
    ///
    /// # Errors
    /// When the batch does not fit, or the device fails.
    pub fn add(&mut self, trainer: &mut Trainer, batch: &Batch) -> Result<f32, TrainerError> {
        let probed = trainer.probe(batch)?;
        let inputs = trainer.port_values()?;
        let step = trainer.step();
        let raw: Vec<Tensor<f64>> = inputs.iter().map(Literal::to_tensor).collect();
        let exact = eval(&step.graph, &raw, &Numerics::exact());
        let exact = exact.expect("the ports have the types of the graph's inputs");
        let rounded = eval_literals(&step.graph, &inputs, &self.numerics);
        let rounded = rounded.expect("the ports have the types of the graph's inputs");
        let half_smallest = match self.numerics.flush_subnormals {
            true => SMALLEST_NORMAL,
            false => HALF_SMALLEST,
        };
        let gradients = step.gradients.iter().zip(&probed.gradients);
        for ((port, (_, program)), (_, sums)) in gradients.zip(&mut self.sums) {
            let Some((output, elements)) = step.output_elements(port) else {
                continue;
            };
            let exact = &exact[output].data[elements.clone()];
            let rounded = &rounded[output].to_f64()[elements];
            let all = program.iter().zip(exact).zip(rounded);
            for ((&program, &exact), &rounded) in all {
                sums.add(
                    f64::from(program),
                    [exact, rounded].map(|raw| raw / probed.factor),
                    (exact.abs() < SMALLEST_NORMAL, half_smallest / probed.factor),
                );
            }
        }
        Ok(probed.loss_scale)
    }

    /// What was found, by parameter.
    pub fn parameters(&self) -> Vec<ParameterFidelity> {
        let largest = self.sums.iter().map(|(_, sums)| sums.exact.sqrt());
        let largest = largest.fold(0.0, f64::max);
        let found = self.sums.iter();
        found
            .map(|(path, sums)| sums.judged(path, largest))
            .collect()
    }
}

impl Sums {
    /// Adds an element; `is_subnormal` at the loss scale, and half of the smallest number without it.
    fn add(
        &mut self,
        program: f64,
        [exact, rounded]: [f64; 2],
        (is_subnormal, half_smallest): (bool, f64),
    ) {
        self.dot += program * exact;
        self.program += program * program;
        self.exact += exact * exact;
        self.off += (program - exact).powi(2);
        self.rounding += (rounded - exact).powi(2);
        self.floor += (exact * HALF_DIGIT).powi(2) + half_smallest.powi(2);
        self.elements += 1;
        self.vanished += u64::from(program == 0.0 && exact != 0.0);
        self.subnormal += u64::from(is_subnormal && exact != 0.0);
    }

    /// What is to be said of it, where the largest exact gradient has the norm `largest`.
    fn judged(&self, path: &str, largest: f64) -> ParameterFidelity {
        let [program, exact, off, rounding, floor] = [
            self.program,
            self.exact,
            self.off,
            self.rounding,
            self.floor,
        ]
        .map(f64::sqrt);
        let relative = |x: f64| match exact == 0.0 {
            true if x == 0.0 => Some(0.0),
            true => None,
            false => Some(x / exact),
        };
        let allowed = FACTOR * rounding.max(floor);
        let error = relative(off);
        // What is NaN is within nothing.
        let is_within = off <= allowed;
        let is_zero = exact <= ZERO * largest && rounding >= DROWNED * exact && rounding > 0.0;
        let verdict = match error {
            _ if !is_within => Verdict::Wrong,
            _ if is_zero && off <= NOISE * largest => Verdict::Zero,
            Some(error) if error >= LOST => Verdict::Lost,
            _ => Verdict::Right,
        };
        let share = |count: u64| count as f64 / self.elements.max(1) as f64;
        ParameterFidelity {
            path: path.to_owned(),
            cosine: match (program == 0.0, exact == 0.0) {
                (true, true) => 1.0,
                (false, false) => self.dot / (program * exact),
                _ => 0.0,
            },
            error,
            bound: relative(allowed).unwrap_or(f64::INFINITY),
            rounding: relative(rounding).unwrap_or(f64::INFINITY),
            norm: program,
            exact_norm: exact,
            vanished: share(self.vanished),
            subnormal: share(self.subnormal),
            verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gradient of two elements at no loss scale.
    fn judged(program: [f64; 2], exact: [f64; 2], rounded: [f64; 2]) -> ParameterFidelity {
        let mut sums = Sums::default();
        for i in 0..2 {
            let is_subnormal = exact[i].abs() < SMALLEST_NORMAL;
            sums.add(
                program[i],
                [exact[i], rounded[i]],
                (is_subnormal, HALF_SMALLEST),
            );
        }
        sums.judged("w", LARGEST)
    }

    /// Norm of the largest gradient of the step.
    const LARGEST: f64 = 10.0;

    #[test]
    fn a_gradient_is_held_to_what_rounding_does() {
        let right = judged([3.01, 4.0], [3.0, 4.0], [3.0, 3.99]);
        assert_eq!(right.verdict, Verdict::Right);
        assert!((right.error.unwrap() - 0.002).abs() < 1e-9, "{right:?}");
        assert!((right.bound - 4.0 * 0.002).abs() < 1e-9, "{right:?}");
        assert!(right.cosine > 0.9999 && right.exact_norm == 5.0);
        // Five times as far off as the evaluation.
        let wrong = judged([3.05, 4.0], [3.0, 4.0], [3.0, 3.99]);
        assert_eq!(wrong.verdict, Verdict::Wrong);
        // An evaluation that happens to be exact allows half digits, and no more.
        assert_eq!(
            judged([3.001, 4.0], [3.0, 4.0], [3.0, 4.0]).verdict,
            Verdict::Right
        );
        assert_eq!(
            judged([3.02, 4.0], [3.0, 4.0], [3.0, 4.0]).verdict,
            Verdict::Wrong
        );
        assert_eq!(
            judged([f64::NAN, 4.0], [3.0, 4.0], [3.0, 3.9]).verdict,
            Verdict::Wrong
        );
    }

    #[test]
    fn what_rounding_loses_is_lost_and_what_is_zero_is_right() {
        let lost = judged([0.0; 2], [1e-9, -1e-9], [0.0; 2]);
        assert_eq!(
            (lost.verdict, lost.vanished, lost.subnormal),
            (Verdict::Lost, 1.0, 1.0)
        );
        assert_eq!((lost.error, lost.cosine), (Some(1.0), 0.0));
        let zero = judged([0.0; 2], [0.0; 2], [0.0; 2]);
        assert_eq!(
            (zero.verdict, zero.cosine, zero.error),
            (Verdict::Right, 1.0, Some(0.0))
        );
        let made_up = judged([1.0, 0.0], [0.0; 2], [0.0; 2]);
        assert_eq!((made_up.verdict, made_up.error), (Verdict::Wrong, None));
    }

    #[test]
    fn what_cancels_is_zero_where_rounding_leaves_little_of_it() {
        // 1e-10 of the largest, of which rounding makes 1e-5.
        let noise = judged([1e-4, 0.0], [1e-9, 0.0], [0.0, 1e-4]);
        assert_eq!(noise.verdict, Verdict::Zero, "{noise:?}");
        let exactly = judged([1e-4, 0.0], [0.0; 2], [0.0, 1e-4]);
        assert_eq!(exactly.verdict, Verdict::Zero, "{exactly:?}");
        // As much as moves a weight.
        let much = judged([0.2, 0.0], [1e-9, 0.0], [0.0, 0.2]);
        assert_eq!(much.verdict, Verdict::Lost, "{much:?}");
        // Further off than rounding does is wrong, however small it is.
        let wrong = judged([1e-2, 0.0], [1e-9, 0.0], [0.0, 1e-4]);
        assert_eq!(wrong.verdict, Verdict::Wrong, "{wrong:?}");
        // Small, and not what is left of zero: rounding makes none of it.
        let small = judged([0.0; 2], [1e-9, 0.0], [0.0; 2]);
        assert_eq!(small.verdict, Verdict::Lost, "{small:?}");
    }
}
