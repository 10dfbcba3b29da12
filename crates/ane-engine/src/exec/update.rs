//! An update of many tensors, element by element: what a host optimizer does to its masters.

use crate::{
    arena::{Access, Holds, SharedBuffer},
    pool::{Job, Pool},
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

/// An fp16 tensor in memory whose rows may lie apart.
#[derive(Debug, Clone)]
pub struct Strided {
    /// The memory.
    pub memory: SharedBuffer,
    /// Where the first element lies.
    pub offset: usize,
    /// Elements of a row.
    pub row: usize,
    /// Distance of rows in elements, at least `row`.
    pub pitch: usize,
}

impl Strided {
    /// A tensor of `len` elements without gaps.
    pub fn dense(memory: SharedBuffer, len: usize) -> Self {
        Self {
            memory,
            offset: 0,
            row: len,
            pitch: len,
        }
    }

    /// Whether `len` elements lie within the memory.
    fn holds(&self, len: usize) -> bool {
        let rows = len.div_ceil(self.row);
        self.row <= self.pitch
            && self.memory.len() >= 2 * (self.offset + rows * self.pitch + self.row - self.pitch)
    }

    /// Where element `at` lies, and how many follow it in its row, itself included.
    fn place(&self, at: usize) -> (usize, usize) {
        let (row, column) = (at / self.row, at % self.row);
        (self.offset + row * self.pitch + column, self.row - column)
    }
}

/// Where a gradient lies.
#[derive(Debug, Clone)]
pub enum Gradient {
    /// In fp16.
    Half(Strided),
    /// In f32, without gaps.
    Full(SharedBuffer),
}

impl Gradient {
    fn memory(&self) -> &SharedBuffer {
        match self {
            Self::Half(strided) => &strided.memory,
            Self::Full(memory) => memory,
        }
    }

    fn holds(&self, len: usize) -> bool {
        match self {
            Self::Half(strided) => strided.holds(len),
            Self::Full(memory) => memory.len() >= 4 * len,
        }
    }

    /// Where element `at` lies, and how many of `rest` follow it without a gap, itself included.
    fn place(&self, at: usize, rest: usize) -> (usize, usize) {
        match self {
            Self::Half(strided) => strided.place(at),
            Self::Full(_) => (at, rest),
        }
    }
}

/// The buffers of one parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Number of elements.
    pub len: usize,
    /// Gradient, read.
    pub gradient: Gradient,
    /// Weight, written where there is one.
    pub weight: Option<Strided>,
    /// fp32 state, the master first.
    pub state: Vec<SharedBuffer>,
}

/// Elements of a task.
const SHARE: usize = 8 * 1024;

/// An update bound to its parameters, run on all threads of a pool.
#[derive(Debug)]
pub struct ForEach<U> {
    shared: Arc<Shared<U>>,
    to_update: Holds,
    to_read: Holds,
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
            assert!(p.gradient.holds(p.len));
            assert!(p.weight.as_ref().is_none_or(|w| w.holds(p.len)));
            assert!(p.state.len() == U::STATE && p.state.iter().all(|b| b.len() >= 4 * p.len));
        }
        let gradients = || {
            parameters
                .iter()
                .map(|p| (p.gradient.memory(), Access::Read))
        };
        let changed = parameters.iter().flat_map(|p| {
            let state = p.state.iter().map(|b| (b, Access::Write));
            let weight = p.weight.iter().map(|w| (&w.memory, Access::Write));
            weight.chain(state)
        });
        let to_update = Holds::of(gradients().chain(changed));
        let to_read = Holds::of(gradients());
        Self {
            to_update,
            to_read,
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
        let holds = if update.is_some() {
            &self.to_update
        } else {
            &self.to_read
        };
        let _held = holds.take();
        let job: Arc<dyn Job> = self.shared.clone();
        pool.run(&job);
    }
}

impl<U: Update> Job for Shared<U> {
    fn phases(&self) -> usize {
        1
    }

    fn run(&self, _: usize, _: usize) {
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
                    let mut sum = 0.0;
                    let mut at = start;
                    while at < start + len {
                        let rest = start + len - at;
                        let (place, run) = p.gradient.place(at, rest);
                        let run = run.min(rest);
                        let memory = p.gradient.memory();
                        // SAFETY: the buffers are held by `ForEach::run` and long enough; nobody writes gradients
                        // meanwhile.
                        unsafe {
                            match &p.gradient {
                                Gradient::Half(_) => {
                                    let start = memory.start::<u16>().add(place);
                                    for &b in std::slice::from_raw_parts(start, run) {
                                        sum += f64::from(f16::from_bits(b).to_f32()).powi(2);
                                    }
                                }
                                Gradient::Full(_) => {
                                    let start = memory.start::<f32>().add(place);
                                    for &g in std::slice::from_raw_parts(start, run) {
                                        sum += f64::from(g).powi(2);
                                    }
                                }
                            }
                        }
                        at += run;
                    }
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
        let end = self.start + self.len;
        let mut at = self.start;
        while at < end {
            let rest = end - at;
            let (from, run) = self.p.gradient.place(at, rest);
            let weight = self.p.weight.as_ref();
            let (to, also) = weight.map_or((at, rest), |w| w.place(at));
            let run = run.min(also).min(rest);
            let memory = self.p.gradient.memory();
            // SAFETY: the buffers are held by `ForEach::run` and long enough; this range is this task's alone.
            let weight = weight.map(|w| unsafe {
                std::slice::from_raw_parts_mut(w.memory.start::<u16>().add(to), run)
            });
            // SAFETY: as above, and nobody writes gradients meanwhile.
            unsafe {
                match &self.p.gradient {
                    Gradient::Half(_) => {
                        let start = memory.start::<u16>().add(from);
                        let gradient = std::slice::from_raw_parts(start, run);
                        self.within_rows(s, at, gradient, weight);
                    }
                    Gradient::Full(_) => {
                        let start = memory.start::<f32>().add(from);
                        let gradient = std::slice::from_raw_parts(start, run);
                        self.within_rows(s, at, gradient, weight);
                    }
                }
            }
            at += run;
        }
    }
}

/// An element of a gradient in memory.
trait Element: Copy + Default {
    fn load<S: Lanes>(s: S, x: &[Self]) -> S::V;
}

impl Element for u16 {
    #[inline(always)]
    fn load<S: Lanes>(s: S, x: &[Self]) -> S::V {
        s.load_f16(x)
    }
}

impl Element for f32 {
    #[inline(always)]
    fn load<S: Lanes>(s: S, x: &[Self]) -> S::V {
        s.load(x)
    }
}

impl<U: Update> Chunk<'_, U> {
    /// Updates the elements from `start` on that have these gradients and weights.
    #[inline(always)]
    fn within_rows<S: Lanes, G: Element>(
        &self,
        s: S,
        start: usize,
        gradient: &[G],
        mut weight: Option<&mut [u16]>,
    ) {
        let len = gradient.len();
        let mut state: [&mut [f32]; MOST_STATE] = [&mut [], &mut [], &mut []];
        for (slice, buffer) in state.iter_mut().zip(&self.p.state) {
            // SAFETY: the buffers are held by `ForEach::run` and long enough; this range is this task's alone, and the
            // state buffers of a parameter are distinct.
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
            self.update.step(s, G::load(s, &gradient[i..]), &mut v);
            for (v, x) in v.iter().zip(&mut state).take(U::STATE) {
                s.store(&mut x[i..], *v);
            }
            if let Some(weight) = &mut weight {
                s.store_f16(&mut weight[i..], v[0]);
            }
            i += S::N;
        }
        if whole < len {
            let rest = len - whole;
            let mut lanes = [[0.0_f32; 16]; MOST_STATE];
            let (mut g, mut w) = ([G::default(); 16], [0_u16; 16]);
            g[..rest].copy_from_slice(&gradient[whole..]);
            let mut v = [zero; MOST_STATE];
            for ((v, x), l) in v.iter_mut().zip(&state).zip(&mut lanes).take(U::STATE) {
                l[..rest].copy_from_slice(&x[whole..]);
                *v = s.load(l);
            }
            self.update.step(s, G::load(s, &g), &mut v);
            for ((v, x), l) in v.iter().zip(&mut state).zip(&mut lanes).take(U::STATE) {
                s.store(l, *v);
                x[whole..].copy_from_slice(&l[..rest]);
            }
            if let Some(weight) = &mut weight {
                s.store_f16(&mut w, v[0]);
                weight[whole..].copy_from_slice(&w[..rest]);
            }
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
                gradient: Gradient::Half(Strided::dense(SharedBuffer::new(2 * len), len)),
                weight: Some(Strided::dense(SharedBuffer::new(2 * len), len)),
                state: vec![SharedBuffer::new(4 * len), SharedBuffer::new(4 * len)],
            };
            p.gradient.memory().write_u16(|g| {
                for (i, g) in g.iter_mut().enumerate() {
                    *g = f16::from_f32((i % 64) as f32 / 8.0).to_bits();
                }
            });
            let each = ForEach::new(
                Isa::detect(),
                vec![p.clone(), {
                    Parameter {
                        len: 3,
                        gradient: Gradient::Half(Strided::dense(SharedBuffer::new(6), 3)),
                        weight: Some(Strided::dense(SharedBuffer::new(6), 3)),
                        state: vec![SharedBuffer::new(12), SharedBuffer::new(12)],
                    }
                }],
            );
            let pool = Pool::new(threads).unwrap();
            let squares = each.sum_of_squares(&pool);
            each.apply(&pool, Descend(0.5));
            each.apply(&pool, Descend(0.5));
            p.weight.as_ref().unwrap().memory.read_u16(|w| {
                for (i, w) in w.iter().enumerate() {
                    assert_eq!(f16::from_bits(*w).to_f32(), -((i % 64) as f32) / 8.0);
                }
            });
            (squares, p.state[1].read(<[u8]>::to_vec))
        };
        assert_eq!(run(1), run(2));
    }

    #[test]
    fn gaps_between_rows_change_no_bit() {
        const ROWS: usize = 700;
        const ROW: usize = 37;
        let run = |pitch: [usize; 2]| {
            let strided = |pitch: usize| Strided {
                memory: SharedBuffer::new(2 * ROWS * pitch),
                offset: 0,
                row: ROW,
                pitch,
            };
            let len = ROWS * ROW;
            let p = Parameter {
                len,
                gradient: Gradient::Half(strided(pitch[0])),
                weight: Some(strided(pitch[1])),
                state: vec![SharedBuffer::new(4 * len), SharedBuffer::new(4 * len)],
            };
            p.gradient.memory().write_u16(|g| {
                g.fill(0x7e00);
                for i in 0..len {
                    let g = &mut g[i / ROW * pitch[0] + i % ROW];
                    *g = f16::from_f32((i % 91) as f32 / 7.0 - 5.0).to_bits();
                }
            });
            p.weight
                .as_ref()
                .unwrap()
                .memory
                .write_u16(|w| w.fill(0x1234));
            let each = ForEach::new(Isa::detect(), vec![p.clone()]);
            let pool = Pool::new(2).unwrap();
            let squares = each.sum_of_squares(&pool).to_bits();
            each.apply(&pool, Descend(0.3));
            let weight = p.weight.as_ref().unwrap().memory.read_u16(|w| {
                for row in w.chunks_exact(pitch[1]) {
                    assert!(row[ROW..].iter().all(|&gap| gap == 0x1234));
                }
                w.chunks_exact(pitch[1])
                    .flat_map(|row| row[..ROW].to_vec())
                    .collect::<Vec<_>>()
            });
            (squares, weight, p.state[1].read(<[u8]>::to_vec))
        };
        let dense = run([ROW, ROW]);
        assert_eq!(run([64, 64]), dense);
        assert_eq!(run([ROW, 96]), dense);
    }

    #[test]
    fn gradients_in_f32_update_alike_and_a_sum_needs_no_weight() {
        let len = SHARE + 21;
        let values: Vec<f32> = (0..len).map(|i| (i % 91) as f32 / 8.0 - 5.0).collect();
        let half = SharedBuffer::new(2 * len);
        half.write_u16(|g| {
            for (g, x) in g.iter_mut().zip(&values) {
                *g = f16::from_f32(*x).to_bits();
            }
        });
        let sum = SharedBuffer::new(4 * len);
        let pool = Pool::new(2).unwrap();
        let run = |gradient: Gradient, weight: Option<Strided>| {
            let state = vec![SharedBuffer::new(4 * len), sum.clone()];
            let p = Parameter {
                len,
                gradient,
                weight,
                state: state.clone(),
            };
            let each = ForEach::new(Isa::detect(), vec![p]);
            each.apply(&pool, Descend(0.25));
            (
                each.sum_of_squares(&pool).to_bits(),
                state[0].read(<[u8]>::to_vec),
            )
        };
        let from_half = run(Gradient::Half(Strided::dense(half, len)), None);
        // What was summed up from zero is the gradient itself, now in f32.
        let total = SharedBuffer::new(4 * len);
        total.write_f32(|t| sum.read_f32(|s| t.copy_from_slice(s)));
        let weight = Strided::dense(SharedBuffer::new(2 * len), len);
        let from_full = run(Gradient::Full(total), Some(weight.clone()));
        assert_eq!(from_half, from_full);
        let written = weight.memory.read_u16(|w| f16::from_bits(w[3]).to_f32());
        assert_eq!(written, -0.25 * values[3]);
    }
}
