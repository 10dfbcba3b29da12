//! `_ANEInMemoryModel`: compile, load, evaluate and unload what a descriptor describes.
//!
//! The compiler reads `$TMPDIR/<identifier>/`, or `$ANE_STANDIN_TMPDIR/<identifier>/`, which the program has to fill, and not the descriptor. Compiling, and
//! loading what is not compiled, leave a `net.plist` and a `data` there, copies of text and weights that nobody reads.
//! Loading what is compiled looks at no file. Unloading removes the directory.
//!
//! `options` must be a dictionary: the real methods copy it and fail on nil in a way that nobody describes; here it is an
//! error with the code of a bad argument. Mapping surfaces fails, as reported for programs made of MIL.

use crate::classes::descriptor::Descriptor;
use crate::classes::model::Model;
use crate::daemon::{Daemon, Identity};
use crate::failure::{Failure, report};
use crate::plist::{self, dictionary, number, string};
use crate::resident::refuse_mapping;
use crate::runtime::{Live, Method, add, no_init};
use objc2::rc::Retained;
use objc2::runtime::{AnyClass, AnyObject, NSObject, Sel};
use objc2::{AnyThread, ClassType, DefinedClass, define_class, ffi, msg_send};
use objc2_foundation::{NSDictionary, NSError};
use std::fs;

#[derive(Debug)]
pub(crate) struct Ivars {
    descriptor: Retained<Descriptor>,
    identifier: String,
    model: Retained<Model>,
    _live: Live,
}

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses.
    #[unsafe(super(NSObject))]
    #[name = "_ANEInMemoryModel"]
    #[ivars = Ivars]
    #[derive(Debug)]
    pub(crate) struct InMemoryModel;
);

impl InMemoryModel {
    fn new(descriptor: Option<&AnyObject>) -> Option<Retained<Self>> {
        let descriptor = descriptor?.downcast_ref::<Descriptor>()?;
        let identifier = descriptor.contents().identifier();
        let temporary = Daemon::current().map(|daemon| daemon.environment().temporary.clone());
        let directory = temporary
            .unwrap_or_else(|_| std::env::temp_dir())
            .join(&identifier);
        let model = Model::new(Identity::Memory(identifier.clone()), directory);
        let this = Self::alloc().set_ivars(Ivars {
            descriptor: objc2::Message::retain(descriptor),
            identifier,
            model,
            _live: Live::new(),
        });
        // SAFETY: NSObject's initialiser.
        Some(unsafe { msg_send![super(this), init] })
    }

    fn inner(&self) -> &Model {
        &self.ivars().model
    }

    /// Leaves copies of text and weights where the framework does. They serve nobody, so failing to is no failure.
    fn save_files(&self) {
        let directory = self.inner().directory();
        if !directory.is_dir() {
            return;
        }
        let contents = self.ivars().descriptor.contents();
        let last = contents.weights.values().next_back();
        let files = [("net.plist", Some(&contents.text)), ("data", last)];
        for (name, bytes) in files {
            let Some(bytes) = bytes else { continue };
            if let Err(error) = fs::write(directory.join(name), bytes) {
                crate::daemon::log(&format!("cannot write {name}: {error}"));
            }
        }
    }

    fn compile(&self) -> Result<(), Failure> {
        self.save_files();
        self.inner().compile()
    }

    fn load(&self) -> Result<(), Failure> {
        if self.inner().resident().is_none() && !self.inner().is_compiled() {
            self.compile()?;
        }
        self.inner().load()
    }

    fn unload(&self) -> Result<(), Failure> {
        self.inner().unload()?;
        let directory = self.inner().directory();
        if let Err(error) = fs::remove_dir_all(directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            crate::daemon::log(&format!("cannot remove {}: {error}", directory.display()));
        }
        Ok(())
    }
}

/// The dictionary of options that an argument is.
///
/// # Errors
/// When it is nil or something else.
pub(crate) fn options(object: Option<&AnyObject>) -> Result<&NSDictionary, Failure> {
    object
        .and_then(|object| object.downcast_ref::<NSDictionary>())
        .ok_or_else(|| Failure::bad_argument("options is no NSDictionary; pass an empty one"))
}

/// `+inMemoryModelWithDescriptor:`. Nil for nil.
extern "C-unwind" fn with_descriptor(
    _: &AnyClass,
    _: Sel,
    descriptor: Option<&AnyObject>,
) -> *mut InMemoryModel {
    InMemoryModel::new(descriptor).map_or(std::ptr::null_mut(), Retained::autorelease_return)
}

/// `-initWithDesctiptor:`, spelled as Apple does.
extern "C-unwind" fn init_with_descriptor(
    this: *mut AnyObject,
    _: Sel,
    descriptor: Option<&AnyObject>,
) -> *mut InMemoryModel {
    // SAFETY: an initialiser owns the reference that `alloc` returned, and may return another object.
    unsafe { ffi::objc_release(this) };
    InMemoryModel::new(descriptor).map_or(std::ptr::null_mut(), Retained::into_raw)
}

/// `-compileWithQoS:options:error:`. Any quality of service will do.
extern "C-unwind" fn compile(
    this: &InMemoryModel,
    _: Sel,
    _qos: u32,
    dictionary: Option<&AnyObject>,
    error: *mut *mut NSError,
) -> bool {
    let result = options(dictionary).and_then(|_| this.compile());
    // SAFETY: the caller of the method passes null or room for an error.
    unsafe { report(result, error) }
}

/// `-loadWithQoS:options:error:`.
extern "C-unwind" fn load(
    this: &InMemoryModel,
    _: Sel,
    _qos: u32,
    dictionary: Option<&AnyObject>,
    error: *mut *mut NSError,
) -> bool {
    let result = options(dictionary).and_then(|_| this.load());
    // SAFETY: as in `compile`.
    unsafe { report(result, error) }
}

/// `-evaluateWithQoS:options:request:error:`, synchronous.
extern "C-unwind" fn evaluate(
    this: &InMemoryModel,
    _: Sel,
    _qos: u32,
    dictionary: Option<&AnyObject>,
    request: Option<&AnyObject>,
    error: *mut *mut NSError,
) -> bool {
    let result = options(dictionary).and_then(|_| this.inner().evaluate(request));
    // SAFETY: as in `compile`.
    unsafe { report(result, error) }
}

/// `-unloadWithQoS:error:`.
extern "C-unwind" fn unload(
    this: &InMemoryModel,
    _: Sel,
    _qos: u32,
    error: *mut *mut NSError,
) -> bool {
    // SAFETY: as in `compile`.
    unsafe { report(this.unload(), error) }
}

/// `-mapIOSurfacesWithRequest:cacheInference:error:`. Evaluating does not need it.
extern "C-unwind" fn map(
    this: &InMemoryModel,
    _: Sel,
    request: Option<&AnyObject>,
    _cache: bool,
    error: *mut *mut NSError,
) -> bool {
    let result = Daemon::current().and_then(|daemon| {
        if daemon.environment().refuse_map {
            return Err(refuse_mapping());
        }
        this.inner().map(request)
    });
    // SAFETY: as in `compile`.
    unsafe { report(result, error) }
}

/// `-unmapIOSurfacesWithRequest:`.
extern "C-unwind" fn unmap(_: &InMemoryModel, _: Sel, _request: Option<&AnyObject>) {}

/// `-compilerOptionsWithOptions:isCompiledModelCached:`.
extern "C-unwind" fn compiler_options(
    this: &InMemoryModel,
    _: Sel,
    given: Option<&AnyObject>,
    is_cached: bool,
) -> *mut AnyObject {
    let given = plist::pairs(given).unwrap_or_default();
    let given: Vec<(String, plist::Object)> = given
        .into_iter()
        .filter_map(|(key, value)| Some((plist::text(Some(&key))?, value)))
        .collect();
    let mut entries: Vec<(&str, plist::Object)> = given
        .iter()
        .map(|(key, value)| (&**key, value.clone()))
        .collect();
    entries.extend([
        (
            "kANEFInMemoryModelIdentifierKey",
            string(&this.ivars().identifier),
        ),
        (
            "kANEFInMemoryModelIsCachedKey",
            number(u64::from(is_cached)),
        ),
        ("kANEFModelType", string("kANEFModelMIL")),
    ]);
    Retained::autorelease_return(dictionary(&entries)).cast()
}

extern "C-unwind" fn identifier(this: &InMemoryModel, _: Sel) -> *mut AnyObject {
    Retained::autorelease_return(string(&this.ivars().identifier))
}

extern "C-unwind" fn model(this: &InMemoryModel, _: Sel) -> *mut Model {
    Retained::autorelease_return(this.ivars().model.clone())
}

/// `-localModelPath`: the directory that the compiler reads.
extern "C-unwind" fn local_path(this: &InMemoryModel, _: Sel) -> *mut AnyObject {
    Retained::autorelease_return(string(&this.inner().directory().to_string_lossy()))
}

extern "C-unwind" fn is_compiled(this: &InMemoryModel, _: Sel) -> bool {
    this.inner().is_compiled()
}

extern "C-unwind" fn purge(this: &InMemoryModel, _: Sel) {
    this.inner().purge();
}

/// `-state`: 3 while loaded.
extern "C-unwind" fn state(this: &InMemoryModel, _: Sel) -> u64 {
    if this.inner().resident().is_some() {
        3
    } else {
        0
    }
}

extern "C-unwind" fn number_of_string(this: &InMemoryModel, _: Sel) -> u64 {
    this.inner().number()
}

/// `-programHandle`: not 0 while loaded.
extern "C-unwind" fn program_handle(this: &InMemoryModel, _: Sel) -> u64 {
    this.inner().resident().map_or(0, |_| this.inner().number())
}

extern "C-unwind" fn zero(_: &InMemoryModel, _: Sel) -> u64 {
    0
}

extern "C-unwind" fn queue_depth(_: &InMemoryModel, _: Sel) -> i8 {
    127
}

extern "C-unwind" fn statistics_mask(_: &InMemoryModel, _: Sel) -> u32 {
    0
}

pub(crate) fn register() {
    let instance = [
        Method(
            c"compileWithQoS:options:error:",
            c"B36@0:8I16@20^@28",
            compile as *const (),
        ),
        Method(c"compiledModelExists", c"B16@0:8", is_compiled as *const ()),
        Method(
            c"compilerOptionsWithOptions:isCompiledModelCached:",
            c"@28@0:8@16B24",
            compiler_options as *const (),
        ),
        Method(
            c"evaluateWithQoS:options:request:error:",
            c"B44@0:8I16@20@28^@36",
            evaluate as *const (),
        ),
        Method(c"hexStringIdentifier", c"@16@0:8", identifier as *const ()),
        Method(c"init", c"@16@0:8", no_init as *const ()),
        Method(
            c"initWithDesctiptor:",
            c"@24@0:8@16",
            init_with_descriptor as *const (),
        ),
        Method(c"intermediateBufferHandle", c"Q16@0:8", zero as *const ()),
        Method(
            c"loadWithQoS:options:error:",
            c"B36@0:8I16@20^@28",
            load as *const (),
        ),
        Method(c"localModelPath", c"@16@0:8", local_path as *const ()),
        Method(
            c"mapIOSurfacesWithRequest:cacheInference:error:",
            c"B36@0:8@16B24^@28",
            map as *const (),
        ),
        Method(c"model", c"@16@0:8", model as *const ()),
        Method(c"perfStatsMask", c"I16@0:8", statistics_mask as *const ()),
        Method(c"programHandle", c"Q16@0:8", program_handle as *const ()),
        Method(c"purgeCompiledModel", c"v16@0:8", purge as *const ()),
        Method(c"queueDepth", c"c16@0:8", queue_depth as *const ()),
        Method(c"state", c"Q16@0:8", state as *const ()),
        Method(c"string_id", c"Q16@0:8", number_of_string as *const ()),
        Method(
            c"unloadWithQoS:error:",
            c"B28@0:8I16^@20",
            unload as *const (),
        ),
        Method(
            c"unmapIOSurfacesWithRequest:",
            c"v24@0:8@16",
            unmap as *const (),
        ),
    ];
    let of_class = [Method(
        c"inMemoryModelWithDescriptor:",
        c"@24@0:8@16",
        with_descriptor as *const (),
    )];
    // SAFETY: the functions have the types that the encodings say.
    unsafe { add(InMemoryModel::class(), &instance, &of_class) };
}
