//! The device that computes nothing: for trying out what compiles, and the template for a new device.

use crate::{
    Entry, Settings,
    buffer::{Buffer, Layout},
    device::{Bound, Counter, Counts, Device, Executable, Port, in_port_order, same_target},
    error::DeviceError,
};
use ane_ir::{Target, TensorType};
use ane_mil::LegalGraph;

pub(super) const ENTRY: Entry = Entry {
    name: "null",
    summary: "compiles and allocates, computes nothing",
    open: |settings| Ok(Box::new(Null::new(settings))),
};

#[derive(Debug)]
struct Null {
    target: Target,
    counter: Counter,
}

impl Null {
    fn new(settings: &Settings) -> Self {
        Self {
            target: settings.target,
            counter: Counter::default(),
        }
    }
}

impl Device for Null {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn target(&self) -> &Target {
        &self.target
    }

    fn layout(&self, ty: &TensorType) -> Layout {
        Layout::of(&self.target, ty)
    }

    fn counts(&self) -> Counts {
        self.counter.get()
    }

    fn compile(&self, graph: &LegalGraph) -> Result<Box<dyn Executable>, DeviceError> {
        same_target(&self.target, graph)?;
        self.counter.compiled();
        let (inputs, outputs) = Port::of(graph.graph());
        Ok(Box::new(Program {
            inputs,
            outputs,
            counter: self.counter.clone(),
        }))
    }
}

#[derive(Debug)]
struct Program {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    counter: Counter,
}

impl Executable for Program {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn bind(&self, ports: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError> {
        in_port_order(&self.inputs, &self.outputs, ports)?;
        Ok(Box::new(Nothing {
            counter: self.counter.clone(),
        }))
    }
}

#[derive(Debug)]
struct Nothing {
    counter: Counter,
}

impl Bound for Nothing {
    fn execute(&mut self) -> Result<(), DeviceError> {
        self.counter.dispatched();
        Ok(())
    }

    fn submit(&mut self) -> Result<(), DeviceError> {
        Err(DeviceError::Unsupported {
            device: ENTRY.name,
            what: "asynchronous execution",
        })
    }
}
