//! The software Neural Engine: compiles a graph to a plan and runs it fast on a CPU.
//!
//! It returns what [`ane_ir::eval`] defines, bit for bit for arithmetic, movement and comparisons, and within the
//! tolerance each op states for functions and sums; the same bits on any number of threads. It does not know MIL, rules
//! or devices: it runs any graph, fp16 with an engine's rounding or fp32 for the host's share.
//!
//! ```
//! use ane_engine::{Options, Plan, Pool, SharedBuffer};
//! use ane_ir::{Graph, Numerics, TensorType};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut g = Graph::new();
//! let x = g.input("x", TensorType::fp32([4]))?;
//! let y = g.relu(x)?;
//! g.output("y", y)?;
//! let plan = Plan::compile(&g, Options::new(Numerics::ieee()))?;
//! let (x, y) = (SharedBuffer::new(16), SharedBuffer::new(16));
//! x.write_f32(|x| x.copy_from_slice(&[-1.0, 2.0, -3.0, 4.0]));
//! let pool = Pool::new(1)?;
//! plan.bind(&[x], &[y.clone()], pool.threads())?.execute(&pool);
//! y.read_f32(|y| assert_eq!(y, [0.0, 2.0, 0.0, 4.0]));
//! # Ok(())
//! # }
//! ```

mod arena;
mod exec;
mod gemm;
mod openmp;
mod plan;
mod pool;
pub mod simd;
mod workspace;

pub use arena::{Access, Foreign, Lent, SharedBuffer};
pub use exec::{
    BindError, Bound, ForEach, Gradient, MOST_STATE, Parameter, Strided, UnitTime, Update,
};
pub use openmp::OpenMp;
pub use plan::{MemoryUse, Options, Plan, PlanError, Port};
pub use pool::{Crew, Job, Pool};
pub use workspace::Workspace;
