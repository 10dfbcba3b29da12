//! A small team of threads that runs one job at a time, in step.
//!
//! A job is run by every member at once; members meet at a barrier between the phases of the job. Waiting spins first,
//! because phases are tens of microseconds long, then yields, and idle members park.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

/// Work for the whole team.
pub trait Job: Send + Sync {
    /// One member's part. Every member must pass the barrier equally often.
    fn run(&self, member: usize, team: &Team);
}

/// The barrier of a running job.
#[derive(Debug)]
pub struct Team {
    size: usize,
    arrived: AtomicUsize,
    generation: AtomicUsize,
    broken: AtomicBool,
}

/// Rounds of spinning before a waiting thread yields its processor.
const SPINS: u32 = 4_000;
/// Yields before an idle member parks: about a millisecond of patience.
const YIELDS: u32 = 1_000;

impl Team {
    fn new(size: usize) -> Self {
        Self {
            size,
            arrived: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    /// Number of members.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Waits until every member has come.
    ///
    /// # Panics
    /// When another member has panicked: it will never come.
    pub fn barrier(&self) {
        if self.size == 1 {
            return;
        }
        let generation = self.generation.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.size {
            self.arrived.store(0, Ordering::Relaxed);
            self.generation.fetch_add(1, Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.generation.load(Ordering::Acquire) == generation {
            assert!(
                !self.broken.load(Ordering::Relaxed),
                "another member of the team panicked"
            );
            wait(&mut spins);
        }
    }
}

/// One round of waiting: spin, later yield. Returns whether patience has run out.
fn wait(rounds: &mut u32) -> bool {
    *rounds = rounds.saturating_add(1);
    if *rounds < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
    *rounds > SPINS + YIELDS
}

struct Shared {
    team: Team,
    epoch: AtomicUsize,
    running: AtomicUsize,
    slot: Mutex<Slot>,
    wake: Condvar,
}

#[derive(Default)]
struct Slot {
    job: Option<Arc<dyn Job>>,
    parked: usize,
    closing: bool,
}

/// The threads. The caller of [`Pool::run`] is member 0; the others are its own.
pub struct Pool {
    shared: Arc<Shared>,
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
    /// When the system cannot start a thread.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let size = threads.max(1);
        let shared = Arc::new(Shared {
            team: Team::new(size),
            epoch: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            slot: Mutex::default(),
            wake: Condvar::new(),
        });
        let members = (1..size)
            .map(|member| {
                let shared = shared.clone();
                std::thread::Builder::new()
                    .name(format!("ane-engine-{member}"))
                    .spawn(move || serve(&shared, member))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shared,
            members,
            busy: Mutex::new(()),
        })
    }

    /// Number of members, the caller included.
    pub fn threads(&self) -> usize {
        self.shared.team.size
    }

    /// Runs `job` on every member and returns when all are done. Callers on several threads take turns.
    ///
    /// # Panics
    /// When a member panicked.
    pub fn run(&self, job: &Arc<dyn Job>) {
        let _turn = lock(&self.busy);
        let s = &*self.shared;
        s.running.store(s.team.size - 1, Ordering::Relaxed);
        {
            let mut slot = lock(&s.slot);
            slot.job = Some(job.clone());
            s.epoch.fetch_add(1, Ordering::Release);
            if slot.parked > 0 {
                s.wake.notify_all();
            }
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| job.run(0, &s.team)));
        if outcome.is_err() {
            s.team.broken.store(true, Ordering::Release);
        }
        let mut rounds = 0;
        while s.running.load(Ordering::Acquire) > 0 {
            wait(&mut rounds);
        }
        lock(&s.slot).job = None;
        let broken = s.team.broken.swap(false, Ordering::AcqRel);
        s.team.arrived.store(0, Ordering::Relaxed);
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(()) => assert!(!broken, "a member of the team panicked"),
        }
    }
}

fn serve(s: &Shared, member: usize) {
    let mut seen = 0;
    loop {
        let mut rounds = 0;
        while s.epoch.load(Ordering::Acquire) == seen {
            if wait(&mut rounds) {
                let mut slot = lock(&s.slot);
                slot.parked += 1;
                while s.epoch.load(Ordering::Acquire) == seen && !slot.closing {
                    slot = s.wake.wait(slot).unwrap_or_else(PoisonError::into_inner);
                }
                slot.parked -= 1;
                if slot.closing {
                    return;
                }
            }
        }
        seen = s.epoch.load(Ordering::Acquire);
        let job = lock(&s.slot).job.clone();
        if let Some(job) = job
            && catch_unwind(AssertUnwindSafe(|| job.run(member, &s.team))).is_err()
        {
            s.team.broken.store(true, Ordering::Release);
        }
        s.running.fetch_sub(1, Ordering::Release);
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

    struct Count {
        phases: Vec<AtomicUsize>,
    }

    impl Job for Count {
        fn run(&self, _: usize, team: &Team) {
            for phase in &self.phases {
                phase.fetch_add(1, Ordering::SeqCst);
                team.barrier();
                assert_eq!(phase.load(Ordering::SeqCst) % team.size(), 0);
                team.barrier();
            }
        }
    }

    #[test]
    fn members_meet_between_phases_job_after_job() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads).unwrap();
            let job = Arc::new(Count {
                phases: (0..50).map(|_| AtomicUsize::new(0)).collect(),
            });
            for _ in 0..20 {
                pool.run(&(job.clone() as Arc<dyn Job>));
            }
            assert!(
                job.phases
                    .iter()
                    .all(|p| p.load(Ordering::SeqCst) == threads * 20)
            );
        }
    }

    struct Fail;

    impl Job for Fail {
        fn run(&self, member: usize, team: &Team) {
            assert!(member != 1, "on purpose");
            team.barrier();
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(2).unwrap();
        let fail: Arc<dyn Job> = Arc::new(Fail);
        assert!(catch_unwind(AssertUnwindSafe(|| pool.run(&fail))).is_err());
        let job = Arc::new(Count {
            phases: vec![AtomicUsize::new(0)],
        });
        pool.run(&(job.clone() as Arc<dyn Job>));
        assert_eq!(job.phases[0].load(Ordering::SeqCst), 2);
    }
}
