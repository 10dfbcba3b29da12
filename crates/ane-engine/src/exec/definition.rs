//! Tasks of ops that run by their definition.

use super::Context;
use crate::plan::{DType, DefinitionWork, Destination, Place};
use ane_ir::{Operands, Real, Tensor};

/// What the definition computes in: f32, and every int32.
type Element = <f32 as Real>::Exact;

/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn evaluate(cx: &Context<'_>, work: &DefinitionWork) {
    let operands = work.operands.iter().map(|(place, ty)| {
        let elements = 0..ty.shape.numel();
        // SAFETY: the operand has the elements of its type, and nothing writes them at this level.
        let data = elements.map(|at| unsafe { element(cx, *place, ty.dtype, at) });
        Tensor::new(ty.clone(), data.collect())
    });
    let operands: Vec<Tensor<Element>> = operands.collect();
    let operands: Vec<&Tensor<Element>> = operands.iter().collect();
    let numerics = &cx.execution.plan.0.options.numerics;
    let operands = Operands::new(work.op.operands(), &operands, &work.segments);
    for (y, &to) in work.op.eval(&operands, numerics).iter().zip(&work.results) {
        // SAFETY: the plan sized slot and port by the result's type; the unit has one task.
        unsafe { write(cx, y, to) };
    }
}

/// Element `at` of an operand.
///
/// # Safety
/// The operand must have it.
unsafe fn element(cx: &Context<'_>, place: Place, dtype: DType, at: usize) -> Element {
    // SAFETY: passed on from the caller; a slot of int32 holds i32.
    unsafe {
        match (place, dtype) {
            (Place::Slot(slot), DType::Int32) => {
                Element::from_int(*cx.slot(slot).cast::<i32>().add(at))
            }
            (Place::Port(port, _), DType::Int32) => {
                Element::from_int(*cx.input::<i32>(port).add(at))
            }
            _ => Element::from_f64(cx.element(place, at).into()),
        }
    }
}

/// # Safety
/// The destination must have the tensor's elements, and be this task's alone.
unsafe fn write(cx: &Context<'_>, y: &Tensor<Element>, to: Destination) {
    for (at, x) in y.data.iter().enumerate() {
        // SAFETY: passed on from the caller.
        unsafe {
            match (to, y.ty.dtype) {
                (Destination::Slot(slot), DType::Int32) => {
                    *cx.slot(slot).cast::<i32>().add(at) = x.to_int();
                }
                (Destination::Slot(slot), _) => *cx.slot(slot).add(at) = x.to_f32(),
                (Destination::Port(port), dtype) => cx.set_element(port, dtype, at, x.to_f64()),
            }
        }
    }
}
