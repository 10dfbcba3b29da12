//! Aligned memory that devices, executions and the host share.

mod huge_pages;

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    any::Any,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

/// Every buffer starts on a cache line.
const ALIGN: usize = 64;

/// Bytes of the buffers that are alive.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// What exclusive access to a buffer is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The bytes stay as they are.
    Read,
    /// The bytes may change.
    Write,
}

/// Memory that something else owns: a framework's buffer, a surface, pages that processes share.
///
/// # Safety
/// Until the value is dropped, [`Foreign::bytes`] initialised bytes from [`Foreign::start`] on must be readable and
/// writable by this process, and nothing else may touch them between [`Foreign::begin`] and [`Foreign::end`].
pub unsafe trait Foreign: Any + Send + Sync + std::fmt::Debug {
    /// Where it starts, aligned to 64 bytes.
    fn start(&self) -> NonNull<u8>;
    /// Its size.
    fn bytes(&self) -> usize;
    /// Called when exclusive access begins: the place to lock, or to fetch what the owner has changed.
    fn begin(&self, access: Access) {
        let _ = access;
    }
    /// Called before exclusive access ends.
    fn end(&self, access: Access) {
        let _ = access;
    }
}

/// A buffer of fixed size. Clones share the memory.
///
/// Access is exclusive: the host's copies and an execution that has the buffer bound wait for each other.
#[derive(Debug, Clone)]
pub struct SharedBuffer(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    bytes: usize,
    held: AtomicBool,
    /// How often it may have changed.
    generation: AtomicU64,
    /// The owner of memory that was not allocated here.
    foreign: Option<Box<dyn Foreign>>,
}

// SAFETY: the memory is plain bytes; `Hold` makes access exclusive across threads.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn layout(bytes: usize) -> Layout {
        let align = if huge_pages::worth_it(bytes) {
            huge_pages::SIZE
        } else {
            ALIGN
        };
        Layout::from_size_align(bytes.next_multiple_of(align).max(align), align)
            .expect("buffer sizes are far below isize::MAX")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.foreign.is_none() {
            let layout = Self::layout(self.bytes);
            // SAFETY: allocated in `SharedBuffer::new` with the same layout.
            unsafe { dealloc(self.start.as_ptr(), layout) }
            IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
    }
}

/// Exclusive access to a buffer until dropped.
#[derive(Debug)]
pub(crate) struct Hold<'a>(&'a SharedBuffer, Access);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.give_back(self.1);
    }
}

/// Exclusive access on behalf of a buffer's owner, until dropped.
#[derive(Debug)]
pub struct Lent<'a>(&'a SharedBuffer);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.0.held.store(false, Ordering::Release);
    }
}

impl SharedBuffer {
    /// A buffer of `bytes` zero bytes.
    pub fn new(bytes: usize) -> Self {
        let layout = Memory::layout(bytes);
        // SAFETY: the layout has a non-zero size.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        if huge_pages::worth_it(bytes) {
            // Before the first touch: pages that are there already stay small.
            huge_pages::ask_for(start, layout.size());
        }
        // SAFETY: just allocated with this size.
        unsafe { start.write_bytes(0, layout.size()) };
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        Self(Arc::new(Memory {
            start,
            bytes,
            held: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            foreign: None,
        }))
    }

    /// A buffer over memory that `owner` keeps, and drops with the last clone.
    ///
    /// # Panics
    /// When the memory does not start at a multiple of 64 bytes.
    pub fn foreign(owner: Box<dyn Foreign>) -> Self {
        let start = owner.start();
        assert!(
            start.addr().get().is_multiple_of(ALIGN),
            "foreign memory starts at {start:?}, buffers are aligned to {ALIGN} bytes"
        );
        Self(Arc::new(Memory {
            start,
            bytes: owner.bytes(),
            held: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            foreign: Some(owner),
        }))
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.0.bytes
    }

    /// Whether the buffer has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.bytes == 0
    }

    /// Whether the two share memory.
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Where the memory starts; reading and writing through it needs a [`Hold`].
    pub(crate) fn start<T>(&self) -> *mut T {
        self.0.start.as_ptr().cast()
    }

    /// The owner of foreign memory, when it is an `O`.
    pub fn owner<O: Foreign>(&self) -> Option<&O> {
        let owner: &dyn Any = &**self.0.foreign.as_ref()?;
        owner.downcast_ref()
    }

    /// Waits for exclusive access for the owner itself: a device that is about to run on its own memory.
    ///
    /// The owner hears nothing of it, since [`Foreign::begin`] would take the memory away from the device. A buffer
    /// must not be lent twice by one thread; who needs several takes them in the order of [`SharedBuffer::address`].
    pub fn lend(&self) -> Lent<'_> {
        self.wait();
        self.0.generation.fetch_add(1, Ordering::Relaxed);
        Lent(self)
    }

    /// Where the memory starts, as a number: an order in which threads can wait for several buffers.
    pub fn address(&self) -> usize {
        self.0.start.addr().get()
    }

    /// A number that is another one after every write, for who keeps what was made of the bytes. `None` where others
    /// can write without this process seeing it.
    pub fn generation(&self) -> Option<u64> {
        match self.0.foreign {
            Some(_) => None,
            None => Some(self.0.generation.load(Ordering::Relaxed)),
        }
    }

    /// Bytes of memory that a buffer of `bytes` takes.
    pub fn footprint(bytes: usize) -> usize {
        Memory::layout(bytes).size()
    }

    /// Bytes of memory that all buffers of this process take now, foreign ones left out: what a forecast is held to.
    pub fn in_use() -> usize {
        IN_USE.load(Ordering::Relaxed)
    }

    /// Waits for exclusive access.
    pub(crate) fn hold(&self, access: Access) -> Hold<'_> {
        self.take(access);
        Hold(self, access)
    }

    fn wait(&self) {
        while self
            .0
            .held
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            std::thread::yield_now();
        }
    }

    pub(crate) fn take(&self, access: Access) {
        self.wait();
        if access == Access::Write {
            self.0.generation.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(owner) = &self.0.foreign {
            owner.begin(access);
        }
    }

    pub(crate) fn give_back(&self, access: Access) {
        if let Some(owner) = &self.0.foreign {
            owner.end(access);
        }
        self.0.held.store(false, Ordering::Release);
    }

    /// Reads the bytes.
    pub fn read<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let _hold = self.hold(Access::Read);
        // SAFETY: the hold makes access exclusive; the memory is initialised and lives as long as `self`.
        f(unsafe { std::slice::from_raw_parts(self.start(), self.0.bytes) })
    }

    /// Changes the bytes.
    pub fn write<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let _hold = self.hold(Access::Write);
        // SAFETY: as in `read`.
        f(unsafe { std::slice::from_raw_parts_mut(self.start(), self.0.bytes) })
    }

    /// Reads the buffer as fp16 bit patterns; a last odd byte is left out.
    pub fn read_u16<R>(&self, f: impl FnOnce(&[u16]) -> R) -> R {
        let _hold = self.hold(Access::Read);
        // SAFETY: as in `read`; the start is aligned to 64 bytes.
        f(unsafe { std::slice::from_raw_parts(self.start(), self.0.bytes / 2) })
    }

    /// Changes the buffer as fp16 bit patterns; a last odd byte is left out.
    pub fn write_u16<R>(&self, f: impl FnOnce(&mut [u16]) -> R) -> R {
        let _hold = self.hold(Access::Write);
        // SAFETY: as in `read`; the start is aligned to 64 bytes.
        f(unsafe { std::slice::from_raw_parts_mut(self.start(), self.0.bytes / 2) })
    }

    /// Reads the buffer as f32; trailing bytes are left out.
    pub fn read_f32<R>(&self, f: impl FnOnce(&[f32]) -> R) -> R {
        let _hold = self.hold(Access::Read);
        // SAFETY: as in `read`; every bit pattern is an f32.
        f(unsafe { std::slice::from_raw_parts(self.start(), self.0.bytes / 4) })
    }

    /// Changes the buffer as f32; trailing bytes are left out.
    pub fn write_f32<R>(&self, f: impl FnOnce(&mut [f32]) -> R) -> R {
        let _hold = self.hold(Access::Write);
        // SAFETY: as in `read`; every bit pattern is an f32.
        f(unsafe { std::slice::from_raw_parts_mut(self.start(), self.0.bytes / 4) })
    }
}

/// Buffers that one piece of work needs at the same time.
#[derive(Debug)]
pub(crate) struct Holds(Vec<(SharedBuffer, Access)>);

impl Holds {
    /// Every buffer once, for writing if anyone writes it.
    ///
    /// In one order for everybody, so that two that share buffers cannot wait for each other in a circle.
    pub(crate) fn of<'a>(all: impl IntoIterator<Item = (&'a SharedBuffer, Access)>) -> Self {
        let mut holds: Vec<(SharedBuffer, Access)> = all
            .into_iter()
            .map(|(buffer, access)| (buffer.clone(), access))
            .collect();
        holds.sort_by_key(|(buffer, access)| (buffer.address(), *access == Access::Read));
        // Writing comes first among equals, and stays.
        holds.dedup_by(|(next, _), (held, _)| next.same_as(held));
        Self(holds)
    }

    /// Waits for exclusive access to all of them.
    pub(crate) fn take(&self) -> Held<'_> {
        for (buffer, access) in &self.0 {
            buffer.take(*access);
        }
        Held(self)
    }
}

/// Exclusive access to several buffers until dropped.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Holds);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for (buffer, access) in &self.0.0 {
            buffer.give_back(*access);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zero_aligned_and_shared_by_clones() {
        let a = SharedBuffer::new(10);
        assert_eq!(a.start::<u8>() as usize % ALIGN, 0);
        let b = a.clone();
        a.write(|bytes| bytes[9] = 7);
        b.read(|bytes| assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 7]));
        assert!(a.same_as(&b));
        assert!(!a.same_as(&SharedBuffer::new(10)));
    }

    #[derive(Debug)]
    struct Borrowed {
        memory: Box<Line>,
        calls: Arc<std::sync::Mutex<Vec<(&'static str, Access)>>>,
    }

    #[derive(Debug)]
    #[repr(align(64))]
    struct Line([u8; 64]);

    // SAFETY: the box lives as long as the value and is touched through it alone.
    unsafe impl Foreign for Borrowed {
        fn start(&self) -> NonNull<u8> {
            NonNull::from(&self.memory.0).cast()
        }
        fn bytes(&self) -> usize {
            64
        }
        fn begin(&self, access: Access) {
            self.calls.lock().unwrap().push(("begin", access));
        }
        fn end(&self, access: Access) {
            self.calls.lock().unwrap().push(("end", access));
        }
    }

    #[test]
    fn the_owner_of_foreign_memory_hears_of_every_access() {
        let calls = Arc::default();
        let a = SharedBuffer::foreign(Box::new(Borrowed {
            memory: Box::new(Line([7; 64])),
            calls: Arc::clone(&calls),
        }));
        a.read(|bytes| assert_eq!(bytes, [7; 64]));
        a.clone().write_u16(|x| x[31] = 0);
        use Access::{Read, Write};
        let expected = [
            ("begin", Read),
            ("end", Read),
            ("begin", Write),
            ("end", Write),
        ];
        assert_eq!(*calls.lock().unwrap(), expected);
        drop(a.lend());
        assert_eq!(*calls.lock().unwrap(), expected, "a loan is silent");
        assert!(a.owner::<Borrowed>().is_some());
        assert!(SharedBuffer::new(64).owner::<Borrowed>().is_none());
    }

    #[test]
    fn a_buffer_that_work_needs_twice_is_taken_once_and_given_back() {
        let (a, b) = (SharedBuffer::new(8), SharedBuffer::new(8));
        let holds = Holds::of([(&a, Access::Read), (&b, Access::Read), (&a, Access::Write)]);
        assert_eq!(holds.0.len(), 2);
        drop(holds.take());
        a.write(|bytes| bytes.fill(1));
        b.write(|bytes| bytes.fill(1));
    }

    #[test]
    fn every_write_makes_a_new_generation() {
        let a = SharedBuffer::new(8);
        let before = a.generation();
        assert!(before.is_some());
        a.read(|_| ());
        assert_eq!(a.generation(), before);
        let mut seen = vec![before];
        a.write(|_| ());
        seen.push(a.generation());
        a.clone().write_u16(|_| ());
        seen.push(a.generation());
        drop(a.lend());
        seen.push(a.generation());
        drop(Holds::of([(&a, Access::Write)]).take());
        seen.push(a.generation());
        assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    }

    #[test]
    fn access_is_exclusive() {
        let a = SharedBuffer::new(8);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..1000 {
                        a.write_f32(|x| {
                            x[0] += 1.0;
                            x[1] += 1.0;
                        });
                    }
                });
            }
        });
        a.read_f32(|x| assert_eq!(x, [4000.0, 4000.0]));
    }
}
