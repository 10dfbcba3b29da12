//! What is missing or changed in a framework is named, and nothing is called.

use crate::{
    alone,
    standin::{ROUTES, library, run_difference, settings},
};
use ane_device::open;
use ane_ir::Route;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A framework without any class.
const EMPTY: &str = "int ane_test_nothing;\n";

/// The stand-in, in which one method gets other types. A method of GCC's runtime is a selector, types and a function.
const CHANGED: &str = r#"
#include <dlfcn.h>
typedef struct { void *selector; const char *types; void *function; } Method;
void *objc_getClass(const char *);
void *sel_registerName(const char *);
Method *class_getInstanceMethod(void *, void *);
__attribute__((constructor)) static void change(void) {
    if (!dlopen(STANDIN, RTLD_NOW)) return;
    Method *m = class_getInstanceMethod(objc_getClass(CLASS), sel_registerName(SELECTOR));
    if (m) m->types = TYPES;
}
"#;

fn build(dir: &Path, source: &str, defines: &[(&str, &str)]) -> PathBuf {
    let (file, library) = (dir.join("framework.c"), dir.join("libframework.so"));
    std::fs::write(&file, source).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &file])
        .args(
            defines
                .iter()
                .map(|(name, text)| format!("-D{name}=\"{text}\"")),
        )
        .status()
        .expect("a C compiler is needed");
    assert!(built.success());
    library
}

fn changed(dir: &Path, class: &str, selector: &str, types: &str) -> PathBuf {
    let standin = library();
    let defines = [
        ("STANDIN", standin.to_str().unwrap()),
        ("CLASS", class),
        ("SELECTOR", selector),
        ("TYPES", types),
    ];
    build(dir, CHANGED, &defines)
}

#[test]
fn a_missing_framework_is_named_with_what_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    for route in ROUTES {
        let mut settings = settings(route, dir.path());
        settings.apple.neural_engine = "/nowhere/AppleNeuralEngine".into();
        let e = open("apple", &settings).unwrap_err().to_string();
        for part in [
            "/nowhere/AppleNeuralEngine",
            "ANE_TRAINER_NEURALENGINE",
            "/nowhere/Espresso",
        ] {
            assert!(e.contains(part), "{e}");
        }
    }
}

#[test]
fn a_missing_surface_library_or_function_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(Route::Memory, dir.path());
    settings.apple.io_surface = "/nowhere/IOSurface".into();
    let e = open("apple", &settings).unwrap_err().to_string();
    assert!(e.contains("ANE_TRAINER_IOSURFACE"), "{e}");
    settings.apple.io_surface = build(dir.path(), EMPTY, &[]);
    let e = open("apple", &settings).unwrap_err().to_string();
    assert!(
        e.contains("has no function `kIOSurface") || e.contains("has no function `IOSurface"),
        "{e}"
    );
}

#[test]
fn a_missing_class_is_named() {
    const NAME: &str = "opening::a_missing_class_is_named";
    if !alone::is_alone(NAME) {
        alone::pass(NAME, &[]);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(Route::Client, dir.path());
    settings.apple.neural_engine = build(dir.path(), EMPTY, &[]);
    let e = open("apple", &settings).unwrap_err().to_string();
    for part in [
        "client: `",
        "has no class `_ANEClient`",
        "memory: `",
        "has no class `_ANEIOSurfaceObject`",
        "e5rt: cannot open `/nowhere/Espresso`",
    ] {
        assert!(e.contains(part), "{part}: {e}");
    }
}

#[test]
fn a_changed_encoding_is_refused_by_name_and_the_next_route_taken() {
    const NAME: &str = "opening::a_changed_encoding_is_refused_by_name_and_the_next_route_taken";
    if !alone::is_alone(NAME) {
        alone::pass(NAME, &[]);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(Route::Client, dir.path());
    let selector = "loadModel:options:qos:error:";
    settings.apple.neural_engine =
        changed(dir.path(), "_ANEClient", selector, "B52@0:8@16@24Q32^@40");
    let device = open("apple", &settings).unwrap();
    assert_eq!(device.target().route, Route::Memory);
    let [note] = device.notes() else {
        panic!("{:?}", device.notes())
    };
    for part in [
        "route `client`",
        "`memory`",
        "`-loadModel:options:qos:error:` of `_ANEClient`",
        "`B@:@@Q^@`",
        "`B@:@@I^@`",
    ] {
        assert!(note.contains(part), "{part}: {note}");
    }
    run_difference(&*device, Route::Memory, 3).unwrap();
}

#[test]
fn a_changed_encoding_on_the_last_route_is_an_error_with_every_reason() {
    const NAME: &str =
        "opening::a_changed_encoding_on_the_last_route_is_an_error_with_every_reason";
    if !alone::is_alone(NAME) {
        alone::pass(NAME, &[]);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(Route::Client, dir.path());
    settings.apple.neural_engine = changed(dir.path(), "_ANEModel", "modelAttributes", "q16@0:8");
    let e = open("apple", &settings).unwrap_err().to_string();
    assert_eq!(
        e.matches(
            "method `-modelAttributes` of `_ANEModel` has the encoding `q@:`, expected `@@:`"
        )
        .count(),
        2,
        "{e}"
    );
    assert!(e.contains("/nowhere/Espresso"), "{e}");
}
