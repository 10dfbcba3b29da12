//! In-memory models: files, cache, weights, unloading.

use crate::framework::{
    Boolean, InMemory, Surface, attributes, bare, binary, dictionary, outcome, request,
    weight_file, with_weights,
};
use objc2::msg_send;
use objc2::runtime::AnyObject;

const ONE: u16 = 0x3C00;
const TWO: u16 = 0x4000;
const THREE: u16 = 0x4200;

#[test]
fn the_compiler_reads_the_directory_and_not_the_descriptor() {
    let text = binary("add", "a", "b");
    let model = InMemory::without_files(&text, &[]);
    let (code, reason) = model.compile().unwrap_err();
    assert_eq!((code, &*reason), (10, "verifyBundleAtPath: invalid model"));
    assert!(!model.is_compiled());
    let other = binary("sub", "a", "b");
    model.write(&other, &[]);
    model.compile().unwrap();
    assert!(model.is_compiled());
    model.load().unwrap();
    let (a, b, y) = (
        Surface::filled(THREE),
        Surface::filled(ONE),
        Surface::small(),
    );
    model
        .evaluate(&request(&[(0, &a), (1, &b)], &[(0, &y)]))
        .unwrap();
    assert_eq!(y.bits(), Some(TWO));
    let copies = ["net.plist", "model.mil"]
        .map(|name| std::fs::read_to_string(model.directory.join(name)).unwrap());
    assert_eq!(copies, [text, other]);
}

#[test]
fn text_that_is_no_program_and_programs_against_the_law_are_refused() {
    let invalid = "_ANECompiler : ANECCompile() FAILED err=(InvalidMILProgram)";
    for text in [
        "nothing",
        "program(1.3) { func main<ios18>(tensor<fp16, [2, 31]> x) { tensor<fp16, [2, 31]> y = abs(x = x); } -> (y); }",
    ] {
        let model = InMemory::new(text);
        assert_eq!(model.compile(), Err((10, invalid.to_owned())));
        assert_eq!(model.load(), Err((10, invalid.to_owned())));
    }
}

#[test]
fn loading_compiles_what_is_not_compiled() {
    let model = InMemory::new(&binary("add", "a", "b"));
    model.load().unwrap();
    assert!(model.is_compiled());
    model.unload().unwrap();
}

#[test]
fn what_is_compiled_is_loaded_without_its_directory() {
    let text = binary("add", "a", "b");
    let first = InMemory::ready(&text);
    std::fs::remove_dir_all(&first.directory).unwrap();
    let second = InMemory::without_files(&text, &[]);
    assert!(second.is_compiled());
    second.load().unwrap();
    let (a, b, y) = (Surface::filled(ONE), Surface::filled(ONE), Surface::small());
    second
        .evaluate(&request(&[(0, &a), (1, &b)], &[(0, &y)]))
        .unwrap();
    assert_eq!(y.bits(), Some(TWO));
    // SAFETY: the method takes and returns nothing.
    let () = unsafe { msg_send![&first.model, purgeCompiledModel] };
    assert!(!second.is_compiled());
    assert_eq!(second.compile().unwrap_err().0, 10);
}

#[test]
fn rewriting_weights_and_loading_again_changes_nothing() {
    let text = with_weights();
    let path = "@model_path/weights/w.bin";
    let (one, two) = (weight_file(ONE), weight_file(TWO));
    let model = InMemory::with_weights(&text, &[(path, &one)]);
    model.compile().unwrap();
    model.load().unwrap();
    let (x, y) = (Surface::filled(ONE), Surface::small());
    let request = request(&[(0, &x)], &[(0, &y)]);
    model.evaluate(&request).unwrap();
    assert_eq!(y.bits(), Some(TWO));

    model.unload().unwrap();
    model.write(&text, &[(path, &two)]);
    model.compile().unwrap();
    model.load().unwrap();
    y.fill(0);
    model.evaluate(&request).unwrap();
    assert_eq!(y.bits(), Some(TWO), "the weights of the first compilation");

    let renewed = InMemory::with_weights(&text, &[(path, &two)]);
    assert_ne!(renewed.directory, model.directory);
    renewed.load().unwrap();
    renewed.evaluate(&request).unwrap();
    assert_eq!(y.bits(), Some(THREE));
}

#[test]
fn unloading_removes_the_directory() {
    let model = InMemory::ready(&binary("add", "a", "b"));
    assert!(model.directory.is_dir());
    model.unload().unwrap();
    assert!(!model.directory.exists());
    assert_eq!(model.unload().unwrap_err().0, 23);
}

#[test]
fn only_loaded_models_are_evaluated_and_have_attributes() {
    let model = InMemory::new(&binary("add", "a", "b"));
    let (a, b, y) = (Surface::filled(ONE), Surface::filled(ONE), Surface::small());
    let request = request(&[(0, &a), (1, &b)], &[(0, &y)]);
    let refused = |model: &InMemory| {
        let (code, text) = model.evaluate(&request).unwrap_err();
        assert_eq!(code, 8);
        assert!(text.contains("status=0xe"), "{text}");
        assert!(attributes(&model.inner()).is_none());
    };
    refused(&model);
    model.compile().unwrap();
    refused(&model);
    model.load().unwrap();
    model.load().unwrap();
    model.evaluate(&request).unwrap();
    assert!(attributes(&model.inner()).is_some());
    model.unload().unwrap();
    refused(&model);
}

#[test]
fn options_must_be_a_dictionary_and_the_request_a_request() {
    let model = InMemory::ready(&binary("add", "a", "b"));
    let none: Option<&AnyObject> = None;
    let options = dictionary(&[]);
    // SAFETY: the encodings of the methods say so.
    let compiled = outcome(|error| unsafe {
        msg_send![&model.model, compileWithQoS: 21_u32, options: none, error: error]
    });
    // SAFETY: as above.
    let evaluated = outcome(|error| unsafe {
        msg_send![&model.model, evaluateWithQoS: 21_u32, options: &*options, request: none, error: error]
    });
    assert_eq!(compiled.unwrap_err().0, 26);
    assert_eq!(evaluated.unwrap_err().0, 26);
}

#[test]
fn a_missing_place_for_the_error_is_no_fault() {
    let model = InMemory::new("nothing");
    let options = dictionary(&[]);
    let nowhere: *mut *mut objc2_foundation::NSError = std::ptr::null_mut();
    // SAFETY: the encoding of the method says so.
    let done: Boolean = unsafe {
        msg_send![&model.model, compileWithQoS: 21_u32, options: &*options, error: nowhere]
    };
    assert!(!done.0);
}

#[test]
fn classes_with_factories_have_no_other_way() {
    for name in [
        c"_ANEInMemoryModelDescriptor",
        c"_ANEInMemoryModel",
        c"_ANEModel",
        c"_ANERequest",
        c"_ANEIOSurfaceObject",
        c"IOSurface",
    ] {
        assert!(bare(name).is_none(), "{name:?}");
    }
}
