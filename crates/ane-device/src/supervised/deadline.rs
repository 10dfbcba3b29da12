//! A socket whose reads and writes end at a moment.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// Time that a read has even after the deadline: an answer that has arrived is taken, though this process was stopped.
const LAST_LOOK: Duration = Duration::from_millis(1);

/// A socket until a moment; after it, reads and writes that would wait are `TimedOut`.
#[derive(Debug)]
pub(super) struct Deadline<'a> {
    socket: &'a UnixStream,
    /// `None` when the moment is too far away to be told.
    until: Option<Instant>,
}

impl<'a> Deadline<'a> {
    pub(super) fn new(socket: &'a UnixStream, after: Duration) -> Self {
        Self {
            socket,
            until: Instant::now().checked_add(after),
        }
    }

    fn remaining(&self) -> Option<Duration> {
        let until = self.until?;
        Some(
            until
                .saturating_duration_since(Instant::now())
                .max(LAST_LOOK),
        )
    }
}

fn timed_out(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => e,
    }
}

impl Read for Deadline<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.remaining())?;
        (&mut &*self.socket).read(buffer).map_err(timed_out)
    }
}

impl Write for Deadline<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.remaining())?;
        (&mut &*self.socket).write(buffer).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_is_read_after_the_deadline_and_nothing_is_waited_for() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut late = Deadline::new(&a, Duration::ZERO);
        (&b).write_all(b"x").unwrap();
        let mut byte = [0];
        late.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
        assert_eq!(
            late.read(&mut byte).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        // A socket that nobody empties takes no more.
        let full = late.write_all(&vec![0; 64 << 20]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::TimedOut);
        let mut endless = Deadline::new(&a, Duration::MAX);
        drop(b);
        assert_ne!(
            endless.read(&mut byte).map_err(|e| e.kind()),
            Err(io::ErrorKind::TimedOut)
        );
    }
}
