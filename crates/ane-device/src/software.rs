//! The software Neural Engine: any target's programs on this machine's processor.

use crate::{
    Entry, Settings,
    buffer::{Buffer, Layout},
    device::{Bound, Counter, Counts, Device, Executable, Port, in_port_order, same_target},
    error::DeviceError,
};
use ane_engine::{MemoryUse, Options, Plan, Pool, SharedBuffer, UnitTime, Workspace};
use ane_ir::{Target, TensorType};
use ane_mil::LegalGraph;
use std::sync::Arc;

pub(super) const ENTRY: Entry = Entry {
    name: "software",
    summary: "the software Neural Engine: same programs, limits and rounding",
    open: |settings| Ok(Box::new(Software::open(settings)?)),
};

#[derive(Debug)]
struct Software {
    target: Target,
    options: Options,
    pool: Arc<Pool>,
    /// The pool runs one program at a time, so all of them share it.
    workspace: Workspace,
    counter: Counter,
}

impl Software {
    fn open(settings: &Settings) -> Result<Self, DeviceError> {
        let pool = match &settings.pool {
            Some(pool) => pool.clone(),
            None => {
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                Arc::new(Pool::new(threads).map_err(DeviceError::Threads)?)
            }
        };
        Ok(Self {
            target: settings.target,
            options: Options {
                numerics: settings.numerics.clone(),
                isa: settings.isa,
            },
            pool,
            workspace: Workspace::new(),
            counter: Counter::default(),
        })
    }
}

impl Device for Software {
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
        let plan = Plan::compile(graph.graph(), self.options.clone())?;
        self.counter.compiled();
        let (inputs, outputs) = Port::of(graph.graph());
        Ok(Box::new(Program {
            plan,
            inputs,
            outputs,
            pool: self.pool.clone(),
            workspace: self.workspace.clone(),
            counter: self.counter.clone(),
        }))
    }
}

#[derive(Debug)]
struct Program {
    plan: Plan,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    pool: Arc<Pool>,
    workspace: Workspace,
    counter: Counter,
}

impl Executable for Program {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn layout_is_known(&self) -> bool {
        true
    }

    fn memory(&self) -> Option<MemoryUse> {
        Some(self.plan.memory(self.pool.threads()))
    }

    fn bind(&self, ports: &[(&str, &Buffer)]) -> Result<Box<dyn Bound>, DeviceError> {
        let (inputs, outputs) = in_port_order(&self.inputs, &self.outputs, ports)?;
        let memory = |buffers: Vec<Buffer>| -> Vec<SharedBuffer> {
            buffers.iter().map(|b| b.memory().clone()).collect()
        };
        let bound = self.plan.bind_in(
            &self.workspace,
            &memory(inputs),
            &memory(outputs),
            self.pool.threads(),
        )?;
        Ok(Box::new(Running {
            bound,
            pool: self.pool.clone(),
            counter: self.counter.clone(),
        }))
    }
}

#[derive(Debug)]
struct Running {
    bound: ane_engine::Bound,
    pool: Arc<Pool>,
    counter: Counter,
}

impl Bound for Running {
    fn execute(&mut self) -> Result<(), DeviceError> {
        self.bound.execute(&self.pool);
        self.counter.dispatched();
        Ok(())
    }

    fn execute_timed(&mut self) -> Result<Vec<UnitTime>, DeviceError> {
        let times = self.bound.execute_timed(&self.pool);
        self.counter.dispatched();
        Ok(times)
    }
}
