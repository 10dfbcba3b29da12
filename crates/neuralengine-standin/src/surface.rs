//! IOSurface: memory with a shape, locked by the processor or used by the engine.
//!
//! An `IOSurfaceRef` is an object of the class `IOSurface`, as on a Mac. The real functions let a careless program read
//! without a lock and evaluate a locked surface, and the result is stale data at times. Here the first gets no address
//! and the second is refused, both with a line in the log. Nor does a program get away with undoing another lock than it
//! took, or with writing under a lock for reading alone, whose changes may be lost on a Mac.

pub mod functions;

use crate::failure::Failure;
use crate::geometry::PAGE;
use crate::resident::refuse_mapping;
use crate::runtime::{Live, Method, add, no_init};
use objc2::rc::Retained;
use objc2::runtime::NSObject;
use objc2::{AnyThread, ClassType, DefinedClass, define_class, msg_send};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::hash::{DefaultHasher, Hasher};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a surface was created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) bytes_per_element: usize,
    pub(crate) bytes_per_row: usize,
    pub(crate) bytes: usize,
    pub(crate) pixel_format: u32,
}

/// The memory of a surface. The object and evaluations share it.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    shape: Shape,
    users: Mutex<Users>,
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Users {
    /// Locks of the processor that are not undone, in the order in which they were taken.
    locks: Vec<Lock>,
    /// Evaluations that are under way.
    evaluations: u32,
}

/// A lock of the processor.
#[derive(Debug)]
struct Lock {
    options: u32,
    /// What the bytes were when a lock for reading was taken, unless somebody may write.
    seen: Option<u64>,
}

/// Set in the options of a lock for reading alone.
const READ_ONLY: u32 = 1;

/// What is wrong with undoing a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadUnlock {
    /// There is no lock.
    NotLocked,
    /// There are locks, of other options.
    OtherOptions,
    /// The bytes were changed under a lock for reading alone.
    Changed,
}

// SAFETY: the memory is plain bytes. What the processor does to it between locking and unlocking is its program's
// business, as on a Mac; an evaluation touches it only while there is no lock.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Zeroed memory; `None` when there is not so much.
    pub(crate) fn new(shape: Shape) -> Option<Arc<Self>> {
        let layout = Self::layout(shape.bytes)?;
        // SAFETY: the size is at least a page.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Arc::new(Self {
            start,
            shape,
            users: Mutex::default(),
            idle: Condvar::new(),
        }))
    }

    fn layout(bytes: usize) -> Option<Layout> {
        Layout::from_size_align(bytes.max(PAGE), PAGE).ok()
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn bytes(&self) -> usize {
        self.shape.bytes
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks for the processor, waiting for evaluations.
    fn lock(&self, options: u32) {
        let mut users = self.users();
        while users.evaluations > 0 {
            users = self
                .idle
                .wait(users)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let reads = |options: u32| options & READ_ONLY != 0;
        if !reads(options) {
            users.locks.iter_mut().for_each(|lock| lock.seen = None);
        }
        let is_still = reads(options) && users.locks.iter().all(|lock| reads(lock.options));
        let seen = is_still.then(|| self.digest());
        users.locks.push(Lock { options, seen });
    }

    /// Undoes a lock of these options.
    ///
    /// # Errors
    /// When there is none, or the bytes were changed under one for reading, which is undone then, too.
    fn unlock(&self, options: u32) -> Result<(), BadUnlock> {
        let mut users = self.users();
        let place = users.locks.iter().rposition(|l| l.options == options);
        let Some(place) = place else {
            return Err(match users.locks.is_empty() {
                true => BadUnlock::NotLocked,
                false => BadUnlock::OtherOptions,
            });
        };
        let lock = users.locks.remove(place);
        match lock.seen {
            Some(seen) if seen != self.digest() => Err(BadUnlock::Changed),
            _ => Ok(()),
        }
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.read(|bytes| hasher.write(bytes));
        hasher.finish()
    }

    /// Where the memory starts, while it is locked.
    fn base_address(&self) -> Option<NonNull<u8>> {
        (!self.users().locks.is_empty()).then_some(self.start)
    }

    /// Reads the bytes, during an [`EngineUse`] or a lock.
    pub(crate) fn read<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        // SAFETY: the memory is initialised and lives as long as `self`; while the engine uses it, nobody has it locked;
        // whoever writes without a lock for it, and evaluations that share a surface as an output, are the program's own race, on
        // bytes that any value suits.
        f(unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.shape.bytes) })
    }

    /// Changes the bytes, during an [`EngineUse`].
    pub(crate) fn write<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        // SAFETY: as in `read`.
        f(unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.shape.bytes) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let layout =
            Self::layout(self.shape.bytes).expect("the layout was made when it was allocated");
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.start.as_ptr(), layout) };
    }
}

/// Surfaces that an evaluation uses, until dropped.
#[derive(Debug)]
pub(crate) struct EngineUse<'a>(Vec<&'a Memory>);

impl<'a> EngineUse<'a> {
    /// Takes the surfaces.
    ///
    /// # Errors
    /// When the processor has one locked.
    pub(crate) fn begin(surfaces: impl Iterator<Item = &'a Arc<Memory>>) -> Result<Self, Failure> {
        let mut taken = Self(Vec::new());
        for memory in surfaces {
            let mut users = memory.users();
            if !users.locks.is_empty() {
                crate::daemon::log("a surface is evaluated while it is locked");
                return Err(refuse_mapping());
            }
            users.evaluations += 1;
            taken.0.push(memory);
        }
        Ok(taken)
    }
}

impl Drop for EngineUse<'_> {
    fn drop(&mut self) {
        for memory in &self.0 {
            memory.users().evaluations -= 1;
            memory.idle.notify_all();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ivars {
    memory: Arc<Memory>,
    _live: Live,
}

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses.
    #[unsafe(super(NSObject))]
    #[name = "IOSurface"]
    #[ivars = Ivars]
    #[derive(Debug)]
    pub(crate) struct IOSurface;
);

impl IOSurface {
    fn new(memory: Arc<Memory>) -> Retained<Self> {
        let this = Self::alloc().set_ivars(Ivars {
            memory,
            _live: Live::new(),
        });
        // SAFETY: NSObject's initialiser.
        unsafe { msg_send![super(this), init] }
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.ivars().memory
    }
}

pub(crate) fn register() {
    let methods = [Method(c"init", c"@16@0:8", no_init as *const ())];
    // SAFETY: the function has the type that the encoding says.
    unsafe { add(IOSurface::class(), &methods, &[]) };
}
