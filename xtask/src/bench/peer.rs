//! A contestant as a process that stays alive and trains when asked to.
//!
//! It prints one line of JSON as a greeting. Each request `{"op": "run", "steps": N}` is answered by one line that holds
//! `images_per_second`, the `loss` of the last step and `peak_bytes` of memory, or an `error`. It ends when its input ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process;

/// How long a process may take to end after its input has ended.
const PATIENCE: Duration = Duration::from_secs(3);

/// A running contestant.
pub(crate) struct Peer {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    command: String,
    /// What the process said of itself.
    pub(crate) greeting: Value,
}

/// The answer to one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Run {
    pub(crate) images_per_second: f64,
    /// The loss of the last step; NaN when the process reports none.
    pub(crate) loss: f64,
    /// The peak of the memory that training took; NaN when the process reports none.
    pub(crate) peak_bytes: f64,
}

impl Peer {
    /// Starts the process and waits for its greeting.
    pub(crate) fn start(mut command: Command) -> Result<Peer> {
        let line = process::describe(&command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("a process without output")?);
        let mut peer = Peer {
            child,
            requests,
            answers,
            command: line,
            greeting: Value::Null,
        };
        peer.greeting = peer.read()?;
        Ok(peer)
    }

    /// Trains for some steps.
    pub(crate) fn run(&mut self, steps: u64) -> Result<Run> {
        let requests = self
            .requests
            .as_mut()
            .context("the input of a contestant is closed")?;
        // A process that has ended is reported by the read below, which knows more.
        let _ = writeln!(requests, "{}", json!({ "op": "run", "steps": steps }))
            .and_then(|()| requests.flush());
        let answer = self.read()?;
        let speed = answer
            .get("images_per_second")
            .and_then(Value::as_f64)
            .filter(|speed| speed.is_finite() && *speed > 0.0);
        match speed {
            Some(images_per_second) => {
                let number =
                    |name: &str| answer.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
                Ok(Run {
                    images_per_second,
                    loss: number("loss"),
                    peak_bytes: number("peak_bytes"),
                })
            }
            None => bail!("`{}` answered {answer}", self.command),
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        let count = self
            .answers
            .read_line(&mut line)
            .with_context(|| format!("cannot read from `{}`", self.command))?;
        if count == 0 {
            let status = self
                .child
                .wait()
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            bail!("`{}` ended without an answer ({status})", self.command);
        }
        // Python reports a loss that is not finite in a way that JSON does not know.
        let line = line
            .replace("NaN", "null")
            .replace("-Infinity", "null")
            .replace("Infinity", "null");
        serde_json::from_str(&line)
            .with_context(|| format!("`{}` printed {line:?}, which is not JSON", self.command))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.requests.take());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Peer> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Peer::start(command)
    }

    #[test]
    fn greets_answers_and_ends() {
        let mut peer = shell(r#"echo '{"threads": 2}'; while read l; do echo '{"images_per_second": 5e3, "loss": NaN}'; done"#).unwrap();
        assert_eq!(peer.greeting["threads"], 2);
        for _ in 0..2 {
            let run = peer.run(10).unwrap();
            assert_eq!(run.images_per_second, 5000.0);
            assert!(run.loss.is_nan());
        }
    }

    #[test]
    fn requests_name_the_steps() {
        let mut peer = shell(r#"echo '{}'; read l; [ "$l" = '{"op":"run","steps":7}' ] && echo '{"images_per_second": 1, "loss": 2, "peak_bytes": 3}'"#).unwrap();
        assert_eq!(
            peer.run(7).unwrap(),
            Run {
                images_per_second: 1.0,
                loss: 2.0,
                peak_bytes: 3.0,
            }
        );
    }

    #[test]
    fn failures_name_the_command_and_the_answer() {
        let message = |result: Result<Peer>| {
            result
                .err()
                .map(|error| format!("{error:#}"))
                .unwrap_or_default()
        };
        assert!(message(shell("exit 4")).contains("ended without an answer"));
        assert!(message(shell("echo hello")).contains("not JSON"));
        let mut peer = shell(r#"echo '{}'; read l; echo '{"error": "no data"}'; read l"#).unwrap();
        assert!(peer.run(1).unwrap_err().to_string().contains("no data"));
    }
}
