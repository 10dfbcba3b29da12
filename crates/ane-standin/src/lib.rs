//! What the stand-ins for Apple's frameworks have in common.
//!
//! A stand-in is a library with the symbols or classes of one framework, for machines without a Neural Engine. Whatever
//! the interface, behind it stand the same four things, which are here: a program read from a directory, held to the
//! target's law and compiled for the software engine ([`Source`], [`Program`], [`Execution`]); a bound on the programs
//! that are loaded at a time ([`Loaded`]); faults that happen when a plan says so ([`Faults`]); and the environment
//! variables that set all of it ([`Environment`]). Nothing here knows an interface of Apple's.
//!
//! ```
//! use ane_engine::{Pool, SharedBuffer};
//! use ane_standin::{Environment, InPlace, Source};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let text = "program(1.3) {
//!     func main<ios18>(tensor<fp16, [1, 32]> x) {
//!         tensor<fp16, [1, 32]> y = abs(x = x);
//!     } -> (y);
//! }";
//! std::fs::write(directory.path().join("model.mil"), text)?;
//! let environment = Environment::default();
//! let target = "h16".parse()?;
//! let program = Source::read(directory.path())?.compile(&target, environment.options(&target))?;
//! let main = program.function("main").ok_or("no function")?;
//! let (x, y) = (SharedBuffer::new(64), SharedBuffer::new(64));
//! x.write_u16(|x| x.fill(0xBC00));
//! let pool = Pool::new(1)?;
//! main.bind(&[x], &[y.clone()], pool.threads(), InPlace::State)?.execute(&pool);
//! y.read_u16(|y| assert_eq!(y, [0x3C00; 32]));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod environment;
mod execution;
mod faults;
mod loaded;
mod program;
mod source;

pub use environment::{Environment, EnvironmentError, NumericsKind, WeightsHash, host_chip_of};
pub use execution::{Execution, InPlace};
pub use faults::{Event, Fault, FaultCounts, Faults, FaultsError, PlannedFault};
pub use loaded::{Loaded, LoadedSlot, TooManyLoaded};
pub use program::{Function, Program};
pub use source::{MODEL_FILE, ProgramError, Source};
