//! Instructions that are together something shorter: what training steps are made of, each pattern in a file of its
//! own.
//!
//! Nothing about the results changes: every function rounds as it would alone. A pass over a tile that only adds is
//! bound by its loads and stores, so two functions in one cost little more than one.

mod fused_pairs;
mod gradient_output;
mod two_sum;

use super::chain::Instr;

/// Replaces all that is known.
pub(super) fn replace(instrs: &mut Vec<Instr>) {
    two_sum::replace(instrs);
    gradient_output::replace(instrs);
    fused_pairs::replace(instrs);
}

#[cfg(test)]
mod tests;
