//! What is missing or changed in a framework is named, and nothing is called.

use crate::{
    alone,
    standin::{ROUTES, library, run_difference, settings},
};
use ane_device::open;
use ane_ir::{Route, TensorType};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
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
Method *class_getClassMethod(void *, void *);
Method *class_getInstanceMethod(void *, void *);
__attribute__((constructor)) static void change(void) {
    if (!dlopen(STANDIN, RTLD_NOW)) return;
    const char *selector = SELECTOR;
    void *class = objc_getClass(CLASS);
    Method *m = *selector == '+' ? class_getClassMethod(class, sel_registerName(selector + 1))
                                 : class_getInstanceMethod(class, sel_registerName(selector));
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

/// The stand-in, in which a method of a class, or of the class itself after `+`, has other types.
pub(crate) fn changed(dir: &Path, class: &str, selector: &str, types: &str) -> PathBuf {
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

/// The surfaces of the stand-in, whose locks fail from the one numbered FROM on.
const BROKEN_LOCKS: &str = r#"
#include <dlfcn.h>
#include <stddef.h>
static void *standin;
#define KEY(name) void *name;
#define KEYS(DO) DO(kIOSurfaceAllocSize) DO(kIOSurfaceBytesPerElement) DO(kIOSurfaceBytesPerRow) \
    DO(kIOSurfaceHeight) DO(kIOSurfacePixelFormat) DO(kIOSurfaceWidth)
KEYS(KEY)
#define FILL(name) name = *(void **)dlsym(standin, #name);
__attribute__((constructor)) static void fill(void) { standin = dlopen(STANDIN, RTLD_NOW); KEYS(FILL) }
void *IOSurfaceCreate(void *p) { return ((void *(*)(void *))dlsym(standin, "IOSurfaceCreate"))(p); }
void *IOSurfaceGetBaseAddress(void *s) { return ((void *(*)(void *))dlsym(standin, "IOSurfaceGetBaseAddress"))(s); }
size_t IOSurfaceGetAllocSize(void *s) { return ((size_t (*)(void *))dlsym(standin, "IOSurfaceGetAllocSize"))(s); }
size_t IOSurfaceGetBytesPerRow(void *s) { return ((size_t (*)(void *))dlsym(standin, "IOSurfaceGetBytesPerRow"))(s); }
int IOSurfaceUnlock(void *s, unsigned o, unsigned *n) {
    return ((int (*)(void *, unsigned, unsigned *))dlsym(standin, "IOSurfaceUnlock"))(s, o, n);
}
int IOSurfaceLock(void *s, unsigned o, unsigned *n) {
    static int count;
    int code = ((int (*)(void *, unsigned, unsigned *))dlsym(standin, "IOSurfaceLock"))(s, o, n);
    return ++count < FROM[0] - '0' ? code : (int)0xE00002CC;
}
"#;

#[test]
fn surfaces_that_cannot_be_locked_are_no_buffers_and_no_results() {
    const NAME: &str = "opening::surfaces_that_cannot_be_locked_are_no_buffers_and_no_results";
    if !alone::is_alone(NAME) {
        alone::pass(NAME, &[]);
        return;
    }
    let standin = library();
    // The first lock is that of a new buffer; the fifth is the first that copies, when there are four.
    for from in ["1", "5"] {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(Route::Memory, dir.path());
        let defines = [("STANDIN", standin.to_str().unwrap()), ("FROM", from)];
        settings.apple.io_surface = build(dir.path(), BROKEN_LOCKS, &defines);
        let device = open("apple", &settings).unwrap();
        let e = match from {
            "1" => device.allocate(&TensorType::fp16([3, 10])).map(drop),
            _ => run_difference(&*device, Route::Memory, 1),
        };
        let e = e.unwrap_err().to_string();
        assert!(e.contains("`IOSurfaceLock` failed with 0xe00002cc"), "{e}");
    }
}

#[test]
fn a_directory_that_cannot_be_named_or_written_is_an_error_that_says_what_to_set() {
    const NAME: &str =
        "opening::a_directory_that_cannot_be_named_or_written_is_an_error_that_says_what_to_set";
    let dir = tempfile::tempdir().unwrap();
    if !alone::is_alone(NAME) {
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        alone::pass(NAME, &[("ANE_STANDIN_TMPDIR", file.to_str().unwrap())]);
        return;
    }
    let refused = |route, programs: &Path| {
        let device = open("apple", &settings(route, programs)).unwrap();
        run_difference(&*device, route, 1).unwrap_err().to_string()
    };
    let unnamable = dir.path().join(OsStr::from_bytes(b"not \xFF text"));
    let e = refused(Route::Client, &unnamable);
    assert!(
        e.contains("no UTF-8") && e.contains("ANE_TRAINER_PROGRAMS"),
        "{e}"
    );
    let e = refused(Route::Memory, dir.path());
    assert!(e.contains("TMPDIR names another directory"), "{e}");
}
