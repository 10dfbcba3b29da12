//! A step in stages, compiled and with its buffers, for one purpose.

use crate::{
    error::TrainerError,
    memory::Footprint,
    profile::Profile,
    stage::{self, Stage, Staged},
};
use ane_device::{Bound, Buffer, Device, DeviceError, Executable, Layout, UnitTime};
use ane_engine::{Options, Plan, Pool, SharedBuffer, Workspace, simd::Isa};
use ane_ir::{DType, Graph, Numerics, Target, TensorType, passes};
use ane_mil::LegalGraph;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// What host stages run on: the software engine, in fp32.
#[derive(Debug)]
pub(crate) struct HostEngine {
    pool: Arc<Pool>,
    options: Options,
    /// Stages run one at a time, so all of them share it.
    workspace: Workspace,
}

impl HostEngine {
    pub(crate) fn new(pool: Arc<Pool>, isa: Isa) -> Self {
        Self {
            pool,
            options: Options {
                numerics: Numerics::ieee(),
                isa,
            },
            workspace: Workspace::new(),
        }
    }

    /// The threads of the host.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

/// Buffers of ports that belong to the store: one, or one per set.
pub(crate) type Stored = BTreeMap<String, Vec<Buffer>>;

/// A step that is compiled, before it has buffers: where the framework's allocator comes up with the first program, no
/// buffer comes before it.
#[derive(Debug)]
pub(crate) struct Compiled {
    staged: Staged,
    /// Of the programs of engine stages.
    executables: Vec<Box<dyn Executable>>,
    /// Of the programs of host stages.
    plans: Vec<Plan>,
}

impl Compiled {
    /// Compiles the programs of `staged`.
    ///
    /// # Errors
    /// When the device refuses a program.
    pub(crate) fn new(
        staged: Staged,
        device: &dyn Device,
        host: &HostEngine,
    ) -> Result<Self, TrainerError> {
        let programs = staged.engine.iter();
        let executables: Vec<Box<dyn Executable>> = programs
            .map(|program| device.compile(&program.legal))
            .collect::<Result<_, _>>()?;
        let plans = staged.host.iter().map(|program| {
            let graph = on_buffers_of(device, &program.graph)?;
            let plan = Plan::compile(&graph, host.options.clone());
            Ok(plan.map_err(DeviceError::from)?)
        });
        Ok(Self {
            plans: plans.collect::<Result<_, TrainerError>>()?,
            staged,
            executables,
        })
    }

    /// Adds what the programs take to `footprint`, before it is taken; `keeping` as in [`Footprint::add_program`].
    pub(crate) fn add_to(
        &self,
        footprint: &mut Footprint,
        host: &HostEngine,
        keeping: impl Fn(&str) -> u64,
    ) {
        for memory in self.executables.iter().filter_map(|e| e.memory()) {
            footprint.add_program(&memory, &keeping);
        }
        for plan in &self.plans {
            footprint.add_host_program(&plan.memory(host.pool.threads()), &keeping);
        }
    }

    /// Whether the device tells what its programs take.
    pub(crate) fn tells_memory(&self) -> bool {
        self.executables.iter().all(|e| e.memory().is_some())
    }

    /// The stages.
    pub(crate) fn into_staged(self) -> Staged {
        self.staged
    }

    /// The stages.
    pub(crate) fn staged(&self) -> &Staged {
        &self.staged
    }

    /// Its stages in order, on the buffers that `of` names.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn bind_to<'a>(
        &self,
        host: &HostEngine,
        of: impl Fn(&str) -> &'a Buffer + Copy,
    ) -> Result<Vec<Running>, TrainerError> {
        let stages = self.staged.stages.iter();
        let stages = stages.map(|&stage| self.bind_stage(stage, host, of));
        stages.collect()
    }

    /// Binds buffers to the ports of all stages. Those that are not `stored` get buffers of their own.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn bind(
        self,
        device: &dyn Device,
        host: &HostEngine,
        stored: &Stored,
    ) -> Result<Program, TrainerError> {
        let mut ports = BTreeMap::new();
        for (name, port) in &self.staged.ports {
            if !stored.contains_key(name) {
                ports.insert(
                    name.clone(),
                    if port.is_host_memory() {
                        Buffer::new(port.ty.clone(), Layout::Dense)
                    } else {
                        device.allocate(&port.ty)?
                    },
                );
            }
        }
        let sets = stored.values().map(Vec::len).max().unwrap_or(1);
        let mut bound = Vec::with_capacity(sets);
        for set in 0..sets {
            let of = |name: &str| match stored.get(name) {
                Some(buffers) => &buffers[set % buffers.len()],
                None => &ports[name],
            };
            bound.push(self.bind_to(host, of)?);
        }
        Ok(Program {
            staged: self.staged,
            ports,
            bound,
            engine_time: Duration::ZERO,
            profile: None,
        })
    }

    /// A stage with the buffers that `of` names.
    fn bind_stage<'a>(
        &self,
        stage: Stage,
        host: &HostEngine,
        of: impl Fn(&str) -> &'a Buffer,
    ) -> Result<Running, TrainerError> {
        match stage {
            Stage::Engine(i) => {
                let graph = &self.staged.engine[i].graph;
                let ports = graph.inputs().iter().chain(graph.outputs());
                let names = ports.map(|&v| graph.port(v));
                let all: Vec<(&str, &Buffer)> = names.map(|name| (name, of(name))).collect();
                Ok(Running::Engine(self.executables[i].bind(&all)?))
            }
            Stage::Host(i) => {
                let plan = &self.plans[i];
                let memory = |ports: &[ane_engine::Port]| -> Vec<SharedBuffer> {
                    let ports = ports.iter();
                    ports.map(|p| of(&p.name).memory().clone()).collect()
                };
                let (inputs, outputs) = (memory(plan.inputs()), memory(plan.outputs()));
                let threads = host.pool.threads();
                let bound = plan.bind_in(&host.workspace, &inputs, &outputs, threads);
                let bound = bound.map_err(DeviceError::from)?;
                Ok(Running::Host(bound, host.pool.clone()))
            }
        }
    }
}

/// A host stage's graph on buffers of `device`: ports of fp16 have their rows padded where its buffers have; others lie in
/// the host's own memory, without gaps.
fn on_buffers_of(device: &dyn Device, graph: &Graph) -> Result<Graph, TrainerError> {
    // A row of one element takes as much as rows are multiples of.
    Ok(match device.layout(&TensorType::fp16([1, 1])) {
        Layout::Dense => graph.clone(),
        Layout::Rows { row_bytes } => passes::pad_rows::pad(graph, row_bytes, &[DType::Fp16])?,
    })
}

/// A compiled step, bound once for every set of buffers it runs on.
#[derive(Debug)]
pub(crate) struct Program {
    staged: Staged,
    ports: BTreeMap<String, Buffer>,
    /// Its stages in order, one list per set.
    bound: Vec<Vec<Running>>,
    /// How long its stages have run on the engine.
    engine_time: Duration,
    /// What nodes took, once that is asked for.
    profile: Option<Profile>,
}

/// A stage with its buffers.
#[derive(Debug)]
pub(crate) enum Running {
    Engine(Box<dyn Bound>),
    Host(ane_engine::Bound, Arc<Pool>),
}

impl Running {
    /// Runs the stage.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn execute(&mut self) -> Result<(), TrainerError> {
        match self {
            Self::Engine(bound) => bound.execute()?,
            Self::Host(bound, pool) => bound.execute(pool),
        }
        Ok(())
    }

    /// Runs the stage, and says what its parts took, where that can be told.
    ///
    /// # Errors
    /// When the device fails.
    fn execute_timed(&mut self) -> Result<Vec<UnitTime>, TrainerError> {
        Ok(match self {
            Self::Engine(bound) => bound.execute_timed()?,
            Self::Host(bound, pool) => bound.execute_timed(pool),
        })
    }
}

impl Program {
    /// The stages.
    pub(crate) fn staged(&self) -> &Staged {
        &self.staged
    }

    /// The buffer of a port of its own.
    pub(crate) fn port(&self, name: &str) -> &Buffer {
        &self.ports[name]
    }

    /// The buffer of a port of its own, if it has one of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Buffer> {
        self.ports.get(name)
    }

    /// The element of a port [1, 1].
    pub(crate) fn scalar(&self, name: &str) -> f32 {
        let mut x = [0.0];
        self.ports[name].copy_out_to(&mut x);
        x[0]
    }

    /// Runs its stages in order on a set of buffers.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn execute(&mut self, set: usize) -> Result<(), TrainerError> {
        let set = set % self.bound.len();
        for (number, stage) in self.bound[set].iter_mut().enumerate() {
            let since = Instant::now();
            let times = match &self.profile {
                None => stage.execute().map(|()| Vec::new())?,
                Some(_) => stage.execute_timed()?,
            };
            let elapsed = since.elapsed();
            if matches!(stage, Running::Engine(_)) {
                self.engine_time += elapsed;
            }
            if let Some(profile) = &mut self.profile {
                profile.add(&self.staged, number, (since, elapsed), &times);
            }
        }
        Ok(())
    }

    /// Times nodes from now on, and adds what they take to a profile.
    pub(crate) fn start_profile(&mut self, profile: Profile) {
        self.profile = Some(profile);
    }

    /// What nodes took since they are timed; they are no longer.
    pub(crate) fn take_profile(&mut self) -> Profile {
        self.profile.take().unwrap_or_default()
    }

    /// How long its stages have run on the engine, all executions together.
    pub(crate) fn engine_time(&self) -> Duration {
        self.engine_time
    }
}

/// The legal form of a step that `target` takes as one program.
///
/// # Errors
/// When a pass fails or the target forbids the result.
pub fn legalize(graph: &Graph, target: &Target) -> Result<LegalGraph, TrainerError> {
    Ok(stage::legalize(graph, target)?)
}
