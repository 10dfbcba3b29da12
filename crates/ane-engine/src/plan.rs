//! From a graph to a plan: what is computed in which order, by how many tasks, and where every value lives.
//!
//! Every node is lowered to what it is to the engine (`lowering`), values are gathered into groups that run as one pass
//! over tiles (`group`), each group becomes a unit of work (`build`), and units are given levels and memory
//! (`schedule`). Units of one level do not depend on each other: their tasks are handed to whichever thread is free, and
//! a level begins when the one before is done.

mod addresses;
mod build;
pub(crate) mod chain;
mod chain_builder;
pub(crate) mod convolution;
pub(crate) mod function;
pub(crate) mod fused_pair;
mod group;
mod half;
mod idiom;
mod in_place;
pub(crate) mod indexing;
mod lowering;
pub(crate) mod normalization;
mod pattern;
pub(crate) mod pool;
mod schedule;
mod strided;
pub(crate) mod walk;
pub(crate) mod window;

use crate::{arena::SharedBuffer, gemm::RowLayout, simd::Isa};
pub(crate) use ane_ir::DType;
use ane_ir::{Graph, Numerics, Segments, TensorType, ops::Op};
use chain::Chain;
use convolution::{DotsWork, SumWork, SweepWork, WeightsWork};
use function::Round;
pub(crate) use in_place::InPlace;
use indexing::{ArgmaxWork, GatherWork, OneHotWork, ScatterWork};
use lowering::Lowering;
use normalization::NormalizeWork;
use pool::{MaxPoolGradientWork, PoolWork};
use std::{collections::BTreeMap, sync::Arc};
use walk::Walk;

/// How a graph is compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The numeric policy.
    pub numerics: Numerics,
    /// The instruction set of the kernels.
    pub isa: Isa,
}

impl Options {
    /// `numerics` on the fastest instruction set of this machine.
    pub fn new(numerics: Numerics) -> Self {
        Self {
            numerics,
            isa: Isa::detect(),
        }
    }
}

/// A graph cannot be compiled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The caller asked for an instruction set that this machine lacks.
    #[error("this machine does not have {isa}")]
    Isa {
        /// What was asked for.
        isa: Isa,
    },
    /// A tensor without elements: nothing in the op set makes one out of others.
    #[error("`{value}` has no elements ({ty}); the engine computes nothing from nothing")]
    Empty {
        /// Name or number of the value.
        value: String,
        /// Its type.
        ty: TensorType,
    },
}

/// Memory of a program, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// Intermediate values and scratch: the [`crate::Workspace`]. Programs that share one take the largest of theirs.
    pub workspace: usize,
    /// Constants, once for all bindings.
    pub constants: usize,
    /// By input port, what a binding keeps of packed operands from its second execution on, while the port's buffer does
    /// not change. None of weights that train.
    pub kept_packs: BTreeMap<String, usize>,
    /// Buffers of the ports, where each is dense and belongs to this program alone.
    pub ports: usize,
}

/// A named tensor that crosses the boundary.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
}

/// Index of a region of the arena.
pub(crate) type Slot = usize;

/// Where an operand is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// In the arena: i32 where the value is of that type, else f32.
    Slot(Slot),
    /// In the arena as fp16.
    Half(Slot),
    /// An input port, in its own dtype.
    Port(usize, DType),
}

impl Place {
    /// The slot of the arena that it is in.
    pub(crate) fn slot(self) -> Option<Slot> {
        match self {
            Self::Slot(slot) | Self::Half(slot) => Some(slot),
            Self::Port(..) => None,
        }
    }
}

/// One unit of work.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) work: Work,
    pub(crate) tasks: usize,
    reads: Vec<Slot>,
    writes: Vec<Slot>,
    /// The nodes that it computes, or prepares an operand of; none where it only fills a port.
    pub(crate) nodes: Vec<usize>,
    /// Whether it only prepares an operand, and runs as late as it can.
    late: bool,
    /// The input port that it alone reads, where what it makes can be kept until that changes.
    only_of_port: Option<usize>,
}

/// What a unit does.
#[derive(Debug)]
pub(crate) enum Work {
    /// An elementwise pass over `elements`, `share` of them per task.
    Chain {
        chain: Chain,
        elements: usize,
        share: usize,
    },
    /// Packing of a matmul operand.
    Pack(PackWork),
    /// Sparse skip lists of a matmul.
    SkipLists(SkipListWork),
    /// A matrix product and the pass over its result.
    Matmul(MatmulWork),
    /// Weights of a convolution in the order of its kernel.
    Weights(WeightsWork),
    /// A convolution whose vectors run along its results, and the pass over them.
    Sweep(Box<SweepWork>),
    /// Partial results of a convolution whose vectors run along its window.
    Dots(Box<DotsWork>),
    /// The sum of partial results and the pass over it.
    Sum(SumWork),
    /// A pool and the pass over its results.
    Pool(PoolWork),
    /// The gradient of a pool of largest elements and the pass over it.
    MaxPoolGradient(MaxPoolGradientWork),
    /// Groups normalised, and the pass over them.
    Normalize(NormalizeWork),
    /// Slices by index.
    Gather(GatherWork),
    /// Slices put or added by index.
    Scatter(ScatterWork),
    /// Indices as vectors.
    OneHot(OneHotWork),
    /// Indices of largest elements.
    Argmax(ArgmaxWork),
    /// A reduction along axes.
    Reduce(ReduceWork),
    /// Softmax along an axis.
    Softmax(SoftmaxWork),
    /// Blocks of one tensor copied into another.
    Concat(ConcatWork),
    /// An op by its definition.
    Definition(DefinitionWork),
    /// Largest of the partial maxima that the tasks of a chain left.
    LargestOf {
        partial: Slot,
        count: usize,
        out: Slot,
    },
}

/// Packing of one operand of a matmul: `batches` matrices of `vectors` vectors of length `k`.
#[derive(Debug)]
pub(crate) struct PackWork {
    pub(crate) place: Place,
    pub(crate) stride: usize,
    pub(crate) step: usize,
    pub(crate) vectors: usize,
    pub(crate) k: usize,
    pub(crate) width: usize,
    pub(crate) groups: usize,
    pub(crate) groups_per_task: usize,
    pub(crate) batch_stride: usize,
    pub(crate) out: Packed,
}

/// A packed operand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed {
    pub(crate) slot: Slot,
    /// For every group the largest magnitude in it.
    pub(crate) magnitudes: Slot,
}

/// Skip lists, one for every block of rows of an operand.
#[derive(Debug)]
pub(crate) struct SkipListWork {
    pub(crate) rows: Slot,
    pub(crate) layout: RowLayout,
    /// Rows of a matrix.
    pub(crate) row_count: usize,
    pub(crate) k: usize,
    /// Strips of all matrices.
    pub(crate) strips: usize,
    pub(crate) strips_per_task: usize,
    pub(crate) out: Slot,
}

/// The operand whose rows the kernel reads, where the tensor holds them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) slot: Slot,
    pub(crate) layout: RowLayout,
    /// The skip list of every block of rows, or that which skips nothing where lists do not pay.
    pub(crate) skip_lists: Slot,
    /// The list that skips nothing.
    pub(crate) dense_list: Slot,
}

/// A batch of matrix products `[m, k] · [k, n]`, each cut into blocks of `rows` × `columns`.
#[derive(Debug)]
pub(crate) struct MatmulWork {
    pub(crate) chain: Chain,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Whether the kernel computes the transposed product: columns of the result are its rows.
    pub(crate) crossed: bool,
    pub(crate) row_side: Rows,
    pub(crate) column_side: Packed,
    /// For every matrix of the result, which matrices of the left and the right operand it multiplies.
    pub(crate) batch: Vec<(usize, usize)>,
}

/// Which reduction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    LogSumExp,
    SumSquare,
    L2Norm,
    /// The square root of a sum: what is left of a norm when squares were added up by parts.
    RootOfSum,
}

impl Reduction {
    /// Whether it is of squares.
    pub(crate) fn squares(self) -> bool {
        matches!(self, Self::SumSquare | Self::L2Norm)
    }

    /// The reduction of a part, and that of what those left; every one but the logarithm of a sum has them.
    pub(crate) fn in_parts(self) -> (Self, Self) {
        match self {
            Self::Max | Self::Min => (self, self),
            Self::SumSquare => (Self::SumSquare, Self::Sum),
            Self::L2Norm => (Self::SumSquare, Self::RootOfSum),
            Self::Sum | Self::Mean | Self::LogSumExp | Self::RootOfSum => (Self::Sum, self),
        }
    }
}

/// A reduction of every result's terms, or of several parts of them.
#[derive(Debug)]
pub(crate) struct ReduceWork {
    pub(crate) kind: Reduction,
    /// What a mean divides by.
    pub(crate) divisor: f32,
    /// What results are rounded to, if they are not partial ones.
    pub(crate) dtype: Option<DType>,
    pub(crate) from: Slot,
    /// All results of the first part, then those of the next.
    pub(crate) to: Slot,
    /// Where the terms of every result start.
    pub(crate) kept: Walk,
    /// The terms of every part.
    pub(crate) parts: Vec<Walk>,
    pub(crate) results: usize,
    /// Results of a task.
    pub(crate) share: usize,
}

/// Softmax of every row.
#[derive(Debug)]
pub(crate) struct SoftmaxWork {
    pub(crate) dtype: DType,
    pub(crate) round: Round,
    pub(crate) from: Slot,
    pub(crate) to: Slot,
    /// Where every row starts.
    pub(crate) rows: Walk,
    pub(crate) row: Walk,
    /// Rows of a task.
    pub(crate) share: usize,
}

/// For every operand: rows of `run` elements go to `offset + row · pitch`.
#[derive(Debug)]
pub(crate) struct ConcatWork {
    pub(crate) parts: Vec<ConcatPart>,
    pub(crate) rows: usize,
    pub(crate) pitch: usize,
    pub(crate) to: Slot,
}

/// One operand of a [`ConcatWork`].
#[derive(Debug)]
pub(crate) struct ConcatPart {
    pub(crate) from: Slot,
    pub(crate) run: usize,
    pub(crate) offset: usize,
}

/// An op evaluated as [`ane_ir`] defines it.
#[derive(Debug)]
pub(crate) struct DefinitionWork {
    pub(crate) op: Op,
    /// To which declared operands those present belong.
    pub(crate) segments: Segments,
    pub(crate) operands: Vec<(Place, TensorType)>,
    pub(crate) results: Vec<Destination>,
}

/// Where a result goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destination {
    Slot(Slot),
    /// An output port, in its own dtype.
    Port(usize),
}

/// A compiled graph. Cheap to clone and free of state; [`crate::Bound`] holds that.
#[derive(Debug, Clone)]
pub struct Plan(pub(crate) Arc<PlanData>);

#[derive(Debug)]
pub(crate) struct PlanData {
    pub(crate) options: Options,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    /// Declared pairs of ports.
    pub(crate) in_place: Vec<InPlace>,
    pub(crate) units: Vec<Unit>,
    pub(crate) levels: Vec<Level>,
    /// Where every slot is.
    pub(crate) addresses: Vec<Address>,
    /// Size of the arena, in f32 elements.
    pub(crate) arena: usize,
    /// Scratch of one thread, in f32 elements.
    pub(crate) scratch: usize,
    /// The region of constants, filled.
    pub(crate) constants: SharedBuffer,
    pub(crate) kept: Vec<KeptPack>,
}

impl PlanData {
    /// Bytes of arena and scratch for `threads` threads.
    pub(crate) fn workspace_bytes(&self, threads: usize) -> usize {
        4 * (self.arena + threads.max(1) * self.scratch)
    }
}

/// Units that do not depend on each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Level {
    pub(crate) units: Vec<usize>,
    /// For every unit how many tasks it and those before it have.
    pub(crate) ends: Vec<usize>,
}

impl Level {
    pub(crate) fn tasks(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The unit that task number `task` of the level belongs to, and which of its tasks it is.
    pub(crate) fn find(&self, task: usize) -> (usize, usize) {
        let at = self.ends.partition_point(|&end| end <= task);
        let before = at.checked_sub(1).map_or(0, |i| self.ends[i]);
        (self.units[at], task - before)
    }
}

/// Which memory a slot is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Region {
    /// What an execution leaves behind, shared by programs.
    Arena,
    /// What is there from the start, shared by all bindings of the plan.
    Constants,
}

/// Where a slot is, in f32 elements from the start of its region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub(crate) region: Region,
    pub(crate) at: usize,
}

/// An operand packed from an input port alone, which a binding can keep while the port's buffer does not change.
#[derive(Debug)]
pub(crate) struct KeptPack {
    pub(crate) unit: usize,
    pub(crate) port: usize,
    /// Its slots and where they lie in memory of its own.
    pub(crate) slots: Vec<(Slot, usize)>,
    /// Size of that memory, in f32 elements.
    pub(crate) elements: usize,
}

impl Plan {
    /// Compiles `graph`.
    ///
    /// # Errors
    /// When the instruction set is not there, or a tensor has no elements.
    pub fn compile(graph: &Graph, options: Options) -> Result<Self, PlanError> {
        if !options.isa.available() {
            return Err(PlanError::Isa { isa: options.isa });
        }
        if let Some(v) = graph.values().find(|&v| graph.ty(v).shape.numel() == 0) {
            return Err(PlanError::Empty {
                value: graph.name(v).map_or_else(|| v.to_string(), str::to_owned),
                ty: graph.ty(v).clone(),
            });
        }
        Ok(Self::lowered(
            graph,
            &lowering::lower(graph, &options),
            options,
        ))
    }

    /// The plan of a graph whose nodes are lowered.
    fn lowered(graph: &Graph, lowering: &[Lowering], options: Options) -> Self {
        let groups = group::group(graph, lowering);
        let built = build::build(graph, lowering, &groups, &options);
        Self(Arc::new(schedule::schedule(graph, built, options)))
    }

    /// Input ports, in order.
    pub fn inputs(&self) -> &[Port] {
        &self.0.inputs
    }

    /// Output ports, in order.
    pub fn outputs(&self) -> &[Port] {
        &self.0.outputs
    }

    /// The options it was compiled with.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Barriers of one execution.
    pub fn level_count(&self) -> usize {
        self.0.levels.len()
    }

    /// Passes, products, packings and so on of one execution.
    pub fn unit_count(&self) -> usize {
        self.0.units.len()
    }

    /// Bytes of intermediate values.
    pub fn arena_bytes(&self) -> usize {
        self.0.arena * 4
    }

    /// What running it on `threads` threads takes, without taking it.
    pub fn memory(&self, threads: usize) -> MemoryUse {
        let data = &*self.0;
        let ports = data.inputs.iter().chain(&data.outputs);
        let mut kept_packs = BTreeMap::new();
        for kept in &data.kept {
            let of_port = kept_packs.entry(data.inputs[kept.port].name.clone());
            *of_port.or_default() += SharedBuffer::footprint(kept.elements * 4);
        }
        MemoryUse {
            workspace: SharedBuffer::footprint(data.workspace_bytes(threads)),
            constants: SharedBuffer::footprint(data.constants.len()),
            kept_packs,
            ports: ports.map(|p| SharedBuffer::footprint(p.ty.bytes())).sum(),
        }
    }
}
