//! Running a chain over a range of elements, tile by tile.

use super::{
    Context,
    elementwise::{Operand, compute, compute_pair},
};
use crate::{
    plan::{
        DType, Place,
        chain::{Chain, Instr, Load, Reg, Src, UNIFORM, Uniform},
        walk::Walk,
    },
    simd::{Kernel, Lanes, MOST_LANES, dispatch, narrow_lanes, widen_lanes},
};
use half::f16;

/// A chain at work in one task.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) chain: &'a Chain,
    /// Registers of this thread.
    pub(super) registers: *mut f32,
    pub(super) task: usize,
    /// Elements from a tile to the one that follows it, in this range or the next: how far on ports are prefetched.
    pub(super) prefetch_distance: usize,
}

/// Elements of a chain: `rows` of `len` neighbours each, from `start` on, `stride` apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) start: usize,
    pub(super) rows: usize,
    pub(super) stride: usize,
    pub(super) len: usize,
}

/// A block at work, made with the promise of [`Run::block`].
struct Range<'a> {
    run: &'a Run<'a>,
    block: Block,
    head: *const f32,
}

impl Kernel for Range<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let tile = self.run.chain.tile();
        for row in 0..self.block.rows {
            let start = self.block.start + row * self.block.stride;
            let mut done = 0;
            while done < self.block.len {
                let n = tile.min(self.block.len - done);
                let head = self.head.wrapping_add(row * self.block.len + done);
                for instr in &self.run.chain.instrs {
                    // SAFETY: `n` is at most a tile; positions are those of this task.
                    unsafe { self.run.step(s, instr, start + done, n, head) };
                }
                done += n;
            }
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn register(&self, r: Reg) -> *mut f32 {
        self.registers
            .wrapping_add(usize::from(r) * self.chain.tile())
    }

    /// Fills what is the same throughout and starts the partial maxima of this task.
    ///
    /// # Safety
    /// The registers must be this thread's, the partial maxima this task's.
    pub(super) unsafe fn prepare(&self) {
        for (i, &uniform) in self.chain.uniforms.iter().enumerate() {
            let value = match uniform {
                Uniform::Constant(bits) => f32::from_bits(bits),
                // SAFETY: the plan found the element within the operand.
                Uniform::Element(place, at) => unsafe { self.cx.element(place, at) },
            };
            // SAFETY: the scratch was sized for all registers and uniforms.
            unsafe { std::slice::from_raw_parts_mut(self.uniform(i), UNIFORM) }.fill(value);
        }
        for instr in &self.chain.instrs {
            let (partial, count, least) = match instr {
                Instr::Largest { partial, .. } => (partial, 1, f32::NEG_INFINITY),
                Instr::LargestMagnitude { partial, .. } | Instr::GradientOutput { partial, .. } => {
                    (partial, 1, 0.0)
                }
                Instr::Sum {
                    partial, channels, ..
                } => (partial, *channels, 0.0),
                _ => continue,
            };
            // SAFETY: the slot has as many elements for every task.
            unsafe {
                let partial = self.cx.slot(*partial).add(self.task * count);
                std::slice::from_raw_parts_mut(partial, count).fill(least);
            }
        }
    }

    /// Computes the elements of `block`; `head` holds those of the matrix product, if there is one, without gaps.
    ///
    /// Enters the instruction set anew, so that the long list of instructions is compiled once for each of them and
    /// not for every caller; once for all rows, because what is handed over waits for the stores before it.
    ///
    /// # Safety
    /// The elements must be this task's, and `head` readable for all of them where the chain reads it.
    pub(super) unsafe fn block(&self, block: Block, head: *const f32) {
        let run = self;
        dispatch(self.cx.isa, Range { run, block, head });
    }

    #[inline(always)]
    fn uniform(&self, i: usize) -> *mut f32 {
        let registers = self.chain.registers * self.chain.tile();
        self.registers.wrapping_add(registers + i * UNIFORM)
    }

    /// An operand of a pass.
    #[inline(always)]
    fn operand(&self, src: Src, at: usize, head: *const f32) -> Operand {
        Operand {
            start: self.source(src, at, head),
            step: match src {
                Src::Uniform(_) => 0,
                _ => usize::MAX,
            },
        }
    }

    #[inline(always)]
    fn source(&self, src: Src, at: usize, head: *const f32) -> *const f32 {
        match src {
            Src::Reg(r) => self.register(r),
            Src::Uniform(i) => self.uniform(i.into()),
            Src::Slot(slot) => self.cx.slot(slot).wrapping_add(at),
            Src::Head => head,
        }
    }

    /// # Safety
    /// As [`Run::block`].
    #[inline(always)]
    unsafe fn step<S: Lanes>(&self, s: S, instr: &Instr, at: usize, n: usize, head: *const f32) {
        // SAFETY: the plan gave every source and destination at least `n` elements from `at` on.
        unsafe {
            match *instr {
                Instr::Load { load, to } => {
                    let out = std::slice::from_raw_parts_mut(self.register(to), n);
                    self.load(s, &self.chain.loads[load], at, out);
                }
                Instr::Compute { f, round, to, xs } => {
                    let [x, y, z] = xs;
                    let xs = [
                        self.operand(x, at, head),
                        self.operand(y, at, head),
                        self.operand(z, at, head),
                    ];
                    compute(s, f, round, self.register(to), xs, n);
                }
                Instr::Pair { pair, to, xs } => {
                    let [a, b, c, d, e] = xs;
                    let xs = [
                        self.operand(a, at, head),
                        self.operand(b, at, head),
                        self.operand(c, at, head),
                        self.operand(d, at, head),
                        self.operand(e, at, head),
                    ];
                    compute_pair(s, pair, self.register(to), xs, n);
                }
                Instr::Store { from, to } => {
                    let from = self.source(from, at, head);
                    std::ptr::copy_nonoverlapping(from, self.cx.slot(to).add(at), n);
                }
                Instr::StoreHalf { from, to } => {
                    let from = std::slice::from_raw_parts(self.source(from, at, head), n);
                    let to = self.cx.slot(to).cast::<u16>().add(at);
                    narrow_lanes(s, from, std::slice::from_raw_parts_mut(to, n));
                }
                Instr::Export { from, port, dtype } => {
                    let from = std::slice::from_raw_parts(self.source(from, at, head), n);
                    self.export(s, from, port, dtype, at);
                }
                Instr::Largest { from, partial } => {
                    let from = std::slice::from_raw_parts(self.source(from, at, head), n);
                    let so_far = self.cx.slot(partial).add(self.task);
                    *so_far = largest_lanes(s, from, *so_far);
                }
                Instr::LargestMagnitude { from, partial } => {
                    let from = std::slice::from_raw_parts(self.source(from, at, head), n);
                    let so_far = self.cx.slot(partial).add(self.task);
                    *so_far = largest_magnitude(s, from, *so_far);
                }
                Instr::Sum {
                    from,
                    partial,
                    channels,
                    period,
                } => {
                    let from = std::slice::from_raw_parts(self.source(from, at, head), n);
                    let sums = self.cx.slot(partial).add(self.task * channels);
                    let sums = std::slice::from_raw_parts_mut(sums, channels);
                    add_by_channel(s, from, at, period, sums);
                }
                Instr::GradientOutput {
                    from,
                    limit,
                    port,
                    partial,
                } => {
                    let from = std::slice::from_raw_parts(self.source(from, at, head), n);
                    let out =
                        std::slice::from_raw_parts_mut(self.cx.output::<u16>(port).add(at), n);
                    let so_far = self.cx.slot(partial).add(self.task);
                    *so_far = gradient_output(s, from, limit, out, *so_far);
                }
            }
        }
    }

    /// # Safety
    /// As [`Run::block`].
    #[inline(always)]
    unsafe fn load<S: Lanes>(&self, s: S, load: &Load, at: usize, out: &mut [f32]) {
        // SAFETY: passed on from `step`; the walk stays within the operand.
        unsafe {
            match load.place {
                Place::Slot(slot) => {
                    let x: *const f32 = self.cx.slot(slot);
                    walk(
                        &load.walk,
                        at,
                        out,
                        |p| *x.add(p),
                        |p, out| {
                            out.copy_from_slice(std::slice::from_raw_parts(x.add(p), out.len()));
                        },
                    );
                }
                Place::Half(_) | Place::Port(_, DType::Fp16) => {
                    let x: *const u16 = match load.place {
                        Place::Port(port, _) => self.cx.input(port),
                        Place::Half(slot) | Place::Slot(slot) => self.cx.slot(slot).cast(),
                    };
                    if load.walk.is_contiguous() {
                        let next = x.wrapping_add(at + self.prefetch_distance).cast::<u8>();
                        for line in (0..2 * out.len()).step_by(64) {
                            s.prefetch(next.wrapping_add(line));
                        }
                    }
                    walk(
                        &load.walk,
                        at,
                        out,
                        |p| f16::from_bits(*x.add(p)).to_f32(),
                        |p, out| {
                            widen_lanes(s, std::slice::from_raw_parts(x.add(p), out.len()), out);
                        },
                    );
                }
                Place::Port(port, DType::Fp32) => self.load_as(port, load, at, out, |x: f32| x),
                Place::Port(port, DType::Int8) => {
                    self.load_as(port, load, at, out, |x: i8| x.into())
                }
                Place::Port(port, DType::UInt8 | DType::Bool) => {
                    self.load_as(port, load, at, out, |x: u8| x.into());
                }
                Place::Port(port, DType::Int16) => {
                    self.load_as(port, load, at, out, |x: i16| x.into())
                }
                Place::Port(port, DType::UInt16) => {
                    self.load_as(port, load, at, out, |x: u16| x.into())
                }
                Place::Port(port, DType::Int32) => {
                    self.load_as(port, load, at, out, |x: i32| x as f32)
                }
            }
        }
    }

    /// # Safety
    /// As [`Run::block`].
    #[inline(always)]
    unsafe fn load_as<T: Copy>(
        &self,
        port: usize,
        load: &Load,
        at: usize,
        out: &mut [f32],
        convert: impl Fn(T) -> f32,
    ) {
        let x: *const T = self.cx.input(port);
        // SAFETY: passed on from `step`; the walk stays within the operand.
        let element = |p: usize| convert(unsafe { *x.add(p) });
        walk(&load.walk, at, out, element, |p, out| {
            for (i, o) in out.iter_mut().enumerate() {
                *o = element(p + i);
            }
        });
    }

    /// # Safety
    /// As [`Run::block`].
    #[inline(always)]
    unsafe fn export<S: Lanes>(&self, s: S, from: &[f32], port: usize, dtype: DType, at: usize) {
        let n = from.len();
        // SAFETY: passed on from `step`; the port has the chain's elements.
        unsafe {
            match dtype {
                DType::Fp16 => {
                    let out =
                        std::slice::from_raw_parts_mut(self.cx.output::<u16>(port).add(at), n);
                    narrow_lanes(s, from, out);
                }
                DType::Fp32 => {
                    std::ptr::copy_nonoverlapping(
                        from.as_ptr(),
                        self.cx.output::<f32>(port).add(at),
                        n,
                    );
                }
                DType::Int8 => self.export_as(from, port, at, |x| x as i8),
                DType::UInt8 => self.export_as(from, port, at, |x| x as u8),
                DType::Bool => self.export_as(from, port, at, |x| u8::from(x != 0.0)),
                DType::Int16 => self.export_as(from, port, at, |x| x as i16),
                DType::UInt16 => self.export_as(from, port, at, |x| x as u16),
                DType::Int32 => self.export_as(from, port, at, |x| x as i32),
            }
        }
    }

    /// # Safety
    /// As [`Run::block`].
    #[inline(always)]
    unsafe fn export_as<T>(
        &self,
        from: &[f32],
        port: usize,
        at: usize,
        convert: impl Fn(f32) -> T,
    ) {
        let out: *mut T = self.cx.output(port);
        for (i, &x) in from.iter().enumerate() {
            // SAFETY: passed on from `step`.
            unsafe { out.add(at + i).write(convert(x)) };
        }
    }
}

/// Adds elements from `at` on to the sum of their channel, of which each has `period` neighbours.
#[inline(always)]
fn add_by_channel<S: Lanes>(s: S, x: &[f32], at: usize, period: usize, sums: &mut [f32]) {
    let mut done = 0;
    while done < x.len() {
        let position = at + done;
        let len = (period - position % period).min(x.len() - done);
        let channel = &x[done..done + len];
        // Four vectors in turn, as one would wait for itself.
        let mut chunks = channel.chunks_exact(4 * S::N);
        let mut lanes = [s.splat(0.0); 4];
        for chunk in &mut chunks {
            for (lanes, x) in lanes.iter_mut().zip(chunk.chunks_exact(S::N)) {
                *lanes = s.add(*lanes, s.load(x));
            }
        }
        let mut vectors = chunks.remainder().chunks_exact(S::N);
        for x in &mut vectors {
            lanes[0] = s.add(lanes[0], s.load(x));
        }
        let total = s.add(s.add(lanes[0], lanes[1]), s.add(lanes[2], lanes[3]));
        let rest = vectors.remainder().iter();
        sums[position / period % sums.len()] += rest.fold(s.reduce_sum(total), |acc, x| acc + x);
        done += len;
    }
}

/// Visits the operand's positions for elements `at..at + out.len()`: runs where they are neighbours, one by one where
/// they are not.
#[inline(always)]
fn walk(
    walk: &Walk,
    at: usize,
    out: &mut [f32],
    element: impl Fn(usize) -> f32,
    run: impl Fn(usize, &mut [f32]),
) {
    let (inner, stride) = walk.inner();
    let mut done = 0;
    while done < out.len() {
        let within = (at + done) % inner;
        let from = walk.position(at + done);
        let n = (inner - within).min(out.len() - done);
        let out = &mut out[done..done + n];
        match stride {
            1 => run(from, out),
            0 => out.fill(element(from)),
            _ => {
                for (i, o) in out.iter_mut().enumerate() {
                    *o = element(from + i * stride);
                }
            }
        }
        done += n;
    }
}

/// Writes `x` rounded to fp16, infinite beyond `limit`, and returns the largest magnitude of that and `so_far`.
#[inline(always)]
fn gradient_output<S: Lanes>(s: S, x: &[f32], limit: f32, out: &mut [u16], so_far: f32) -> f32 {
    let limit = s.splat(limit);
    let mut largest = s.splat(so_far);
    let (x, x_rest) = x.split_at(x.len() / S::N * S::N);
    let (out, out_rest) = out.split_at_mut(x.len());
    for (x, out) in x.chunks_exact(S::N).zip(out.chunks_exact_mut(S::N)) {
        largest = gradient_output_vector(s, s.load(x), limit, out, largest);
    }
    if !x_rest.is_empty() {
        let (mut wide, mut narrow) = ([0.0; MOST_LANES], [0; MOST_LANES]);
        wide[..x_rest.len()].copy_from_slice(x_rest);
        largest = gradient_output_vector(s, s.load(&wide), limit, &mut narrow, largest);
        out_rest.copy_from_slice(&narrow[..x_rest.len()]);
    }
    s.reduce_max(largest)
}

/// One vector of [`gradient_output`].
#[inline(always)]
pub(super) fn gradient_output_vector<S: Lanes>(
    s: S,
    v: S::V,
    limit: S::V,
    out: &mut [u16],
    so_far: S::V,
) -> S::V {
    let beyond = s.gt(s.abs(v), limit);
    s.store_f16(
        out,
        s.select(beyond, s.copysign(s.splat(f32::INFINITY), v), v),
    );
    s.max_magnitude(so_far, s.load_f16(out))
}

#[inline(always)]
fn largest_magnitude<S: Lanes>(s: S, x: &[f32], so_far: f32) -> f32 {
    let mut lanes = s.splat(so_far);
    let mut chunks = x.chunks_exact(S::N);
    for c in &mut chunks {
        lanes = s.max_magnitude(lanes, s.load(c));
    }
    let mut rest = [0.0_f32; 16];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    s.reduce_max(s.max_magnitude(lanes, s.load(&rest)))
}

#[inline(always)]
pub(super) fn largest_lanes<S: Lanes>(s: S, x: &[f32], so_far: f32) -> f32 {
    let mut chunks = x.chunks_exact(S::N);
    let mut lanes = s.splat(so_far);
    for c in &mut chunks {
        let v = s.load(c);
        // A NaN on either side stays: it is not greater than anything and is kept once it is in the accumulator.
        let keep = s.or(s.gt(lanes, v), s.is_nan(lanes));
        lanes = s.select(keep, lanes, v);
    }
    chunks
        .remainder()
        .iter()
        .copied()
        .fold(
            s.reduce_max(lanes),
            |a, b| if a.is_nan() || a > b { a } else { b },
        )
}
