//! Sums over images and pixels that join the pass which makes their operand.

use ane_ir::Shape;

/// Sums or means over all axes but neighbouring ones in the middle, such as the channels of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plan) struct ChannelSums {
    /// Whether they are divided by the number of their terms.
    pub(in crate::plan) mean: bool,
    pub(in crate::plan) channels: usize,
    /// Neighbouring elements of a channel.
    pub(in crate::plan) period: usize,
    pub(in crate::plan) terms: usize,
}

impl ChannelSums {
    /// Over `axes` of `shape`, where that has channels in the middle, and neighbours enough in each.
    pub(super) fn over(shape: &Shape, axes: &[usize], mean: bool) -> Option<Self> {
        let dims = shape.dims();
        let long = |axis: &usize| dims[*axis] > 1;
        let kept = || (0..dims.len()).filter(|a| !axes.contains(a)).filter(long);
        let (first, last) = (kept().next()?, kept().next_back()?);
        let lengths = |axes: std::ops::Range<usize>| dims[axes].iter().product::<usize>();
        let (images, channels) = (lengths(0..first), lengths(first..last + 1));
        let period = lengths(last + 1..dims.len());
        let neighbours = (first..=last).filter(long).eq(kept());
        (neighbours && images > 1 && period >= LEAST_PERIOD && channels <= MOST_CHANNELS).then_some(
            Self {
                mean,
                channels,
                period,
                terms: images * period,
            },
        )
    }
}

/// Neighbours of a channel from which on a pass sums them as fast as it reads them.
const LEAST_PERIOD: usize = 16;

/// Channels up to which every task can have sums of its own.
const MOST_CHANNELS: usize = 1024;
