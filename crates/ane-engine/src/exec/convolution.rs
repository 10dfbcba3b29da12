//! Tasks of convolutions: weights in the order of the kernel, results lane by lane, and sums over windows in chunks.
//!
//! Zeros around an image take part like data, which is right as long as what they are multiplied with is finite. Where a
//! weight is not, or anything in the sums over windows, a task takes the terms that lie inside the image one by one.

mod planes;

use super::{Context, chain};
use crate::{
    gemm::{self, Dots, ROWS, Source, Sweep},
    plan::{
        convolution::{DotsWork, Image, Phase, SumWork, SweepWork, WeightsWork},
        window::Planes,
    },
    simd::{Kernel, Lanes, MOST_LANES, dispatch},
};
use half::f16;
use planes::Fill;

/// Element `at` of an operand of floats.
///
/// # Safety
/// The operand must have it.
#[inline(always)]
unsafe fn element(source: Source, at: usize) -> f32 {
    // SAFETY: passed on from the caller.
    unsafe {
        match source {
            Source::F32(x) => *x.add(at),
            Source::F16(x) => f16::from_bits(*x.add(at)).to_f32(),
        }
    }
}

/// Packs one block of rows.
///
/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn weights(cx: &Context<'_>, work: &WeightsWork, task: usize) {
    let blocks = work.rows.div_ceil(ROWS);
    let (group, row) = (task / blocks, task % blocks * ROWS);
    let count = ROWS.min(work.rows - row);
    let source = cx.source(work.weights.place);
    let w = &work.weights;
    let first = group * w.group + row * w.image;
    let mut largest = 0.0_f32;
    // SAFETY: the plan sized the operand and the slots; the block is this task's alone.
    unsafe {
        let mut to = cx.slot(work.out.slot).add(task * work.block());
        for taps in &work.taps {
            for channel in 0..work.channels {
                for &(y, x) in taps {
                    let at = first + channel * w.channel + y * w.row + x * w.column;
                    for r in 0..ROWS {
                        let weight = if r < count {
                            element(source, at + r * w.image)
                        } else {
                            0.0
                        };
                        // NaN stays: no number is larger than it.
                        if weight.abs() > largest || weight.is_nan() {
                            largest = weight.abs();
                        }
                        *to.add(r) = weight;
                    }
                    to = to.add(ROWS);
                }
            }
        }
        *cx.slot(work.out.magnitudes).add(task) = largest;
    }
}

/// A block of channels of one phase, over all lanes of a task.
struct Channels<'a> {
    weights: *const f32,
    row_count: usize,
    bias: [f32; ROWS],
    data: *const f32,
    offsets: &'a [u32],
    lanes: usize,
    out: *mut f32,
    out_stride: usize,
}

impl Channels<'_> {
    /// # Safety
    /// As [`Sweep::run`], for all lanes.
    unsafe fn run(self, cx: &Context<'_>) {
        dispatch(cx.isa, (self, gemm::panel(cx.isa)));
    }
}

impl Kernel for (Channels<'_>, usize) {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (c, panel) = self;
        for lane in (0..c.lanes).step_by(panel) {
            // SAFETY: `Channels::run` is unsafe to call, with the condition that all lanes are there.
            unsafe {
                Sweep {
                    weights: c.weights,
                    row_count: c.row_count,
                    bias: c.bias,
                    data: c.data.add(lane),
                    offsets: c.offsets,
                    vectors: panel.min(c.lanes - lane).div_ceil(S::N),
                    out: c.out.add(lane),
                    out_stride: c.out_stride,
                }
                .run(s);
            }
        }
    }
}

/// The images and rows of a task.
#[derive(Clone, Copy)]
struct Region {
    /// The first image, and how many.
    image: usize,
    images: usize,
    /// The first row of lanes, and how many.
    row: usize,
    rows: usize,
}

/// Computes the results of some images, or of some rows of one.
///
/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn sweep<S: Lanes>(cx: &Context<'_>, s: S, work: &SweepWork, task: usize) {
    let p = &work.planes;
    let image = task / work.blocks * p.images;
    let row = task % work.blocks * p.rows;
    let region = Region {
        image,
        images: p.images.min(work.batch - image),
        row,
        rows: p.rows.min(p.y.lanes() - row),
    };
    let planes = cx.scratch;
    let stride = work.lanes();
    let block_count = work.outputs.div_ceil(ROWS);
    // SAFETY: the plan sized the scratch, the operands and the slots; the part of the result is this task's alone.
    unsafe {
        let lanes = planes.add(work.plane_space());
        let block = lanes.add(ROWS * stride);
        for group in 0..work.groups {
            Fill {
                planes: p,
                image: &work.image,
                source: cx.source(work.image.place),
                at: image * work.image.image + group * work.image.group,
                channel: work.image.channel,
                channels: work.inputs,
                behind: work.image.image,
                images: region.images,
                row,
                out: planes,
            }
            .run(cx.isa);
            for row_block in 0..block_count {
                let at = group * block_count + row_block;
                let channel = group * work.outputs + row_block * ROWS;
                let row_count = ROWS.min(work.outputs - row_block * ROWS);
                let bias = std::array::from_fn(|r| match work.bias {
                    Some(place) if r < row_count => element(cx.source(place), channel + r),
                    _ => 0.0,
                });
                let finite = (*cx.slot(work.weights.magnitudes).add(at)).is_finite();
                let mut weights = cx.slot(work.weights.slot).add(at * work.weight_block());
                for phase in &work.phases {
                    if finite {
                        Channels {
                            weights,
                            row_count,
                            bias,
                            data: planes,
                            offsets: &phase.offsets,
                            lanes: p.lanes(region.images, region.rows),
                            out: lanes,
                            out_stride: stride,
                        }
                        .run(cx);
                    } else {
                        inside(work, phase, region, weights, row_count, bias, planes, lanes);
                    }
                    for r in 0..row_count {
                        let from = lanes.add(r * stride);
                        results(s, work, phase, region, from, block, channel + r);
                    }
                    weights = weights.add(ROWS * phase.offsets.len());
                }
            }
        }
        finish(cx, work, task, region, block);
    }
}

/// The lanes of one channel and phase to where they belong in the block of results.
///
/// # Safety
/// As [`Context::run`].
#[inline(always)]
unsafe fn results<S: Lanes>(
    s: S,
    work: &SweepWork,
    phase: &Phase,
    region: Region,
    from: *const f32,
    block: *mut f32,
    channel: usize,
) {
    let p = &work.planes;
    let (of_y, of_x) = phase.of;
    let first = region.row * p.y.result_step;
    let rows = (region.rows * p.y.result_step).min(p.y.results - first);
    let columns = p.x.results;
    let count = p.x.results_in(of_x);
    for image in 0..region.images {
        let plane = (image * work.groups * work.outputs + channel) * rows * columns;
        for row in 0..region.rows {
            let y = row * p.y.result_step + of_y;
            if y >= rows {
                continue;
            }
            // SAFETY: passed on from the caller; rows that come later mend what whole vectors write beyond this one.
            unsafe {
                let from = from.add((image * p.image_rows + row) * p.pitch);
                let to = block.add(plane + y * columns + of_x);
                if p.x.result_step > 1 {
                    for i in 0..count {
                        *to.add(i * p.x.result_step) = *from.add(i);
                    }
                    continue;
                }
                let reach = row * columns + count.next_multiple_of(S::N);
                let whole = if p.y.result_step == 1 && reach <= rows * columns {
                    count
                } else {
                    count / S::N * S::N
                };
                for i in (0..whole).step_by(S::N) {
                    let v = s.load(std::slice::from_raw_parts(from.add(i), S::N));
                    s.store(std::slice::from_raw_parts_mut(to.add(i), S::N), v);
                }
                for i in whole..count {
                    *to.add(i) = *from.add(i);
                }
            }
        }
    }
}

/// The pass over the results of a task.
///
/// # Safety
/// As [`Context::run`].
#[inline(always)]
unsafe fn finish(cx: &Context<'_>, work: &SweepWork, task: usize, region: Region, block: *mut f32) {
    let p = &work.planes;
    let channels = work.groups * work.outputs;
    let plane = p.y.results * p.x.results;
    let first = region.row * p.y.result_step;
    let rows = (region.rows * p.y.result_step).min(p.y.results - first);
    let run = chain::Run {
        cx,
        chain: &work.chain,
        registers: block.wrapping_add(work.block_space()),
        task,
        prefetch_distance: work.chain.tile(),
    };
    let image = region.image * channels * plane;
    let of_result = if rows == p.y.results {
        chain::Block {
            start: image,
            rows: 1,
            stride: 0,
            len: region.images * channels * plane,
        }
    } else {
        chain::Block {
            start: image + first * p.x.results,
            rows: channels,
            stride: plane,
            len: rows * p.x.results,
        }
    };
    // SAFETY: passed on from the caller; the block holds the elements without gaps.
    unsafe {
        run.prepare();
        run.block(of_result, block);
    }
}

/// The lanes of a block of channels, of the terms inside the image alone.
///
/// # Safety
/// As [`Context::run`].
#[allow(clippy::too_many_arguments)]
unsafe fn inside(
    work: &SweepWork,
    phase: &Phase,
    region: Region,
    weights: *const f32,
    row_count: usize,
    bias: [f32; ROWS],
    planes: *const f32,
    out: *mut f32,
) {
    let p = &work.planes;
    for (r, bias) in bias.into_iter().enumerate().take(row_count) {
        for image in 0..region.images {
            for row in 0..region.rows {
                let lane = (image * p.image_rows + row) * p.pitch;
                // SAFETY: passed on from the caller; the lanes lie within the row of the kernel's results.
                unsafe {
                    let to = out.add(r * work.lanes() + lane);
                    let to = std::slice::from_raw_parts_mut(to, p.x.lanes());
                    to.fill(0.0);
                    for channel in 0..work.inputs {
                        for (at, tap) in phase.taps.iter().enumerate() {
                            let Some(columns) = tap_inside(p, tap, region.row + row) else {
                                continue;
                            };
                            let term = channel * phase.taps.len() + at;
                            let weight = *weights.add(term * ROWS + r);
                            let data = planes.add(channel * p.channel() + tap.offset + lane);
                            for i in columns {
                                to[i] += weight * *data.add(i);
                            }
                        }
                    }
                    for y in to {
                        *y += bias;
                    }
                }
            }
        }
    }
}

/// The lanes of a row that read data through a tap.
fn tap_inside(
    p: &Planes,
    tap: &crate::plan::window::Tap,
    row: usize,
) -> Option<std::ops::Range<usize>> {
    let (phase_y, phase_x) = p.phases[tap.from];
    let reads = row as isize + tap.distance.0;
    (0..p.y.data_in(phase_y) as isize)
        .contains(&reads)
        .then(|| Planes::inside(p.x.lanes(), tap.distance.1, p.x.data_in(phase_x)))
}

/// The sums of a block of rows over all lanes of a chunk, for all images and results.
struct Products<'a> {
    dots: Dots<'a>,
    taps: usize,
    /// Where the result of the first row goes.
    out: *mut f32,
    /// From a row of the result to the next, and from an image to the next.
    strides: (usize, usize),
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Lanes>(self, s: S) {
        let (row_stride, image_stride) = self.strides;
        let most = gemm::dot_taps(S::N);
        for (image, offsets) in self.dots.offsets.chunks(self.taps).enumerate() {
            for (at, offsets) in offsets.chunks(most).enumerate() {
                let dots = Dots {
                    offsets,
                    ..self.dots
                };
                let row_count = dots.row_count;
                // SAFETY: made under the condition of `products`, that rows, data and result are there.
                unsafe {
                    let sums = dots.run(s);
                    let out = self.out.add(image * image_stride + at * most);
                    for (r, sums) in sums.iter().enumerate().take(row_count) {
                        for (t, &sum) in sums.iter().enumerate().take(offsets.len()) {
                            *out.add(r * row_stride + t) = sum;
                        }
                    }
                }
            }
        }
    }
}

/// Computes a chunk's part of the sums over windows, for a share of the output channels of one group.
///
/// # Safety
/// As [`Context::run`].
pub(super) unsafe fn dots(cx: &Context<'_>, work: &DotsWork, task: usize) {
    let (p, w) = (&work.planes, &work.window_planes);
    let (share, group) = (task % work.shares(), task / work.shares() % work.groups);
    let chunk = task / (work.shares() * work.groups);
    let channel = chunk / work.blocks * p.images;
    let row = chunk % work.blocks * p.rows;
    let region = Region {
        image: channel,
        images: p.images.min(work.inputs - channel),
        row,
        rows: p.rows.min(p.y.lanes() - row),
    };
    let first = share * work.share;
    let outputs = work.share.min(work.outputs - first);
    let results = p.taps.len();
    let row_stride = results;
    let image_stride = work.groups * work.outputs * results;
    let data = cx.scratch;
    // SAFETY: the plan sized the scratch, the operands and the slots; the part of the result is this task's alone.
    unsafe {
        let windows = data.add(work.plane_space());
        let fill = |planes, image: &Image, at, channel, channels, out| {
            Fill {
                planes,
                image,
                source: cx.source(image.place),
                at: at + region.image * image.channel + group * image.group,
                channel,
                channels,
                behind: image.channel,
                images: region.images,
                row: region.row,
                out,
            }
            .run(cx.isa)
        };
        let image = &work.image;
        let largest = fill(p, image, 0, image.image, work.batch, data);
        let window = &work.window;
        let at = first * window.image;
        let largest_weight = fill(w, window, at, window.image, outputs, windows);
        let whole = cx.slot(work.partial).add(chunk * work.batch * image_stride);
        for row_block in (0..outputs).step_by(ROWS) {
            let row_count = ROWS.min(outputs - row_block);
            let channel = group * work.outputs + first + row_block;
            let products = Products {
                dots: Dots {
                    rows: windows.add(row_block * w.len),
                    stride: w.len,
                    row_count,
                    data,
                    offsets: &work.offsets,
                    lanes: p
                        .lanes(region.images, region.rows)
                        .next_multiple_of(MOST_LANES),
                },
                taps: results,
                out: whole.add(channel * row_stride),
                strides: (row_stride, image_stride),
            };
            if largest.is_finite() && largest_weight.is_finite() {
                dispatch(cx.isa, products);
            } else {
                products_inside(work, region, products);
            }
        }
    }
}

/// What [`Products`] computes, of the terms inside the image alone.
///
/// # Safety
/// As [`Context::run`].
unsafe fn products_inside(work: &DotsWork, region: Region, products: Products<'_>) {
    let (p, dots) = (&work.planes, &products.dots);
    for image in 0..work.batch {
        for (at, tap) in p.taps.iter().enumerate() {
            for r in 0..dots.row_count {
                let mut sum = 0.0;
                for behind in 0..region.images {
                    for row in 0..region.rows {
                        let Some(columns) = tap_inside(p, tap, region.row + row) else {
                            continue;
                        };
                        let lane = (behind * p.image_rows + row) * p.pitch;
                        // SAFETY: passed on from the caller; rows and columns lie within the planes.
                        unsafe {
                            let data = dots.data.add(image * p.channel() + tap.offset + lane);
                            let window = dots.rows.add(r * dots.stride + lane);
                            for i in columns {
                                sum += *window.add(i) * *data.add(i);
                            }
                        }
                    }
                }
                let (row_stride, image_stride) = products.strides;
                // SAFETY: passed on from the caller.
                unsafe { *products.out.add(image * image_stride + r * row_stride + at) = sum };
            }
        }
    }
}

/// Adds partial results up, in the order of the chunks, and finishes them.
///
/// # Safety
/// As [`Context::run`].
#[inline(always)]
pub(super) unsafe fn sum<S: Lanes>(cx: &Context<'_>, s: S, work: &SumWork, task: usize) {
    let start = task * work.share;
    let len = work.share.min(work.elements - start);
    let block = cx.scratch;
    // SAFETY: the plan sized the scratch and the partial results; the part of the result is this task's alone.
    unsafe {
        let total = std::slice::from_raw_parts_mut(block, len);
        total.fill(0.0);
        for part in 0..work.parts {
            let from = cx.slot(work.partial).add(part * work.elements + start);
            let from = std::slice::from_raw_parts(from, len);
            let (mut to, mut from) = (total.chunks_exact_mut(S::N), from.chunks_exact(S::N));
            for (to, from) in (&mut to).zip(&mut from) {
                let v = s.add(s.load(to), s.load(from));
                s.store(to, v);
            }
            for (to, from) in to.into_remainder().iter_mut().zip(from.remainder()) {
                *to += from;
            }
        }
        if let Some(place) = work.bias {
            let (channels, period) = work.channels;
            for (i, y) in total.iter_mut().enumerate() {
                *y += element(cx.source(place), (start + i) / period % channels);
            }
        }
        let run = chain::Run {
            cx,
            chain: &work.chain,
            registers: block.add(work.share),
            task,
            prefetch_distance: work.chain.tile(),
        };
        run.prepare();
        let of_result = chain::Block {
            start,
            rows: 1,
            stride: 0,
            len,
        };
        run.block(of_result, block);
    }
}
