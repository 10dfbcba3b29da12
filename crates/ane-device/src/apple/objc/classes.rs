//! Every Objective-C method that the routes call, with the types it takes and returns.
//!
//! A message is sent with the types that the sender believes in. If a method has changed, the call does anything at all;
//! so before the first message the encodings are compared, and a difference is an error that names it. Digits, which are
//! offsets on a stack, and qualifiers such as `const` are left out on both sides.

use crate::apple::AppleError;
use objc2::{
    ffi,
    runtime::{AnyClass, AnyObject, Sel},
};
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char, c_void},
    path::Path,
};

/// A method that is called. Its encoding is that of macOS 27 on M2 and M4 (ane-reference §1.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    class: &'static str,
    /// With a leading `+` when it is the class's own, and `-` otherwise.
    selector: &'static str,
    /// Without digits and qualifiers.
    encoding: &'static str,
}

const fn method(class: &'static str, selector: &'static str, encoding: &'static str) -> Method {
    Method {
        class,
        selector,
        encoding,
    }
}

/// What the route `client` calls.
pub(super) const CLIENT: &[Method] = &[
    method("_ANEClient", "+sharedConnection", "@@:"),
    method("_ANEClient", "-compileModel:options:qos:error:", "B@:@@I^@"),
    method("_ANEClient", "-compiledModelExistsFor:", "B@:@"),
    method(
        "_ANEClient",
        "-evaluateWithModel:options:request:qos:error:",
        "B@:@@@I^@",
    ),
    method("_ANEClient", "-loadModel:options:qos:error:", "B@:@@I^@"),
    method("_ANEClient", "-purgeCompiledModel:", "v@:@"),
    method("_ANEClient", "-unloadModel:options:qos:error:", "B@:@@I^@"),
    method(
        "_ANEIOSurfaceObject",
        "+objectWithIOSurface:",
        "@@:^{__IOSurface=}",
    ),
    method("_ANEModel", "+modelAtURL:key:", "@@:@@"),
    method("_ANEModel", "-modelAttributes", "@@:"),
    method("_ANERequest", REQUEST, "@@:@@@@@@@"),
];

/// What the route `memory` calls.
pub(super) const MEMORY: &[Method] = &[
    method(
        "_ANEIOSurfaceObject",
        "+objectWithIOSurface:",
        "@@:^{__IOSurface=}",
    ),
    method("_ANEInMemoryModel", "+inMemoryModelWithDescriptor:", "@@:@"),
    method(
        "_ANEInMemoryModel",
        "-compileWithQoS:options:error:",
        "B@:I@^@",
    ),
    method("_ANEInMemoryModel", "-compiledModelExists", "B@:"),
    method(
        "_ANEInMemoryModel",
        "-evaluateWithQoS:options:request:error:",
        "B@:I@@^@",
    ),
    method("_ANEInMemoryModel", "-hexStringIdentifier", "@@:"),
    method(
        "_ANEInMemoryModel",
        "-loadWithQoS:options:error:",
        "B@:I@^@",
    ),
    method("_ANEInMemoryModel", "-localModelPath", "@@:"),
    method("_ANEInMemoryModel", "-model", "@@:"),
    method("_ANEInMemoryModel", "-unloadWithQoS:error:", "B@:I^@"),
    method(
        "_ANEInMemoryModelDescriptor",
        "+modelWithMILText:weights:optionsPlist:",
        "@@:@@@",
    ),
    method("_ANEModel", "-modelAttributes", "@@:"),
    method("_ANERequest", REQUEST, "@@:@@@@@@@"),
];

/// What is asked about the engine.
pub(super) const DEVICE_INFO: &[Method] = &[
    method("_ANEDeviceInfo", "+aneArchitectureType", "@@:"),
    method("_ANEDeviceInfo", "+aneSubType", "@@:"),
    method("_ANEDeviceInfo", "+buildVersion", "@@:"),
    method("_ANEDeviceInfo", "+hasANE", "B@:"),
    method("_ANEDeviceInfo", "+numANECores", "I@:"),
    method("_ANEDeviceInfo", "+numANEs", "I@:"),
    method("_ANEDeviceInfo", "+productName", "@@:"),
];

/// What the route `memory` calls where it is there: without it the daemon only keeps more than it needs. Its encoding is
/// in no report.
pub(super) const PURGE: Method = method("_ANEInMemoryModel", "-purgeCompiledModel", "v@:");

/// The selector that makes a request.
const REQUEST: &str =
    "+requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:";

/// Compares every method in `methods` with what the runtime has.
///
/// # Errors
/// The first class or method that is missing or has other types; `library` is where it should have been.
pub(super) fn check(methods: &[Method], library: &Path) -> Result<(), AppleError> {
    for m in methods {
        let name = CString::new(m.class).expect("class names have no zero byte");
        let class = AnyClass::get(&name).ok_or_else(|| AppleError::ClassMissing {
            class: m.class,
            library: library.to_owned(),
        })?;
        let found = encoding(class, m.selector).ok_or(AppleError::SelectorMissing {
            class: m.class,
            selector: m.selector,
        })?;
        let found = bare(&found);
        if found != m.encoding {
            return Err(AppleError::EncodingChanged {
                class: m.class,
                selector: m.selector,
                expected: m.encoding,
                found,
            });
        }
    }
    Ok(())
}

/// What differs in every class that is called, class by class.
pub(super) fn differences(library: &Path) -> Vec<(&'static str, Vec<String>)> {
    let mut all = BTreeMap::<&str, Vec<String>>::new();
    for m in [CLIENT, MEMORY, DEVICE_INFO].into_iter().flatten() {
        let differences = all.entry(m.class).or_default();
        if let Err(e) = check(&[*m], library) {
            let words = e.to_string();
            // A method that two routes call is in two lists.
            if !differences.contains(&words) {
                differences.push(words);
            }
        }
    }
    all.into_iter().collect()
}

/// Whether a method is what it was, for one without which a route can do.
pub(super) fn is_there(m: &Method) -> bool {
    check(&[*m], Path::new("")).is_ok()
}

/// A class that [`check`] has seen.
pub(super) fn class(name: &CStr) -> &'static AnyClass {
    AnyClass::get(name).expect("`check` has seen every class that is used")
}

/// The runtime's encoding of a method. The runtime is asked by its C functions, because objc2's reader of encodings
/// gives up on those that it does not know.
fn encoding(class: &AnyClass, selector: &str) -> Option<String> {
    let (kind, selector) = selector.split_at(1);
    let selector = CString::new(selector).expect("selectors have no zero byte");
    let class = if kind == "+" {
        class.metaclass()
    } else {
        class
    };
    // SAFETY: the class is live and the selector registered; a method's encoding is a C string that lives as long as
    // the method.
    let types: *const c_char = unsafe {
        let method = ffi::class_getInstanceMethod(class, Sel::register(&selector));
        if method.is_null() {
            return None;
        }
        ffi::method_getTypeEncoding(method)
    };
    if types.is_null() {
        return Some(String::new());
    }
    // SAFETY: as above.
    Some(
        unsafe { CStr::from_ptr(types) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// An encoding without digits and qualifiers; names of structures are left whole.
fn bare(encoding: &str) -> String {
    let mut depth = 0_usize;
    let mut out = String::new();
    for c in encoding.chars() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_noise = c.is_ascii_digit() || "rnNoORVA".contains(c);
        if depth > 0 || !is_noise {
            out.push(c);
        }
    }
    out
}

/// `BOOL` as Apple silicon passes it; `objc2::runtime::Bool` is another type under GNUstep.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Boolean(pub(super) bool);

// SAFETY: a transparent wrapper of C's bool.
unsafe impl objc2::Encode for Boolean {
    const ENCODING: objc2::Encoding = objc2::Encoding::Bool;
}

/// What an `IOSurfaceRef` points to.
#[repr(C)]
#[derive(Debug)]
pub(super) struct SurfaceBehind {
    _opaque: [u8; 0],
}

// SAFETY: an opaque structure of this name.
unsafe impl objc2::RefEncode for SurfaceBehind {
    const ENCODING_REF: objc2::Encoding =
        objc2::Encoding::Pointer(&objc2::Encoding::Struct("__IOSurface", &[]));
}

impl SurfaceBehind {
    /// The reference behind an object: they are the same.
    pub(super) fn of(object: &AnyObject) -> *mut Self {
        let object: *const AnyObject = object;
        object.cast::<c_void>().cast_mut().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_qualifiers_do_not_count() {
        assert_eq!(bare("B52@0:8@16@24@32I40^@44"), "B@:@@@I^@");
        assert_eq!(bare("@24@0:8^{__IOSurface=}16"), "@@:^{__IOSurface=}");
        assert_eq!(bare("Vv16@0:8r^{Norm4=iQ}O@"), "v@:^{Norm4=iQ}@");
    }

    #[test]
    fn lists_are_in_order_and_say_each_method_once() {
        for list in [CLIENT, MEMORY, DEVICE_INFO] {
            let names: Vec<_> = list.iter().map(|m| (m.class, m.selector)).collect();
            let mut sorted = names.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(names, sorted);
            assert!(list.iter().all(|m| bare(m.encoding) == m.encoding));
        }
    }

    #[test]
    fn what_is_missing_or_changed_is_named() {
        #[cfg(gnustep)]
        gnustep_shim::link();
        let at = Path::new("/framework");
        let refused = |m: Method| check(&[m], at).unwrap_err().to_string();
        let e = refused(method("_ANENothing", "-anything", "v@:"));
        assert!(e.contains("`/framework` has no class `_ANENothing`"), "{e}");
        let e = refused(method("NSObject", "-anythingAtAll:", "v@:@"));
        assert!(
            e.contains("class `NSObject` has no method `-anythingAtAll:`"),
            "{e}"
        );
        let e = refused(method("NSObject", "-hash", "B@:"));
        assert!(
            e.contains("method `-hash` of `NSObject` has the encoding `Q@:`, expected `B@:`"),
            "{e}"
        );
        check(
            &[
                method("NSObject", "-hash", "Q@:"),
                method("NSObject", "+alloc", "@@:"),
            ],
            at,
        )
        .unwrap();
    }
}
