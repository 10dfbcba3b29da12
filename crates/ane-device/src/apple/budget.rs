//! Few programs are loaded at once, however many there are.
//!
//! A process may have about a hundred programs loaded; the next is refused. The budget knows every
//! program of a device by its content, so that a program that is compiled again is the one that is there. Before a
//! program is loaded, those that ran longest ago are unloaded until there is room; they are loaded again when they next
//! run, which their users do not notice. Every binding counts, since engines load a program once per user.

use super::{
    AppleError,
    program_dir::{ContentHash, ProgramDir},
};
use crate::error::DeviceError;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How long the daemon takes to notice that a program was unloaded (maderix).
const RECLAIM: Duration = Duration::from_millis(100);

/// The programs of a device. `R` is what the route holds of a loaded one, bindings included.
#[derive(Debug)]
pub(super) struct Budget<R> {
    limit: usize,
    ledger: Arc<Ledger>,
    programs: Mutex<HashMap<ContentHash, Weak<Program<R>>>>,
}

/// What is loaded, and a clock that ticks with every use.
#[derive(Debug, Default)]
struct Ledger {
    loaded: AtomicUsize,
    clock: AtomicU64,
}

/// A compiled program, loaded or not.
#[derive(Debug)]
pub(super) struct Program<R> {
    slot: Mutex<Slot<R>>,
    /// When it last ran.
    used: AtomicU64,
    /// Bindings that there are of it.
    bindings: AtomicUsize,
    ledger: Arc<Ledger>,
    files: ProgramDir,
}

#[derive(Debug)]
struct Slot<R> {
    resident: Option<R>,
    /// What the resident takes of the budget.
    charge: usize,
}

impl<R> Budget<R> {
    /// A budget of `limit` loads.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            ledger: Arc::default(),
            programs: Mutex::default(),
        }
    }

    /// The program of this content, when somebody still has it.
    pub(super) fn find(&self, hash: &ContentHash) -> Option<Arc<Program<R>>> {
        locked(&self.programs).get(hash)?.upgrade()
    }

    /// Takes up a program, which `load` compiles and loads from `files`. When that fails, the files are removed, unless
    /// they were refused.
    ///
    /// # Errors
    /// What `load` returns.
    pub(super) fn add(
        &self,
        hash: ContentHash,
        files: ProgramDir,
        load: impl Fn(&ProgramDir) -> Result<R, DeviceError>,
    ) -> Result<Arc<Program<R>>, DeviceError> {
        let program = Program {
            slot: Mutex::new(Slot {
                resident: None,
                charge: 0,
            }),
            used: AtomicU64::new(0),
            bindings: AtomicUsize::new(0),
            ledger: self.ledger.clone(),
            files,
        };
        self.run(&program, load, |_| Ok(()))?;
        let program = Arc::new(program);
        let mut programs = locked(&self.programs);
        programs.retain(|_, p| p.strong_count() > 0);
        programs.insert(hash, Arc::downgrade(&program));
        Ok(program)
    }

    /// Uses a program, after loading it if it is not. The files of one that is refused are kept, whether it was loaded
    /// before or not, since the error tells where they are.
    ///
    /// # Errors
    /// What `load` returns, when it still fails with every idle program unloaded; what `run` returns.
    pub(super) fn run<T>(
        &self,
        program: &Program<R>,
        load: impl Fn(&ProgramDir) -> Result<R, DeviceError>,
        run: impl FnOnce(&mut R) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let mut slot = locked(&program.slot);
        let now = self.ledger.clock.fetch_add(1, Ordering::Relaxed) + 1;
        program.used.store(now, Ordering::Relaxed);
        let wanted = program.bindings.load(Ordering::Relaxed).max(1);
        if slot.resident.is_none() || slot.charge < wanted {
            self.evict_down_to(self.limit.saturating_sub(wanted - slot.charge));
            self.ledger
                .loaded
                .fetch_add(wanted - slot.charge, Ordering::Relaxed);
            slot.charge = wanted;
        }
        if slot.resident.is_none() {
            let loaded = match load(&program.files) {
                // Others may use the engine too, and then the limit comes sooner than expected.
                Err(e) if is_full(&e) => {
                    self.unload_idle();
                    thread::sleep(RECLAIM);
                    load(&program.files)
                }
                // A compiler that refuses without a reason may also mean that there are too many programs.
                Err(_) if self.unload_idle() > 0 => load(&program.files),
                loaded => loaded,
            };
            match loaded {
                Ok(resident) => slot.resident = Some(resident),
                Err(e) => {
                    slot.unload(&self.ledger);
                    if refused(&e) {
                        program.files.keep();
                    }
                    return Err(e);
                }
            }
        }
        let resident = slot.resident.as_mut().expect("loaded above");
        run(resident)
    }

    /// Unloads every program that nobody is using at this moment, for when the engine is full sooner than expected.
    /// Returns how many were unloaded.
    pub(super) fn unload_idle(&self) -> usize {
        self.evict_down_to(0)
    }

    /// Unloads programs that nobody is using at this moment, the longest unused first, until no more than `most` loads
    /// are left. Returns how many programs were unloaded.
    fn evict_down_to(&self, most: usize) -> usize {
        if self.loaded() <= most {
            return 0;
        }
        let mut all: Vec<Arc<Program<R>>> = locked(&self.programs)
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        all.sort_by_key(|p| p.used.load(Ordering::Relaxed));
        let mut evicted = 0;
        for program in all {
            if self.loaded() <= most {
                break;
            }
            // The program that room is made for is locked by this very thread, and one that is running by another.
            let mut slot = match program.slot.try_lock() {
                Ok(slot) => slot,
                Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if slot.resident.is_some() {
                slot.unload(&self.ledger);
                evicted += 1;
            }
        }
        evicted
    }

    /// Loads that the budget counts.
    pub(super) fn loaded(&self) -> usize {
        self.ledger.loaded.load(Ordering::Relaxed)
    }
}

impl<R> Program<R> {
    /// The program's directory.
    pub(super) fn files(&self) -> &ProgramDir {
        &self.files
    }

    /// Counts a binding, until [`Program::unbind`].
    pub(super) fn bind(&self) {
        self.bindings.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets go of what a resident holds of a binding that took no load of its own.
    #[cfg_attr(
        not(objective_c),
        allow(dead_code, reason = "only requests are such bindings")
    )]
    pub(super) fn forget(&self, forget: impl FnOnce(&mut R)) {
        if let Some(resident) = &mut locked(&self.slot).resident {
            forget(resident);
        }
    }

    /// Takes a binding away; `forget` drops what the resident holds of it.
    pub(super) fn unbind(&self, forget: impl FnOnce(&mut R)) {
        self.bindings.fetch_sub(1, Ordering::Relaxed);
        let mut slot = locked(&self.slot);
        if let Some(resident) = &mut slot.resident {
            forget(resident);
            let charge = self.bindings.load(Ordering::Relaxed).max(1);
            let given_back = slot.charge.saturating_sub(charge);
            slot.charge -= given_back;
            self.ledger.loaded.fetch_sub(given_back, Ordering::Relaxed);
        }
    }
}

impl<R> Slot<R> {
    fn unload(&mut self, ledger: &Ledger) {
        self.resident = None;
        ledger.loaded.fetch_sub(self.charge, Ordering::Relaxed);
        self.charge = 0;
    }
}

impl<R> Drop for Program<R> {
    fn drop(&mut self) {
        let ledger = self.ledger.clone();
        let slot = self.slot.get_mut();
        // Before the files go, which a loaded program may still read.
        slot.unwrap_or_else(PoisonError::into_inner).unload(&ledger);
    }
}

/// Whether the program itself is at fault, so that room would not help.
fn refused(e: &DeviceError) -> bool {
    matches!(e, DeviceError::Apple(e) if matches!(**e, AppleError::CompileRefused { .. }))
}

/// Whether there was no place for the program, which may be there a little later.
fn is_full(e: &DeviceError) -> bool {
    matches!(e, DeviceError::Apple(e) if e.is_full())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
