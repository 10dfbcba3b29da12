//! Units of convolutions.

use super::{Packed, Place, Slot, chain::Chain, window::Planes, window::Tap};

/// A convolution's operand: where it is read and how far apart neighbours lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Image {
    pub(crate) place: Place,
    /// From an image to the next.
    pub(crate) image: usize,
    /// From a group of channels to the next.
    pub(crate) group: usize,
    /// From a channel to the next in its group.
    pub(crate) channel: usize,
    pub(crate) row: usize,
    pub(crate) column: usize,
    /// Elements of the tensor in memory.
    pub(crate) elements: usize,
}

/// Weights in the order in which the kernel reads them: for every group and block of rows, phase after phase of the
/// results, the terms of the channels and their taps, a block of rows each.
#[derive(Debug)]
pub(crate) struct WeightsWork {
    /// Rows are its images.
    pub(crate) weights: Image,
    /// Rows of a group.
    pub(crate) rows: usize,
    /// Channels of a group.
    pub(crate) channels: usize,
    /// For every phase of the results the taps along rows and columns.
    pub(crate) taps: Vec<Vec<(usize, usize)>>,
    pub(crate) out: Packed,
}

/// What one phase of the results adds up.
#[derive(Debug)]
pub(crate) struct Phase {
    /// Which phase along rows and columns.
    pub(crate) of: (usize, usize),
    pub(crate) taps: Vec<Tap>,
    /// For every channel and tap the distance from the first plane of the first channel.
    pub(crate) offsets: Vec<u32>,
}

/// A convolution whose vectors run along its results, and the pass over them.
#[derive(Debug)]
pub(crate) struct SweepWork {
    pub(crate) chain: Chain,
    pub(crate) planes: Planes,
    pub(crate) image: Image,
    /// Images.
    pub(crate) batch: usize,
    pub(crate) groups: usize,
    /// Channels of a group that are read.
    pub(crate) inputs: usize,
    /// Channels of a group that are made.
    pub(crate) outputs: usize,
    pub(crate) weights: Packed,
    pub(crate) bias: Option<Place>,
    pub(crate) phases: Vec<Phase>,
    /// Tasks of an image, or of the images of a task: blocks of rows.
    pub(crate) blocks: usize,
}

/// A convolution whose vectors run along its window, summed over some channels and rows in each task.
#[derive(Debug)]
pub(crate) struct DotsWork {
    /// Planes of the image: channels are its images, the images of a plane its channels.
    pub(crate) planes: Planes,
    pub(crate) image: Image,
    /// Planes of the weight, beside those of the image.
    pub(crate) window_planes: Planes,
    /// The weight; output channels are its images.
    pub(crate) window: Image,
    /// Images.
    pub(crate) batch: usize,
    pub(crate) groups: usize,
    /// Channels of a group that are read.
    pub(crate) inputs: usize,
    /// Channels of a group that are made.
    pub(crate) outputs: usize,
    /// Output channels of a group in one task.
    pub(crate) share: usize,
    /// Row blocks of the window.
    pub(crate) blocks: usize,
    /// Distances of all images and results from the first plane of the first image, image by image.
    pub(crate) offsets: Vec<u32>,
    /// For every chunk of channels and rows a whole result.
    pub(crate) partial: Slot,
}

/// Sums of partial results in order, and the pass over them.
#[derive(Debug)]
pub(crate) struct SumWork {
    pub(crate) chain: Chain,
    pub(crate) partial: Slot,
    pub(crate) parts: usize,
    /// Elements of the result.
    pub(crate) elements: usize,
    /// Elements of a task.
    pub(crate) share: usize,
    /// For every channel of the result, `period` elements each, what is added at the end.
    pub(crate) bias: Option<Place>,
    /// Channels, and elements of one.
    pub(crate) channels: (usize, usize),
}

impl WeightsWork {
    /// Elements of a block of rows.
    pub(crate) fn block(&self) -> usize {
        let taps: usize = self.taps.iter().map(Vec::len).sum();
        crate::gemm::ROWS * self.channels * taps
    }
}

impl SweepWork {
    /// Elements of a block of rows of the weights.
    pub(crate) fn weight_block(&self) -> usize {
        let terms: usize = self.phases.iter().map(|p| p.offsets.len()).sum();
        crate::gemm::ROWS * terms
    }

    /// Elements from a row of the kernel's results to the next.
    pub(crate) fn lanes(&self) -> usize {
        let lanes = self.planes.lanes(self.planes.images, self.planes.rows);
        lanes.next_multiple_of(crate::simd::MOST_LANES)
    }

    /// Elements of the planes of a task, and what is read beyond them.
    pub(crate) fn plane_space(&self) -> usize {
        self.inputs * self.planes.channel() + SLACK
    }

    /// Elements of the results of a task, and what is written beyond them.
    pub(crate) fn block_space(&self) -> usize {
        let rows = self.planes.rows * self.planes.y.result_step;
        let channels = self.planes.images * self.groups * self.outputs;
        channels * rows * self.planes.x.results + SLACK
    }
}

impl DotsWork {
    /// Chunks of channels.
    pub(crate) fn chunks(&self) -> usize {
        self.inputs.div_ceil(self.planes.images) * self.blocks
    }

    /// Shares of the output channels of a group.
    pub(crate) fn shares(&self) -> usize {
        self.outputs.div_ceil(self.share)
    }

    /// Elements of the planes of all images, and what is read beyond them.
    pub(crate) fn plane_space(&self) -> usize {
        self.batch * self.planes.channel() + SLACK
    }

    /// Elements of the planes of a share of the weight.
    pub(crate) fn window_space(&self) -> usize {
        self.share * self.window_planes.len + SLACK
    }
}

/// What whole vectors touch beyond the end, in elements: a vector when planes are filled, two when they are read.
pub(crate) const SLACK: usize = 4 * crate::simd::MOST_LANES;
