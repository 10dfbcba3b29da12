//! A line per epoch on standard output, and a bar where standard error is a terminal that can move its cursor.

use super::{Show, Started};
use crate::output::{self, columns, remark, say};
use ane_train::{
    fit::{EpochMetrics, Event, show},
    forensics,
    metric::{Metric, Tally},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr, stdout},
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
            "{} on {}, seed {}",
            started.model,
            started.data,
            started.seed
        );
        say!(
            "{} plan on `{}` for {}, {} threads",
            started.plan,
            started.device,
            started.target,
            started.threads
        );
        say!("run directory {}", started.run.display());
        output::write(started.layers);
        let bar = moves_its_cursor().then(|| {
            let bar = ProgressBar::new(started.steps);
            let style = ProgressStyle::with_template("{bar:12} {percent:>3}% {msg} eta {eta}")
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
                        "epoch {}/{} loss {:.4}{} {speed:.0}/s",
                        epoch + 1,
                        self.epochs,
                        self.loss,
                        show(&self.values(), &self.metrics)
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
                let line = epoch_line(m, self.epochs, &self.metrics, columns(stdout()));
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
    stderr().is_terminal() && !says.is_empty() && says != "dumb"
}

/// The line of an epoch on so many columns. Where there are too few, what says least is left out, and of what is left the
/// rest goes on in a line below.
pub(crate) fn epoch_line(
    m: &EpochMetrics,
    epochs: u64,
    metrics: &[&'static dyn Metric],
    columns: usize,
) -> String {
    let digits = epochs.to_string().len().max(2);
    let head = format!("epoch {:>digits$}/{epochs}", m.epoch);
    let loss = m
        .train_loss
        .map_or_else(|| "not finite".to_owned(), |loss| format!("{loss:.4}"));
    let validation = m
        .validation_loss
        .map(|loss| format!("val loss {loss:.4}{}", show(&m.validation, metrics)));
    let skipped = (m.skipped > 0).then(|| format!("skipped {}", m.skipped));
    let speed = m.examples_per_second;
    let speed = speed.is_finite().then(|| format!("{speed:.0} examples/s"));
    let judged = [
        Some(format!("loss {loss}{}", show(&m.train, metrics))),
        validation,
        skipped,
    ];
    let judged: Vec<String> = judged.into_iter().flatten().collect();
    let told = [
        Some(format!("lr {:.2e}", m.lr)),
        Some(format!("loss scale {}", m.loss_scale)),
        speed,
    ];
    let mut told: Vec<String> = told.into_iter().flatten().collect();
    let width = |parts: &[String]| parts.iter().map(|p| p.len() + 2).sum::<usize>();
    while !told.is_empty() && head.len() + width(&judged) + width(&told) > columns {
        told.remove(0);
    }
    let mut text = head.clone();
    let mut used = head.len();
    for part in judged.into_iter().chain(told) {
        if used + part.len() + 2 > columns && used > head.len() {
            text.push('\n');
            text.push_str(&" ".repeat(head.len()));
            used = head.len();
        }
        used += part.len() + 2;
        text.push_str("  ");
        text.push_str(&part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_train::{fit::Values, metric};

    fn line(names: &[&'static str], columns: usize) -> String {
        let metrics: Vec<_> = names.iter().map(|n| metric::named(n).unwrap()).collect();
        let values: Values = names.iter().map(|n| (*n, 0.9012)).collect();
        let epoch = EpochMetrics {
            epoch: 3,
            step: 120,
            train_loss: Some(0.25),
            train: values.clone(),
            validation_loss: Some(0.5),
            validation: values,
            lr: 1e-3,
            loss_scale: 1024.0,
            skipped: 0,
            examples_per_second: 51_199.0,
        };
        epoch_line(&epoch, 20, &metrics, columns)
    }

    #[test]
    fn a_line_says_as_much_as_there_is_room_for() {
        let judged = "epoch  3/20  loss 0.2500 accuracy 90.12 %  val loss 0.5000 accuracy 90.12 %";
        let whole = format!("{judged}  lr 1.00e-3  loss scale 1024  51199 examples/s");
        assert_eq!(line(&["accuracy"], usize::MAX), whole);
        assert_eq!(line(&["accuracy"], whole.len()), whole);
        let less = whole.replace("  lr 1.00e-3", "");
        assert_eq!(line(&["accuracy"], whole.len() - 1), less);
        assert_eq!(line(&["accuracy"], 80), judged);
        let broken = "epoch  3/20  loss 0.2500 accuracy 90.12 % top5 90.12 %\n\
                      \x20            val loss 0.5000 accuracy 90.12 % top5 90.12 %";
        assert_eq!(line(&["accuracy", "top5"], 80), broken);
        // Where nothing fits, every part has its line.
        assert_eq!(line(&["accuracy"], 10).lines().count(), 2);
    }
}
