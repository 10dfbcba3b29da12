//! What is known of a run, from what its loop reports; [`picture`] draws it.

mod picture;

use super::{
    super::{Started, lines::epoch_line},
    course::Course,
};
use ane_train::{
    fit::{EpochMetrics, Event, Phases},
    forensics,
    metric::{Metric, Tally},
};
use std::collections::VecDeque;

/// Most lines of the log; older ones are in the files of the run.
const MOST_LINES: usize = 500;

/// Columns of the log on a terminal of eighty.
const LOG_COLUMNS: usize = 78;

/// What is known of a run.
pub(super) struct Dashboard {
    title: String,
    run: String,
    placement: Vec<String>,
    batch: usize,
    epochs: u64,
    steps: u64,
    step: u64,
    epoch: u64,
    skipped: u64,
    lr: f64,
    loss_scale: f32,
    grad_norm: Option<f64>,
    phases: Phases,
    metrics: Vec<&'static dyn Metric>,
    /// The loss, then every metric, then the learning rate and the loss scale.
    curves: Vec<Curve>,
    /// Which of them stands beside the loss.
    chosen: usize,
    state: State,
    /// Whether a key has asked for a checkpoint.
    awaited: bool,
    log: VecDeque<String>,
    /// The lines among those of the log that are nowhere else.
    remarks: Vec<String>,
}

/// What the run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Training,
    /// It waits after the step that it takes.
    Pausing,
    Paused,
    Stopping,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Pausing => "pausing",
            Self::Paused => "PAUSED",
            Self::Stopping => "stopping after this step; again: at once",
        }
    }
}

/// Values over the steps of a run.
struct Curve {
    name: &'static str,
    show: Box<dyn Fn(f64) -> String + Send>,
    train: Course,
    /// After epochs.
    validation: Vec<(f64, f64)>,
}

impl Curve {
    fn new(name: &'static str, show: impl Fn(f64) -> String + Send + 'static) -> Self {
        Self {
            name,
            show: Box::new(show),
            train: Course::default(),
            validation: Vec::new(),
        }
    }
}

impl Dashboard {
    /// Before the first step.
    pub(super) fn new(started: &Started<'_>) -> Self {
        let metrics = started.metrics.to_vec();
        let mut curves = vec![Curve::new("loss", |x| format!("{x:.4}"))];
        curves.extend(metrics.iter().map(|&m| Curve::new(m.name(), |x| m.show(x))));
        curves.push(Curve::new("learning rate", |x| format!("{x:.2e}")));
        curves.push(Curve::new("loss scale", |x| format!("{x:.0}")));
        Self {
            title: format!("{} on {}", started.model, started.data),
            run: started.run.display().to_string(),
            placement: started.placement.clone(),
            batch: started.batch,
            epochs: started.epochs,
            steps: started.steps,
            step: started.step,
            epoch: 0,
            skipped: 0,
            lr: f64::NAN,
            loss_scale: f32::NAN,
            grad_norm: None,
            phases: Phases::default(),
            metrics,
            curves,
            chosen: 1,
            state: State::Training,
            awaited: false,
            log: VecDeque::new(),
            remarks: Vec::new(),
        }
    }

    /// Takes note of what the loop reports.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Step {
                epoch,
                outcome,
                phases,
                ..
            } => {
                self.step += 1;
                self.epoch = epoch + 1;
                self.lr = outcome.lr;
                self.loss_scale = outcome.loss_scale;
                self.grad_norm = outcome.grad_norm;
                self.phases = *phases;
                self.skipped += u64::from(outcome.overflow);
                self.draw_on(f64::from(outcome.loss), &outcome.tallies);
            }
            Event::Epoch(metrics) => self.end_epoch(metrics),
            Event::Checkpoint { name, step, .. } => {
                // Every epoch ends with a `last`.
                if name != "last" || self.awaited {
                    self.add(format!("step {step}: checkpoint {name}"));
                }
                self.awaited &= name != "last";
            }
            Event::Paused => {
                self.state = State::Paused;
                self.add(format!("step {}: paused", self.step));
            }
            Event::Resumed => {
                self.state = State::Training;
                self.add(format!("step {}: goes on", self.step));
            }
            Event::Fault { step, message } => {
                self.log(format!(
                    "{message}; started again, going on from step {step}"
                ));
                self.go_back(*step);
            }
            Event::Findings(findings) => {
                forensics::lines(findings)
                    .into_iter()
                    .for_each(|line| self.log(line));
            }
            Event::Recorded { step, bundle } => {
                let bundle = bundle.display();
                self.log(format!("step {step} is kept: ane-trainer replay {bundle}"));
            }
            _ => {}
        }
    }

    fn draw_on(&mut self, loss: f64, tallies: &[Tally]) {
        let values = self.metrics.iter().zip(tallies).map(|(m, t)| m.value(t));
        let rest = [self.lr, f64::from(self.loss_scale)];
        let values: Vec<f64> = [loss].into_iter().chain(values).chain(rest).collect();
        for (curve, value) in self.curves.iter_mut().zip(values) {
            curve.train.push(self.step as f64, value);
        }
    }

    fn end_epoch(&mut self, metrics: &EpochMetrics) {
        let loss = metrics.validation_loss.map(|loss| ("loss", loss));
        for (name, value) in loss.into_iter().chain(metrics.validation.iter().copied()) {
            let of_name = self.curves.iter_mut().find(|c| c.name == name);
            if let (Some(curve), true) = (of_name, value.is_finite()) {
                curve.validation.push((metrics.step as f64, value));
            }
        }
        self.skipped = metrics.skipped;
        self.add(epoch_line(metrics, self.epochs, &self.metrics, LOG_COLUMNS));
    }

    /// Steps after this one are taken again.
    fn go_back(&mut self, step: u64) {
        self.step = step;
        for curve in &mut self.curves {
            curve.train.go_back(step as f64);
            curve.validation.retain(|p| p.0 <= step as f64);
        }
    }

    /// A line that is nowhere else.
    pub(super) fn log(&mut self, line: String) {
        self.remarks.push(line.clone());
        self.add(line);
    }

    fn add(&mut self, line: String) {
        if self.log.len() == MOST_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    /// The lines that are nowhere else; they are given once.
    pub(super) fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// Somebody asks the run to wait, or to go on.
    pub(super) fn asked_to_pause(&mut self, pauses: bool) {
        self.state = match (self.state, pauses) {
            (State::Stopping, _) => State::Stopping,
            (_, true) => State::Pausing,
            (_, false) => State::Training,
        };
    }

    /// Somebody asks for a checkpoint.
    pub(super) fn asked_for_checkpoint(&mut self) {
        self.awaited = true;
        self.add("a checkpoint is asked for".to_owned());
    }

    /// Somebody asks the run to end.
    pub(super) fn asked_to_stop(&mut self) {
        self.state = State::Stopping;
    }

    /// Somebody wants to see another curve.
    pub(super) fn next_curve(&mut self) {
        self.chosen = 1 + self.chosen % (self.curves.len() - 1);
    }
}

#[cfg(test)]
mod tests;
