//! The interface every device implements.

use crate::{
    buffer::{Buffer, Layout},
    error::DeviceError,
};
use ane_engine::{MemoryUse, UnitTime};
use ane_ir::{Graph, Target, TensorType};
use ane_mil::LegalGraph;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A named tensor of a program.
///
/// Where a target pads narrow ports, the type is the padded one. A buffer for it may be allocated by the type that the
/// graph had before: it fits as soon as its rows are padded alike ([`Buffer::fits`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type in the compiled program.
    pub ty: TensorType,
}

impl Port {
    /// Input and output ports of a graph.
    pub fn of(graph: &Graph) -> (Vec<Self>, Vec<Self>) {
        let port = |&v: &ane_ir::Value| Self {
            name: graph.port(v).to_owned(),
            ty: graph.ty(v).clone(),
        };
        (
            graph.inputs().iter().map(port).collect(),
            graph.outputs().iter().map(port).collect(),
        )
    }
}

/// What a device has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Programs compiled.
    pub compiles: u64,
    /// Programs executed.
    pub dispatches: u64,
}

/// The device's own count of what it does.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<(AtomicU64, AtomicU64)>);

impl Counter {
    /// One more program compiled.
    pub fn compiled(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One more program executed.
    pub fn dispatched(&self) {
        self.0.1.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far.
    pub fn get(&self) -> Counts {
        Counts {
            compiles: self.0.0.load(Ordering::Relaxed),
            dispatches: self.0.1.load(Ordering::Relaxed),
        }
    }
}

/// Something that compiles and runs programs.
pub trait Device: Send + std::fmt::Debug {
    /// Its name in [`crate::DEVICES`].
    fn name(&self) -> &'static str;
    /// The target its programs must be checked for.
    fn target(&self) -> &Target;
    /// How its buffers lie in memory.
    fn layout(&self, ty: &TensorType) -> Layout;
    /// What it has done so far.
    fn counts(&self) -> Counts;
    /// What the user should know about how it was opened, in sentences.
    fn notes(&self) -> &[String] {
        &[]
    }
    /// Compiles a program.
    ///
    /// # Errors
    /// When the graph was checked for another target, or the device's compiler fails.
    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError>;
    /// Zeroed memory for a tensor.
    ///
    /// # Errors
    /// When the device has none left.
    fn allocate(&self, ty: &TensorType) -> Result<Buffer, DeviceError> {
        Ok(Buffer::new(ty.clone(), self.layout(ty)))
    }

    /// `Ok` unless something failed where no error could be returned, such as a read of a buffer. What was read since the
    /// last successful call cannot be trusted otherwise. Cheap.
    ///
    /// # Errors
    /// The failure, at every call until the device has recovered.
    fn health(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    /// Starts the device again after a fault. Executables, bindings and buffers stay valid; what programs had computed is
    /// gone from the buffers.
    ///
    /// # Errors
    /// `Unsupported` where the device cannot; what else may be a fault again.
    fn recover(&self) -> Result<(), DeviceError> {
        Err(DeviceError::Unsupported {
            device: self.name(),
            what: "starting again after a fault",
        })
    }

    /// Says that the results of the next execution matter more than others: a device that verifies some of its executions
    /// verifies this one.
    fn verify_next(&self) {}
}

/// A compiled program.
pub trait Executable: Send + std::fmt::Debug {
    /// Input ports.
    fn inputs(&self) -> &[Port];
    /// Output ports.
    fn outputs(&self) -> &[Port];
    /// Binds a buffer to every port.
    ///
    /// # Errors
    /// When a port is missing, unknown, bound twice, or its buffer does not fit its type.
    fn bind(&self, ports: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError>;

    /// Whether it is known, and not only assumed, that every port lies in memory as its buffers do.
    fn layout_is_known(&self) -> bool {
        false
    }

    /// Memory that running it takes in this process, foreseen without taking it; `None` where the device cannot tell.
    fn memory(&self) -> Option<MemoryUse> {
        None
    }
}

/// A compiled program with its buffers.
pub trait Bound: Send + std::fmt::Debug {
    /// Computes the outputs from the inputs and returns when they are there.
    ///
    /// # Errors
    /// When the device fails.
    fn execute(&mut self) -> Result<(), DeviceError>;

    /// As [`Bound::execute`], and what parts of the program took, where the device can tell.
    ///
    /// # Errors
    /// When the device fails.
    fn execute_timed(&mut self) -> Result<Vec<UnitTime>, DeviceError> {
        self.execute()?;
        Ok(Vec::new())
    }
}

/// The buffers of `ports`, in the order of inputs and outputs, each of which lies in memory as its port needs.
pub(crate) fn in_port_order(
    inputs: &[Port],
    outputs: &[Port],
    ports: &[(&str, &Buffer)],
) -> Result<(Vec<Buffer>, Vec<Buffer>), DeviceError> {
    in_port_order_where(inputs, outputs, ports, Buffer::fits)
}

/// As [`in_port_order`], where `fits` decides which buffers serve a port of a type.
pub(crate) fn in_port_order_where(
    inputs: &[Port],
    outputs: &[Port],
    ports: &[(&str, &Buffer)],
    fits: impl Fn(&Buffer, &TensorType) -> bool,
) -> Result<(Vec<Buffer>, Vec<Buffer>), DeviceError> {
    let all = || inputs.iter().chain(outputs);
    for (name, _) in ports {
        if !all().any(|p| p.name == *name) {
            return Err(DeviceError::NoSuchPort {
                port: (*name).to_owned(),
                ports: all().map(|p| p.name.clone()).collect(),
            });
        }
    }
    let find = |p: &Port| {
        let bound: Vec<&Buffer> = ports
            .iter()
            .filter(|(name, _)| *name == p.name)
            .map(|(_, b)| *b)
            .collect();
        let [buffer] = bound[..] else {
            return Err(DeviceError::PortBinding {
                port: p.name.clone(),
                times: bound.len(),
            });
        };
        if !fits(buffer, &p.ty) {
            return Err(DeviceError::PortType {
                port: p.name.clone(),
                expected: p.ty.clone(),
                found: buffer.ty().clone(),
            });
        }
        Ok(buffer.clone())
    };
    Ok((
        inputs.iter().map(find).collect::<Result<_, _>>()?,
        outputs.iter().map(find).collect::<Result<_, _>>()?,
    ))
}

/// The graph must have been checked for the device's own target.
pub(crate) fn same_target(device: &Target, graph: &LegalGraph) -> Result<(), DeviceError> {
    if device == graph.target() {
        return Ok(());
    }
    Err(DeviceError::Target {
        expected: device.to_string(),
        found: graph.target().to_string(),
    })
}
