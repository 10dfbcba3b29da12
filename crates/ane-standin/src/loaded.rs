//! The bound on programs that are loaded at a time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts loaded programs. Clones count together.
#[derive(Debug, Clone)]
pub struct Loaded {
    count: Arc<AtomicUsize>,
    limit: usize,
}

/// As many programs are loaded as the engine takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{limit} programs are loaded, which is the most; unload one")]
pub struct TooManyLoaded {
    /// The most.
    pub limit: usize,
}

/// The place of one loaded program, given back on drop.
#[derive(Debug)]
pub struct LoadedSlot(Arc<AtomicUsize>);

impl Drop for LoadedSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Loaded {
    /// At most `limit` at a time.
    pub fn new(limit: usize) -> Self {
        Self {
            count: Arc::default(),
            limit,
        }
    }

    /// How many are loaded.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(&self) -> Result<LoadedSlot, TooManyLoaded> {
        let one_more = |count: usize| (count < self.limit).then_some(count + 1);
        self.count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .map(|_| LoadedSlot(self.count.clone()))
            .map_err(|_| TooManyLoaded { limit: self.limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_run_out_and_come_back() {
        let loaded = Loaded::new(2);
        let first = loaded.take().unwrap();
        let second = loaded.clone().take().unwrap();
        assert_eq!(loaded.take().unwrap_err(), TooManyLoaded { limit: 2 });
        drop(first);
        assert_eq!(loaded.count(), 1);
        let third = loaded.take().unwrap();
        drop((second, third));
        assert_eq!(loaded.count(), 0);
    }

    #[test]
    fn threads_never_hold_more_than_the_limit() {
        let loaded = Loaded::new(3);
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    for _ in 0..1000 {
                        let slot = loaded.take();
                        assert!(loaded.count() <= 3);
                        drop(slot);
                    }
                });
            }
        });
        assert_eq!(loaded.count(), 0);
    }
}
