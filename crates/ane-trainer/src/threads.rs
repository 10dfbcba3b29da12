//! Threads and instruction set of this process.

use crate::{failure::Failure, output::detail};
use ane_engine::{Pool, simd::Isa};
use std::sync::Arc;

/// Threads and instruction set of this process.
pub(crate) fn machine(threads: Option<usize>) -> Result<(Arc<Pool>, Isa), Failure> {
    let isa = match std::env::var("ANE_TRAINER_ISA") {
        Ok(name) => name.parse::<Isa>().map_err(|e| {
            Failure::usage(
                e.to_string(),
                "unset ANE_TRAINER_ISA, or set it to one of these",
            )
        })?,
        Err(_) => Isa::detect(),
    };
    let every = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(every);
    let pool = Pool::new(threads).map_err(|e| {
        Failure::new(
            format!("cannot start {threads} threads: {e}"),
            "pass a smaller --threads",
        )
    })?;
    detail!("{} threads, instruction set {isa}", pool.threads());
    Ok((Arc::new(pool), isa))
}
