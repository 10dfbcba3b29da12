//! The binary of `ane-trainer`; what it does is in the library.

#![forbid(unsafe_code)]

use ane_trainer::{Program, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(run(Program::Executable, std::env::args_os().skip(1)))
}
