//! What is asked of a run from outside: to stop, to pause, to write a checkpoint.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// What somebody asks of a run, which looks at it between steps. It is shared by reference: whoever asks may be another
/// thread.
#[derive(Debug, Default)]
pub struct Control {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    stop: bool,
    pause: bool,
    checkpoint: bool,
}

impl Control {
    /// Asks the run to end in good order after its step, and says whether it had been asked before.
    pub fn stop(&self) -> bool {
        std::mem::replace(&mut self.ask().stop, true)
    }

    /// Asks the run to wait before its next step, or to go on, and says whether it is to wait now.
    pub fn pause_or_resume(&self) -> bool {
        let mut asked = self.ask();
        asked.pause = !asked.pause;
        asked.pause
    }

    /// Asks for a checkpoint after the step, or at once where the run waits.
    pub fn write_checkpoint(&self) {
        self.ask().checkpoint = true;
    }

    /// Whether the run is to end.
    pub(super) fn stops(&self) -> bool {
        self.read().stop
    }

    /// Whether the run is to wait; one that is to end does not.
    pub(super) fn pauses(&self) -> bool {
        let asked = self.read();
        asked.pause && !asked.stop
    }

    /// Whether a checkpoint is asked for; the answer is given once.
    pub(super) fn takes_checkpoint(&self) -> bool {
        std::mem::take(&mut self.read().checkpoint)
    }

    /// Waits until something else is asked than to wait, or until `end`.
    pub(super) fn wait(&self, end: Option<Instant>) {
        let waits = |asked: &mut Asked| asked.pause && !asked.stop && !asked.checkpoint;
        let asked = self.read();
        // What comes of it is read by whoever asked for the wait.
        match end.map(|end| end.saturating_duration_since(Instant::now())) {
            Some(time) => drop(self.changed.wait_timeout_while(asked, time, waits)),
            None => drop(self.changed.wait_while(asked, waits)),
        }
    }

    fn read(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To change what is asked. Whoever waits wakes, and finds the change when the guard is gone.
    fn ask(&self) -> MutexGuard<'_, Asked> {
        let asked = self.read();
        self.changed.notify_all();
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_pause_ends_by_what_is_asked_next() {
        for what in ["stop", "resume", "checkpoint"] {
            let control = Control::default();
            assert!(control.pause_or_resume() && control.pauses(), "{what}");
            thread::scope(|scope| {
                let waiting = scope.spawn(|| control.wait(None));
                match what {
                    "stop" => assert!(!control.stop()),
                    "resume" => assert!(!control.pause_or_resume()),
                    _ => control.write_checkpoint(),
                }
                waiting.join().unwrap();
            });
            assert_eq!(control.stops(), what == "stop");
            assert_eq!(control.pauses(), what == "checkpoint");
            assert_eq!(control.takes_checkpoint(), what == "checkpoint");
            assert!(!control.takes_checkpoint());
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_run_has() {
        let control = Control::default();
        control.pause_or_resume();
        control.wait(Some(Instant::now()));
        assert!(!control.stop() && control.stop());
    }
}
