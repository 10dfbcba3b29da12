//! A line per epoch on standard output, and a bar where standard error is a terminal that can move its cursor.

use super::{Show, Started};
use crate::output::{self, remark, say};
use ane_train::{
    fit::{EpochMetrics, Event, show},
    forensics,
    metric::{Metric, Tally},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Lines, and a bar.
pub(super) struct Lines {
    bar: Option<ProgressBar>,
    since: Instant,
    shown: Instant,
    examples: u64,
    metrics: Vec<&'static dyn Metric>,
    tallies: Vec<Tally>,
    loss: f64,
    epochs: u64,
}

/// Time between changes of the bar's message.
const REFRESH: Duration = Duration::from_millis(100);

impl Lines {
    /// Says what begins.
    pub(super) fn new(started: &Started<'_>) -> Self {
        say!(
            "{} on {}, {} plan on `{}` for {}, {} threads, seed {}; run directory {}",
            started.model,
            started.data,
            started.plan,
            started.device,
            started.target,
            started.threads,
            started.seed,
            started.run.display()
        );
        output::write(started.layers);
        let bar = moves_its_cursor().then(|| {
            let bar = ProgressBar::new(started.steps);
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg} eta {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.set_position(started.step);
            bar.reset_eta();
            bar
        });
        Self {
            bar,
            since: Instant::now(),
            shown: Instant::now(),
            examples: 0,
            metrics: started.metrics.to_vec(),
            tallies: vec![Tally::default(); started.metrics.len()],
            loss: 0.0,
            epochs: started.epochs,
        }
    }

    fn values(&self) -> Vec<(&'static str, f64)> {
        let pairs = self.metrics.iter().zip(&self.tallies);
        pairs.map(|(m, t)| (m.name(), m.value(t))).collect()
    }

    /// Prints while the bar is off the screen: standard output may be the same terminal.
    fn beside_the_bar(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Show for Lines {
    fn show(&mut self, event: &Event) {
        match event {
            Event::Step { epoch, outcome, .. } => {
                self.examples += outcome.examples as u64;
                for (tally, more) in self.tallies.iter_mut().zip(&outcome.tallies) {
                    tally.sum += more.sum;
                    tally.count += more.count;
                }
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
                    let speed = self.examples as f64 / self.since.elapsed().as_secs_f64();
                    bar.set_message(format!(
                        "epoch {}/{} loss {:.4}{} {speed:.0} examples/s loss scale {}",
                        epoch + 1,
                        self.epochs,
                        self.loss,
                        show(&self.values(), &self.metrics),
                        outcome.loss_scale
                    ));
                }
            }
            Event::Fault { step, message } => {
                let line = format!("{message}; started again, going on from step {step}");
                self.beside_the_bar(|| remark!("{line}"));
                if let Some(bar) = &self.bar {
                    bar.set_position(*step);
                }
            }
            Event::Findings(findings) => {
                let lines = forensics::lines(findings);
                self.beside_the_bar(|| lines.iter().for_each(|line| remark!("{line}")));
            }
            Event::Recorded { step, bundle } => {
                let bundle = bundle.display();
                self.beside_the_bar(|| {
                    remark!("step {step} is kept: ane-trainer replay {bundle}");
                });
            }
            Event::Epoch(m) => {
                let line = epoch_line(m, self.epochs, &self.metrics);
                self.beside_the_bar(|| say!("{line}"));
                self.tallies.fill(Tally::default());
                self.examples = 0;
                self.since = Instant::now();
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whether standard error is a terminal on which a line can be drawn again; a dumb one, and one that says nothing of
/// itself, only adds to what it shows.
fn moves_its_cursor() -> bool {
    let says = std::env::var_os("TERM").unwrap_or_default();
    std::io::stderr().is_terminal() && !says.is_empty() && says != "dumb"
}

/// The line of an epoch.
pub(crate) fn epoch_line(m: &EpochMetrics, epochs: u64, metrics: &[&'static dyn Metric]) -> String {
    let validation = m.validation_loss.map_or_else(String::new, |loss| {
        format!(
            "  validation loss {loss:.4}{}",
            show(&m.validation, metrics)
        )
    });
    let loss = m
        .train_loss
        .map_or_else(|| "not finite".to_owned(), |loss| format!("{loss:.4}"));
    let skipped = if m.skipped > 0 {
        format!("  skipped {}", m.skipped)
    } else {
        String::new()
    };
    let speed = if m.examples_per_second.is_finite() {
        format!("  {:.0} examples/s", m.examples_per_second)
    } else {
        String::new()
    };
    format!(
        "epoch {:>2}/{epochs}  loss {loss}{}{validation}  lr {:.2e}  loss scale {}{skipped}{speed}",
        m.epoch,
        show(&m.train, metrics),
        m.lr,
        m.loss_scale
    )
}
