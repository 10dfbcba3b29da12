//! Descriptors: what makes none, and the identifier.

use crate::framework::{Object, class, data, descriptor, dictionary, empty, number, string, text};
use objc2::msg_send;
use objc2::runtime::AnyObject;
use sha2::{Digest, Sha256};

fn upper(digest: impl AsRef<[u8]>) -> String {
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

#[test]
fn nothing_is_described_by_nil_or_the_wrong_classes() {
    let class = class(c"_ANEInMemoryModelDescriptor");
    let mil = data(b"text");
    let none: Option<&AnyObject> = None;
    let weights = empty();
    // SAFETY: the encoding of the method says so.
    let (no_text, no_weights): (Option<Object>, Option<Object>) = unsafe {
        (
            msg_send![class, modelWithMILText: none, weights: &*weights, optionsPlist: none],
            msg_send![class, modelWithMILText: &*mil, weights: none, optionsPlist: none],
        )
    };
    assert!(no_text.is_none() && no_weights.is_none());
    assert!(descriptor(&string("text"), &weights).is_none());
    assert!(descriptor(&mil, &string("weights")).is_none());
    assert!(descriptor(&mil, &dictionary(&[("a", empty())])).is_none());
    assert!(descriptor(&mil, &dictionary(&[("a", data(b"bytes"))])).is_none());
    let without_data = dictionary(&[("offset", number(0))]);
    assert!(descriptor(&mil, &dictionary(&[("a", without_data)])).is_none());
    assert!(descriptor(&mil, &weights).is_some());
}

#[test]
fn the_identifier_is_three_digests() {
    let blob = |bytes: &[u8]| dictionary(&[("offset", number(0)), ("data", data(bytes))]);
    let weights = dictionary(&[("b", blob(b"two")), ("a", blob(b"one"))]);
    let described = descriptor(&data(b"text"), &weights).unwrap();
    let identifier = text(&described, c"hexStringIdentifier");
    let expected = [
        upper(Sha256::digest(b"text")),
        upper(Sha256::digest(b"\0\0\0\0onetwo")),
        upper(Sha256::digest(b"")),
    ];
    assert_eq!(identifier, expected.join("_"));
    assert_eq!(identifier.len(), 194);
    let other = descriptor(&data(b"text"), &dictionary(&[("a", blob(b"one"))])).unwrap();
    assert_ne!(text(&other, c"hexStringIdentifier"), identifier);
}
