//! Programs that somebody else's loop calls: a forward program, and the backward program that goes with it.
//!
//! What the forward program leaves for the backward one, its residuals, stays on the device. Every call checks a set of
//! buffers out, with both programs bound to it, and gives it back when nobody can ask for its gradients any more: two
//! forward calls may precede a backward one, and each has its own.
//!
//! ```text
//!   forward  ── out_0 … to the caller
//!            ── out_3 ┐ the same buffers, in one set per call
//!   backward ── out_3 ┘
//! ```

use crate::{
    error::TrainerError,
    program::{Compiled, HostEngine, Running},
    stage::Staged,
};
use ane_device::{Buffer, Counts, Device, Layout};
use ane_engine::{Pool, simd::Isa};
use ane_ir::{DType, Graph};
use std::{collections::BTreeMap, sync::Arc};

/// A device, and the host's threads beside it, for programs of any number.
#[derive(Debug)]
pub struct Session {
    device: Box<dyn Device>,
    host: HostEngine,
}

impl Session {
    /// Calls on `device`; what it does not take runs on the threads of `pool`.
    pub fn new(device: Box<dyn Device>, pool: Arc<Pool>, isa: Isa) -> Self {
        Self {
            device,
            host: HostEngine::new(pool, isa),
        }
    }

    /// The device.
    pub fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// What the device has done.
    pub fn counts(&self) -> Counts {
        self.device.counts()
    }
}

/// Which of the two programs of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Makes results and residuals.
    Forward,
    /// Makes gradients of residuals and cotangents.
    Backward,
}

/// A forward program and, once it is known, its backward program.
#[derive(Debug)]
pub struct Callable {
    forward: Compiled,
    backward: Option<Compiled>,
    /// Sets that no call holds.
    free: Vec<Call>,
    /// How many sets there are.
    sets: usize,
}

/// The buffers of a call, with both programs bound to them.
#[derive(Debug)]
pub struct Call {
    ports: BTreeMap<String, Buffer>,
    forward: Vec<Running>,
    backward: Option<Vec<Running>>,
}

impl Callable {
    /// Compiles a forward program.
    ///
    /// # Errors
    /// When its graph is illegal on the device's target, or the device refuses it.
    pub fn new(session: &Session, forward: &Graph) -> Result<Self, TrainerError> {
        Ok(Self {
            forward: compile(session, forward)?,
            backward: None,
            free: Vec::new(),
            sets: 0,
        })
    }

    /// Compiles the backward program, whose ports share buffers with those of the forward program of the same names.
    ///
    /// # Errors
    /// As [`Callable::new`]; when a port of both is of two types.
    pub fn set_backward(&mut self, session: &Session, graph: &Graph) -> Result<(), TrainerError> {
        let backward = compile(session, graph)?;
        for (name, port) in &backward.staged().ports {
            let other = self.forward.staged().ports.get(name);
            if let Some(other) = other.filter(|other| other.ty != port.ty) {
                return Err(TrainerError::Residual {
                    port: name.clone(),
                    forward: other.ty.clone(),
                    backward: port.ty.clone(),
                });
            }
        }
        // Sets that were bound without it are bound anew.
        self.sets -= self.free.len();
        self.free.clear();
        self.backward = Some(backward);
        Ok(())
    }

    /// The forward program in stages.
    pub fn forward(&self) -> &Staged {
        self.forward.staged()
    }

    /// The backward program in stages.
    pub fn backward(&self) -> Option<&Staged> {
        self.backward.as_ref().map(Compiled::staged)
    }

    /// How many calls have had buffers at a time.
    pub fn sets(&self) -> usize {
        self.sets
    }

    /// A set of buffers for a call.
    ///
    /// # Errors
    /// When the device has no memory left, or cannot bind.
    pub fn check_out(&mut self, session: &Session) -> Result<Call, TrainerError> {
        if let Some(call) = self.free.pop() {
            return Ok(call);
        }
        let mut call = Call {
            ports: BTreeMap::new(),
            forward: Vec::new(),
            backward: None,
        };
        call.add_ports(session, &self.forward)?;
        call.forward = call.bound(session, &self.forward)?;
        self.bind_backward(session, &mut call)?;
        self.sets += 1;
        Ok(call)
    }

    /// Binds the backward program to the buffers of a call that was made before there was one.
    ///
    /// # Errors
    /// As [`Callable::check_out`].
    pub fn bind_backward(&self, session: &Session, call: &mut Call) -> Result<(), TrainerError> {
        if let (Some(backward), None) = (&self.backward, &call.backward) {
            call.add_ports(session, backward)?;
            call.backward = Some(call.bound(session, backward)?);
        }
        Ok(())
    }

    /// Takes back the buffers of a call that is over.
    pub fn give_back(&mut self, call: Call) {
        if call.backward.is_some() == self.backward.is_some() {
            self.free.push(call);
        } else {
            self.sets -= 1;
        }
    }
}

impl Call {
    /// Gives the ports of a program buffers, where they have none yet.
    fn add_ports(&mut self, session: &Session, program: &Compiled) -> Result<(), TrainerError> {
        for (name, port) in &program.staged().ports {
            if self.ports.contains_key(name) {
                continue;
            }
            let buffer = if port.is_host_memory() {
                Buffer::new(port.ty.clone(), Layout::Dense)
            } else {
                session.device.allocate(&port.ty)?
            };
            self.ports.insert(name.clone(), buffer);
        }
        Ok(())
    }

    fn bound(&self, session: &Session, program: &Compiled) -> Result<Vec<Running>, TrainerError> {
        program.bind_to(&session.host, |name: &str| &self.ports[name])
    }

    /// Runs one of the programs.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(&mut self, session: &Session, direction: Direction) -> Result<(), TrainerError> {
        let stages = match direction {
            Direction::Forward => Some(&mut self.forward),
            Direction::Backward => self.backward.as_mut(),
        };
        for stage in stages.into_iter().flatten() {
            stage.execute()?;
        }
        Ok(session.device.health()?)
    }

    /// The buffer of a port of either program.
    pub fn port(&self, name: &str) -> Option<&Buffer> {
        self.ports.get(name)
    }

    /// Writes real numbers into a port, in its type.
    ///
    /// # Errors
    /// When there is no such port, or it has another number of elements.
    pub fn write(&self, name: &str, x: &[f32]) -> Result<(), TrainerError> {
        Ok(self.named(name)?.copy_in(x)?)
    }

    /// Writes integers into a port of int32.
    ///
    /// # Errors
    /// As [`Call::write`]; when one is beyond int32.
    pub fn write_integers(&self, name: &str, x: &[i64]) -> Result<(), TrainerError> {
        let mut bytes = Vec::with_capacity(4 * x.len());
        for &i in x {
            let narrow = i32::try_from(i).map_err(|_| TrainerError::Integer {
                port: name.to_owned(),
                found: i,
            })?;
            bytes.extend(narrow.to_le_bytes());
        }
        Ok(self.named(name)?.copy_in_bytes(&bytes)?)
    }

    /// Reads a port's elements, as real numbers, times a factor; the largest magnitude among them, NaN if one is NaN.
    ///
    /// # Errors
    /// When there is no such port, or it has another number of elements.
    pub fn read(&self, name: &str, factor: f32, out: &mut [f32]) -> Result<f32, TrainerError> {
        let buffer = self.named(name)?;
        check_length(buffer, out.len())?;
        Ok(buffer.copy_out_by(factor, out))
    }

    /// Reads a port's elements as integers.
    ///
    /// # Errors
    /// As [`Call::read`].
    pub fn read_integers(&self, name: &str, out: &mut [i64]) -> Result<(), TrainerError> {
        let buffer = self.named(name)?;
        check_length(buffer, out.len())?;
        if buffer.ty().dtype == DType::Int32 {
            let bytes = buffer.copy_out_bytes();
            for (o, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                *o = i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            }
            return Ok(());
        }
        for (o, x) in out.iter_mut().zip(buffer.copy_out()) {
            *o = x as i64;
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Result<&Buffer, TrainerError> {
        self.port(name).ok_or_else(|| TrainerError::Port {
            port: name.to_owned(),
        })
    }
}

fn check_length(buffer: &Buffer, found: usize) -> Result<(), TrainerError> {
    let expected = buffer.ty().shape.numel();
    if expected == found {
        return Ok(());
    }
    Err(ane_device::DeviceError::Length {
        ty: buffer.ty().clone(),
        expected,
        found,
    }
    .into())
}

/// A graph placed and compiled.
fn compile(session: &Session, graph: &Graph) -> Result<Compiled, TrainerError> {
    let staged = Staged::of(graph, session.device.target())?;
    Compiled::new(staged, &*session.device, &session.host)
}
