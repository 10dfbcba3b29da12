//! Strided positions.

use ane_ir::{MAX_RANK, Shape};

/// Positions in a tensor, in the order of a row-major index.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Walk {
    pub(crate) offset: usize,
    /// Length and stride of every axis, outermost first, neighbours merged where they walk as one; at least one.
    pub(crate) axes: Vec<(usize, usize)>,
}

impl Walk {
    pub(crate) fn new(offset: usize, dims: &[usize], strides: &[usize]) -> Self {
        let mut axes: Vec<(usize, usize)> = Vec::with_capacity(MAX_RANK);
        for (&len, &stride) in dims.iter().zip(strides) {
            if len == 1 {
                continue;
            }
            match axes.last_mut() {
                Some((outer, outer_stride)) if *outer_stride == len * stride => {
                    *outer *= len;
                    *outer_stride = stride;
                }
                _ => axes.push((len, stride)),
            }
        }
        if axes.is_empty() {
            axes.push((1, 1));
        }
        Self { offset, axes }
    }

    /// A tensor of shape `from` read while walking `to`, broadcasting.
    pub(crate) fn broadcast(from: &Shape, to: &Shape) -> Self {
        Self::new(0, to.dims(), &from.broadcast_strides(to))
    }

    /// Whether it walks memory one element after the other.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.offset == 0 && matches!(self.axes[..], [(_, 1)])
    }

    /// Whether it stays at one element.
    pub(crate) fn is_uniform(&self) -> bool {
        matches!(self.axes[..], [(_, 0)])
    }

    /// Number of positions.
    pub(crate) fn len(&self) -> usize {
        self.axes.iter().map(|&(len, _)| len).product()
    }

    /// Length and stride of the innermost axis.
    pub(crate) fn inner(&self) -> (usize, usize) {
        *self.axes.last().expect("a walk has an axis")
    }

    /// The position of `index`.
    pub(crate) fn position(&self, index: usize) -> usize {
        let mut rest = index;
        let mut at = self.offset;
        for &(len, stride) in self.axes.iter().rev() {
            at += rest % len * stride;
            rest /= len;
        }
        at
    }

    /// How many positions from that of `index` on, itself included, follow each other in memory.
    pub(crate) fn neighbours(&self, index: usize) -> usize {
        match self.inner() {
            (len, 1) => len - index % len,
            _ => 1,
        }
    }

    /// How often the innermost axis is walked.
    pub(crate) fn runs(&self) -> usize {
        self.len() / self.inner().0
    }

    /// Where it is walked the `run`th time.
    pub(crate) fn run_start(&self, run: usize) -> usize {
        self.position(run * self.inner().0)
    }

    /// The same with `len` positions of `axis` only, from `start` on.
    pub(crate) fn part(&self, axis: usize, start: usize, len: usize) -> Self {
        let mut part = self.clone();
        part.offset += start * self.axes[axis].1;
        part.axes[axis].0 = len;
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_tensor() {
        // Axes 0, 2 and 3 of [2, 3, 4, 5]: the last two walk as one.
        let walk = Walk::new(0, &[2, 4, 5], &[60, 5, 1]);
        assert_eq!(walk.axes, [(2, 60), (20, 1)]);
        assert_eq!((walk.len(), walk.runs()), (40, 2));
        assert_eq!((walk.position(21), walk.run_start(1)), (61, 60));
        assert_eq!((walk.neighbours(5), walk.neighbours(20)), (15, 20));
        let part = walk.part(1, 8, 4);
        assert_eq!((part.len(), part.position(4)), (8, 68));
    }
}
