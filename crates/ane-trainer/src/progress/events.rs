//! An object of JSON a line, as `docs/json.md` describes them.

use super::{Show, Started};
use crate::output::{self, remark};
use ane_train::{fit::Event, forensics};
use serde::Serialize;
use serde_json::json;
use std::time::{Duration, Instant};

/// Least time between two steps that are told of.
const PAUSE: Duration = Duration::from_millis(100);

/// Steps, epochs and what else happens.
pub(super) struct Events {
    /// Steps taken so far.
    step: u64,
    /// When a step was told of.
    told: Option<Instant>,
}

/// The first object.
#[derive(Serialize)]
struct First<'a> {
    schema: u32,
    #[serde(flatten)]
    started: &'a Started<'a>,
}

impl Events {
    /// Says what begins.
    pub(super) fn new(started: &Started<'_>) -> Self {
        output::event(
            "started",
            &First {
                schema: output::SCHEMA,
                started,
            },
        );
        Self {
            step: started.step,
            told: None,
        }
    }
}

impl Show for Events {
    fn show(&mut self, event: &Event) {
        match event {
            Event::Step { epoch, outcome, .. } => {
                self.step += 1;
                if self.told.is_some_and(|told| told.elapsed() < PAUSE) {
                    return;
                }
                self.told = Some(Instant::now());
                output::event(
                    "step",
                    &json!({
                        "step": self.step,
                        "epoch": epoch + 1,
                        "loss": outcome.loss,
                        "lr": outcome.lr,
                        "loss_scale": outcome.loss_scale,
                        "grad_norm": outcome.grad_norm,
                        "skipped": outcome.overflow,
                    }),
                );
            }
            Event::Epoch(metrics) => output::event("epoch", metrics),
            Event::Timing(timing) => output::event("timing", timing),
            Event::Checkpoint { name, step, path } => output::event(
                "checkpoint",
                &json!({"name": name, "step": step, "path": path}),
            ),
            Event::Fault { step, message } => {
                self.step = *step;
                output::event("fault", &json!({"step": step, "message": message}));
            }
            Event::Findings(findings) => {
                let lines = forensics::lines(findings);
                lines.iter().for_each(|line| remark!("{line}"));
            }
            Event::Recorded { step, bundle } => {
                output::event("recorded", &json!({"step": step, "bundle": bundle}));
            }
            _ => {}
        }
    }

    fn finish(&mut self) {}
}
