//! Messages to the framework, typed, and small programs.

use neuralengine_standin::iosurface::{
    CFRelease, IOSurfaceCreate, IOSurfaceGetBaseAddress, IOSurfaceLock, IOSurfaceUnlock,
};
use objc2::encode::{Encode, Encoding, RefEncode};
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::{AnyClass, AnyObject};
use objc2::{AnyThread, msg_send};
use objc2_foundation::{NSArray, NSData, NSDictionary, NSError, NSNumber, NSString, NSURL};
use std::ffi::{CStr, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// BOOL as on Apple silicon.
#[repr(transparent)]
pub(crate) struct Boolean(pub(crate) bool);

// SAFETY: a transparent wrapper of C's bool.
unsafe impl Encode for Boolean {
    const ENCODING: Encoding = Encoding::Bool;
}

/// What an `IOSurfaceRef` points to.
#[repr(C)]
pub(crate) struct SurfaceBehind([u8; 0]);

// SAFETY: an opaque structure of this name.
unsafe impl RefEncode for SurfaceBehind {
    const ENCODING_REF: Encoding = Encoding::Pointer(&Encoding::Struct("__IOSurface", &[]));
}

pub(crate) type Object = Retained<AnyObject>;

/// Code and text of an error.
pub(crate) type Refusal = (isize, String);

pub(crate) const INFERENCE: &str = "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9: Program Inference error";

/// An autorelease pool that lives as long as its thread.
struct Pool(*mut c_void);

impl Pool {
    fn of_thread() {
        thread_local! {
            // SAFETY: popped when the thread ends, after every pool inside it.
            static POOL: Pool = Pool(unsafe { objc2::ffi::objc_autoreleasePoolPush() });
        }
        POOL.with(|_| ());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: pushed on this thread.
        unsafe { objc2::ffi::objc_autoreleasePoolPop(self.0) };
    }
}

pub(crate) fn class(name: &CStr) -> &'static AnyClass {
    Pool::of_thread();
    neuralengine_standin::register();
    AnyClass::get(name).unwrap()
}

pub(crate) fn string(text: &str) -> Object {
    Pool::of_thread();
    NSString::from_str(text).into()
}

pub(crate) fn data(bytes: &[u8]) -> Object {
    Pool::of_thread();
    NSData::with_bytes(bytes).into()
}

pub(crate) fn number(n: u64) -> Object {
    Pool::of_thread();
    NSNumber::new_u64(n).into()
}

pub(crate) fn array(objects: &[Object]) -> Object {
    Pool::of_thread();
    NSArray::from_retained_slice(objects).into()
}

pub(crate) fn dictionary(entries: &[(&str, Object)]) -> Object {
    Pool::of_thread();
    let keys: Vec<_> = entries
        .iter()
        .map(|(key, _)| NSString::from_str(key))
        .collect();
    let keys: Vec<&NSString> = keys.iter().map(|key| &**key).collect();
    let objects: Vec<Object> = entries.iter().map(|(_, object)| object.clone()).collect();
    NSDictionary::from_retained_objects(&keys, &objects).into()
}

/// Runs something in an autorelease pool of its own.
pub(crate) fn pooled<R>(f: impl FnOnce() -> R) -> R {
    Pool::of_thread();
    autoreleasepool(|_| f())
}

/// What a method with an error returned.
pub(crate) fn outcome(call: impl FnOnce(*mut *mut NSError) -> Boolean) -> Result<(), Refusal> {
    pooled(|| {
        let mut error: *mut NSError = std::ptr::null_mut();
        if call(&mut error).0 {
            assert!(error.is_null(), "success with an error");
            return Ok(());
        }
        // SAFETY: a failed method has stored an autoreleased error.
        let error = unsafe { error.as_ref() }.expect("failure without an error");
        assert_eq!(error.domain().to_string(), "com.apple.appleneuralengine");
        Err((error.code(), error.localizedDescription().to_string()))
    })
}

/// y = op(a, b), with a comment that makes the program one of its own.
pub(crate) fn binary(op: &str, a: &str, b: &str) -> String {
    let t = "tensor<fp16, [2, 32]>";
    let salt = salt();
    format!(
        "program(1.3)\n{{ // {salt}\nfunc main<ios18>({t} {a}, {t} {b}) {{\n{t} y = {op}(x = {a}, y = {b});\n}} -> (y);\n}}\n"
    )
}

/// y = x + w, with w in a weight file.
pub(crate) fn with_weights() -> String {
    let t = "tensor<fp16, [2, 32]>";
    let salt = salt();
    format!(
        "program(1.3)\n{{ // {salt}\nfunc main<ios18>({t} x) {{\n{t} w = const()[name = string(\"w\"), val = {t}(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = uint64(64)))];\n{t} y = add(x = x, y = w);\n}} -> (y);\n}}\n"
    )
}

/// A number that no other program of this run has.
pub(crate) fn salt() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A weight file with 64 fp16 elements of the same bits.
pub(crate) fn weight_file(bits: u16) -> Vec<u8> {
    let mut file = vec![0; 128];
    file[0..8].copy_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0]);
    file[64..68].copy_from_slice(&0xDEAD_BEEF_u32.to_le_bytes());
    file[68..72].copy_from_slice(&1_u32.to_le_bytes());
    file[72..80].copy_from_slice(&128_u64.to_le_bytes());
    file[80..88].copy_from_slice(&128_u64.to_le_bytes());
    file.extend(std::iter::repeat_n(bits.to_le_bytes(), 64).flatten());
    file
}

/// An in-memory model and its directory.
pub(crate) struct InMemory {
    pub(crate) model: Object,
    pub(crate) directory: PathBuf,
}

pub(crate) fn descriptor(text: &Object, weights: &Object) -> Option<Object> {
    let class = class(c"_ANEInMemoryModelDescriptor");
    let none: Option<&AnyObject> = None;
    // SAFETY: the encoding of the method says so.
    unsafe { msg_send![class, modelWithMILText: &**text, weights: &**weights, optionsPlist: none] }
}

impl InMemory {
    /// A model of a text without weights, whose files are written.
    pub(crate) fn new(text: &str) -> Self {
        Self::with_weights(text, &[])
    }

    pub(crate) fn with_weights(text: &str, weights: &[(&str, &[u8])]) -> Self {
        let this = Self::without_files(text, weights);
        this.write(text, weights);
        this
    }

    pub(crate) fn without_files(text: &str, weights: &[(&str, &[u8])]) -> Self {
        let entries: Vec<(&str, Object)> = weights
            .iter()
            .map(|(path, bytes)| {
                (
                    *path,
                    dictionary(&[("offset", number(0)), ("data", data(bytes))]),
                )
            })
            .collect();
        let descriptor = descriptor(&data(text.as_bytes()), &dictionary(&entries)).unwrap();
        let class = class(c"_ANEInMemoryModel");
        // SAFETY: the encoding of the method says so.
        let model: Object = unsafe { msg_send![class, inMemoryModelWithDescriptor: &*descriptor] };
        let directory = PathBuf::from(self::text(&model, c"localModelPath"));
        Self { model, directory }
    }

    pub(crate) fn write(&self, text: &str, weights: &[(&str, &[u8])]) {
        fs::create_dir_all(&self.directory).unwrap();
        fs::write(self.directory.join("model.mil"), text).unwrap();
        for (path, bytes) in weights {
            let path = self
                .directory
                .join(path.strip_prefix("@model_path/").unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    pub(crate) fn compile(&self) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        // SAFETY: the encoding of the method says so, here and below.
        outcome(|error| unsafe {
            msg_send![&self.model, compileWithQoS: 21_u32, options: &*options, error: error]
        })
    }

    pub(crate) fn load(&self) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        // SAFETY: as in `compile`.
        outcome(|error| unsafe {
            msg_send![&self.model, loadWithQoS: 21_u32, options: &*options, error: error]
        })
    }

    pub(crate) fn unload(&self) -> Result<(), Refusal> {
        // SAFETY: as in `compile`.
        outcome(|error| unsafe { msg_send![&self.model, unloadWithQoS: 21_u32, error: error] })
    }

    pub(crate) fn evaluate(&self, request: &Object) -> Result<(), Refusal> {
        let options = dictionary(&[]);
        // SAFETY: as in `compile`.
        outcome(|error| unsafe {
            msg_send![&self.model, evaluateWithQoS: 21_u32, options: &*options, request: &**request, error: error]
        })
    }

    pub(crate) fn map(&self, request: &Object) -> Result<(), Refusal> {
        // SAFETY: as in `compile`.
        outcome(|error| unsafe {
            msg_send![&self.model, mapIOSurfacesWithRequest: &**request, cacheInference: Boolean(true), error: error]
        })
    }

    pub(crate) fn is_compiled(&self) -> bool {
        // SAFETY: as in `compile`.
        let exists: Boolean = unsafe { msg_send![&self.model, compiledModelExists] };
        exists.0
    }

    /// Compiled and loaded.
    pub(crate) fn ready(text: &str) -> Self {
        let this = Self::new(text);
        this.compile().unwrap();
        this.load().unwrap();
        this
    }

    /// The inner `_ANEModel`.
    pub(crate) fn inner(&self) -> Object {
        // SAFETY: as in `compile`.
        unsafe { msg_send![&self.model, model] }
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The text that a method without arguments returns.
pub(crate) fn text(receiver: &AnyObject, selector: &CStr) -> String {
    Pool::of_thread();
    let selector = objc2::runtime::Sel::register(selector);
    // SAFETY: the callers name methods that return a string.
    let text: Retained<NSString> = unsafe { msg_send![receiver, performSelector: selector] };
    text.to_string()
}

/// A model on disk.
pub(crate) fn model_at(directory: &Path, key: &str) -> Object {
    Pool::of_thread();
    let url = NSURL::fileURLWithPath(&NSString::from_str(directory.to_str().unwrap()));
    let class = class(c"_ANEModel");
    let key = string(key);
    // SAFETY: the encoding of the method says so.
    unsafe { msg_send![class, modelAtURL: &*url, key: &*key] }
}

/// A surface of the test's own.
pub(crate) struct Surface(pub(crate) *mut c_void);

impl Surface {
    /// Rows of `bytes_per_row` bytes, in memory of `bytes`.
    pub(crate) fn of(
        width: usize,
        height: usize,
        bytes_per_row: usize,
        bytes: usize,
    ) -> Option<Self> {
        let properties = dictionary(&[
            ("IOSurfaceAllocSize", number(bytes as u64)),
            ("IOSurfaceBytesPerElement", number(2)),
            ("IOSurfaceBytesPerRow", number(bytes_per_row as u64)),
            ("IOSurfaceHeight", number(height as u64)),
            ("IOSurfacePixelFormat", number(0x4c30_3068)),
            ("IOSurfaceWidth", number(width as u64)),
        ]);
        // SAFETY: a live dictionary.
        let surface = unsafe { IOSurfaceCreate(Retained::as_ptr(&properties).cast_mut()) };
        (!surface.is_null()).then_some(Self(surface))
    }

    /// For a `[2, 32]` tensor.
    pub(crate) fn small() -> Self {
        Self::of(32, 2, 64, 16 * 1024).unwrap()
    }

    fn locked<R>(&self, f: impl FnOnce(*mut u16) -> R) -> R {
        // SAFETY: the surface lives, and is locked while its memory is used.
        unsafe {
            assert_eq!(IOSurfaceLock(self.0, 0, std::ptr::null_mut()), 0);
            let result = f(IOSurfaceGetBaseAddress(self.0).cast());
            assert_eq!(IOSurfaceUnlock(self.0, 0, std::ptr::null_mut()), 0);
            result
        }
    }

    /// Fills the first 64 elements.
    pub(crate) fn fill(&self, bits: u16) {
        // SAFETY: every surface here has more.
        self.locked(|start| unsafe { std::slice::from_raw_parts_mut(start, 64).fill(bits) });
    }

    pub(crate) fn filled(bits: u16) -> Self {
        let this = Self::small();
        this.fill(bits);
        this
    }

    /// The first 64 elements, if they are all the same.
    pub(crate) fn bits(&self) -> Option<u16> {
        self.locked(|start| {
            // SAFETY: every surface here has more.
            let elements = unsafe { std::slice::from_raw_parts(start, 64) };
            elements
                .iter()
                .all(|bits| *bits == elements[0])
                .then_some(elements[0])
        })
    }

    pub(crate) fn object(&self) -> Object {
        let class = class(c"_ANEIOSurfaceObject");
        let surface: *mut SurfaceBehind = self.0.cast();
        // SAFETY: the encoding of the method says so.
        unsafe { msg_send![class, objectWithIOSurface: surface] }
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        // SAFETY: the reference is the one of its creation.
        unsafe { CFRelease(self.0.cast()) };
    }
}

/// A request of surfaces by symbol, for procedure 0.
pub(crate) fn request(inputs: &[(u64, &Surface)], outputs: &[(u64, &Surface)]) -> Object {
    let objects = |side: &[(u64, &Surface)]| {
        array(
            &side
                .iter()
                .map(|(_, surface)| surface.object())
                .collect::<Vec<_>>(),
        )
    };
    let indices = |side: &[(u64, &Surface)]| {
        array(
            &side
                .iter()
                .map(|(index, _)| number(*index))
                .collect::<Vec<_>>(),
        )
    };
    request_of(
        [
            objects(inputs),
            indices(inputs),
            objects(outputs),
            indices(outputs),
        ],
        0,
    )
}

pub(crate) fn request_of(
    [inputs, input_indices, outputs, output_indices]: [Object; 4],
    procedure: u64,
) -> Object {
    let class = class(c"_ANERequest");
    let none: Option<&AnyObject> = None;
    let procedure = number(procedure);
    // SAFETY: the encoding of the method says so.
    unsafe {
        msg_send![
            class,
            requestWithInputs: &*inputs,
            inputIndices: &*input_indices,
            outputs: &*outputs,
            outputIndices: &*output_indices,
            weightsBuffer: none,
            perfStats: none,
            procedureIndex: &*procedure
        ]
    }
}

/// `modelAttributes` of an `_ANEModel`.
pub(crate) fn attributes(model: &Object) -> Option<Object> {
    // SAFETY: the encoding of the method says so.
    unsafe { msg_send![model, modelAttributes] }
}

/// The object at a path of keys and indices.
pub(crate) fn at(object: &Object, path: &[&str]) -> Object {
    let mut object = object.clone();
    for step in path {
        object = match step.parse::<usize>() {
            Ok(index) => object.downcast_ref::<NSArray>().unwrap().to_vec()[index].clone(),
            Err(_) => object
                .downcast_ref::<NSDictionary>()
                .unwrap()
                .objectForKey(&string(step))
                .unwrap_or_else(|| panic!("no {step} in {object:?}")),
        };
    }
    object
}

/// Texts of an array.
pub(crate) fn texts(object: &Object) -> Vec<String> {
    let array = object.downcast_ref::<NSArray>().unwrap().to_vec();
    array
        .iter()
        .map(|o| o.downcast_ref::<NSString>().unwrap().to_string())
        .collect()
}

/// Numbers of an array.
pub(crate) fn numbers(object: &Object) -> Vec<u64> {
    object
        .downcast_ref::<NSArray>()
        .unwrap()
        .to_vec()
        .iter()
        .map(value)
        .collect()
}

pub(crate) fn value(object: &Object) -> u64 {
    object.downcast_ref::<NSNumber>().unwrap().as_u64()
}

/// An object made by `alloc` and `init`; nil where a class has factories alone.
pub(crate) fn bare(name: &CStr) -> Option<Object> {
    let class = class(name);
    // SAFETY: NSObject's methods.
    unsafe {
        let allocated: objc2::rc::Allocated<AnyObject> = msg_send![class, alloc];
        msg_send![allocated, init]
    }
}

/// A dictionary that GNUstep has not seen before.
pub(crate) fn empty() -> Object {
    Pool::of_thread();
    NSDictionary::<NSString, AnyObject>::init(NSDictionary::alloc()).into()
}
