//! `watch`: follows a run by its files, which says what `train` does.

use super::runs::data_name;
use crate::{
    ended::Ended,
    failure::Failure,
    missing_run::missing_run,
    output::{self, columns, remark, say},
    progress::epoch_line,
};
use ane_train::{
    data::catalog,
    fit::EpochMetrics,
    metric::{self, Metric},
    run_dir::{Row, RunDir, RunState, Summary},
};
use serde_json::{Map, Value, json};
use std::{
    io::stdout,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run directory
    run: PathBuf,
}

/// Time between two looks at the files.
const PAUSE: Duration = Duration::from_millis(200);
/// Most bytes of a JSON file of a run.
const LARGEST_JSON: u64 = 1 << 26;

pub(crate) fn run(args: &Args) -> Result<Ended, Failure> {
    let run = RunDir::open(&args.run);
    if !args.run.is_dir() {
        return Err(missing_run(&args.run));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // Where no handler can be set, Ctrl-C ends the process as it does by itself.
    let _ = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));
    let mut seen = Seen {
        run,
        config: None,
        step: 0,
    };
    loop {
        // Asked first: what is written until the end is then read after it.
        let trained_by = seen.run.trained_by();
        seen.tell(trained_by)?;
        if trained_by.is_none() {
            return seen.end();
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(Ended::Interrupted);
        }
        thread::sleep(PAUSE);
    }
}

/// What has been told of a run.
struct Seen {
    run: RunDir,
    /// Its configuration, once it is there.
    config: Option<Value>,
    /// The step of the last line.
    step: u64,
}

impl Seen {
    /// Tells what is new.
    fn tell(&mut self, trained_by: Option<u32>) -> Result<(), Failure> {
        if self.config.is_none() {
            self.config = json(&self.run.config());
            match &self.config {
                Some(config) => begin(config, &self.run, trained_by),
                None if trained_by.is_some() => return Ok(()),
                None => {
                    return Err(missing_run(self.run.root()));
                }
            }
        }
        let metrics = self.run.read_metrics()?;
        let last = metrics.iter().filter_map(Row::step).max().unwrap_or(0);
        if last < self.step {
            remark!("the run goes on from an earlier checkpoint, after step {last}");
            self.step = last;
        }
        if last == self.step {
            return Ok(());
        }
        let timing = self.run.read_timing()?;
        for row in &metrics {
            let Some(step) = row.step().filter(|step| *step > self.step) else {
                continue;
            };
            self.step = step;
            let of_step = timing.iter().find(|t| t.step() == Some(step));
            let speed = of_step.and_then(|t| t.number("examples_per_second"));
            output::event("epoch", row);
            if let Some(timing) = of_step {
                output::event("timing", timing);
            }
            if let Some(metrics) = EpochMetrics::of(row, speed.unwrap_or(f64::NAN)) {
                let epochs = self.config.as_ref().and_then(|c| c["epochs"].as_u64());
                let epochs = epochs.unwrap_or(0);
                say!(
                    "{}",
                    epoch_line(&metrics, epochs, metric::ALL, columns(stdout()))
                );
            }
        }
        Ok(())
    }

    /// Tells what the run came to.
    fn end(&self) -> Result<Ended, Failure> {
        let result = json(&self.run.result());
        let (state, ending) = Summary::read(self.run.root())
            .map_or((RunState::Failed, None), |run| (run.state, run.ending));
        let why = ending.and_then(|ending| ending.message);
        self.tell_ended(result.as_ref(), state, why.as_deref());
        match result {
            Some(Value::Null) => say!("test: none was held out"),
            Some(result) => say!("{}", result_line(&result)),
            None => {}
        }
        let what = match state {
            RunState::Finished => {
                if let Some(why) = why {
                    say!("ended: {why}");
                }
                return Ok(Ended::Done);
            }
            RunState::Running => "the run goes on",
            RunState::Diverged => "the run has diverged",
            RunState::Failed if why.is_some() => "the run has failed",
            RunState::Failed | RunState::Stopped => "the run has stopped before its end",
        };
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let can_go_on = matches!(state, RunState::Stopped | RunState::Failed);
        if can_go_on && self.run.checkpoint("last").is_file() {
            say!(
                "{what}{why}; continue with:\n  ane-trainer train --resume {}",
                self.run.root().display()
            );
        } else {
            say!("{what}{why}");
        }
        Ok(Ended::Done)
    }

    /// The event of its end, with what its files say of it.
    fn tell_ended(&self, result: Option<&Value>, state: RunState, why: Option<&str>) {
        let (run, exit_code) = (output::path(self.run.root()), Ended::Done.code());
        match result {
            Some(test) => output::event(
                "finished",
                &json!({"run": run, "ending": state, "test": test, "exit_code": exit_code}),
            ),
            None => output::event(
                "interrupted",
                &json!({
                    "run": run,
                    "step": self.step,
                    "state": state,
                    "message": why,
                    "exit_code": exit_code,
                }),
            ),
        }
    }
}

/// The first event, with what the configuration says.
fn tell_started(config: &Value, run: &RunDir) {
    let fields = [
        "model", "dataset", "plan", "device", "target", "seed", "batch", "epochs",
    ];
    let known = fields.map(|name| (name.to_owned(), config[name].clone()));
    let mut started: Map<String, Value> = known.into_iter().collect();
    started.insert("schema".to_owned(), output::SCHEMA.into());
    started.insert("run".to_owned(), output::path(run.root()).into());
    started.insert("step".to_owned(), 0.into());
    output::event("started", &started);
}

fn json(file: &std::path::Path) -> Option<Value> {
    serde_json::from_slice(&ane_files::read(file, LARGEST_JSON).ok()?).ok()
}

/// What a data set is called in the first line of a training.
fn title(dataset: &str) -> String {
    catalog::find(dataset).map_or_else(|_| data_name(dataset), |spec| spec.title.to_owned())
}

fn begin(config: &Value, run: &RunDir, trained_by: Option<u32>) {
    tell_started(config, run);
    let field = |name: &str| match &config[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let by = trained_by.map_or("not in training".to_owned(), |id| {
        format!("trained by process {id}")
    });
    say!(
        "{} on {}, seed {}",
        field("model"),
        title(&field("dataset")),
        field("seed")
    );
    say!(
        "{} plan on `{}` for {}, {by}",
        field("plan"),
        field("device"),
        field("target")
    );
    say!("run directory {}", run.root().display());
}

/// What a run came to on the test set, as `train` says it.
fn result_line(result: &Value) -> String {
    let values = metric::ALL.iter().filter_map(|m: &&dyn Metric| {
        let value = result[m.name()].as_f64()?;
        Some(format!(" {} {}", m.name(), m.show(value)))
    });
    let values: String = values.collect();
    let number = |name: &str| result[name].as_f64().unwrap_or(f64::NAN);
    format!(
        "test:{values} on {} examples, loss {:.4}",
        result["examples"],
        number("loss")
    )
}
