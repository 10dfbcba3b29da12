//! The order of play: every contestant has its turn in every round, and only one runs at a time.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::contestants::Contestant;
use crate::bench::peer::{Peer, Run};

/// The first guess at a number of steps; calibration goes on from it.
const FIRST_STEPS: u64 = 16;

/// How long to wait between turns, so that the idle threads of the one before have gone to sleep.
const PAUSE: Duration = Duration::from_millis(400);

/// A contestant with its process and what was measured.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_ours: bool,
    /// How many steps one run has.
    pub(crate) steps: u64,
    /// One run per round.
    pub(crate) runs: Vec<Run>,
    pub(crate) peer: Peer,
}

impl Entry {
    /// The images per second of every round.
    pub(crate) fn speeds(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.images_per_second).collect()
    }
}

/// Starts every contestant and finds how many steps fill its turn.
///
/// # Errors
///
/// A contestant of ours that does not start is an error; a peer that does not start is left out, and the reason printed.
pub(crate) fn enter(contestants: Vec<Contestant>, batch: u32, seconds: f64) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for contestant in contestants {
        let Contestant {
            name,
            is_ours,
            command,
        } = contestant;
        let started = Peer::start(command)
            .and_then(|mut peer| Ok((calibrate(&mut peer, batch, seconds)?, peer)));
        match started.with_context(|| name.clone()) {
            Ok((steps, peer)) => {
                println!("{name}: {steps} steps a run; {}", peer.greeting);
                entries.push(Entry {
                    name,
                    is_ours,
                    steps,
                    runs: Vec::new(),
                    peer,
                });
            }
            Err(error) if is_ours => return Err(error),
            Err(error) => println!("left out: {error:#}"),
        }
    }
    Ok(entries)
}

/// Runs, unmeasured, ever more steps until they take a good part of a turn; gives the number of steps of a whole turn.
fn calibrate(peer: &mut Peer, batch: u32, seconds: f64) -> Result<u64> {
    // The first steps of a process are slow, and say nothing of the others.
    peer.run(FIRST_STEPS)?;
    let mut steps = FIRST_STEPS;
    loop {
        let steps_per_second = peer.run(steps)?.images_per_second / f64::from(batch);
        let wanted = (steps_per_second * seconds).ceil().max(1.0) as u64;
        // What runs for only a moment says little of its speed: too much of it is the first step.
        if steps.saturating_mul(2) >= wanted {
            return Ok(wanted);
        }
        steps = steps.saturating_mul(8).min(wanted);
    }
}

/// Gives everyone a turn per round; who is first moves on by one each round.
pub(crate) fn play(entries: &mut [Entry], rounds: u32) -> Result<()> {
    for round in 0..rounds as usize {
        let mut line = format!("round {}/{rounds}:", round + 1);
        for turn in 0..entries.len() {
            let next = (round + turn) % entries.len();
            let entry = &mut entries[next];
            thread::sleep(PAUSE);
            let run = entry
                .peer
                .run(entry.steps)
                .with_context(|| entry.name.clone())?;
            entry.runs.push(run);
            line.push_str(&format!("  {} {:.0}", entry.name, run.images_per_second));
        }
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A contestant that notes its turns in a file and claims a speed.
    fn fake(name: &str, is_ours: bool, speed: &str, log: &str) -> Contestant {
        let script = format!(
            "echo '{{}}'; while read l; do echo \"{name} $l\" >> '{log}'; echo '{{\"images_per_second\": {speed}, \"loss\": 1}}'; done"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        Contestant {
            name: name.to_owned(),
            is_ours,
            command,
        }
    }

    #[test]
    fn calibrates_then_takes_turns() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let path = log.to_str().unwrap();
        let mut entries = enter(
            vec![
                fake("a", true, "12800", path),
                fake("b", false, "640", path),
            ],
            128,
            2.0,
        )
        .unwrap();
        assert_eq!(
            entries.iter().map(|entry| entry.steps).collect::<Vec<_>>(),
            [200, 10]
        );
        std::fs::write(&log, "").unwrap();
        play(&mut entries, 2).unwrap();
        let run = |name: &str, steps: u32| format!("{name} {{\"op\":\"run\",\"steps\":{steps}}}\n");
        let expected = run("a", 200) + &run("b", 10) + &run("b", 10) + &run("a", 200);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), expected);
        assert_eq!(entries[1].speeds(), [640.0, 640.0]);
    }

    #[test]
    fn a_peer_may_fail_to_start_and_ours_may_not() {
        let broken = |is_ours| {
            let command = Command::new("no-such-program-anywhere");
            vec![Contestant {
                name: "x".to_owned(),
                is_ours,
                command,
            }]
        };
        assert!(enter(broken(false), 128, 1.0).unwrap().is_empty());
        assert!(enter(broken(true), 128, 1.0).is_err());
    }
}
