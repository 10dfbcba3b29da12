//! Handles: numbers that stand for live objects, each given out once.

use crate::error::E5rtError;
use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Distance of two handles; C callers see pointers, which are aligned.
const STEP: usize = 16;

/// Stands for an object; C callers see it as a pointer that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(pub(crate) usize);

/// What a handle can stand for.
pub(crate) trait Kind: Any + Send + Sync {
    /// In messages.
    const NAME: &'static str;
}

#[derive(Default)]
struct State {
    last: usize,
    live: HashMap<usize, Entry>,
}

struct Entry {
    kind: &'static str,
    object: Arc<dyn Any + Send + Sync>,
}

/// Every live handle.
#[derive(Default)]
pub(crate) struct Handles(Mutex<State>);

impl std::fmt::Debug for Handles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} handles", self.live())
    }
}

impl Handles {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No object's own code runs under the lock, so the table is whole even after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many handles are live.
    pub(crate) fn live(&self) -> usize {
        self.lock().live.len()
    }

    /// Whether the number is, or once was, a handle.
    pub(crate) fn knows(&self, number: usize) -> bool {
        number > 0 && number <= self.lock().last
    }

    /// A new handle for an object.
    pub(crate) fn insert<T: Kind>(&self, object: T) -> Handle {
        let mut state = self.lock();
        state.last += STEP;
        let handle = state.last;
        let entry = Entry {
            kind: T::NAME,
            object: Arc::new(object),
        };
        state.live.insert(handle, entry);
        Handle(handle)
    }

    /// The object of a handle.
    pub(crate) fn get<T: Kind>(&self, handle: Handle) -> Result<Arc<T>, E5rtError> {
        of_kind(handle, self.lock().live.get(&handle.0))
    }

    /// Takes the handle back; the object lives on while others hold it.
    pub(crate) fn release<T: Kind>(&self, handle: Handle) -> Result<Arc<T>, E5rtError> {
        let mut state = self.lock();
        let object = of_kind(handle, state.live.get(&handle.0))?;
        let entry = state.live.remove(&handle.0);
        drop(state);
        drop(entry);
        Ok(object)
    }
}

fn of_kind<T: Kind>(handle: Handle, entry: Option<&Entry>) -> Result<Arc<T>, E5rtError> {
    let entry = entry.ok_or(E5rtError::Stale { handle: handle.0 })?;
    entry
        .object
        .clone()
        .downcast()
        .map_err(|_| E5rtError::Kind {
            handle: handle.0,
            found: entry.kind,
            expected: T::NAME,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Cat;
    #[derive(Debug)]
    struct Dog;
    impl Kind for Cat {
        const NAME: &'static str = "cat";
    }
    impl Kind for Dog {
        const NAME: &'static str = "dog";
    }

    #[test]
    fn handles_know_their_kind_and_are_given_out_once() {
        let handles = Handles::default();
        let (cat, dog) = (handles.insert(Cat), handles.insert(Dog));
        assert!(handles.get::<Cat>(cat).is_ok());
        let error = handles.get::<Cat>(dog).unwrap_err().to_string();
        assert_eq!(error, "0x20 is a handle of the kind `dog`, expected `cat`");
        assert!(handles.release::<Dog>(cat).is_err());
        assert!(handles.release::<Cat>(cat).is_ok());
        assert!(matches!(
            handles.release::<Cat>(cat),
            Err(E5rtError::Stale { handle: 16 })
        ));
        assert_ne!(handles.insert(Cat), cat);
        assert_eq!(handles.live(), 2);
        assert!(handles.knows(16) && handles.knows(48) && !handles.knows(64) && !handles.knows(0));
    }
}
