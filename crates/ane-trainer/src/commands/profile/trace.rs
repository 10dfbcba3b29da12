//! Steps one by one in Chrome's Trace Event Format, which Perfetto and Chrome draw as a timeline.
//!
//! A step is divided into what it waits for examples, programs of the engine, and the host between those. Ops lie in their
//! stage one after another in the order of the program, each as long as its share of the time of the threads: when an op
//! began is not measured, how long its tasks ran is.

use crate::timed_training::{Phases, Taken, TimedTraining};
use ane_train::profile::{Execution, Profile};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Process and thread of all events: a slice within another is drawn below it.
const PROCESS: u32 = 1;
const THREAD: u32 = 1;

/// A part of the time that has passed since the first step, in nanoseconds: of whole numbers, ends that meet do meet.
#[derive(Clone, Copy)]
struct Span {
    from: u128,
    to: u128,
}

impl Span {
    fn of(since: Duration, elapsed: Duration) -> Self {
        let from = since.as_nanos();
        Self {
            from,
            to: from + elapsed.as_nanos(),
        }
    }

    /// A complete event of this time.
    fn event(self, name: &str, category: &str, args: Value) -> Value {
        json!({
            "ph": "X",
            "name": name,
            "cat": category,
            "ts": microseconds(self.from),
            "dur": microseconds(self.to - self.from),
            "pid": PROCESS,
            "tid": THREAD,
            "args": args,
        })
    }
}

fn microseconds(nanoseconds: u128) -> f64 {
    nanoseconds as f64 / 1e3
}

/// The trace of steps that were taken.
pub(super) fn of(training: &TimedTraining, phases: &Phases, profile: &Profile) -> Value {
    let name = |what: &str, name: &str| json!({"ph": "M", "name": what, "pid": PROCESS, "tid": THREAD, "args": {"name": name}});
    let mut events = vec![
        name("process_name", &training.title()),
        name("thread_name", "steps"),
    ];
    let mut executions = profile.executions();
    for (i, taken) in phases.taken.iter().enumerate() {
        let end = taken.since + taken.all;
        let (of_step, rest) =
            executions.split_at(executions.partition_point(|execution| execution.since < end));
        executions = rest;
        let begin = phases.taken[0].since;
        step(
            &mut events,
            (i + 1, taken),
            of_step,
            (begin, training.threads),
        );
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "title": training.title(),
            "machine": training.machine,
            "version": env!("CARGO_PKG_VERSION"),
        },
    })
}

/// The events of a step.
fn step(
    events: &mut Vec<Value>,
    (number, taken): (usize, &Taken),
    executions: &[Execution],
    (begin, threads): (Instant, usize),
) {
    let since = taken.since.duration_since(begin);
    let whole = Span::of(since, taken.all);
    events.push(whole.event("step", "step", json!({"step": number})));
    let data = Span::of(since, taken.data);
    events.push(data.event("data", "data", json!({})));
    let mut done = data.to;
    let host = |events: &mut Vec<Value>, from: u128, to: u128| {
        if from < to {
            events.push(Span { from, to }.event("host", "host", json!({})));
        }
    };
    let mut stages = Vec::new();
    for execution in executions {
        let span = Span::of(execution.since.duration_since(begin), execution.elapsed);
        let args = json!({"stage": execution.stage + 1});
        if execution.side == "engine" {
            host(events, done, span.from);
            events.push(span.event("engine", "engine", args));
            done = span.to;
        } else {
            // It is a part of what the host does, which is not divided yet.
            stages.push(span.event("host stage", "stage", args));
        }
        ops(&mut stages, execution, span.from, threads as u128);
    }
    host(events, done, whole.to);
    events.append(&mut stages);
}

/// The ops of an execution that begins there.
fn ops(events: &mut Vec<Value>, execution: &Execution, begin: u128, threads: u128) {
    let mut from = begin;
    for (place, time) in &execution.ops {
        let to = from + time.as_nanos() / threads;
        let name = match place.op {
            "" => "ports",
            op => op,
        };
        let args = json!({
            "layer": place.layer,
            "pass": place.pass,
            "side": place.side,
            "thread_us": microseconds(time.as_nanos()),
        });
        events.push(Span { from, to }.event(name, "op", args));
        from = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_train::profile::OpPlace;

    #[test]
    fn stages_of_the_host_are_a_part_of_what_it_does() {
        let begin = Instant::now();
        let at = |nanoseconds| begin + Duration::from_nanos(nanoseconds);
        let execution = |side: &'static str, from, elapsed| Execution {
            stage: 0,
            side,
            since: at(from),
            elapsed: Duration::from_nanos(elapsed),
            ops: vec![(
                OpPlace {
                    layer: "embedding".to_owned(),
                    pass: "forward",
                    op: "gather",
                    side,
                },
                Duration::from_nanos(8),
            )],
        };
        let taken = Taken {
            since: at(1000),
            data: Duration::from_nanos(10),
            all: Duration::from_nanos(100),
        };
        let executions = [execution("host", 1020, 10), execution("engine", 1040, 30)];
        let mut events = Vec::new();
        step(&mut events, (1, &taken), &executions, (begin, 2));
        let of = |event: &Value| {
            let [from, long] =
                ["ts", "dur"].map(|at| (1e3 * event[at].as_f64().unwrap_or(-1.0)).round());
            let category = event["cat"].as_str().unwrap_or_default().to_owned();
            (category, from, from + long)
        };
        let found: Vec<_> = events.iter().map(of).collect();
        let expected = [
            ("step", 1000.0, 1100.0),
            ("data", 1000.0, 1010.0),
            ("host", 1010.0, 1040.0),
            ("engine", 1040.0, 1070.0),
            ("host", 1070.0, 1100.0),
            ("stage", 1020.0, 1030.0),
            ("op", 1020.0, 1024.0),
            ("op", 1040.0, 1044.0),
        ];
        let expected = expected.map(|(name, from, to)| (name.to_owned(), from, to));
        assert_eq!(found, expected);
    }
}
