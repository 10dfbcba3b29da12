//! Ctrl-C in a run.

use crate::output::remark;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A flag that the first Ctrl-C sets; the second ends the program at once.
pub(super) fn catch_interrupts() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // A second handler in one process cannot be set; without it Ctrl-C ends the program, and checkpoints stay good.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        remark!("finishing the step; press Ctrl-C again to stop at once");
    });
    stop
}
