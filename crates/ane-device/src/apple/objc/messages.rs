//! The messages that the routes send, typed.
//!
//! Every method here is in the lists of `classes`, whose check has to come first. A `BOOL` is always looked at, and the
//! `NSError` of a failure is carried whole. Callers provide the autorelease pool, by [`pooled`].

use super::classes::{Boolean, PURGE, SurfaceBehind, class, is_there};
use crate::apple::{AppleError, options};
use ane_ir::Target;
use objc2::{
    msg_send,
    rc::{Retained, autoreleasepool},
    runtime::{AnyObject, NSObject},
};
use objc2_foundation::{NSArray, NSData, NSDictionary, NSError, NSNumber, NSString, NSURL};
use std::{
    fmt, io,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
};

/// `NSQualityOfServiceDefault`, which everybody uses for everything (ane-reference §1.12).
const QOS: u32 = 21;

/// The status of a load for which there is no place (ane-reference §1.18).
const FULL: &str = "0x50004";

/// Most errors that lie below an error.
const MOST_CAUSES: usize = 8;

/// Objects of any class.
pub(super) type Object = Retained<AnyObject>;

/// Strings to objects.
pub(super) type Dictionary = Retained<NSDictionary<NSString, AnyObject>>;

/// Why a method failed: its `NSError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The method.
    pub(super) call: &'static str,
    /// Domain of the error, empty when the method gave none.
    pub(super) domain: String,
    /// Code of the error.
    pub(super) code: i64,
    /// Description of the error and of those below it.
    pub(super) text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.domain.is_empty() {
            return f.write_str(&self.text);
        }
        write!(f, "{} {}: {}", self.domain, self.code, self.text)
    }
}

impl Refusal {
    fn of(call: &'static str, error: Option<&NSError>) -> Self {
        let Some(error) = error else {
            return Self {
                call,
                domain: String::new(),
                code: 0,
                text: "it failed without saying why".into(),
            };
        };
        let mut text = error.localizedDescription().to_string();
        let mut below = underlying(error);
        for _ in 0..MOST_CAUSES {
            let Some(cause) = below else { break };
            text.push_str(&format!(
                "; because of {} {}: {}",
                cause.domain(),
                cause.code(),
                cause.localizedDescription()
            ));
            below = underlying(&cause);
        }
        Self {
            call,
            domain: error.domain().to_string(),
            code: error.code() as i64,
            text,
        }
    }

    /// Whether there was no place for another program.
    pub(super) fn is_full(&self) -> bool {
        self.text.contains(FULL)
    }

    /// The error about the program at `mil`.
    pub(super) fn about(self, mil: &Path) -> AppleError {
        let advice = if self.is_full() {
            "too many programs are loaded: end other programs that use the Neural Engine"
        } else if self.text.contains("0x1d") {
            "a surface does not have the geometry that the program expects: report it with this message"
        } else {
            "try another --route, and report it with this message"
        };
        AppleError::Ns {
            is_full: self.is_full(),
            call: self.call,
            domain: self.domain,
            code: self.code,
            text: self.text,
            mil: mil.to_owned(),
            advice,
        }
    }

    /// The error that says that the compiler refused the program at `mil`, which was checked for `target`.
    pub(super) fn refused(self, mil: &Path, target: &Target) -> AppleError {
        let chip = Some(target.chip.name());
        AppleError::refused(self.call, self.to_string(), mil, target.route, chip)
    }
}

/// The error below an error.
fn underlying(error: &NSError) -> Option<Retained<NSError>> {
    let key = NSString::from_str("NSUnderlyingError");
    error.userInfo().objectForKey(&key)?.downcast().ok()
}

/// Runs `f` in an autorelease pool.
pub(super) fn pooled<T>(f: impl FnOnce() -> T) -> T {
    autoreleasepool(|_| f())
}

/// What a method with an error returned.
fn outcome(
    call: &'static str,
    send: impl FnOnce(*mut *mut NSError) -> Boolean,
) -> Result<(), Refusal> {
    let mut error: *mut NSError = std::ptr::null_mut();
    if send(&mut error).0 {
        return Ok(());
    }
    // SAFETY: a method that failed has stored nil or an autoreleased error, which the caller's pool keeps.
    Err(Refusal::of(call, unsafe { error.as_ref() }))
}

fn made<T>(call: &'static str, object: Option<T>) -> Result<T, AppleError> {
    object.ok_or(AppleError::Nothing { call })
}

/// A dictionary.
pub(super) fn dictionary(entries: &[(&str, Object)]) -> Dictionary {
    let keys: Vec<_> = entries.iter().map(|(k, _)| NSString::from_str(k)).collect();
    let keys: Vec<&NSString> = keys.iter().map(|k| &**k).collect();
    let objects: Vec<Object> = entries.iter().map(|(_, o)| o.clone()).collect();
    NSDictionary::from_retained_objects(&keys, &objects)
}

/// A string.
pub(super) fn string(text: &str) -> Object {
    NSString::from_str(text).into()
}

/// A number.
pub(super) fn number(n: usize) -> Object {
    NSNumber::new_usize(n).into()
}

/// An object that several threads may hold, of which one at a time sends it messages. It is released in a pool of its
/// own, because what it lets go of then may be autoreleased.
#[derive(Debug)]
pub(super) struct Held(ManuallyDrop<Object>);

impl Held {
    pub(super) fn new(object: Object) -> Self {
        Self(ManuallyDrop::new(object))
    }

    /// The object, for a message.
    pub(super) fn get(&self) -> &AnyObject {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: dropped here and nowhere else, and not used afterwards.
        pooled(|| unsafe { ManuallyDrop::drop(&mut self.0) });
    }
}

// SAFETY: reference counts are atomic, and the classes wrapped here do not care which thread calls. A program's model and
// requests are behind the lock of its budget. The client that all programs share compiles, loads and unloads for one
// thread at a time, which `Turn` sees to; it evaluates for several, each with a model and a request of its own, and
// evaluating goes to the model's program in this process (ane-reference §1.5).
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

/// `_ANEModel`: a program.
#[derive(Debug)]
pub(super) struct Model(Held);

impl Model {
    /// The program in a directory, known by `key`.
    pub(super) fn at(directory: &Path, key: &str) -> Result<Self, AppleError> {
        let path = directory.to_str().ok_or_else(|| AppleError::Directory {
            what: "use",
            path: directory.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidFilename, "its path is no UTF-8"),
            variable: options::PROGRAMS,
        })?;
        let path = NSString::from_str(path);
        let url = NSURL::fileURLWithPath_isDirectory(&path, true);
        let key = NSString::from_str(key);
        // SAFETY: the encoding was compared: two objects in, an object out.
        let model: Option<Object> =
            unsafe { msg_send![class(c"_ANEModel"), modelAtURL: &*url, key: &*key] };
        made("+[_ANEModel modelAtURL:key:]", model).map(|m| Self(Held::new(m)))
    }

    /// What a loaded program says of itself.
    pub(super) fn attributes(&self) -> Result<Retained<NSDictionary>, AppleError> {
        // SAFETY: as above: nothing in, an object out.
        let all: Option<Object> = unsafe { msg_send![self.0.get(), modelAttributes] };
        let all = all.and_then(|all| all.downcast::<NSDictionary>().ok());
        made("-[_ANEModel modelAttributes]", all)
    }
}

/// `_ANEClient`: the connection to the daemon.
#[derive(Debug)]
pub(super) struct Client(Held);

impl Client {
    /// The connection that the process shares.
    pub(super) fn shared() -> Result<Self, AppleError> {
        // SAFETY: the encoding was compared: nothing in, an object out.
        let client: Option<Object> = unsafe { msg_send![class(c"_ANEClient"), sharedConnection] };
        made("+[_ANEClient sharedConnection]", client).map(|c| Self(Held::new(c)))
    }

    /// Whether the daemon has the program compiled.
    pub(super) fn has_compiled(&self, model: &Model) -> bool {
        // SAFETY: as above: an object in, a BOOL out.
        let exists: Boolean =
            unsafe { msg_send![self.0.get(), compiledModelExistsFor: model.0.get()] };
        exists.0
    }

    /// Makes the daemon forget the compiled program.
    pub(super) fn purge(&self, model: &Model) {
        // SAFETY: as above: an object in.
        unsafe { msg_send![self.0.get(), purgeCompiledModel: model.0.get()] }
    }

    /// Compiles the text in the model's directory.
    pub(super) fn compile(&self, model: &Model) -> Result<(), Refusal> {
        let options = dictionary(&[
            ("kANEFModelType", string("kANEFModelMIL")),
            ("kANEFNetPlistFilenameKey", string("model.mil")),
        ]);
        outcome("-[_ANEClient compileModel:options:qos:error:]", |error| {
            // SAFETY: as above: two objects, a number and room for an error in, a BOOL out.
            unsafe {
                msg_send![self.0.get(), compileModel: model.0.get(), options: &*options, qos: QOS, error: error]
            }
        })
    }

    /// Loads a program.
    pub(super) fn load(&self, model: &Model) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        outcome("-[_ANEClient loadModel:options:qos:error:]", |error| {
            // SAFETY: as above.
            unsafe {
                msg_send![self.0.get(), loadModel: model.0.get(), options: &*options, qos: QOS, error: error]
            }
        })
    }

    /// Runs a loaded program, and returns when it has.
    pub(super) fn evaluate(&self, model: &Model, request: &Request) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        let call = "-[_ANEClient evaluateWithModel:options:request:qos:error:]";
        outcome(call, |error| {
            // SAFETY: as above, with one more object.
            unsafe {
                msg_send![self.0.get(), evaluateWithModel: model.0.get(), options: &*options, request: request.0.get(), qos: QOS, error: error]
            }
        })
    }

    /// Unloads a program.
    pub(super) fn unload(&self, model: &Model) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        outcome("-[_ANEClient unloadModel:options:qos:error:]", |error| {
            // SAFETY: as above.
            unsafe {
                msg_send![self.0.get(), unloadModel: model.0.get(), options: &*options, qos: QOS, error: error]
            }
        })
    }
}

/// `_ANEInMemoryModel`: a program that has no directory of ours.
#[derive(Debug)]
pub(super) struct InMemoryModel(Held);

impl InMemoryModel {
    /// The program with a text and the weight files that the text names.
    pub(super) fn new(text: &str, weights: &[(&str, &[u8])]) -> Result<Self, AppleError> {
        let text = NSData::with_bytes(text.as_bytes());
        let weights: Vec<(&str, Object)> = weights
            .iter()
            .map(|(path, bytes)| {
                let data: Object = NSData::with_bytes(bytes).into();
                let file = dictionary(&[("offset", number(0)), ("data", data)]);
                (*path, file.into())
            })
            .collect();
        let weights = dictionary(&weights);
        let none: Option<&NSObject> = None;
        // SAFETY: the encodings were compared: three objects in, an object out; an object in, an object out.
        let descriptor: Option<Object> = unsafe {
            msg_send![class(c"_ANEInMemoryModelDescriptor"), modelWithMILText: &*text, weights: &*weights, optionsPlist: none]
        };
        let call = "+[_ANEInMemoryModelDescriptor modelWithMILText:weights:optionsPlist:]";
        let descriptor = made(call, descriptor)?;
        // SAFETY: as above.
        let model: Option<Object> = unsafe {
            msg_send![class(c"_ANEInMemoryModel"), inMemoryModelWithDescriptor: &*descriptor]
        };
        made("+[_ANEInMemoryModel inMemoryModelWithDescriptor:]", model).map(|m| Self(Held::new(m)))
    }

    /// The name of the directory from which the daemon compiles.
    pub(super) fn identifier(&self) -> Result<String, AppleError> {
        // SAFETY: as above: nothing in, an object out.
        let name: Option<Object> = unsafe { msg_send![self.0.get(), hexStringIdentifier] };
        let name = name.and_then(|name| Some(name.downcast_ref::<NSString>()?.to_string()));
        made("-[_ANEInMemoryModel hexStringIdentifier]", name)
    }

    /// The directory of that name, where the framework says it is.
    ///
    /// # Errors
    /// When the identifier cannot be had.
    pub(super) fn directory(&self) -> Result<PathBuf, AppleError> {
        let name = self.identifier()?;
        // SAFETY: as above.
        let path: Option<Object> = unsafe { msg_send![self.0.get(), localModelPath] };
        let path = path.and_then(|path| Some(path.downcast_ref::<NSString>()?.to_string()));
        let stated = path.as_ref().and_then(|path| {
            let mut all = Path::new(path).ancestors();
            all.find(|p| p.is_absolute() && p.file_name().is_some_and(|last| *last == *name))
        });
        // Where it says nothing, the directory is below NSTemporaryDirectory(), which this mostly is.
        Ok(stated.map_or_else(|| std::env::temp_dir().join(&name), Path::to_owned))
    }

    /// Whether the daemon has the program compiled.
    pub(super) fn is_compiled(&self) -> bool {
        // SAFETY: as above: nothing in, a BOOL out.
        let exists: Boolean = unsafe { msg_send![self.0.get(), compiledModelExists] };
        exists.0
    }

    /// Makes the daemon forget the compiled program, where that can be asked for.
    pub(super) fn purge(&self) {
        if is_there(&PURGE) {
            // SAFETY: as above: nothing in, nothing out.
            unsafe { msg_send![self.0.get(), purgeCompiledModel] }
        }
    }

    /// The model inside, which knows the attributes.
    pub(super) fn model(&self) -> Result<Model, AppleError> {
        // SAFETY: as above.
        let model: Option<Object> = unsafe { msg_send![self.0.get(), model] };
        made("-[_ANEInMemoryModel model]", model).map(|m| Model(Held::new(m)))
    }

    /// Compiles the files.
    pub(super) fn compile(&self) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        let call = "-[_ANEInMemoryModel compileWithQoS:options:error:]";
        outcome(call, |error| {
            // SAFETY: as above: a number, an object and room for an error in, a BOOL out.
            unsafe {
                msg_send![self.0.get(), compileWithQoS: QOS, options: &*options, error: error]
            }
        })
    }

    /// Loads the program.
    pub(super) fn load(&self) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        let call = "-[_ANEInMemoryModel loadWithQoS:options:error:]";
        outcome(call, |error| {
            // SAFETY: as above.
            unsafe { msg_send![self.0.get(), loadWithQoS: QOS, options: &*options, error: error] }
        })
    }

    /// Runs the loaded program, and returns when it has.
    pub(super) fn evaluate(&self, request: &Request) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        let call = "-[_ANEInMemoryModel evaluateWithQoS:options:request:error:]";
        outcome(call, |error| {
            // SAFETY: as above, with one more object.
            unsafe {
                msg_send![self.0.get(), evaluateWithQoS: QOS, options: &*options, request: request.0.get(), error: error]
            }
        })
    }

    /// Unloads the program, and removes its directory.
    pub(super) fn unload(&self) -> Result<(), Refusal> {
        outcome("-[_ANEInMemoryModel unloadWithQoS:error:]", |error| {
            // SAFETY: as above: a number and room for an error in, a BOOL out.
            unsafe { msg_send![self.0.get(), unloadWithQoS: QOS, error: error] }
        })
    }
}

/// `_ANERequest`: surfaces by symbol.
#[derive(Debug)]
pub(super) struct Request(Held);

impl Request {
    /// A request of procedure 0. A surface comes with its symbol; the order of either list means nothing.
    pub(super) fn new(
        inputs: &[(&AnyObject, usize)],
        outputs: &[(&AnyObject, usize)],
    ) -> Result<Self, AppleError> {
        let side = |ports: &[(&AnyObject, usize)]| -> Result<_, AppleError> {
            let surfaces: Result<Vec<Object>, AppleError> =
                ports.iter().map(|(s, _)| surface_object(s)).collect();
            let indices: Vec<Object> = ports.iter().map(|(_, index)| number(*index)).collect();
            Ok((
                NSArray::from_retained_slice(&surfaces?),
                NSArray::from_retained_slice(&indices),
            ))
        };
        let (inputs, input_indices) = side(inputs)?;
        let (outputs, output_indices) = side(outputs)?;
        let none: Option<&NSObject> = None;
        let procedure = number(0);
        // SAFETY: the encoding was compared: seven objects in, an object out.
        let request: Option<Object> = unsafe {
            msg_send![
                class(c"_ANERequest"),
                requestWithInputs: &*inputs,
                inputIndices: &*input_indices,
                outputs: &*outputs,
                outputIndices: &*output_indices,
                weightsBuffer: none,
                perfStats: none,
                procedureIndex: &*procedure,
            ]
        };
        let call = "+[_ANERequest requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:]";
        made(call, request).map(|r| Self(Held::new(r)))
    }
}

/// The engine's object for a surface.
fn surface_object(surface: &AnyObject) -> Result<Object, AppleError> {
    // SAFETY: the encoding was compared: a reference to a surface in, which every surface's object is, an object out.
    let object: Option<Object> = unsafe {
        msg_send![class(c"_ANEIOSurfaceObject"), objectWithIOSurface: SurfaceBehind::of(surface)]
    };
    made("+[_ANEIOSurfaceObject objectWithIOSurface:]", object)
}
