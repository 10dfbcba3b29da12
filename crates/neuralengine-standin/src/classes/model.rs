//! `_ANEModel`: a model directory and its key, or the inside of an in-memory model.
//!
//! A model on disk is known by its directory and the key that the program chose: whoever changes the files and keeps the
//! key gets the cached program. Attributes are there while the model is loaded.

use crate::attributes;
use crate::classes::request::Request;
use crate::daemon::{Daemon, Identity};
use crate::failure::Failure;
use crate::plist::text;
use crate::resident::Resident;
use crate::runtime::{Live, Method, add, no_init};
use ane_ir::Route;
use objc2::rc::Retained;
use objc2::runtime::{AnyClass, AnyObject, NSObject, Sel};
use objc2::{AnyThread, ClassType, DefinedClass, define_class, msg_send};
use objc2_foundation::NSURL;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a model has been through.
#[derive(Debug)]
enum Stage {
    Created,
    Loaded(Arc<Resident>),
    Unloaded,
}

#[derive(Debug)]
pub(crate) struct Ivars {
    identity: Identity,
    directory: PathBuf,
    number: u64,
    stage: Mutex<Stage>,
    _live: Live,
}

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses.
    #[unsafe(super(NSObject))]
    #[name = "_ANEModel"]
    #[ivars = Ivars]
    #[derive(Debug)]
    pub(crate) struct Model;
);

impl Model {
    pub(crate) fn new(identity: Identity, directory: PathBuf) -> Retained<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let this = Self::alloc().set_ivars(Ivars {
            identity,
            directory,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            stage: Mutex::new(Stage::Created),
            _live: Live::new(),
        });
        // SAFETY: NSObject's initialiser.
        unsafe { msg_send![super(this), init] }
    }

    /// The model that an argument is.
    ///
    /// # Errors
    /// When it is nil or something else.
    pub(crate) fn of(object: Option<&AnyObject>) -> Result<&Self, Failure> {
        object
            .and_then(|object| object.downcast_ref::<Self>())
            .ok_or_else(|| Failure::bad_argument("the model is no _ANEModel"))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.ivars().directory
    }

    pub(crate) fn route(&self) -> Route {
        self.ivars().identity.route()
    }

    /// A number of its own.
    pub(crate) fn number(&self) -> u64 {
        self.ivars().number
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.ivars()
            .stage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The loaded program.
    pub(crate) fn resident(&self) -> Option<Arc<Resident>> {
        match &*self.stage() {
            Stage::Loaded(resident) => Some(resident.clone()),
            Stage::Created | Stage::Unloaded => None,
        }
    }

    pub(crate) fn is_compiled(&self) -> bool {
        Daemon::current().is_ok_and(|daemon| daemon.is_compiled(&self.ivars().identity))
    }

    pub(crate) fn purge(&self) {
        if let Ok(daemon) = Daemon::current() {
            daemon.purge(&self.ivars().identity);
        }
    }

    pub(crate) fn compile(&self) -> Result<(), Failure> {
        Daemon::current()?.compile(&self.ivars().identity, self.directory())
    }

    /// Loads the compiled program; nothing happens when it is loaded.
    pub(crate) fn load(&self) -> Result<(), Failure> {
        let mut stage = self.stage();
        if !matches!(*stage, Stage::Loaded(_)) {
            *stage = Stage::Loaded(Daemon::current()?.load(&self.ivars().identity)?);
        }
        Ok(())
    }

    /// Gives the program back.
    ///
    /// # Errors
    /// When none is loaded, or the driver fails; it stays loaded then.
    pub(crate) fn unload(&self) -> Result<(), Failure> {
        let mut stage = self.stage();
        let Stage::Loaded(resident) = &*stage else {
            return Err(Failure::new(
                crate::failure::Code::ProgramNotFound,
                "the model is not loaded",
            ));
        };
        Daemon::current()?.unload(resident.clone())?;
        *stage = Stage::Unloaded;
        Ok(())
    }

    /// Maps the surfaces of a request.
    ///
    /// # Errors
    /// When no program is loaded, or the surfaces do not fit it.
    pub(crate) fn map(&self, request: Option<&AnyObject>) -> Result<(), Failure> {
        let resident = self.resident().ok_or_else(|| {
            Failure::new(
                crate::failure::Code::ProgramNotFound,
                "the model is not loaded",
            )
        })?;
        resident.map(Request::of(request)?.bindings())
    }

    pub(crate) fn evaluate(&self, request: Option<&AnyObject>) -> Result<(), Failure> {
        let request = Request::of(request)?;
        let resident = self.resident().ok_or_else(|| Failure::inference(0xe))?;
        resident.evaluate(request.bindings())
    }
}

/// `+modelAtURL:key:`. Nil for anything but a file URL and a string.
extern "C-unwind" fn at_url(
    _: &AnyClass,
    _: Sel,
    url: Option<&AnyObject>,
    key: Option<&AnyObject>,
) -> *mut Model {
    let path = url
        .and_then(|object| object.downcast_ref::<NSURL>())
        .filter(|url| url.isFileURL())
        .and_then(|url| url.path());
    let (Some(path), Some(key)) = (path, text(key)) else {
        return std::ptr::null_mut();
    };
    let directory = PathBuf::from(path.to_string());
    let identity = Identity::Client(directory.clone(), key);
    Retained::autorelease_return(Model::new(identity, directory))
}

/// `-modelAttributes`. Nil unless the model is loaded.
extern "C-unwind" fn model_attributes(this: &Model, _: Sel) -> *mut AnyObject {
    this.resident().map_or(std::ptr::null_mut(), |resident| {
        Retained::autorelease_return(attributes::of(&resident)).cast()
    })
}

/// `-state`: 1 created, 3 loaded, 4 unloaded.
extern "C-unwind" fn state(this: &Model, _: Sel) -> u64 {
    match *this.stage() {
        Stage::Created => 1,
        Stage::Loaded(_) => 3,
        Stage::Unloaded => 4,
    }
}

pub(crate) fn register() {
    let instance = [
        Method(c"init", c"@16@0:8", no_init as *const ()),
        Method(
            c"modelAttributes",
            c"@16@0:8",
            model_attributes as *const (),
        ),
        Method(c"state", c"Q16@0:8", state as *const ()),
    ];
    let of_class = [Method(
        c"modelAtURL:key:",
        c"@32@0:8@16@24",
        at_url as *const (),
    )];
    // SAFETY: the functions have the types that the encodings say.
    unsafe { add(Model::class(), &instance, &of_class) };
}
