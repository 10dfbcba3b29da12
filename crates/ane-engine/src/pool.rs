//! A small team of threads that runs one job at a time, phase by phase.
//!
//! A job hands out its tasks itself; a phase is over when none is left and nobody works on one any more. Who has no task
//! is waited for by nobody: a thread that the system does not let run holds up at most the task it was taken from, and
//! comes back in whichever phase the others have reached. No more threads are woken than there are processors to run
//! them. Waiting spins first, because phases are tens of microseconds long, then yields, then parks.
//!
//! The threads are the pool's own, or those of a [`Crew`] that the process has already.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

/// Work for the whole team.
pub trait Job: Send + Sync {
    /// Number of phases; one begins when the one before is over.
    fn phases(&self) -> usize;

    /// One member's part of a phase: takes tasks until none is left, which any member may find alone. A member may come
    /// late, or not at all; it is called at most once per phase.
    fn run(&self, member: usize, phase: usize);
}

/// Threads of somebody else's, which a pool borrows for each job.
pub trait Crew: Send + Sync {
    /// Calls `part` on at most `most` threads at once, the caller among them, and returns when all calls have returned.
    fn call(&self, most: usize, part: &(dyn Fn() + Sync));
}

/// Rounds of spinning before a waiting thread yields its processor: some microseconds.
const SPINS: u32 = 200;
/// Yields before a waiting member parks: about a millisecond of patience, where nothing else wants to run.
const YIELDS: u32 = 1_000;

/// The phase that is open, and how many members are in it, in one word: the phase ends when the last one leaves, and
/// nobody enters one that has ended. Phases are numbered through all jobs. The number between the last phase of a job
/// and the first of the next is of a phase that nobody enters.
#[derive(Debug, Default)]
struct State(AtomicU64);

/// Bits of the word that count members.
const COUNT_BITS: u32 = 16;

impl State {
    fn phase(&self) -> u64 {
        self.0.load(Ordering::SeqCst) >> COUNT_BITS
    }

    /// Opens a phase of which nobody is in another.
    fn open(&self, phase: u64) {
        self.0.store(phase << COUNT_BITS, Ordering::SeqCst);
    }

    /// Enters the open phase, unless it is `end` or later; gives its number.
    fn enter(&self, end: u64) -> Option<u64> {
        let enter = |word: u64| (word >> COUNT_BITS < end).then(|| word + 1);
        let before = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, enter);
        before.ok().map(|word| word >> COUNT_BITS)
    }

    /// Leaves the phase that the caller is in; whether it is over thereby. Whoever enters afterwards sees all that was
    /// done in it: every change of the word hands on what those before have seen.
    fn leave(&self) -> bool {
        let is_last = |word: u64| word & ((1 << COUNT_BITS) - 1) == 1;
        let leave = |word: u64| {
            Some(if is_last(word) {
                ((word >> COUNT_BITS) + 1) << COUNT_BITS
            } else {
                word - 1
            })
        };
        let before = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, leave);
        before.is_ok_and(is_last)
    }
}

/// A job and its phases.
#[derive(Clone)]
struct Turn {
    job: Arc<dyn Job>,
    first: u64,
    end: u64,
}

struct Shared {
    size: usize,
    /// Members that may run at once: no more than there are processors.
    most_awake: usize,
    /// Whether members park between phases; borrowed threads go back to their owner instead.
    parks: bool,
    state: State,
    /// Members that are not parked, the caller among them, and those that have been told to wake.
    awake: AtomicUsize,
    broken: AtomicBool,
    slot: Mutex<Slot>,
    wake: Condvar,
}

#[derive(Default)]
struct Slot {
    turn: Option<Turn>,
    /// Where the last job that has ended did.
    over: u64,
    /// Parked members that have been told to wake, and have not yet.
    called: usize,
    closing: bool,
}

impl Shared {
    fn new(threads: usize, processors: usize, parks: bool) -> std::io::Result<Self> {
        let size = threads.max(1);
        if size >= 1 << COUNT_BITS {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        Ok(Self {
            size,
            most_awake: size.min(processors),
            parks,
            state: State::default(),
            awake: AtomicUsize::new(size),
            broken: AtomicBool::new(false),
            slot: Mutex::default(),
            wake: Condvar::new(),
        })
    }

    /// Takes part in a job until it is over.
    fn work(&self, turn: &Turn, member: usize) -> std::thread::Result<()> {
        let mut outcome = Ok(());
        while let Some(phase) = self.state.enter(turn.end) {
            // Phases of a job are counted by `usize`.
            let number = (phase - turn.first) as usize;
            let this = catch_unwind(AssertUnwindSafe(|| turn.job.run(member, number)));
            if this.is_err() {
                // Its results are lost; that no task is missing any more is all that the others need to go on.
                self.broken.store(true, Ordering::SeqCst);
                outcome = this;
            }
            if self.state.leave() {
                self.call();
            } else {
                self.wait_past(phase, member);
            }
        }
        outcome
    }

    /// Waits until `phase` is over. Members other than the caller park when their patience has run out; `false` when
    /// the pool is closed.
    fn wait_past(&self, phase: u64, member: usize) -> bool {
        let mut rounds: u32 = 0;
        while self.state.phase() <= phase {
            rounds = rounds.saturating_add(1);
            if rounds < SPINS {
                std::hint::spin_loop();
            } else if rounds < SPINS + YIELDS || member == 0 || !self.parks {
                std::thread::yield_now();
            } else {
                if !self.park(phase) {
                    return false;
                }
                rounds = 0;
            }
        }
        true
    }

    /// Sleeps until called; `false` when the pool is closed.
    fn park(&self, phase: u64) -> bool {
        let mut slot = lock(&self.slot);
        if slot.closing {
            return false;
        }
        self.awake.fetch_sub(1, Ordering::SeqCst);
        // Who ends a phase looks at the number of members awake after that, and we at the phase after changing it: one
        // of the two sees the other.
        if self.state.phase() > phase {
            self.awake.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        while slot.called == 0 && !slot.closing {
            slot = self.wake.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        if slot.closing {
            return false;
        }
        slot.called -= 1;
        true
    }

    /// Calls parked members, as many as there are processors for.
    fn call(&self) {
        if self.awake.load(Ordering::SeqCst) < self.most_awake {
            self.call_locked(&mut lock(&self.slot));
        }
    }

    fn call_locked(&self, slot: &mut Slot) {
        let awake = self.awake.load(Ordering::SeqCst);
        let missing = self.most_awake.saturating_sub(awake);
        self.awake.fetch_add(missing, Ordering::SeqCst);
        slot.called += missing;
        for _ in 0..missing {
            self.wake.notify_one();
        }
    }
}

/// The threads. The caller of [`Pool::run`] is one of them.
pub struct Pool {
    shared: Arc<Shared>,
    crew: Option<Box<dyn Crew>>,
    members: Vec<JoinHandle<()>>,
    busy: Mutex<()>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of a member is passed on by `run`; the data under these locks stays whole.
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A team of `threads` members, at least one.
    ///
    /// # Errors
    /// When the system cannot start a thread, or there are 65,536.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::for_processors(threads, processors)
    }

    /// A team of at most `threads` members whose threads, but for the caller's, are a crew's.
    ///
    /// # Errors
    /// When there are 65,536.
    pub fn of_crew(threads: usize, crew: Box<dyn Crew>) -> std::io::Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared::new(threads, threads, false)?),
            crew: Some(crew),
            members: Vec::new(),
            busy: Mutex::new(()),
        })
    }

    fn for_processors(threads: usize, processors: usize) -> std::io::Result<Self> {
        let mut pool = Self {
            shared: Arc::new(Shared::new(threads, processors, true)?),
            crew: None,
            members: Vec::new(),
            busy: Mutex::new(()),
        };
        for member in 1..pool.threads() {
            let shared = pool.shared.clone();
            // When one cannot be started, dropping the pool ends those that were.
            let thread = std::thread::Builder::new()
                .name(format!("ane-engine-{member}"))
                .spawn(move || serve(&shared, member))?;
            pool.members.push(thread);
        }
        Ok(pool)
    }

    /// Number of members, the caller included.
    pub fn threads(&self) -> usize {
        self.shared.size
    }

    /// Runs `job` and returns when its last phase is over. Callers on several threads take turns.
    ///
    /// # Panics
    /// When a member panicked.
    pub fn run(&self, job: &Arc<dyn Job>) {
        let _turn = lock(&self.busy);
        let s = &*self.shared;
        let first = s.state.phase() + 1;
        let turn = Turn {
            job: job.clone(),
            first,
            end: first + job.phases() as u64,
        };
        {
            let mut slot = lock(&s.slot);
            slot.turn = Some(turn.clone());
            s.state.open(first);
            s.call_locked(&mut slot);
        }
        let outcome = match &self.crew {
            None => s.work(&turn, 0),
            Some(crew) => {
                let next = AtomicUsize::new(0);
                crew.call(s.size, &|| {
                    let member = next.fetch_add(1, Ordering::Relaxed);
                    if member < s.size {
                        // That one panicked is in `broken`.
                        let _ = s.work(&turn, member);
                    }
                });
                Ok(())
            }
        };
        {
            let mut slot = lock(&s.slot);
            slot.turn = None;
            slot.over = turn.end;
        }
        let broken = s.broken.swap(false, Ordering::SeqCst);
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(()) => assert!(!broken, "a member of the team panicked"),
        }
    }
}

fn serve(s: &Shared, member: usize) {
    let mut over = 0;
    while s.wait_past(over, member) {
        let (turn, last) = {
            let slot = lock(&s.slot);
            (slot.turn.clone(), slot.over)
        };
        over = match turn {
            Some(turn) => {
                // A panic is passed on by `run`.
                let _ = s.work(&turn, member);
                turn.end
            }
            None => last,
        };
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.slot).closing = true;
        self.shared.wake.notify_all();
        for member in self.members.drain(..) {
            // A member that panicked has reported it through `run` already.
            let _ = member.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out tasks in every phase, and looks whether those of the phase before are all done.
    struct Count {
        tasks: usize,
        next: Vec<AtomicUsize>,
        done: Vec<AtomicUsize>,
        calls: AtomicUsize,
    }

    impl Count {
        fn new(phases: usize, tasks: usize) -> Arc<Self> {
            let zeros = || (0..phases).map(|_| AtomicUsize::new(0)).collect();
            Arc::new(Self {
                tasks,
                next: zeros(),
                done: zeros(),
                calls: AtomicUsize::new(0),
            })
        }

        fn run_in(self: &Arc<Self>, pool: &Pool) {
            self.next.iter().for_each(|n| n.store(0, Ordering::Relaxed));
            pool.run(&(self.clone() as Arc<dyn Job>));
        }
    }

    impl Job for Count {
        fn phases(&self) -> usize {
            self.next.len()
        }

        fn run(&self, _: usize, phase: usize) {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if let Some(before) = phase.checked_sub(1) {
                let done = self.done[before].load(Ordering::SeqCst);
                assert_eq!(done % self.tasks, 0, "phase {phase}");
            }
            while self.next[phase].fetch_add(1, Ordering::SeqCst) < self.tasks {
                self.done[phase].fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    #[test]
    fn a_phase_begins_when_every_task_of_the_one_before_is_done() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::for_processors(threads, threads).unwrap();
            let job = Count::new(50, 7);
            for _ in 0..40 {
                job.run_in(&pool);
            }
            for done in &job.done {
                assert_eq!(done.load(Ordering::SeqCst), 7 * 40);
            }
        }
    }

    #[test]
    fn a_job_without_phases_is_over_at_once() {
        for pool in [Pool::new(2), Pool::of_crew(2, Box::new(Scoped(2)))] {
            let pool = pool.unwrap();
            for _ in 0..3 {
                Count::new(0, 1).run_in(&pool);
            }
        }
    }

    /// Has so many threads, whatever is asked for.
    struct Scoped(usize);

    impl Crew for Scoped {
        fn call(&self, _: usize, part: &(dyn Fn() + Sync)) {
            std::thread::scope(|scope| {
                for _ in 1..self.0 {
                    scope.spawn(part);
                }
                part();
            });
        }
    }

    #[test]
    fn a_crew_of_any_size_does_all_phases_and_nobody_is_left_behind() {
        for (threads, there) in [(1, 1), (2, 2), (4, 2), (2, 5)] {
            let pool = Pool::of_crew(threads, Box::new(Scoped(there))).unwrap();
            let job = Count::new(50, 7);
            for _ in 0..40 {
                job.run_in(&pool);
            }
            let calls = job.calls.load(Ordering::SeqCst);
            assert!(calls <= 50 * 40 * threads, "{threads} of {there}: {calls}");
            for done in &job.done {
                assert_eq!(done.load(Ordering::SeqCst), 7 * 40);
            }
        }
    }

    #[test]
    fn nobody_waits_for_a_member_that_does_not_come() {
        let pool = Pool::for_processors(4, 1).unwrap();
        let mut held = lock(&pool.shared.slot);
        let turn = Turn {
            job: Count::new(20, 3),
            first: 1,
            end: 21,
        };
        pool.shared.state.open(1);
        // Members that come now stand at the lock; the caller goes through all phases alone.
        pool.shared.work(&turn, 0).unwrap();
        assert_eq!(pool.shared.state.phase(), turn.end);
        held.over = turn.end;
    }

    #[test]
    fn no_more_members_run_than_there_are_processors() {
        let pool = Pool::for_processors(8, 2).unwrap();
        let awake = || pool.shared.awake.load(Ordering::SeqCst);
        // Nobody has called the members that have started; they park.
        while awake() > 1 {
            std::thread::yield_now();
        }
        let job = Count::new(500, 4);
        for _ in 0..20 {
            job.run_in(&pool);
            assert!(awake() <= 2);
        }
    }

    /// Member 1 fails, and the caller waits for it.
    struct Fail {
        came: AtomicBool,
    }

    impl Job for Fail {
        fn phases(&self) -> usize {
            2
        }

        fn run(&self, member: usize, phase: usize) {
            if member == 1 && phase == 0 {
                self.came.store(true, Ordering::SeqCst);
                panic!("on purpose");
            }
            while !self.came.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        for pool in [
            Pool::for_processors(2, 2),
            Pool::of_crew(2, Box::new(Scoped(2))),
        ] {
            let pool = pool.unwrap();
            let fail: Arc<dyn Job> = Arc::new(Fail {
                came: AtomicBool::new(false),
            });
            assert!(catch_unwind(AssertUnwindSafe(|| pool.run(&fail))).is_err());
            let job = Count::new(1, 3);
            job.run_in(&pool);
            assert_eq!(job.done[0].load(Ordering::SeqCst), 3);
        }
    }
}
