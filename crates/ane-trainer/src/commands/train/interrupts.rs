//! Ctrl-C in a run.

use crate::{output::remark, progress};
use ane_train::fit::Control;
use std::sync::Arc;

/// What the first Ctrl-C asks to stop; the second ends the program at once.
pub(super) fn catch_interrupts() -> Arc<Control> {
    let control = Arc::new(Control::default());
    let asked = control.clone();
    // A second handler in one process cannot be set; without it Ctrl-C ends the program, and checkpoints stay good.
    let _ = ctrlc::set_handler(move || {
        if asked.stop() {
            progress::leave_screen();
            std::process::exit(130);
        }
        remark!("finishing the step; press Ctrl-C again to stop at once");
    });
    control
}
