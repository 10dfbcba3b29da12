//! What a run shows: a bar on a terminal, a line per epoch elsewhere.

use ane_train::fit::{EpochMetrics, Event};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Shows the events of a run.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    since: Instant,
    shown: Instant,
    images: u64,
    correct: u64,
    loss: f64,
    epochs: u64,
}

/// Time between changes of the bar's message.
const REFRESH: Duration = Duration::from_millis(100);

impl Progress {
    /// For a run of `steps`, of which `done` are done already.
    pub(crate) fn new(steps: u64, done: u64, epochs: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps);
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg} eta {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        Self {
            bar,
            since: Instant::now(),
            shown: Instant::now(),
            images: 0,
            correct: 0,
            loss: 0.0,
            epochs,
        }
    }

    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::Step {
                epoch,
                outcome,
                examples,
                ..
            } => {
                self.images += *examples as u64;
                self.correct += outcome.correct as u64;
                if outcome.loss.is_finite() {
                    self.loss = if self.loss == 0.0 {
                        f64::from(outcome.loss)
                    } else {
                        0.98 * self.loss + 0.02 * f64::from(outcome.loss)
                    };
                }
                let Some(bar) = &self.bar else { return };
                bar.inc(1);
                if self.shown.elapsed() >= REFRESH {
                    self.shown = Instant::now();
                    let speed = self.images as f64 / self.since.elapsed().as_secs_f64();
                    bar.set_message(format!(
                        "epoch {}/{} loss {:.4} accuracy {:.2} % {speed:.0} images/s loss scale {}",
                        epoch + 1,
                        self.epochs,
                        self.loss,
                        100.0 * self.correct as f64 / self.images as f64,
                        outcome.loss_scale
                    ));
                }
            }
            Event::Fault { step, message } => {
                let line = format!("{message}; started again, going on from step {step}");
                match &self.bar {
                    Some(bar) => {
                        bar.println(line);
                        bar.set_position(*step);
                    }
                    None => eprintln!("{line}"),
                }
            }
            Event::Epoch(m) => {
                let line = epoch_line(m, self.epochs);
                match &self.bar {
                    Some(bar) => bar.println(line),
                    None => println!("{line}"),
                }
                self.correct = 0;
                self.images = 0;
                self.since = Instant::now();
            }
            _ => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn epoch_line(m: &EpochMetrics, epochs: u64) -> String {
    let validation = match (m.validation_loss, m.validation_accuracy) {
        (Some(loss), Some(accuracy)) => {
            format!(
                "  validation loss {loss:.4} accuracy {:.2} %",
                100.0 * accuracy
            )
        }
        _ => String::new(),
    };
    let loss = m
        .train_loss
        .map_or_else(|| "not finite".to_owned(), |loss| format!("{loss:.4}"));
    let skipped = if m.skipped > 0 {
        format!("  skipped {}", m.skipped)
    } else {
        String::new()
    };
    format!(
        "epoch {:>2}/{epochs}  loss {loss} accuracy {:.2} %{validation}  lr {:.2e}  loss scale {}{skipped}  {:.0} images/s",
        m.epoch,
        100.0 * m.train_accuracy,
        m.lr,
        m.loss_scale,
        m.images_per_second
    )
}
