//! Units of convolutions: which way the vectors run, and what a task computes.

use super::Builder;
use crate::{
    gemm::ROWS,
    plan::{
        Packed, Place, Work,
        chain_builder::ChainBuilder,
        convolution::{DotsWork, Image, Phase, SumWork, SweepWork, WeightsWork},
        lowering::{Convolution, Operand},
        window::{Axis, Planes},
    },
    simd::MOST_LANES,
};

/// Lanes of a task from which on the kernel's first and last vectors do not count.
const LANES: usize = 256;
/// Lanes of a chunk of a sum over windows: the planes of a block of rows and one of the image stay in a first-level
/// cache.
const CHUNK: usize = 1536;
/// Elements of the planes of a task: they stay in a second-level cache with the results.
const PLANES: usize = 96 * 1024;
/// Tasks from which on the work is shared well enough.
const TASKS: usize = 8;
/// Elements of a task that adds up partial results.
const SUM_SHARE: usize = 2048;

impl Builder<'_> {
    /// A convolution with the chain that finishes its results.
    pub(super) fn convolution(&mut self, conv: &Convolution, c: ChainBuilder) {
        if conv.along_window() {
            self.dots(conv, c);
        } else {
            self.sweep(conv, c);
        }
    }

    /// A convolution whose vectors run along its results.
    fn sweep(&mut self, conv: &Convolution, mut c: ChainBuilder) {
        let [y, x] = conv.axes.map(|a| {
            if conv.transposed {
                let taps = (a.kernel, a.dilation);
                Axis::scatter(a.output, a.input, a.stride, taps, a.before)
            } else {
                let taps = (a.kernel, a.dilation);
                Axis::gather(a.input, a.output, a.stride, taps, a.before)
            }
        });
        let planes = portions(&y, &x, conv.batch, conv.inputs);
        let mut phases = Vec::new();
        for to_y in 0..y.result_step {
            for to_x in 0..x.result_step {
                let of = (to_y, to_x);
                let taps: Vec<_> = planes.taps.iter().filter(|t| t.to == of).copied().collect();
                let channels = (0..conv.inputs).map(|channel| channel * planes.channel());
                let offsets = channels
                    .flat_map(|at| taps.iter().map(move |t| distance(at + t.offset)))
                    .collect();
                phases.push(Phase { of, taps, offsets });
            }
        }
        let blocks = conv.outputs.div_ceil(ROWS);
        let weights = self.weights(conv, &phases);
        let image = self.image(&conv.x);
        let bias = conv.bias.map(|b| self.place(self.groups.root[b.index()]));
        c.reads.extend([weights.slot, weights.magnitudes]);
        c.reads.extend(image.place.slot());
        c.reads.extend(bias.and_then(Place::slot));
        let tasks_of_image = planes.y.lanes().div_ceil(planes.rows);
        let tasks = conv.batch.div_ceil(planes.images) * tasks_of_image;
        let work = SweepWork {
            chain: c.chain,
            planes,
            image,
            batch: conv.batch,
            groups: conv.groups,
            inputs: conv.inputs,
            outputs: conv.outputs,
            weights,
            bias,
            phases,
            blocks: tasks_of_image,
        };
        debug_assert_eq!(
            self.built.slots[weights.slot],
            conv.groups * blocks * work.weight_block()
        );
        let space = work.plane_space() + ROWS * work.lanes() + work.block_space();
        self.need_scratch(&work.chain, space);
        self.push(Work::Sweep(Box::new(work)), tasks, c.reads, c.writes);
    }

    /// The weights of a sweep, packed.
    fn weights(&mut self, conv: &Convolution, phases: &[Phase]) -> Packed {
        let blocks = conv.groups * conv.outputs.div_ceil(ROWS);
        let mut work = WeightsWork {
            weights: Image {
                place: Place::Slot(self.in_arena(self.groups.root[conv.weight.base.index()])),
                ..self.image(&conv.weight)
            },
            rows: conv.outputs,
            channels: conv.inputs,
            taps: phases
                .iter()
                .map(|p| p.taps.iter().map(|t| t.tap).collect())
                .collect(),
            out: Packed {
                slot: 0,
                magnitudes: 0,
            },
        };
        work.out = Packed {
            slot: self.new_slot(blocks * work.block()),
            magnitudes: self.new_slot(blocks),
        };
        let out = work.out;
        let reads = work.weights.place.slot().into_iter().collect();
        self.push(
            Work::Weights(work),
            blocks,
            reads,
            vec![out.slot, out.magnitudes],
        );
        out
    }

    /// A convolution whose vectors run along its window, and the sum of its chunks.
    fn dots(&mut self, conv: &Convolution, mut c: ChainBuilder) {
        let [y, x] = conv.axes.map(|a| {
            let taps = (a.output, a.stride);
            Axis::gather(a.input, a.kernel, a.dilation, taps, a.before)
        });
        let planes = chunks(&y, &x, conv.inputs, conv.batch);
        let window_planes = Planes::beside(&planes);
        let offsets = (0..conv.batch)
            .map(|image| image * planes.channel())
            .flat_map(|at| planes.taps.iter().map(move |t| distance(at + t.offset)))
            .collect();
        let mut work = DotsWork {
            blocks: planes.y.lanes().div_ceil(planes.rows),
            planes,
            image: self.image(&conv.x),
            window_planes,
            window: self.image(&conv.weight),
            batch: conv.batch,
            groups: conv.groups,
            inputs: conv.inputs,
            outputs: conv.outputs,
            share: conv.outputs.next_multiple_of(ROWS),
            offsets,
            partial: 0,
        };
        while work.share > 2 * ROWS && work.chunks() * work.shares() * conv.groups < TASKS {
            work.share = (work.share / 2).next_multiple_of(ROWS);
        }
        let elements = c.shape.numel();
        let parts = work.chunks();
        work.partial = self.new_slot(parts * elements);
        let partial = work.partial;
        let tasks = parts * work.shares() * conv.groups;
        let reads = [work.image.place, work.window.place];
        let reads = reads.into_iter().filter_map(Place::slot).collect();
        let space = work.plane_space() + work.window_space();
        self.built.scratch = self.built.scratch.max(space);
        self.push(Work::Dots(Box::new(work)), tasks, reads, vec![partial]);

        let bias = conv.bias.map(|b| self.place(self.groups.root[b.index()]));
        c.reads.push(partial);
        c.reads.extend(bias.and_then(Place::slot));
        let channels = conv.groups * conv.outputs;
        let work = SumWork {
            chain: c.chain,
            partial,
            parts,
            elements,
            share: SUM_SHARE,
            bias,
            channels: (channels, elements / (conv.batch * channels)),
        };
        self.need_scratch(&work.chain, SUM_SHARE);
        let tasks = elements.div_ceil(SUM_SHARE);
        self.push(Work::Sum(work), tasks, c.reads, c.writes);
    }

    /// Where an operand lies.
    fn image(&mut self, operand: &Operand) -> Image {
        let root = self.groups.root[operand.base.index()];
        let [image, group, channel, row, column] = operand.strides;
        Image {
            place: self.place(root),
            image,
            group,
            channel,
            row,
            column,
            elements: self.numel(root),
        }
    }
}

fn distance(elements: usize) -> u32 {
    u32::try_from(elements).expect("the planes of a task are far smaller")
}

/// Planes of a task: some images where they are small, rows of one where it is large or there are few.
fn portions(y: &Axis, x: &Axis, batch: usize, channels: usize) -> Planes {
    let rows = y.lanes();
    let lanes = rows * x.lanes();
    let of = |images, rows| Planes::new(y.clone(), x.clone(), images, rows);
    if lanes < LANES && batch >= 2 * TASKS {
        return of(LANES.div_ceil(lanes).min(batch / TASKS), rows);
    }
    let whole = of(1, rows);
    let to_fit = (channels * whole.channel()).div_ceil(PLANES);
    let to_share = TASKS.div_ceil(batch).min(lanes.div_ceil(LANES));
    let blocks = to_fit.max(to_share).min(rows);
    if blocks <= 1 {
        return whole;
    }
    of(1, rows.div_ceil(blocks))
}

/// Planes of a chunk of a sum over windows: some channels, or rows of one.
fn chunks(y: &Axis, x: &Axis, channels: usize, images: usize) -> Planes {
    let of = |channels, rows| Planes::new(y.clone(), x.clone(), channels, rows);
    let rows = y.lanes();
    let one = of(1, rows);
    let lanes = rows * one.pitch;
    // Fewer lanes where many images would leave the second-level cache.
    let chunk = CHUNK.min((4 * PLANES / images).max(4 * MOST_LANES));
    if lanes < chunk {
        of((chunk / lanes).clamp(1, channels), rows)
    } else {
        let blocks = lanes.div_ceil(chunk).min(rows);
        of(1, rows.div_ceil(blocks))
    }
}
