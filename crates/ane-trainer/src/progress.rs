//! What a run shows while it trains: lines and a bar, a screen, events as JSON, or nothing.

mod events;
mod lines;
mod nothing;
mod tui;

pub(crate) use lines::epoch_line;
pub(crate) use tui::{leave_screen, screen_is_possible};

use crate::{
    failure::Failure,
    output::{self, Manner},
};
use ane_train::{
    fit::{Control, Event},
    metric::Metric,
};
use serde::Serialize;
use std::{path::Path, sync::Arc};

/// Shows the events of a run.
pub(crate) trait Show {
    /// Shows what the loop reports.
    fn show(&mut self, event: &Event);
    /// The loop has ended.
    fn finish(&mut self);
}

/// What begins.
#[derive(Serialize)]
pub(crate) struct Started<'a> {
    /// The run directory.
    pub(crate) run: &'a Path,
    pub(crate) model: &'a str,
    /// The data set as `--dataset` or `--data` has it.
    pub(crate) dataset: &'a str,
    /// Its title.
    pub(crate) data: &'a str,
    pub(crate) plan: &'static str,
    pub(crate) device: &'a str,
    pub(crate) target: String,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    pub(crate) batch: usize,
    pub(crate) epochs: u64,
    /// Steps of the whole run.
    pub(crate) steps: u64,
    /// Those that are done already.
    pub(crate) step: u64,
    /// Values that are trained.
    pub(crate) parameters: usize,
    #[serde(skip)]
    pub(crate) metrics: &'a [&'static dyn Metric],
    /// A table of the layers, for people.
    #[serde(skip)]
    pub(crate) layers: &'a str,
    /// What of a step runs where, in lines for people.
    #[serde(skip)]
    pub(crate) placement: Vec<String>,
}

/// Says what begins in the way that the command says things, and gives what shows the rest: on a screen, if there is to
/// be one, whose keys ask through `control`.
///
/// # Errors
/// When the terminal cannot show a screen.
pub(crate) fn begin(
    started: &Started<'_>,
    screen: bool,
    control: &Arc<Control>,
) -> Result<Box<dyn Show>, Failure> {
    Ok(match output::manner() {
        Manner::Lines if screen => Box::new(tui::Tui::begin(started, control.clone())?),
        Manner::Lines => Box::new(lines::Lines::new(started)),
        Manner::Quiet | Manner::Object => Box::new(nothing::Nothing),
        Manner::Events => Box::new(events::Events::new(started)),
    })
}
