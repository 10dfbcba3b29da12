//! Models on disk, through the shared client.

use crate::framework::{
    Boolean, Object, Refusal, Surface, attributes, binary, class, dictionary, model_at, outcome,
    request, salt, string,
};
use objc2::msg_send;
use objc2::runtime::AnyObject;

fn client() -> Object {
    // SAFETY: the encoding of the method says so.
    unsafe { msg_send![class(c"_ANEClient"), sharedConnection] }
}

fn compile(model: &AnyObject, options: &Object) -> Result<(), Refusal> {
    let client = client();
    // SAFETY: the encodings of the methods say so, here and below.
    outcome(|error| unsafe {
        msg_send![&client, compileModel: model, options: &**options, qos: 21_u32, error: error]
    })
}

fn load(model: &AnyObject) -> Result<(), Refusal> {
    let (client, options) = (client(), dictionary(&[]));
    // SAFETY: as in `compile`.
    outcome(|error| unsafe {
        msg_send![&client, loadModel: model, options: &*options, qos: 21_u32, error: error]
    })
}

fn unload(model: &AnyObject) -> Result<(), Refusal> {
    let (client, options) = (client(), dictionary(&[]));
    // SAFETY: as in `compile`.
    outcome(|error| unsafe {
        msg_send![&client, unloadModel: model, options: &*options, qos: 21_u32, error: error]
    })
}

fn evaluate(model: &AnyObject, request: &Object) -> Result<(), Refusal> {
    let (client, options) = (client(), dictionary(&[]));
    // SAFETY: as in `compile`.
    outcome(|error| unsafe {
        msg_send![&client, evaluateWithModel: model, options: &*options, request: &**request, qos: 21_u32, error: error]
    })
}

fn evaluate_directly(model: &AnyObject, request: &Object) -> Result<(), Refusal> {
    let (client, options) = (client(), dictionary(&[]));
    // SAFETY: as in `compile`.
    outcome(|error| unsafe {
        msg_send![&client, doEvaluateDirectWithModel: model, options: &*options, request: &**request, qos: 21_u32, error: error]
    })
}

fn exists(model: &AnyObject) -> bool {
    // SAFETY: as in `compile`.
    let exists: Boolean = unsafe { msg_send![&client(), compiledModelExistsFor: model] };
    exists.0
}

fn mil_options() -> Object {
    dictionary(&[
        ("kANEFModelType", string("kANEFModelMIL")),
        ("kANEFNetPlistFilenameKey", string("model.mil")),
    ])
}

#[test]
fn a_directory_is_compiled_loaded_and_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.mil"), binary("sub", "b", "a")).unwrap();
    let model = model_at(folder.path(), &salt());
    assert!(!exists(&model));
    assert_eq!(load(&model).unwrap_err().0, 23);
    assert_eq!(compile(&model, &dictionary(&[])).unwrap_err().0, 10);
    compile(&model, &mil_options()).unwrap();
    assert!(exists(&model));
    assert!(attributes(&model).is_none());
    load(&model).unwrap();
    assert!(attributes(&model).is_some());
    let (a, b, y) = (
        Surface::filled(0x3C00),
        Surface::filled(0x4200),
        Surface::small(),
    );
    let request = request(&[(0, &a), (1, &b)], &[(0, &y)]);
    evaluate(&model, &request).unwrap();
    assert_eq!(y.bits(), Some(0x4000));
    y.fill(0);
    evaluate_directly(&model, &request).unwrap();
    assert_eq!(y.bits(), Some(0x4000));
    unload(&model).unwrap();
    assert!(
        folder.path().join("model.mil").is_file(),
        "the directory is the program's own"
    );
    assert_eq!(evaluate(&model, &request).unwrap_err().0, 8);
    assert_eq!(unload(&model).unwrap_err().0, 23);
}

#[test]
fn directory_and_key_name_the_cached_program() {
    let folder = tempfile::tempdir().unwrap();
    let write = |op| std::fs::write(folder.path().join("model.mil"), binary(op, "a", "b")).unwrap();
    let key = salt();
    write("add");
    let first = model_at(folder.path(), &key);
    compile(&first, &mil_options()).unwrap();
    write("sub");
    let run = |model: &Object| {
        let (a, b, y) = (
            Surface::filled(0x3C00),
            Surface::filled(0x3C00),
            Surface::small(),
        );
        evaluate(model, &request(&[(0, &a), (1, &b)], &[(0, &y)])).unwrap();
        y.bits()
    };
    let stale = model_at(folder.path(), &key);
    assert!(exists(&stale));
    compile(&stale, &mil_options()).unwrap();
    load(&stale).unwrap();
    assert_eq!(run(&stale), Some(0x4000));
    assert!(!exists(&model_at(folder.path(), &salt())));
    // SAFETY: as in `compile`.
    let () = unsafe { msg_send![&client(), purgeCompiledModel: &*stale] };
    let renewed = model_at(folder.path(), &key);
    compile(&renewed, &mil_options()).unwrap();
    load(&renewed).unwrap();
    assert_eq!(run(&renewed), Some(0));
}

#[test]
fn the_shared_client_is_one_object_and_wants_models() {
    assert_eq!(
        &*client() as *const AnyObject,
        &*client() as *const AnyObject
    );
    let nothing = string("no model");
    assert_eq!(compile(&nothing, &mil_options()).unwrap_err().0, 26);
    assert_eq!(load(&nothing).unwrap_err().0, 26);
    assert!(!exists(&nothing));
    let url: Option<&AnyObject> = None;
    let key = string("key");
    // SAFETY: the encoding of the method says so.
    let model: Option<Object> =
        unsafe { msg_send![class(c"_ANEModel"), modelAtURL: url, key: &*key] };
    assert!(model.is_none());
}
