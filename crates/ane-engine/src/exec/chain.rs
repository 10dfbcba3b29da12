//! Running a chain over a range of elements, tile by tile.

use super::Context;
use crate::{
    plan::{
        DType, Place,
        chain::{Chain, Ew, Instr, Load, Reg, Round, Src, Walk},
    },
    simd::{Kernel, Lanes, dispatch, math, narrow_lanes, widen_lanes},
};
use ane_ir::SILICON_INF_PRODUCT;
use half::f16;

/// A chain at work in one task.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) chain: &'a Chain,
    /// Registers of this thread.
    pub(super) registers: *mut f32,
    pub(super) task: usize,
}

/// Elements of a chain, made with the promise of [`Run::range`].
struct Range<'a> {
    run: Run<'a>,
    start: usize,
    len: usize,
    head: *const f32,
}

impl Kernel for Range<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let tile = self.run.chain.tile();
        let mut done = 0;
        while done < self.len {
            let n = tile.min(self.len - done);
            let head = self.head.wrapping_add(done);
            for instr in &self.run.chain.instrs {
                // SAFETY: `n` is at most a tile; positions are those of this task.
                unsafe { self.run.step(s, instr, self.start + done, n, head) };
            }
            done += n;
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn register(&self, r: Reg) -> *mut f32 {
        self.registers
            .wrapping_add(usize::from(r) * self.chain.tile())
    }

    /// Fills the registers that hold constants and starts the partial maxima of this task.
    ///
    /// # Safety
    /// The registers must be this thread's, the partial maxima this task's.
    pub(super) unsafe fn prepare(&self) {
        for &(r, value) in &self.chain.splats {
            // SAFETY: the scratch was sized for all registers.
            unsafe { std::slice::from_raw_parts_mut(self.register(r), self.chain.tile()) }
                .fill(value);
        }
        for instr in &self.chain.instrs {
            let (partial, least) = match instr {
                Instr::Largest { partial, .. } => (partial, f32::NEG_INFINITY),
                Instr::LargestMagnitude { partial, .. } => (partial, 0.0),
                _ => continue,
            };
            // SAFETY: the slot has one element per task.
            unsafe { *self.cx.slot(*partial).add(self.task) = least };
        }
    }

    /// Computes elements `start..start + len`; `head` holds those of the matrix product, if there is one.
    ///
    /// Enters the instruction set anew, so that the long list of instructions is compiled once for each of them and
    /// not for every caller.
    ///
    /// # Safety
    /// The elements must be this task's, and `head` readable for `len` elements where the chain reads it.
    pub(super) unsafe fn range(&self, start: usize, len: usize, head: *const f32) {
        let range = Range {
            run: *self,
            start,
            len,
            head,
        };
        dispatch(self.cx.isa, range);
    }

    #[inline(always)]
    fn source(&self, src: Src, at: usize, head: *const f32) -> *const f32 {
        match src {
            Src::Reg(r) => self.register(r),
            Src::Slot(slot) => self.cx.slot(slot).wrapping_add(at),
            Src::Head => head,
        }
    }

    /// # Safety
    /// As [`Run::range`].
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
                        self.source(x, at, head),
                        self.source(y, at, head),
                        self.source(z, at, head),
                    ];
                    compute(s, f, round, self.register(to), xs, n);
                }
                Instr::Store { from, to } => {
                    let from = self.source(from, at, head);
                    std::ptr::copy_nonoverlapping(from, self.cx.slot(to).add(at), n);
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
            }
        }
    }

    /// # Safety
    /// As [`Run::range`].
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
                Place::Port(port, DType::Fp16) => {
                    let x: *const u16 = self.cx.input(port);
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
    /// As [`Run::range`].
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
    /// As [`Run::range`].
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
    /// As [`Run::range`].
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
    let &(inner, stride) = walk.axes.last().expect("a walk has an axis");
    let mut done = 0;
    while done < out.len() {
        let position = at + done;
        let within = position % inner;
        let mut rest = position / inner;
        let mut from = walk.offset + within * stride;
        for &(len, stride) in walk.axes.iter().rev().skip(1) {
            from += rest % len * stride;
            rest /= len;
        }
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
fn largest_lanes<S: Lanes>(s: S, x: &[f32], so_far: f32) -> f32 {
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

/// One instruction over `n` elements.
///
/// # Safety
/// As [`Run::range`].
#[inline(always)]
unsafe fn compute<S: Lanes>(
    s: S,
    f: Ew,
    round: Round,
    out: *mut f32,
    xs: [*const f32; 3],
    n: usize,
) {
    /// Applies an expression to vectors of the operands; what is left at the end has a second pass over a vector on
    /// the stack, so that the expression stands in the program once.
    /// A macro and not a function of a closure: closures are not sure to be compiled for the instruction set at hand.
    macro_rules! sweep {
        ($xs:expr, |$a:ident, $b:ident, $c:ident| $e:expr, |$v:ident| $r:expr) => {{
            let [x, y, z]: [*const f32; 3] = $xs;
            let whole = n / S::N * S::N;
            let (mut last, mut last_out) = ([[1.0_f32; 16]; 3], [0.0_f32; 16]);
            let result = last_out.as_mut_ptr();
            let (mut from, mut to, mut len) = ([x, y, z], out, whole);
            loop {
                let mut i = 0;
                while i < len {
                    // SAFETY: the caller vouches for `n` elements of every operand and of the result.
                    let r = unsafe {
                        let $a = s.load(std::slice::from_raw_parts(from[0].add(i), S::N));
                        let $b = s.load(std::slice::from_raw_parts(from[1].add(i), S::N));
                        let $c = s.load(std::slice::from_raw_parts(from[2].add(i), S::N));
                        let _ = ($b, $c);
                        let $v = $e;
                        $r
                    };
                    // SAFETY: as above.
                    s.store(unsafe { std::slice::from_raw_parts_mut(to.add(i), S::N) }, r);
                    i += S::N;
                }
                let rest = n - whole;
                if to == result {
                    // SAFETY: as above.
                    unsafe { std::ptr::copy_nonoverlapping(result, out.add(whole), rest) };
                    break;
                }
                if rest == 0 {
                    break;
                }
                for (x, lanes) in from.iter().zip(&mut last) {
                    // SAFETY: as above.
                    unsafe {
                        std::ptr::copy_nonoverlapping(x.add(whole), lanes.as_mut_ptr(), rest);
                    }
                }
                from = [last[0].as_ptr(), last[1].as_ptr(), last[2].as_ptr()];
                (to, len) = (result, S::N);
            }
        }};
    }
    /// Rounds to fp16 in registers: for what training steps are made of. Gives whether rounding is left to do.
    macro_rules! each {
        (|$a:ident, $b:ident, $c:ident| $e:expr) => {
            if round == Round::Fp16 {
                sweep!(xs, |$a, $b, $c| $e, |v| s.round_f16(v));
                false
            } else {
                sweep!(xs, |$a, $b, $c| $e, |v| v);
                true
            }
        };
    }
    /// Leaves rounding to a second pass: for what is rare, or long enough not to feel it.
    macro_rules! unrounded {
        (|$a:ident, $b:ident, $c:ident| $e:expr) => {{
            sweep!(xs, |$a, $b, $c| $e, |v| v);
            true
        }};
    }
    let zero = s.splat(0.0);
    let one = s.splat(1.0);
    let truth = |m: S::M| s.select(m, one, zero);
    let round_yet = match f {
        Ew::Add => each!(|a, b, _c| s.add(a, b)),
        Ew::Sub => each!(|a, b, _c| s.sub(a, b)),
        Ew::Mul => each!(|a, b, _c| s.mul(a, b)),
        Ew::MulSilicon => unrounded!(|a, b, _c| {
            let inf = s.splat(f32::INFINITY);
            let infinite = s.or(s.eq(s.abs(a), inf), s.eq(s.abs(b), inf));
            s.select(infinite, s.splat(SILICON_INF_PRODUCT), s.mul(a, b))
        }),
        Ew::Div => each!(|a, b, _c| s.div(a, b)),
        Ew::Max => each!(|a, b, _c| s.select(s.or(s.gt(a, b), s.is_nan(a)), a, b)),
        Ew::Min => each!(|a, b, _c| s.select(s.or(s.gt(b, a), s.is_nan(a)), a, b)),
        Ew::Pow => unrounded!(|a, b, _c| lane_by_lane(s, a, b, f32::powf)),
        Ew::Sqrt => unrounded!(|a, _b, _c| s.sqrt(a)),
        Ew::Rsqrt(e) => unrounded!(|a, _b, _c| s.div(one, s.sqrt(s.add(a, s.splat(e))))),
        Ew::Exp => unrounded!(|a, _b, _c| math::exp(s, a)),
        Ew::Log(e) => unrounded!(|a, _b, _c| math::log(s, s.add(a, s.splat(e)))),
        Ew::LogSilicon(e) => unrounded!(|a, _b, _c| {
            let x = s.add(a, s.splat(e));
            s.select(s.eq(x, s.splat(f32::INFINITY)), zero, math::log(s, x))
        }),
        Ew::Tanh => unrounded!(|a, _b, _c| math::tanh(s, a)),
        Ew::Sigmoid => unrounded!(|a, _b, _c| math::sigmoid(s, a)),
        Ew::Silu => unrounded!(|a, _b, _c| math::silu(s, a)),
        Ew::Relu => each!(|a, _b, _c| s.select(s.or(s.gt(a, zero), s.is_nan(a)), a, zero)),
        Ew::Erf => unrounded!(|a, _b, _c| math::erf(s, a)),
        Ew::GeluExact => unrounded!(|a, _b, _c| {
            let e = math::erf(s, s.mul(a, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
            s.mul(s.mul(s.splat(0.5), a), s.add(one, e))
        }),
        Ew::GeluTanh => unrounded!(|a, _b, _c| {
            let cubic = s.mul(
                s.mul(s.mul(s.splat(ane_ir::ops::gelu::CUBIC as f32), a), a),
                a,
            );
            let inner = s.mul(s.splat(0.797_884_6), s.add(a, cubic));
            s.mul(s.mul(s.splat(0.5), a), s.add(one, math::tanh(s, inner)))
        }),
        Ew::GeluSigmoid => unrounded!(|a, _b, _c| {
            let slope = s.splat(-ane_ir::ops::gelu::SIGMOID_SLOPE as f32);
            s.div(a, s.add(one, math::exp(s, s.mul(slope, a))))
        }),
        Ew::Abs => each!(|a, _b, _c| s.abs(a)),
        Ew::Sign => unrounded!(|a, _b, _c| {
            let signed = s.copysign(one, a);
            s.select(s.gt(s.abs(a), zero), signed, a)
        }),
        Ew::Greater => unrounded!(|a, b, _c| truth(s.gt(a, b))),
        Ew::GreaterEqual => unrounded!(|a, b, _c| truth(s.ge(a, b))),
        Ew::Less => unrounded!(|a, b, _c| truth(s.gt(b, a))),
        Ew::Equal => unrounded!(|a, b, _c| truth(s.eq(a, b))),
        Ew::Not => unrounded!(|a, _b, _c| truth(s.eq(a, zero))),
        Ew::NonZero => unrounded!(|a, _b, _c| s.select(s.eq(a, zero), zero, one)),
        Ew::Select => each!(|a, b, c| s.select(s.eq(a, zero), c, b)),
        Ew::Copy => each!(|a, _b, _c| a),
        Ew::Truncate(low, high) => unrounded!(|a, _b, _c| lane_by_lane(s, a, a, |x, _| {
            if x.is_nan() {
                0.0_f32.clamp(low, high)
            } else {
                x.trunc().clamp(low, high)
            }
        })),
        Ew::Cliff(limit) => each!(|a, _b, _c| {
            let beyond = s.gt(s.abs(a), s.splat(limit));
            s.select(beyond, s.copysign(s.splat(f32::INFINITY), a), a)
        }),
    };
    if round_yet && round != Round::Keep {
        sweep!([out; 3], |a, _b, _c| round_by(s, round, a), |v| v);
    }
}

/// Rounding with the habits of hardware: rare enough to be looked up per vector.
#[inline(always)]
fn round_by<S: Lanes>(s: S, round: Round, v: S::V) -> S::V {
    let zero = s.splat(0.0);
    match round {
        Round::Keep => v,
        Round::Fp16 => s.round_f16(v),
        Round::NoNan => s.select(s.is_nan(v), zero, v),
        Round::Fp16By { flush, no_nan } => {
            let v = if no_nan {
                s.select(s.is_nan(v), zero, v)
            } else {
                v
            };
            let v = s.round_f16(v);
            if flush {
                let smallest_normal = s.splat(6.103_515_6e-5);
                s.select(s.gt(smallest_normal, s.abs(v)), s.copysign(zero, v), v)
            } else {
                v
            }
        }
    }
}

/// A function that has no vector form here.
#[inline(always)]
fn lane_by_lane<S: Lanes>(s: S, a: S::V, b: S::V, f: impl Fn(f32, f32) -> f32) -> S::V {
    let (mut x, mut y) = ([0.0_f32; 16], [0.0_f32; 16]);
    s.store(&mut x, a);
    s.store(&mut y, b);
    for (x, y) in x.iter_mut().zip(y).take(S::N) {
        *x = f(*x, y);
    }
    s.load(&x)
}
