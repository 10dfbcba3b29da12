//! Tasks of ops that run by their definition.

use super::Context;
use crate::plan::DefinitionWork;
use ane_ir::{Operands, Tensor};

/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn evaluate(cx: &Context<'_>, work: &DefinitionWork) {
    let operands = work.operands.iter().map(|(place, ty)| {
        let elements = 0..ty.shape.numel();
        // SAFETY: the operand has the elements of its type, and nothing writes them at this level.
        let data = elements.map(|at| unsafe { cx.element(*place, at) });
        Tensor::new(ty.clone(), data.collect())
    });
    let operands: Vec<Tensor<f32>> = operands.collect();
    let operands: Vec<&Tensor<f32>> = operands.iter().collect();
    let numerics = &cx.execution.plan.0.options.numerics;
    let operands = Operands::new(work.op.operands(), &operands, &work.segments);
    for (y, &slot) in work.op.eval(&operands, numerics).iter().zip(&work.results) {
        // SAFETY: the plan sized the slot by the result's type; the unit has one task.
        unsafe {
            std::ptr::copy_nonoverlapping(y.data.as_ptr(), cx.slot(slot), y.data.len());
        }
    }
}
