//! Graphs that `push` cannot make, each with one broken invariant for [`verify`] to find.
//!
//! They are here, and not beside `verify`, because only this module reaches the fields.

use super::*;
use crate::verify::{VerifyError, verify};

/// `x → a = relu → b = tanh → y`, where `a` is an output too.
fn sound() -> (Graph, [Value; 3]) {
    let mut g = Graph::new();
    let x = g.input("x", TensorType::fp16([2, 3])).unwrap();
    let a = g.relu(x).unwrap();
    let b = g.tanh(a).unwrap();
    g.output("a", a).unwrap();
    g.output("y", b).unwrap();
    assert_eq!(verify(&g), []);
    (g, [x, a, b])
}

/// What `verify` finds after `damage`, and its messages.
fn found(damage: impl FnOnce(&mut Graph, [Value; 3])) -> (Vec<VerifyError>, Vec<String>) {
    let (mut g, values) = sound();
    damage(&mut g, values);
    let errors = verify(&g);
    let messages = errors.iter().map(ToString::to_string).collect();
    (errors, messages)
}

#[test]
fn an_operand_that_is_defined_later_is_found() {
    let (errors, messages) = found(|g, [_, _, b]| g.nodes[0].operands[0] = b);
    assert!(matches!(
        errors[..],
        [VerifyError::UseBeforeDef {
            node: 0,
            op: "relu",
            ..
        }]
    ));
    assert_eq!(messages, ["node 0 (relu) reads %2 before it is defined"]);
}

#[test]
fn a_node_that_reads_its_own_result_is_found() {
    let (_, messages) = found(|g, [_, a, _]| g.nodes[0].operands[0] = a);
    assert_eq!(messages, ["node 0 (relu) reads %1 before it is defined"]);
}

#[test]
fn a_type_that_the_op_does_not_yield_is_found() {
    let (errors, messages) = found(|g, [_, _, b]| {
        g.values[b.index()].ty = TensorType::fp32([2, 3]);
    });
    assert!(matches!(errors[..], [VerifyError::Type { .. }]));
    assert_eq!(
        messages,
        ["%2 is recorded as tensor<fp32, [2, 3]>, its op yields tensor<fp16, [2, 3]>"]
    );
}

#[test]
fn operands_that_the_op_does_not_take_are_found_where_it_is_applied() {
    let (errors, _) = found(|g, [x, a, _]| {
        g.values[x.index()].ty = TensorType::new(DType::Bool, [2, 3]);
        g.values[a.index()].ty = TensorType::new(DType::Bool, [2, 3]);
    });
    assert!(
        errors
            .iter()
            .all(|e| matches!(e, VerifyError::Type { expected, .. } if !expected.is_empty()))
    );
    assert_eq!(errors.len(), 2);
}

#[test]
fn a_result_that_the_op_does_not_have_is_found() {
    let (_, messages) = found(|g, _| {
        let extra = g.define(TensorType::fp16([1]), Def::Result { node: 1, index: 1 });
        g.nodes[1].results.push(extra);
    });
    assert_eq!(
        messages,
        ["%3 is recorded as tensor<fp16, [1]>, its op yields nothing"]
    );
}

#[test]
fn more_axes_than_the_ir_has_are_found() {
    let (errors, messages) = found(|g, [x, a, b]| {
        for v in [x, a, b] {
            g.values[v.index()].ty = TensorType::fp16([1; 9]);
        }
    });
    assert!(
        errors
            .iter()
            .all(|e| matches!(e, VerifyError::Rank { rank: 9, .. }))
    );
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[0], "%0 has rank 9, at most 8 is possible");
}

#[test]
fn a_definition_that_points_elsewhere_is_found() {
    let (errors, messages) = found(|g, [_, a, _]| g.values[a.index()].def = Def::Input(0));
    assert!(matches!(errors[..], [VerifyError::Definition { .. }]));
    assert_eq!(messages, ["%1 and its definition disagree"]);
}

#[test]
fn two_ports_of_one_name_are_found() {
    let (errors, messages) = found(|g, [x, ..]| g.values[x.index()].name = Some("y".into()));
    assert!(matches!(errors[..], [VerifyError::PortName { .. }]));
    assert_eq!(messages, ["two ports are called `y`"]);
}

#[test]
fn a_pass_that_breaks_an_invariant_is_named_with_what_it_broke() {
    let pass = crate::passes::Pass {
        name: "vandal",
        run: |graph, _| {
            let mut g = graph.clone();
            let y = g.outputs[1];
            g.values[y.index()].def = Def::Input(0);
            Ok(g)
        },
    };
    let (g, _) = sound();
    let error = crate::passes::run(&g, &crate::Target::SOFTWARE, &[pass]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pass `vandal` broke %2 and its definition disagree"
    );
}
