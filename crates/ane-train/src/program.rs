//! A compiled step with its buffers, for one purpose.

use crate::{error::TrainerError, memory::Footprint};
use ane_device::{Bound, Buffer, Device, Executable, Port};
use ane_ir::{Graph, Target, passes};
use ane_mil::LegalGraph;
use std::collections::BTreeMap;

/// A compiled step, bound once for every set of buffers it runs on.
#[derive(Debug)]
pub(crate) struct Program {
    legal: LegalGraph,
    ports: BTreeMap<String, Buffer>,
    /// One per set.
    bound: Vec<Box<dyn Bound>>,
}

/// Buffers of ports that belong to the store: one, or one per set.
pub(crate) type Stored = BTreeMap<String, Vec<Buffer>>;

/// A step that is compiled, before it has buffers: where the framework's allocator comes up with the first program, no
/// buffer comes before it.
#[derive(Debug)]
pub(crate) struct Compiled {
    legal: LegalGraph,
    executable: Box<dyn Executable>,
}

impl Compiled {
    /// Compiles `graph`. What the program works in is added to `footprint`, before it is taken.
    ///
    /// # Errors
    /// When the target forbids the program, or the device refuses it; when it does not fit into memory.
    pub(crate) fn new(
        graph: &Graph,
        device: &dyn Device,
        footprint: &mut Footprint,
    ) -> Result<Self, TrainerError> {
        let legal = legalize(graph, device.target())?;
        let executable = device.compile(&legal)?;
        if let Some(memory) = executable.memory() {
            footprint.add_program(&memory);
        }
        footprint.must_fit()?;
        Ok(Self { legal, executable })
    }

    /// Binds buffers to the ports of `graph`. Those that are not `stored` get buffers of their own.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn bind(
        self,
        graph: &Graph,
        device: &dyn Device,
        stored: &Stored,
    ) -> Result<Program, TrainerError> {
        let mut ports = BTreeMap::new();
        for Port { name, ty } in <[_; 2]>::from(Port::of(graph)).concat() {
            if !stored.contains_key(&name) {
                ports.insert(name, device.allocate(&ty)?);
            }
        }
        let sets = stored.values().map(Vec::len).max().unwrap_or(1);
        let bound = (0..sets)
            .map(|set| {
                let of_set = |buffers: &'_ Vec<Buffer>| buffers[set % buffers.len()].clone();
                let stored = stored.iter().map(|(name, b)| (name.as_str(), of_set(b)));
                let own = ports.iter().map(|(name, b)| (name.as_str(), b.clone()));
                let all: Vec<(&str, Buffer)> = stored.chain(own).collect();
                let all: Vec<(&str, &Buffer)> = all.iter().map(|(n, b)| (*n, b)).collect();
                self.executable.bind(&all)
            })
            .collect::<Result<_, _>>()?;
        Ok(Program {
            legal: self.legal,
            ports,
            bound,
        })
    }
}

impl Program {
    /// The program that runs.
    pub(crate) fn legal(&self) -> &LegalGraph {
        &self.legal
    }

    /// The buffer of a port of its own.
    pub(crate) fn port(&self, name: &str) -> &Buffer {
        &self.ports[name]
    }

    /// The element of a port [1, 1].
    pub(crate) fn scalar(&self, name: &str) -> f32 {
        let mut x = [0.0];
        self.ports[name].copy_out_to(&mut x);
        x[0]
    }

    /// Runs on a set of buffers.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn execute(&mut self, set: usize) -> Result<(), TrainerError> {
        let set = set % self.bound.len();
        Ok(self.bound[set].execute()?)
    }
}

/// The legal form of a step for a target.
///
/// # Errors
/// When a pass fails or the target forbids the result.
pub fn legalize(graph: &Graph, target: &Target) -> Result<LegalGraph, TrainerError> {
    let legal = passes::run(graph, target, passes::LEGALIZE)?;
    ane_mil::check(legal, target).map_err(|violations| TrainerError::Illegal {
        target: *target,
        violations,
    })
}
