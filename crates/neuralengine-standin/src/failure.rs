//! What goes wrong, and the `NSError` that says it.

use crate::plist;
use objc2::rc::Retained;
use objc2_foundation::{NSDictionary, NSError, NSString};

/// The domain of every error here.
const DOMAIN: &str = "com.apple.appleneuralengine";

/// Codes of the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(isize)]
pub(crate) enum Code {
    /// A program is not loaded.
    Load = 6,
    /// An evaluation failed.
    Inference = 8,
    /// A model directory or its text is none.
    InvalidModel = 10,
    /// Surfaces cannot be mapped.
    Map = 13,
    /// The program is neither compiled nor loaded.
    ProgramNotFound = 23,
    /// An argument is nil, of another class, or out of range.
    BadArgument = 26,
}

/// Why a method returns NO.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }

    /// An argument that the real framework would raise an exception or crash for.
    pub(crate) fn bad_argument(text: impl Into<String>) -> Self {
        Self::new(Code::BadArgument, text)
    }

    /// The text of the driver: 0x1d is wrong geometry or a missing buffer, 0xe a program that is not there, 0x2 a
    /// symbol of another procedure.
    pub(crate) fn inference(status: u32) -> Self {
        let text = format!(
            "ANEProgramProcessRequestDirect() Failed with status=0x{status:x} : statusType=0x9: Program Inference error"
        );
        Self::new(Code::Inference, text)
    }

    /// The text of the compiler; `reasons` is what it lists, often nothing.
    pub(crate) fn compiler(reasons: &str) -> Self {
        let text = format!("_ANECompiler : ANECCompile() FAILED err=({reasons})");
        Self::new(Code::InvalidModel, text)
    }

    /// A directory that holds no `model.mil`.
    pub(crate) fn no_bundle() -> Self {
        Self::new(Code::InvalidModel, "verifyBundleAtPath: invalid model")
    }

    fn to_error(&self) -> Retained<NSError> {
        let key = NSError::NSLocalizedDescriptionKey();
        let info = NSDictionary::from_retained_objects(&[key], &[plist::string(&self.text)]);
        let domain = NSString::from_str(DOMAIN);
        // SAFETY: the value is a string under the key that wants a string.
        unsafe { NSError::errorWithDomain_code_userInfo(&domain, self.code as isize, Some(&info)) }
    }
}

/// Turns a result into the BOOL of a method, and its failure into the error that `place` points to.
///
/// # Safety
/// `place` is null or points to room for a pointer.
pub(crate) unsafe fn report(result: Result<(), Failure>, place: *mut *mut NSError) -> bool {
    let Err(failure) = result else {
        return true;
    };
    crate::daemon::log(&failure.text);
    if !place.is_null() {
        let error = Retained::autorelease_ptr(failure.to_error());
        // SAFETY: the caller's promise.
        unsafe { *place = error };
    }
    false
}
