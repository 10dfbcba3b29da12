//! Running a plan: every thread walks the levels and takes tasks until none is left.
//!
//! This module and those below it read and write the arena and the ports through raw pointers. What makes that sound:
//! tasks of one unit write disjoint parts, units of one level write disjoint slots and read none that the level
//! writes (`plan::schedule`), a level begins when every task of the one before is done (`pool`), and the workspace and
//! all bound buffers are held for the whole execution.

mod chain;
mod convolution;
mod definition;
mod elementwise;
mod indexing;
mod kept;
mod matmul;
mod normalization;
mod pool;
mod reduce;
mod softmax;
mod transpose;
mod update;

pub(crate) use reduce::scratch as reduction_scratch;
pub use update::{ForEach, Gradient, MOST_STATE, Parameter, Strided, Update};

use crate::{
    Workspace,
    arena::{Access, Holds, SharedBuffer},
    plan::{ConcatWork, DType, Place, Plan, Port, Region, Slot, Unit, Work},
    pool::{Job, Pool},
    simd::{Isa, Kernel, Lanes, dispatch},
};
use half::f16;
use kept::Kept;
use std::{
    collections::{HashMap, HashSet},
    ptr::null_mut,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Buffers do not fit the ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Not one buffer per port.
    #[error("{expected} {ports} ports need as many buffers, {found} were given")]
    Count {
        /// `input` or `output`.
        ports: &'static str,
        /// Number of ports.
        expected: usize,
        /// Number of buffers.
        found: usize,
    },
    /// A buffer of another size than its port.
    #[error("port `{port}` ({ty}) needs {expected} bytes, its buffer has {found}")]
    Size {
        /// The port.
        port: String,
        /// Its type.
        ty: String,
        /// Size of the port.
        expected: usize,
        /// Size of the buffer.
        found: usize,
    },
    /// An output's buffer is bound to another port too.
    #[error(
        "output `{output}` shares its buffer with `{other}`; outputs need buffers of their own, or that of the input in \
         whose place the graph declares them"
    )]
    Shared {
        /// The output.
        output: String,
        /// The other port.
        other: String,
    },
}

/// A plan with its memory and its ports bound to buffers.
#[derive(Debug)]
pub struct Bound {
    job: Arc<Execution>,
    as_job: AsJob,
    holds: Holds,
    /// Inputs that are copied aside before their buffers are written, with the copies.
    copies: Vec<(SharedBuffer, SharedBuffer)>,
    workspace: Workspace,
    /// Where the workspace was when the slots were last placed.
    placed_at: usize,
    kept: Vec<Kept>,
}

struct AsJob(Arc<dyn Job>);

impl std::fmt::Debug for AsJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

#[derive(Debug)]
struct Execution {
    plan: Plan,
    /// Where every slot is during the execution at hand.
    slots: Vec<AtomicPtr<f32>>,
    /// The scratch of every thread.
    scratch: Vec<AtomicPtr<f32>>,
    /// Units whose results are there already.
    skipped: Vec<AtomicBool>,
    inputs: Vec<SharedBuffer>,
    outputs: Vec<SharedBuffer>,
    next_task: Vec<AtomicUsize>,
    taken: Vec<AtomicUsize>,
    /// Whether tasks are timed.
    timed: AtomicBool,
    /// Nanoseconds of the tasks of each unit, all threads together.
    times: Vec<AtomicU64>,
}

/// What a part of a program took.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitTime {
    /// The nodes of the compiled graph that it computes, by their positions; none where it only fills a port.
    pub nodes: Vec<usize>,
    /// How long its tasks ran, all threads together.
    pub time: Duration,
}

impl Plan {
    /// Binds buffers to the ports, in port order, with memory of its own for up to `threads` threads.
    ///
    /// An output may have the buffer of the input in whose place the graph declares it
    /// ([`ane_ir::Graph::declare_in_place`]); the program reads what the buffer held before each execution.
    ///
    /// # Errors
    /// When a buffer is missing, has the wrong size, or an output shares its buffer with a port of no such pair.
    pub fn bind(
        &self,
        inputs: &[SharedBuffer],
        outputs: &[SharedBuffer],
        threads: usize,
    ) -> Result<Bound, BindError> {
        self.bind_in(&Workspace::new(), inputs, outputs, threads)
    }

    /// As [`Plan::bind`], with intermediate values in a workspace that other programs use at other times.
    ///
    /// # Errors
    /// As [`Plan::bind`].
    pub fn bind_in(
        &self,
        workspace: &Workspace,
        inputs: &[SharedBuffer],
        outputs: &[SharedBuffer],
        threads: usize,
    ) -> Result<Bound, BindError> {
        check("input", self.inputs(), inputs)?;
        check("output", self.outputs(), outputs)?;
        self.check_shared(inputs, outputs)?;
        let data = &self.0;
        let threads = threads.max(1);
        workspace.reserve(data.workspace_bytes(threads));
        let reads = inputs.iter().map(|b| (b, Access::Read));
        let holds = Holds::of(reads.chain(outputs.iter().map(|b| (b, Access::Write))));
        let mut read = inputs.to_vec();
        let mut copies = Vec::new();
        for pair in data.in_place.iter().filter(|pair| pair.copy) {
            let input = &mut read[pair.input];
            if input.same_as(&outputs[pair.output]) {
                let bytes = self.inputs()[pair.input].ty.bytes();
                let copy = SharedBuffer::new(bytes);
                copies.push((std::mem::replace(input, copy.clone()), copy));
            }
        }
        let slot = |address: &crate::plan::Address| match address.region {
            Region::Constants => data.constants.start::<f32>().wrapping_add(address.at),
            Region::Arena => null_mut(),
        };
        let nowhere = |_| AtomicPtr::new(null_mut());
        let job = Arc::new(Execution {
            plan: self.clone(),
            slots: data
                .addresses
                .iter()
                .map(slot)
                .map(AtomicPtr::new)
                .collect(),
            scratch: (0..threads).map(nowhere).collect(),
            skipped: data.units.iter().map(|_| AtomicBool::new(false)).collect(),
            inputs: read,
            outputs: outputs.to_vec(),
            next_task: data.levels.iter().map(|_| AtomicUsize::new(0)).collect(),
            taken: (0..threads).map(|_| AtomicUsize::new(0)).collect(),
            timed: AtomicBool::new(false),
            times: data.units.iter().map(|_| AtomicU64::new(0)).collect(),
        });
        Ok(Bound {
            as_job: AsJob(job.clone()),
            job,
            holds,
            copies,
            workspace: workspace.clone(),
            placed_at: 0,
            kept: data
                .kept
                .iter()
                .map(|pack| Kept::of(inputs[pack.port].clone()))
                .collect(),
        })
    }

    /// Refuses outputs that share their buffer with a port other than the input of their pair.
    fn check_shared(
        &self,
        inputs: &[SharedBuffer],
        outputs: &[SharedBuffer],
    ) -> Result<(), BindError> {
        let pairs = self.0.in_place.iter().map(|p| (p.input, p.output));
        let pairs: HashSet<(usize, usize)> = pairs.collect();
        let ports = || self.inputs().iter().chain(self.outputs());
        let mut sharing: HashMap<usize, Vec<usize>> = HashMap::new();
        for (i, buffer) in inputs.iter().chain(outputs).enumerate() {
            sharing.entry(buffer.address()).or_default().push(i);
        }
        for (i, (port, buffer)) in self.outputs().iter().zip(outputs).enumerate() {
            let allowed = |&j: &usize| j == inputs.len() + i || pairs.contains(&(j, i));
            if let Some(j) = sharing[&buffer.address()]
                .iter()
                .copied()
                .find(|j| !allowed(j))
            {
                let other = ports().nth(j).expect("every buffer has a port");
                return Err(BindError::Shared {
                    output: port.name.clone(),
                    other: other.name.clone(),
                });
            }
        }
        Ok(())
    }
}

fn check(kind: &'static str, ports: &[Port], buffers: &[SharedBuffer]) -> Result<(), BindError> {
    if ports.len() != buffers.len() {
        return Err(BindError::Count {
            ports: kind,
            expected: ports.len(),
            found: buffers.len(),
        });
    }
    for (port, buffer) in ports.iter().zip(buffers) {
        if buffer.len() < port.ty.bytes() {
            return Err(BindError::Size {
                port: port.name.clone(),
                ty: port.ty.to_string(),
                expected: port.ty.bytes(),
                found: buffer.len(),
            });
        }
    }
    Ok(())
}

impl Bound {
    /// Computes the outputs from the inputs.
    ///
    /// # Panics
    /// When the pool has more threads than the plan was bound for.
    pub fn execute(&mut self, pool: &Pool) {
        assert!(
            pool.threads() <= self.job.scratch.len(),
            "bound for {} threads, run on {}",
            self.job.scratch.len(),
            pool.threads()
        );
        for next in &self.job.next_task {
            next.store(0, Ordering::Relaxed);
        }
        let _held = self.holds.take();
        for (from, to) in &self.copies {
            // SAFETY: `from` is held for the whole execution, `to` is this binding's alone and no longer than it.
            unsafe {
                std::ptr::copy_nonoverlapping(from.start::<u8>(), to.start::<u8>(), to.len());
            }
        }
        let memory = self.workspace.lock();
        let arena = memory.start::<f32>();
        if std::mem::replace(&mut self.placed_at, arena.addr()) != arena.addr() {
            self.job.place(arena);
            self.kept.iter_mut().for_each(Kept::forget);
        }
        for (kept, pack) in self.kept.iter_mut().zip(&self.job.plan.0.kept) {
            kept.prepare(&self.job, pack, arena);
        }
        pool.run(&self.as_job.0);
    }

    /// As [`Bound::execute`], and what every part of it took, in the order in which parts were planned.
    ///
    /// # Panics
    /// As [`Bound::execute`].
    pub fn execute_timed(&mut self, pool: &Pool) -> Vec<UnitTime> {
        for time in &self.job.times {
            time.store(0, Ordering::Relaxed);
        }
        self.job.timed.store(true, Ordering::Relaxed);
        self.execute(pool);
        self.job.timed.store(false, Ordering::Relaxed);
        let units = self.job.plan.0.units.iter().zip(&self.job.times);
        units
            .map(|(unit, nanoseconds)| UnitTime {
                nodes: unit.nodes.clone(),
                time: Duration::from_nanos(nanoseconds.load(Ordering::Relaxed)),
            })
            .collect()
    }

    /// How many packed operands the last execution found there from an earlier one.
    pub fn kept_packs(&self) -> usize {
        let there = |s: &&AtomicBool| s.load(Ordering::Relaxed);
        self.job.skipped.iter().filter(there).count()
    }

    /// How many tasks each thread has run since binding.
    pub fn tasks_by_thread(&self) -> Vec<usize> {
        self.job
            .taken
            .iter()
            .map(|t| t.load(Ordering::Relaxed))
            .collect()
    }
}

impl Execution {
    /// Says where slots and scratch are, now that the workspace starts at `arena`.
    fn place(&self, arena: *mut f32) {
        let data = &*self.plan.0;
        for (slot, address) in self.slots.iter().zip(&data.addresses) {
            if address.region == Region::Arena {
                slot.store(arena.wrapping_add(address.at), Ordering::Relaxed);
            }
        }
        for (i, scratch) in self.scratch.iter().enumerate() {
            let at = data.arena + i * data.scratch;
            scratch.store(arena.wrapping_add(at), Ordering::Relaxed);
        }
    }
}

impl Job for Execution {
    fn phases(&self) -> usize {
        self.plan.0.levels.len()
    }

    fn run(&self, member: usize, level: usize) {
        dispatch(
            self.plan.0.options.isa,
            Member {
                execution: self,
                member,
                level,
            },
        );
    }
}

/// One thread's part of a level.
struct Member<'a> {
    execution: &'a Execution,
    member: usize,
    level: usize,
}

impl Kernel for Member<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let e = self.execution;
        let plan = &*e.plan.0;
        let cx = Context {
            execution: e,
            scratch: e.scratch[self.member].load(Ordering::Relaxed),
            isa: plan.options.isa,
        };
        let mut taken = 0;
        let (level, next) = (&plan.levels[self.level], &e.next_task[self.level]);
        let total = level.tasks();
        let timed = e.timed.load(Ordering::Relaxed);
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= total {
                break;
            }
            let (unit, task) = level.find(task);
            let since = timed.then(Instant::now);
            if !e.skipped[unit].load(Ordering::Relaxed) {
                // SAFETY: see the head of the module: this task is this thread's alone.
                unsafe { cx.run(s, &plan.units[unit], task) };
            }
            if let Some(since) = since {
                let nanoseconds = since.elapsed().as_nanos() as u64;
                e.times[unit].fetch_add(nanoseconds, Ordering::Relaxed);
            }
            taken += 1;
        }
        e.taken[self.member].fetch_add(taken, Ordering::Relaxed);
    }
}

/// What a task works with.
#[derive(Clone, Copy)]
struct Context<'a> {
    execution: &'a Execution,
    /// This thread's scratch.
    scratch: *mut f32,
    isa: Isa,
}

impl Context<'_> {
    /// Start of a slot.
    #[inline(always)]
    fn slot(&self, slot: Slot) -> *mut f32 {
        self.execution.slots[slot].load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn output<T>(&self, port: usize) -> *mut T {
        self.execution.outputs[port].start()
    }

    #[inline(always)]
    fn input<T>(&self, port: usize) -> *const T {
        self.execution.inputs[port].start()
    }

    /// # Safety
    /// No other thread may run the same task, or one that writes what this one touches.
    #[inline(always)]
    unsafe fn run<S: Lanes>(&self, s: S, unit: &Unit, task: usize) {
        // SAFETY: passed on from the caller.
        unsafe {
            match &unit.work {
                Work::Chain {
                    chain,
                    elements,
                    share,
                } => {
                    let start = task * share;
                    let run = chain::Run {
                        cx: self,
                        chain,
                        registers: self.scratch,
                        task,
                        prefetch_distance: chain.tile(),
                    };
                    run.prepare();
                    let block = chain::Block {
                        start,
                        rows: 1,
                        stride: 0,
                        len: (*share).min(elements - start),
                    };
                    run.block(block, std::ptr::null());
                }
                Work::Pack(work) => matmul::pack(self, work, task),
                Work::SkipLists(work) => matmul::skip_lists(self, s, work, task),
                Work::Matmul(work) => matmul::multiply(self, s, work, task),
                Work::Weights(work) => convolution::weights(self, work, task),
                Work::Sweep(work) => convolution::sweep(self, s, work, task),
                Work::Dots(work) => convolution::dots(self, work, task),
                Work::Sum(work) => convolution::sum(self, s, work, task),
                Work::Pool(work) => pool::pool(self, work, task),
                Work::MaxPoolGradient(work) => pool::max_pool_gradient(self, work, task),
                Work::Normalize(work) => normalization::normalize(self, work, task),
                Work::Gather(work) => indexing::gather(self, s, work, task),
                Work::Scatter(work) => indexing::scatter(self, s, work, task),
                Work::OneHot(work) => indexing::one_hot(self, work, task),
                Work::Argmax(work) => indexing::argmax(self, s, work, task),
                Work::Reduce(work) => reduce::reduce(self, s, work, task),
                Work::Softmax(work) => softmax::softmax(self, s, work, task),
                Work::Concat(work) => self.concat(work, task),
                Work::Definition(work) => definition::evaluate(self, work),
                Work::LargestOf {
                    partial,
                    count,
                    out,
                } => {
                    let partials = std::slice::from_raw_parts(self.slot(*partial), *count);
                    *self.slot(*out) = largest(partials);
                }
            }
        }
    }

    /// # Safety
    /// As [`Context::run`].
    unsafe fn concat(&self, work: &ConcatWork, part: usize) {
        let p = &work.parts[part];
        for row in 0..work.rows {
            // SAFETY: the part's rows lie within its slot, and within the result where no other part's do.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    self.slot(p.from).add(row * p.run),
                    self.slot(work.to).add(p.offset + row * work.pitch),
                    p.run,
                );
            }
        }
    }

    /// Element `at` of an operand.
    ///
    /// # Safety
    /// The operand must have it.
    #[inline(always)]
    unsafe fn element(&self, place: Place, at: usize) -> f32 {
        // SAFETY: passed on from the caller; ports have elements of their dtype.
        unsafe {
            match place {
                Place::Slot(slot) => *self.slot(slot).add(at),
                Place::Half(slot) => {
                    f16::from_bits(*self.slot(slot).cast::<u16>().add(at)).to_f32()
                }
                Place::Port(port, dtype) => match dtype {
                    DType::Fp16 => f16::from_bits(*self.input::<u16>(port).add(at)).to_f32(),
                    DType::Fp32 => *self.input::<f32>(port).add(at),
                    DType::Int8 => (*self.input::<i8>(port).add(at)).into(),
                    DType::UInt8 | DType::Bool => (*self.input::<u8>(port).add(at)).into(),
                    DType::Int16 => (*self.input::<i16>(port).add(at)).into(),
                    DType::UInt16 => (*self.input::<u16>(port).add(at)).into(),
                    DType::Int32 => *self.input::<i32>(port).add(at) as f32,
                },
            }
        }
    }

    /// Writes element `at` of an output port of `dtype`.
    ///
    /// # Safety
    /// The port must have it, and no other thread write it.
    unsafe fn set_element(&self, port: usize, dtype: DType, at: usize, x: f64) {
        // SAFETY: passed on from the caller.
        unsafe {
            match dtype {
                DType::Fp16 => *self.output::<u16>(port).add(at) = f16::from_f64(x).to_bits(),
                DType::Fp32 => *self.output::<f32>(port).add(at) = x as f32,
                DType::Int8 => *self.output::<i8>(port).add(at) = x as i8,
                DType::UInt8 => *self.output::<u8>(port).add(at) = x as u8,
                DType::Bool => *self.output::<u8>(port).add(at) = u8::from(x != 0.0),
                DType::Int16 => *self.output::<i16>(port).add(at) = x as i16,
                DType::UInt16 => *self.output::<u16>(port).add(at) = x as u16,
                DType::Int32 => *self.output::<i32>(port).add(at) = x as i32,
            }
        }
    }

    /// Where an operand starts, for code that reads both kinds.
    fn source(&self, place: Place) -> crate::gemm::Source {
        use crate::gemm::Source;
        match place {
            Place::Slot(slot) => Source::F32(self.slot(slot)),
            Place::Half(slot) => Source::F16(self.slot(slot).cast()),
            Place::Port(port, DType::Fp16) => Source::F16(self.input(port)),
            Place::Port(port, _) => Source::F32(self.input(port)),
        }
    }
}

/// Largest element, NaN if one is.
fn largest(x: &[f32]) -> f32 {
    x.iter().copied().fold(
        f32::NEG_INFINITY,
        |a, b| if a.is_nan() || a > b { a } else { b },
    )
}
