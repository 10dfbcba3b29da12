//! `_ANEClient`: the same for models that lie in a directory.
//!
//! Compiling needs two options, that the model is MIL and which file holds its text; without them the real framework
//! looks for other kinds of models and finds none. Loading compiles nothing here: a model that is not compiled is not
//! found.

use crate::classes::in_memory_model::options;
use crate::classes::model::Model;
use crate::failure::{Failure, report};
use crate::plist::{entry, text};
use crate::runtime::{Method, add, no_init};
use ane_ir::Route;
use objc2::rc::Retained;
use objc2::runtime::{AnyClass, AnyObject, NSObject, Sel};
use objc2::{AnyThread, ClassType, define_class, ffi, msg_send};
use objc2_foundation::NSError;
use std::sync::OnceLock;

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses; the class has no state.
    #[unsafe(super(NSObject))]
    #[name = "_ANEClient"]
    #[derive(Debug)]
    pub(crate) struct Client;
);

// SAFETY: the object has no state but its reference count, which the runtime keeps.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    fn new() -> Retained<Self> {
        let this = Self::alloc().set_ivars(());
        // SAFETY: NSObject's initialiser.
        unsafe { msg_send![super(this), init] }
    }
}

/// `+sharedConnection`: always the same object.
extern "C-unwind" fn shared(_: &AnyClass, _: Sel) -> *mut Client {
    static SHARED: OnceLock<Retained<Client>> = OnceLock::new();
    Retained::autorelease_return(SHARED.get_or_init(Client::new).clone())
}

/// `-initWithRestrictedAccessAllowed:`.
extern "C-unwind" fn with_access(this: *mut AnyObject, _: Sel, _: bool) -> *mut Client {
    // SAFETY: an initialiser owns the reference that `alloc` returned, and may return another object.
    unsafe { ffi::objc_release(this) };
    Retained::into_raw(Client::new())
}

/// A model on disk.
fn on_disk(model: Option<&AnyObject>) -> Result<&Model, Failure> {
    let model = Model::of(model)?;
    if model.route() == Route::Client {
        return Ok(model);
    }
    Err(Failure::bad_argument(
        "the model is the inside of an in-memory model",
    ))
}

fn compile_model(model: Option<&AnyObject>, given: Option<&AnyObject>) -> Result<(), Failure> {
    let model = on_disk(model)?;
    let given = options(given)?;
    for (key, value) in [
        ("kANEFModelType", "kANEFModelMIL"),
        ("kANEFNetPlistFilenameKey", "model.mil"),
    ] {
        let found = text(entry(Some(given), key).as_deref());
        if found.as_deref() != Some(value) {
            crate::daemon::log(&format!("option {key} is {found:?}, not {value}"));
            return Err(Failure::no_bundle());
        }
    }
    model.compile()
}

/// `-compileModel:options:qos:error:`.
extern "C-unwind" fn compile(
    _: &Client,
    _: Sel,
    model: Option<&AnyObject>,
    given: Option<&AnyObject>,
    _qos: u32,
    error: *mut *mut NSError,
) -> bool {
    // SAFETY: the caller of the method passes null or room for an error.
    unsafe { report(compile_model(model, given), error) }
}

/// `-loadModel:options:qos:error:`.
extern "C-unwind" fn load(
    _: &Client,
    _: Sel,
    model: Option<&AnyObject>,
    given: Option<&AnyObject>,
    _qos: u32,
    error: *mut *mut NSError,
) -> bool {
    let result = options(given).and_then(|_| on_disk(model)?.load());
    // SAFETY: as in `compile`.
    unsafe { report(result, error) }
}

/// `-unloadModel:options:qos:error:`.
extern "C-unwind" fn unload(
    _: &Client,
    _: Sel,
    model: Option<&AnyObject>,
    given: Option<&AnyObject>,
    _qos: u32,
    error: *mut *mut NSError,
) -> bool {
    let result = options(given).and_then(|_| on_disk(model)?.unload());
    // SAFETY: as in `compile`.
    unsafe { report(result, error) }
}

/// `-evaluateWithModel:options:request:qos:error:` and `-doEvaluateDirectWithModel:…`; the inside of an in-memory model
/// will do, too.
extern "C-unwind" fn evaluate(
    _: &Client,
    _: Sel,
    model: Option<&AnyObject>,
    given: Option<&AnyObject>,
    request: Option<&AnyObject>,
    _qos: u32,
    error: *mut *mut NSError,
) -> bool {
    let result = options(given).and_then(|_| Model::of(model)?.evaluate(request));
    // SAFETY: as in `compile`.
    unsafe { report(result, error) }
}

/// `-mapIOSurfacesWithModel:request:cacheInference:error:`. Evaluating does not need it.
extern "C-unwind" fn map(
    _: &Client,
    _: Sel,
    model: Option<&AnyObject>,
    request: Option<&AnyObject>,
    _cache: bool,
    error: *mut *mut NSError,
) -> bool {
    let result = on_disk(model).and_then(|model| model.map(request));
    // SAFETY: as in `compile`.
    unsafe { report(result, error) }
}

/// `-unmapIOSurfacesWithModel:request:`.
extern "C-unwind" fn unmap(_: &Client, _: Sel, _: Option<&AnyObject>, _: Option<&AnyObject>) {}

/// `-compiledModelExistsFor:`.
extern "C-unwind" fn exists(_: &Client, _: Sel, model: Option<&AnyObject>) -> bool {
    Model::of(model).is_ok_and(Model::is_compiled)
}

/// `-purgeCompiledModel:`.
extern "C-unwind" fn purge(_: &Client, _: Sel, model: Option<&AnyObject>) {
    if let Ok(model) = Model::of(model) {
        model.purge();
    }
}

pub(crate) fn register() {
    let with_model = c"B44@0:8@16@24I32^@36";
    let with_request = c"B52@0:8@16@24@32I40^@44";
    let instance = [
        Method(
            c"compileModel:options:qos:error:",
            with_model,
            compile as *const (),
        ),
        Method(
            c"compiledModelExistsFor:",
            c"B24@0:8@16",
            exists as *const (),
        ),
        Method(
            c"doEvaluateDirectWithModel:options:request:qos:error:",
            with_request,
            evaluate as *const (),
        ),
        Method(
            c"evaluateWithModel:options:request:qos:error:",
            with_request,
            evaluate as *const (),
        ),
        Method(c"init", c"@16@0:8", no_init as *const ()),
        Method(
            c"initWithRestrictedAccessAllowed:",
            c"@20@0:8B16",
            with_access as *const (),
        ),
        Method(
            c"loadModel:options:qos:error:",
            with_model,
            load as *const (),
        ),
        Method(
            c"mapIOSurfacesWithModel:request:cacheInference:error:",
            c"B44@0:8@16@24B32^@36",
            map as *const (),
        ),
        Method(c"purgeCompiledModel:", c"v24@0:8@16", purge as *const ()),
        Method(
            c"unloadModel:options:qos:error:",
            with_model,
            unload as *const (),
        ),
        Method(
            c"unmapIOSurfacesWithModel:request:",
            c"v32@0:8@16@24",
            unmap as *const (),
        ),
    ];
    let of_class = [Method(c"sharedConnection", c"@16@0:8", shared as *const ())];
    // SAFETY: the functions have the types that the encodings say.
    unsafe { add(Client::class(), &instance, &of_class) };
}
