//! The whole terminal: curves, the state of the run, what it is on, what happens, and keys that steer it.
//!
//! A thread of its own draws and reads keys; the loop only leaves what happened, and is never kept waiting by a terminal.

mod course;
mod dashboard;
mod screen;

pub(crate) use screen::{is_possible as screen_is_possible, leave as leave_screen};

use super::{Show, Started};
use crate::{ended::Ended, failure::Failure, output};
use ane_train::fit::{Control, Event};
use dashboard::Dashboard;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use screen::Screen;
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Time between two pictures.
const REFRESH: Duration = Duration::from_millis(100);

/// A run on the terminal.
pub(super) struct Tui {
    dashboard: Arc<Mutex<Dashboard>>,
    over: Arc<AtomicBool>,
    drawing: Option<JoinHandle<()>>,
}

impl Tui {
    /// Takes the terminal for a run.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) fn begin(started: &Started<'_>, control: Arc<Control>) -> Result<Self, Failure> {
        let dashboard = Arc::new(Mutex::new(Dashboard::new(started)));
        let over = Arc::new(AtomicBool::new(false));
        let screen = Screen::enter().map_err(not_had)?;
        let kept = dashboard.clone();
        output::send_remarks_to(Box::new(move |line| {
            with(&kept, |d| d.log(line.to_owned()))
        }));
        let drawer = Drawer {
            screen,
            dashboard: dashboard.clone(),
            over: over.clone(),
            control,
        };
        let drawing = thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(|| drawer.run())
            .map_err(|e| {
                give_back();
                not_had(e)
            })?;
        Ok(Self {
            dashboard,
            over,
            drawing: Some(drawing),
        })
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(drawing) = self.drawing.take() {
            // What it panicked of has been said.
            let _ = drawing.join();
            give_back();
            output::repeat(&with(&self.dashboard, Dashboard::take_remarks));
        }
    }
}

impl Show for Tui {
    fn show(&mut self, event: &Event) {
        with(&self.dashboard, |d| d.take(event));
    }

    fn finish(&mut self) {
        self.end();
    }
}

/// A panic in the loop leaves a terminal on which it can be read.
impl Drop for Tui {
    fn drop(&mut self) {
        self.end();
    }
}

fn not_had(e: io::Error) -> Failure {
    Failure::because(
        "cannot draw on the terminal",
        e,
        "leave --tui out; `ane-trainer watch RUN` follows a run from another terminal",
    )
}

/// The terminal is again that of lines.
fn give_back() {
    screen::leave();
    output::keep_remarks();
}

fn with<R>(dashboard: &Mutex<Dashboard>, what: impl FnOnce(&mut Dashboard) -> R) -> R {
    what(&mut dashboard.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What draws, and reads keys.
struct Drawer {
    screen: Screen,
    dashboard: Arc<Mutex<Dashboard>>,
    over: Arc<AtomicBool>,
    control: Arc<Control>,
}

impl Drawer {
    fn run(mut self) {
        let since = Instant::now();
        while !self.over.load(Ordering::Relaxed) {
            let drawn = self.screen.draw(|frame| {
                with(&self.dashboard, |d| d.draw(frame, since.elapsed()));
            });
            // The run goes on without a terminal that has gone.
            if drawn.and_then(|()| self.read_keys()).is_err() {
                return;
            }
        }
    }

    /// Does what keys ask for, until it is time for the next picture.
    fn read_keys(&self) -> io::Result<()> {
        let until = Instant::now() + REFRESH;
        while event::poll(until.saturating_duration_since(Instant::now()))? {
            match event::read()? {
                event::Event::Key(key) if key.kind != KeyEventKind::Release => self.press(key),
                event::Event::Resize(..) => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    fn press(&self, key: KeyEvent) {
        let is_ctrl_c =
            key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') => self.stop(),
            KeyCode::Char('c') if is_ctrl_c => self.stop(),
            KeyCode::Char('p' | ' ') => {
                let pauses = self.control.pause_or_resume();
                with(&self.dashboard, |d| d.asked_to_pause(pauses));
            }
            KeyCode::Char('c') => {
                self.control.write_checkpoint();
                with(&self.dashboard, Dashboard::asked_for_checkpoint);
            }
            KeyCode::Char('m') | KeyCode::Tab => with(&self.dashboard, Dashboard::next_curve),
            _ => {}
        }
    }

    /// As Ctrl-C without a screen: the second time at once.
    fn stop(&self) {
        if self.control.stop() {
            screen::leave();
            std::process::exit(Ended::Interrupted.code().into());
        }
        with(&self.dashboard, Dashboard::asked_to_stop);
    }
}
