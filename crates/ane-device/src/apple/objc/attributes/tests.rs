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
    #[cfg(gnustep)]
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
        layout_is_stated: false,
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
    let found = of(|| status(64, 192), &["a"], &["z"]).unwrap();
    assert!(found.layout_is_stated);
    // One port of which nothing is said is enough not to know.
    let found = of(|| status(64, 192), &["a", "b"], &["z"]).unwrap();
    assert!(!found.layout_is_stated);
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

/// A statement about port `a`, which has 6 rows of 64 bytes.
fn stated(entries: &[(&str, usize)]) -> Result<Symbols, AppleError> {
    let status = || -> Object {
        let mut all = vec![("Name", string("a")), ("RowStride", number(64))];
        all.extend(entries.iter().map(|(key, n)| (*key, number(*n))));
        made(&[("LiveInputList", array([made(&all).into()]))]).into()
    };
    of(status, &["a"], &["z"])
}

#[test]
fn strides_of_axes_with_one_element_do_not_count() {
    let one = [("Batches", 1), ("Depth", 1), ("Channels", 1), ("Height", 6)];
    let padded = [
        ("PlaneStride", 512),
        ("DepthStride", 1024),
        ("BatchStride", 16384),
    ];
    stated(&[&one[..], &padded].concat()).unwrap();
    for (axis, stride) in [
        ("Channels", "PlaneStride"),
        ("Depth", "DepthStride"),
        ("Batches", "BatchStride"),
    ] {
        let axes = [(axis, 2), ("Height", 3), (stride, 192)];
        stated(&axes).unwrap();
        let e = stated(&[(axis, 2), ("Height", 3), (stride, 256)]).unwrap_err();
        assert!(
            e.to_string().contains("64 bytes between planes"),
            "{axis}: {e}"
        );
    }
}

#[test]
fn what_is_larger_than_a_surface_is_refused() {
    let e = stated(&[("Height", 6), ("BatchStride", 16385)]).unwrap_err();
    assert!(e.to_string().contains("1 bytes more than a surface"), "{e}");
    let most = usize::MAX;
    let e = stated(&[("Batches", 2), ("Height", most), ("BatchStride", most)]).unwrap_err();
    assert!(matches!(e, AppleError::PortLayout { .. }), "{e}");
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
