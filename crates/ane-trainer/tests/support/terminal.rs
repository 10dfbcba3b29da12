//! A terminal of our own, and what it shows.

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    process::Stdio,
};

/// A terminal whose keys a test presses.
pub(crate) struct Terminal {
    ours: File,
    /// Open until a program has it.
    theirs: Option<File>,
    shown: vt100::Parser,
    /// All that was written to it.
    bytes: Vec<u8>,
}

fn sized(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size).unwrap()
}

impl Terminal {
    /// One of so many columns and lines.
    pub(crate) fn open(columns: u16, lines: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let terminal = Self {
            ours: ours.into(),
            theirs: Some(theirs.into()),
            shown: vt100::Parser::new(sized(lines), sized(columns), 0),
            bytes: Vec::new(),
        };
        terminal.tell_size(columns, lines);
        terminal
    }

    fn tell_size(&self, columns: u16, lines: u16) {
        let size = Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.ours, size).unwrap();
    }

    /// Makes it larger or smaller.
    #[allow(dead_code, reason = "not every test does")]
    pub(crate) fn resize(&mut self, columns: u16, lines: u16) {
        self.shown.set_size(sized(lines), sized(columns));
        self.tell_size(columns, lines);
    }

    /// What a program reads from and writes to.
    pub(crate) fn side(&self) -> Stdio {
        self.theirs.as_ref().unwrap().try_clone().unwrap().into()
    }

    /// Presses keys.
    #[allow(dead_code, reason = "not every test does")]
    pub(crate) fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// What it shows now.
    #[allow(dead_code, reason = "not every test does")]
    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.shown.screen()
    }

    /// Waits until it shows something.
    #[allow(dead_code, reason = "not every test does")]
    pub(crate) fn wait_for(&mut self, what: &str) {
        self.theirs = None;
        while !self.screen().contents().contains(what) {
            let shown = self.screen().contents();
            assert!(self.read(), "all have left it without `{what}`:\n{shown}");
        }
    }

    /// All that was written to it when every program has left it, without carriage returns.
    pub(crate) fn read_to_end(&mut self) -> String {
        self.theirs = None;
        while self.read() {}
        String::from_utf8_lossy(&self.bytes).replace('\r', "")
    }

    /// Reads on, and says whether there was something: a terminal that everyone has left ends with an error, or with
    /// nothing.
    fn read(&mut self) -> bool {
        let mut part = [0; 4096];
        let Ok(n @ 1..) = self.ours.read(&mut part) else {
            return false;
        };
        self.shown.process(&part[..n]);
        self.bytes.extend(&part[..n]);
        true
    }
}
