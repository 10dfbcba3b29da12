//! What is said where this program itself is at fault.

use crate::{command_line, output::remark, progress};
use std::panic;

/// Lets a panic say, besides where it was, how it is reported.
pub(crate) fn explain() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        progress::leave_screen();
        usual(info);
        remark!(
            "\nThis is a defect of ane-trainer, not of what you asked for. Checkpoints that were written are whole.\n\
             Please report it with the lines above and these:\n  version {} on {} {}\n  command {}\n\
             RUST_BACKTRACE=1 before the command makes the report better.",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
            command_line::this()
        );
    }));
}
