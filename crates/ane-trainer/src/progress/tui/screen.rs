//! The terminal as a screen: taken, drawn on, and given back whatever ends the run.

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use std::{
    io::{self, IsTerminal, Stdout, stdin, stdout},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether the terminal shows the screen now.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal of this process, without its lines.
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes it: what was there comes back when it is left.
    pub(super) fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::Relaxed);
        let entered = execute!(stdout(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        entered.map(Self).inspect_err(|_| leave())
    }

    /// Draws one picture.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(picture).map(|_| ())
    }
}

/// Whether standard input and output are a terminal that moves its cursor.
pub(crate) fn is_possible() -> bool {
    let moves = std::env::var_os("TERM").is_some_and(|t| !t.is_empty() && t != "dumb");
    stdin().is_terminal() && stdout().is_terminal() && moves
}

/// Gives the terminal back, if it is taken.
pub(crate) fn leave() {
    if IS_TAKEN.swap(false, Ordering::Relaxed) {
        // A terminal that has gone needs nothing.
        let _ = execute!(stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}
