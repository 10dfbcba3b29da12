//! How a gradient leaves a step: rounded, to its port, and its largest magnitude to where overflow is looked for.

use crate::plan::{
    chain::{Instr, Src, is_dead},
    function::{Ew, Round},
};
use ane_ir::DType;

/// Replaces it everywhere.
pub(super) fn replace(instrs: &mut Vec<Instr>) {
    let mut i = 0;
    while i < instrs.len() {
        if let Some(output) = gradient_output(&instrs[i..]) {
            instrs.splice(i..i + 3, [output]);
        }
        i += 1;
    }
}

/// What rounds, exports and folds, in place of the three instructions that do it.
fn gradient_output(instrs: &[Instr]) -> Option<Instr> {
    let (window, after) = instrs.split_at_checked(3)?;
    let [
        Instr::Compute {
            f,
            round: Round::Fp16,
            to,
            xs: [from, ..],
        },
        Instr::Export {
            from: exported,
            port,
            dtype: DType::Fp16,
        },
        Instr::LargestMagnitude {
            from: folded,
            partial,
        },
    ] = window
    else {
        return None;
    };
    let limit = match f {
        Ew::Copy => f32::INFINITY,
        Ew::Cliff(limit) => *limit,
        _ => return None,
    };
    let rounded = Src::Reg(*to);
    let whole = !matches!(from, Src::Uniform(_));
    (whole && *exported == rounded && *folded == rounded && is_dead(after, *to)).then_some(
        Instr::GradientOutput {
            from: *from,
            limit,
            port: *port,
            partial: *partial,
        },
    )
}
