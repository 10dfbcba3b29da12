//! An update of many tensors, element by element: what a host optimizer does to its masters.

use crate::{
    arena::{Access, SharedBuffer},
    pool::{Job, Pool, Team},
    simd::{Isa, Kernel, Lanes, dispatch},
};
use half::f16;
use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

/// Most tensors of state per parameter, the master included.
pub const MOST_STATE: usize = 3;

/// What happens to one element of a parameter; state 0 is the fp32 master, from which the fp16 weight is rounded.
///
/// Written over lanes: `step` must be `#[inline(always)]` to be compiled for the instruction set at hand.
pub trait Update: Copy + Send + Sync + 'static {
    /// Tensors of state it changes, 1 to [`MOST_STATE`].
    const STATE: usize;
    /// The new state from the raw gradient and the old state.
    fn step<S: Lanes>(&self, s: S, gradient: S::V, state: &mut [S::V; MOST_STATE]);
}

/// The buffers of one parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Number of elements.
    pub len: usize,
    /// fp16 gradient, read.
    pub gradient: SharedBuffer,
    /// fp16 weight, written.
    pub weight: SharedBuffer,
    /// fp32 state, the master first.
    pub state: Vec<SharedBuffer>,
}

/// Elements of a task.
const SHARE: usize = 8 * 1024;

/// An update bound to its parameters, run on all threads of a pool.
#[derive(Debug)]
pub struct ForEach<U> {
    shared: Arc<Shared<U>>,
}

#[derive(Debug)]
struct Shared<U> {
    isa: Isa,
    parameters: Vec<Parameter>,
    update: RwLock<Option<U>>,
    next: AtomicUsize,
    squares: Mutex<Vec<f64>>,
}

impl<U: Update> ForEach<U> {
    /// Binds the update to parameters.
    ///
    /// # Panics
    /// When a buffer is too small for its parameter.
    pub fn new(isa: Isa, parameters: Vec<Parameter>) -> Self {
        for p in &parameters {
            assert!(p.gradient.len() >= 2 * p.len && p.weight.len() >= 2 * p.len);
            assert!(p.state.len() == U::STATE && p.state.iter().all(|b| b.len() >= 4 * p.len));
        }
        Self {
            shared: Arc::new(Shared {
                isa,
                parameters,
                update: RwLock::new(None),
                next: AtomicUsize::new(0),
                squares: Mutex::new(Vec::new()),
            }),
        }
    }

    /// Updates every element of every parameter.
    pub fn apply(&self, pool: &Pool, update: U) {
        self.run(pool, Some(update));
    }

    /// Σ g² over all gradients, in f64, in an order that does not depend on the threads.
    pub fn sum_of_squares(&self, pool: &Pool) -> f64 {
        let tasks = self
            .shared
            .parameters
            .iter()
            .map(|p| p.len.div_ceil(SHARE))
            .sum();
        *self.squares() = vec![0.0; tasks];
        self.run(pool, None);
        self.squares().iter().sum()
    }

    fn squares(&self) -> std::sync::MutexGuard<'_, Vec<f64>> {
        self.shared
            .squares
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, pool: &Pool, update: Option<U>) {
        *self
            .shared
            .update
            .write()
            .unwrap_or_else(PoisonError::into_inner) = update;
        self.shared.next.store(0, Ordering::Relaxed);
        let writes = if update.is_some() {
            Access::Write
        } else {
            Access::Read
        };
        let buffers = || {
            self.shared.parameters.iter().flat_map(move |p| {
                let changed = std::iter::once(&p.weight).chain(&p.state);
                std::iter::once((&p.gradient, Access::Read))
                    .chain(changed.map(move |b| (b, writes)))
            })
        };
        buffers().for_each(|(b, access)| b.take(access));
        let job: Arc<dyn Job> = self.shared.clone();
        pool.run(&job);
        buffers().for_each(|(b, access)| b.give_back(access));
    }
}

impl<U: Update> Job for Shared<U> {
    fn run(&self, _: usize, _: &Team) {
        let update = *self.update.read().unwrap_or_else(PoisonError::into_inner);
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            let mut rest = task;
            let Some(p) = self.parameters.iter().find(|p| {
                let tasks = p.len.div_ceil(SHARE);
                let here = rest < tasks;
                if !here {
                    rest -= tasks;
                }
                here
            }) else {
                return;
            };
            let start = rest * SHARE;
            let len = SHARE.min(p.len - start);
            match update {
                Some(update) => dispatch(
                    self.isa,
                    Chunk {
                        update,
                        p,
                        start,
                        len,
                    },
                ),
                None => {
                    // SAFETY: the buffers are held by `ForEach::run`; nobody writes gradients meanwhile.
                    let g = unsafe {
                        std::slice::from_raw_parts(p.gradient.start::<u16>().add(start), len)
                    };
                    let sum = g
                        .iter()
                        .map(|&b| f64::from(f16::from_bits(b).to_f32()).powi(2))
                        .sum();
                    self.squares.lock().unwrap_or_else(PoisonError::into_inner)[task] = sum;
                }
            }
        }
    }
}

struct Chunk<'a, U> {
    update: U,
    p: &'a Parameter,
    start: usize,
    len: usize,
}

impl<U: Update> Kernel for Chunk<'_, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (start, len) = (self.start, self.len);
        // SAFETY: the buffers are held by `ForEach::run` and long enough; this range is this task's alone.
        let (gradient, weight) = unsafe {
            (
                std::slice::from_raw_parts(self.p.gradient.start::<u16>().add(start), len),
                std::slice::from_raw_parts_mut(self.p.weight.start::<u16>().add(start), len),
            )
        };
        let mut state: [&mut [f32]; MOST_STATE] = [&mut [], &mut [], &mut []];
        for (slice, buffer) in state.iter_mut().zip(&self.p.state) {
            // SAFETY: as above; the state buffers of a parameter are distinct.
            *slice =
                unsafe { std::slice::from_raw_parts_mut(buffer.start::<f32>().add(start), len) };
        }
        let zero = s.splat(0.0);
        let whole = len / S::N * S::N;
        let mut i = 0;
        while i < whole {
            let mut v = [zero; MOST_STATE];
            for (v, x) in v.iter_mut().zip(&state).take(U::STATE) {
                *v = s.load(&x[i..]);
            }
            self.update.step(s, s.load_f16(&gradient[i..]), &mut v);
            for (v, x) in v.iter().zip(&mut state).take(U::STATE) {
                s.store(&mut x[i..], *v);
            }
            s.store_f16(&mut weight[i..], v[0]);
            i += S::N;
        }
        if whole < len {
            let rest = len - whole;
            let mut lanes = [[0.0_f32; 16]; MOST_STATE];
            let (mut g, mut w) = ([0_u16; 16], [0_u16; 16]);
            g[..rest].copy_from_slice(&gradient[whole..]);
            let mut v = [zero; MOST_STATE];
            for ((v, x), l) in v.iter_mut().zip(&state).zip(&mut lanes).take(U::STATE) {
                l[..rest].copy_from_slice(&x[whole..]);
                *v = s.load(l);
            }
            self.update.step(s, s.load_f16(&g), &mut v);
            for ((v, x), l) in v.iter().zip(&mut state).zip(&mut lanes).take(U::STATE) {
                s.store(l, *v);
                x[whole..].copy_from_slice(&l[..rest]);
            }
            s.store_f16(&mut w, v[0]);
            weight[whole..].copy_from_slice(&w[..rest]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct Descend(f32);

    impl Update for Descend {
        const STATE: usize = 2;
        #[inline(always)]
        fn step<S: Lanes>(&self, s: S, g: S::V, state: &mut [S::V; MOST_STATE]) {
            state[0] = s.sub(state[0], s.mul(s.splat(self.0), g));
            state[1] = s.add(state[1], g);
        }
    }

    #[test]
    fn every_element_is_updated_once_on_any_number_of_threads() {
        let run = |threads: usize| {
            let len = 3 * SHARE + 5;
            let p = Parameter {
                len,
                gradient: SharedBuffer::new(2 * len),
                weight: SharedBuffer::new(2 * len),
                state: vec![SharedBuffer::new(4 * len), SharedBuffer::new(4 * len)],
            };
            p.gradient.write_u16(|g| {
                for (i, g) in g.iter_mut().enumerate() {
                    *g = f16::from_f32((i % 64) as f32 / 8.0).to_bits();
                }
            });
            let each = ForEach::new(
                Isa::detect(),
                vec![p.clone(), {
                    Parameter {
                        len: 3,
                        gradient: SharedBuffer::new(6),
                        weight: SharedBuffer::new(6),
                        state: vec![SharedBuffer::new(12), SharedBuffer::new(12)],
                    }
                }],
            );
            let pool = Pool::new(threads).unwrap();
            let squares = each.sum_of_squares(&pool);
            each.apply(&pool, Descend(0.5));
            each.apply(&pool, Descend(0.5));
            p.weight.read_u16(|w| {
                for (i, w) in w.iter().enumerate() {
                    assert_eq!(f16::from_bits(*w).to_f32(), -((i % 64) as f32) / 8.0);
                }
            });
            (squares, p.state[1].read(<[u8]>::to_vec))
        };
        assert_eq!(run(1), run(2));
    }
}
