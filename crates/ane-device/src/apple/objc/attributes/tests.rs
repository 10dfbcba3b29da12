//! Attributes as a program states them, made by hand.

use super::*;
use crate::apple::objc::messages::{Dictionary, dictionary as made, number, pooled, string};
use objc2::runtime::AnyObject;

fn array(objects: impl IntoIterator<Item = Object>) -> Object {
    let all: Vec<Object> = objects.into_iter().collect();
    NSArray::from_retained_slice(&all).into()
}

fn layout(name: &str, row: usize, plane: usize) -> Object {
    made(&[
        ("Name", string(name)),
        ("Batches", number(1)),
        ("Channels", number(2)),
        ("Height", number(3)),
        ("RowStride", number(row)),
        ("PlaneStride", number(plane)),
        ("BatchStride", number(2 * plane)),
    ])
    .into()
}

/// Two inputs and an output, in an order of the compiler's own, with a gap before the first symbol of the procedure.
fn attributes(status: Object) -> Dictionary {
    let procedure = |id: usize, inputs: [usize; 2], output: usize| -> Object {
        made(&[
            ("ANEFModelProcedureID", number(id)),
            ("ANEFModelInputSymbolIndexArray", array(inputs.map(number))),
            ("ANEFModelOutputSymbolIndexArray", array([number(output)])),
        ])
        .into()
    };
    let description = made(&[
        (
            "kANEFModelInputSymbolsArrayKey",
            array(["other", "b", "a"].map(string)),
        ),
        (
            "kANEFModelOutputSymbolsArrayKey",
            array(["y@output", "z@output"].map(string)),
        ),
        (
            "ANEFModelProcedures",
            array([procedure(1, [0, 1], 0), procedure(0, [1, 2], 1)]),
        ),
    ]);
    made(&[
        ("ANEFModelDescription", description.into()),
        ("NetworkStatusList", array([status])),
    ])
}

fn port(name: &str) -> Port {
    Port {
        name: name.into(),
        ty: TensorType::fp16([2, 3, 32]),
    }
}

fn of(
    status: impl FnOnce() -> Object,
    inputs: &[&str],
    outputs: &[&str],
) -> Result<Symbols, AppleError> {
    #[cfg(feature = "gnustep")]
    gnustep_shim::link();
    pooled(|| {
        let attributes = attributes(status());
        let ports = |names: &[&str]| names.iter().map(|n| port(n)).collect::<Vec<_>>();
        // SAFETY: reading forgets what kind the keys and values are of.
        let attributes = unsafe { attributes.cast_unchecked::<AnyObject, AnyObject>() };
        Symbols::of(attributes, &ports(inputs), &ports(outputs))
    })
}

fn nothing() -> Object {
    made(&[]).into()
}

#[test]
fn symbols_are_found_by_name_and_procedure() {
    let found = of(nothing, &["a", "b"], &["z"]).unwrap();
    let expected = Symbols {
        inputs: vec![2, 1],
        outputs: vec![1],
    };
    assert_eq!(found, expected);
}

#[test]
fn a_port_that_is_not_there_is_named() {
    let e = of(nothing, &["a", "c"], &["z"]).unwrap_err().to_string();
    assert!(e.contains("no port `c`, only b, a"), "{e}");
    // The symbol is another procedure's.
    let e = of(nothing, &["a"], &["y"]).unwrap_err().to_string();
    assert!(e.contains("no port `y`, only z"), "{e}");
}

#[test]
fn layouts_that_differ_are_refused_with_both_sides() {
    let status = |row: usize, plane: usize| -> Object {
        made(&[
            ("LiveInputList", array([layout("a", row, plane)])),
            ("LiveOutputList", array([layout("z@output", 64, 192)])),
        ])
        .into()
    };
    of(|| status(64, 192), &["a"], &["z"]).unwrap();
    let e = of(|| status(128, 384), &["a"], &["z"])
        .unwrap_err()
        .to_string();
    assert!(
        e.contains("port `a`")
            && e.contains("6 rows of 128 bytes")
            && e.contains("6 rows of 64 bytes"),
        "{e}"
    );
    let e = of(|| status(64, 256), &["a"], &["z"])
        .unwrap_err()
        .to_string();
    assert!(e.contains("64 bytes between planes"), "{e}");
}

#[test]
fn keys_in_lower_camel_case_are_read_too() {
    let status = || -> Object {
        let entry = made(&[
            ("name", string("a")),
            ("height", number(6)),
            ("rowStride", number(32)),
        ]);
        made(&[("liveInputList", array([entry.into()]))]).into()
    };
    let e = of(status, &["a"], &["z"]).unwrap_err().to_string();
    assert!(e.contains("6 rows of 32 bytes"), "{e}");
}
