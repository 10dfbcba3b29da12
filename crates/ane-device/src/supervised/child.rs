//! The child process: started, asked with a deadline, and never left behind.

use super::{
    SupervisedError, Worker,
    deadline::Deadline,
    protocol::{Request, Response, receive, send},
};
use std::{
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, Stdio},
    time::Duration,
};

/// A running worker. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Child {
    device: &'static str,
    process: std::process::Child,
    socket: UnixStream,
}

impl Child {
    /// Starts the worker: requests come on its standard input, which is a socket; `memory` is its standard output.
    pub(super) fn spawn(
        device: &'static str,
        worker: &Worker,
        memory: &File,
    ) -> Result<Self, SupervisedError> {
        let error = |source| SupervisedError::Spawn {
            device,
            program: worker.program.clone(),
            source,
        };
        let (socket, theirs) = UnixStream::pair().map_err(error)?;
        let memory = memory.try_clone().map_err(error)?;
        let process = Command::new(&worker.program)
            .args(&worker.arguments)
            .envs(worker.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(memory)
            // A group of its own: Ctrl-C is for the parent, which decides what becomes of the worker.
            .process_group(0)
            .spawn()
            .map_err(error)?;
        Ok(Self {
            device,
            process,
            socket,
        })
    }

    /// Sends a request and waits for the answer until `deadline` has passed.
    ///
    /// # Errors
    /// When the worker ends, is late or breaks the protocol. It is dead then.
    pub(super) fn call(
        &mut self,
        request: &Request,
        deadline: Duration,
    ) -> Result<Response, SupervisedError> {
        let mut timed = Deadline::new(&self.socket, deadline);
        let answer = send(&mut timed, request).and_then(|()| receive(&mut timed));
        let error = match answer {
            Ok(Some(response)) => return Ok(response),
            Ok(None) => None,
            Err(e) => Some(e),
        };
        let (device, during) = (self.device, request.name());
        let status = self.end().map_err(|e| SupervisedError::Protocol {
            device,
            reason: format!("it cannot be waited for: {e}"),
        })?;
        Err(match error {
            Some(e) if e.kind() == io::ErrorKind::TimedOut => SupervisedError::Deadline {
                device,
                during,
                seconds: deadline.as_secs_f64(),
            },
            Some(e) if e.kind() == io::ErrorKind::InvalidData => SupervisedError::Protocol {
                device,
                reason: e.to_string(),
            },
            _ => SupervisedError::Exited {
                device,
                during,
                status,
            },
        })
    }

    /// Sends a request that has no answer. Whether the worker still lives shows at the next call.
    pub(super) fn tell(&mut self, request: &Request, deadline: Duration) {
        let _ = send(&mut Deadline::new(&self.socket, deadline), request);
    }

    /// Number of the process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills the worker unless it has ended, and says how it ended.
    fn end(&mut self) -> io::Result<std::process::ExitStatus> {
        // A process that is ending by itself keeps its own status.
        let _ = self.process.kill();
        self.process.wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
