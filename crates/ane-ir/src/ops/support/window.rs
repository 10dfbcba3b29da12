//! Windows that slide over the spatial axes of an image: what convolutions and pools read.
//!
//! Images are [N, C, *D] with one to three spatial axes D. On every one of them a window covers `kernel` elements,
//! `dilation` apart, and the next window starts `stride` elements further; the first starts `before` elements ahead of
//! the image. What a window covers outside the image is padding.

use crate::{
    ops::{Attr, AttrType, TypeError, support},
    types::{Shape, TensorType},
};

/// How much padding there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PadType {
    /// None.
    #[default]
    Valid,
    /// What the attribute `pad` says: before and after, for every spatial axis.
    Custom,
    /// As much as gives ⌈length / stride⌉ windows; an odd element goes after.
    Same,
    /// As [`PadType::Same`]; an odd element goes before.
    SameLower,
}

impl PadType {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Valid, "valid"),
        (Self::Custom, "custom"),
        (Self::Same, "same"),
        (Self::SameLower, "same_lower"),
    ];

    /// Whether the number of windows says how much padding there is.
    pub(crate) fn is_same(self) -> bool {
        matches!(self, Self::Same | Self::SameLower)
    }
}

impl AttrType for PadType {
    fn to_attr(&self) -> Option<Attr> {
        let name = Self::NAMES.iter().find(|(pad_type, _)| pad_type == self)?.1;
        Some(Attr::Str(name.into()))
    }
    fn from_attr(attr: Attr) -> Option<Self> {
        let Attr::Str(found) = attr else { return None };
        let (pad_type, _) = Self::NAMES.iter().find(|(_, name)| *name == found)?;
        Some(*pad_type)
    }
}

/// The windows along one spatial axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowAxis {
    /// Length of the axis over which the windows slide.
    pub input: usize,
    /// Number of windows.
    pub output: usize,
    /// Elements that a window covers.
    pub kernel: usize,
    /// Elements from one window to the next.
    pub stride: usize,
    /// Elements from one covered element to the next.
    pub dilation: usize,
    /// Elements of padding before the axis.
    pub before: usize,
    /// Elements of padding after the axis, at least as many as the last window covers.
    pub after: usize,
}

impl WindowAxis {
    /// Elements from the first covered to the last.
    pub fn extent(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Where on the axis element `k` of window `o` lies; `None` in the padding.
    pub fn position(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation)
            .checked_sub(self.before)
            .filter(|&i| i < self.input)
    }

    /// Whether every window covers an element of the axis.
    fn always_inside(&self) -> bool {
        let last = (self.output - 1) * self.stride;
        self.extent() > self.before && last < self.input + self.before
    }

    /// Whether the windows lie side by side from the first element on, without padding.
    pub fn tiles(&self) -> bool {
        self.dilation == 1
            && self.kernel == self.stride
            && self.before == 0
            && self.output * self.kernel <= self.input
    }
}

/// The attributes from which the windows of an op follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowAttributes<'a> {
    pub(crate) op: &'static str,
    pub(crate) strides: &'a Option<Vec<i32>>,
    pub(crate) dilations: &'a Option<Vec<i32>>,
    pub(crate) pad_type: PadType,
    pub(crate) pad: &'a Option<Vec<i32>>,
    /// Whether a last window that is not filled counts.
    pub(crate) ceil_mode: bool,
}

impl WindowAttributes<'_> {
    /// The windows of lengths `kernel` over axes of lengths `input`.
    pub(crate) fn over(
        &self,
        input: &[usize],
        kernel: &[usize],
    ) -> Result<Vec<WindowAxis>, TypeError> {
        let strides = self.steps("strides", self.strides, input.len())?;
        let dilations = self.steps("dilations", self.dilations, input.len())?;
        let pad = self.pad(input.len())?;
        (0..input.len())
            .map(|i| {
                let extent = self.extent(kernel[i], dilations[i])?;
                let windows = input[i].div_ceil(strides[i]);
                let same = ((windows - 1) * strides[i] + extent).saturating_sub(input[i]);
                let (before, after) = match self.pad_type {
                    PadType::Valid => (0, 0),
                    PadType::Custom => pad[i],
                    PadType::Same => (same / 2, same - same / 2),
                    PadType::SameLower => (same - same / 2, same / 2),
                };
                let padded = input[i] + before + after;
                let Some(room) = padded.checked_sub(extent) else {
                    return Err(support::attribute(
                        self.op,
                        "pad",
                        format!(
                            "enough for a window of {extent} on spatial axis {i} of length {}",
                            input[i]
                        ),
                        format!("{before} before and {after} after"),
                    ));
                };
                let mut output = room / strides[i] + 1;
                if self.ceil_mode {
                    output = room.div_ceil(strides[i]) + 1;
                    // PyTorch: the last window starts inside the image or the padding before it.
                    if before + after > 0 && (output - 1) * strides[i] >= input[i] + before {
                        output -= 1;
                    }
                }
                let reached =
                    ((output - 1) * strides[i] + extent).saturating_sub(input[i] + before);
                Ok(WindowAxis {
                    input: input[i],
                    output,
                    kernel: kernel[i],
                    stride: strides[i],
                    dilation: dilations[i],
                    before,
                    after: after.max(reached),
                })
            })
            .collect()
    }

    /// The lengths of the image that `windows` windows of lengths `kernel` cover, less its padding.
    pub(crate) fn covered(
        &self,
        windows: &[usize],
        kernel: &[usize],
    ) -> Result<Vec<usize>, TypeError> {
        let strides = self.steps("strides", self.strides, windows.len())?;
        let dilations = self.steps("dilations", self.dilations, windows.len())?;
        let pad = self.pad(windows.len())?;
        (0..windows.len())
            .map(|i| {
                let extent = self.extent(kernel[i], dilations[i])?;
                let reached = (windows[i] - 1)
                    .saturating_mul(strides[i])
                    .saturating_add(extent);
                let (before, after) = match self.pad_type {
                    PadType::Same | PadType::SameLower => {
                        return Ok(windows[i].saturating_mul(strides[i]));
                    }
                    PadType::Custom => pad[i],
                    PadType::Valid => (0, 0),
                };
                let image = reached.checked_sub(before + after).filter(|&l| l > 0);
                image.ok_or_else(|| {
                    let expected =
                        format!("less than the {reached} elements that the windows cover");
                    support::attribute(self.op, "pad", expected, format!("{before} and {after}"))
                })
            })
            .collect()
    }

    fn extent(&self, kernel: usize, dilation: usize) -> Result<usize, TypeError> {
        (kernel - 1)
            .checked_mul(dilation)
            .filter(|&e| e < MOST_ELEMENTS)
            .map(|e| e + 1)
            .ok_or_else(|| {
                let expected = format!("windows of at most {MOST_ELEMENTS} elements");
                support::attribute(self.op, "dilations", expected, dilation)
            })
    }

    /// A positive step for every spatial axis; 1 where the attribute is left out.
    fn steps(
        &self,
        name: &'static str,
        given: &Option<Vec<i32>>,
        axes: usize,
    ) -> Result<Vec<usize>, TypeError> {
        let Some(given) = given else {
            return Ok(vec![1; axes]);
        };
        let steps: Option<Vec<usize>> = given
            .iter()
            .map(|&s| usize::try_from(s).ok().filter(|&s| s > 0))
            .collect();
        steps.filter(|s| s.len() == axes).ok_or_else(|| {
            let expected = format!("a positive number for each of {axes} spatial axes");
            support::attribute(self.op, name, expected, format!("{given:?}"))
        })
    }

    /// Padding before and after every spatial axis, as the attribute says.
    pub(crate) fn pad(&self, axes: usize) -> Result<Vec<(usize, usize)>, TypeError> {
        let refused = |expected: String| {
            let found = self
                .pad
                .as_ref()
                .map_or("none".to_owned(), |p| format!("{p:?}"));
            support::attribute(self.op, "pad", expected, found)
        };
        let Some(given) = self.pad else {
            if self.pad_type == PadType::Custom {
                let expected = format!("{} counts, since pad_type is custom", 2 * axes);
                return Err(refused(expected));
            }
            return Ok(vec![(0, 0); axes]);
        };
        let pairs = given.as_chunks::<2>();
        let pad: Option<Vec<(usize, usize)>> = pairs
            .0
            .iter()
            .map(|&[before, after]| {
                Some((usize::try_from(before).ok()?, usize::try_from(after).ok()?))
            })
            .collect();
        let pad = pad
            .filter(|p| p.len() == axes && pairs.1.is_empty())
            .ok_or_else(|| {
                refused(format!(
                    "two counts for each of {axes} spatial axes, none negative"
                ))
            })?;
        if self.ceil_mode && pad.iter().any(|(before, after)| before != after) {
            return Err(refused(
                "equal counts before and after, since ceil_mode is on".into(),
            ));
        }
        Ok(pad)
    }
}

/// Longest window: far beyond any image, far below where products of sizes overflow.
const MOST_ELEMENTS: usize = 1 << 40;

/// The lengths behind two leading axes: one to three, none of the axes empty.
pub(crate) fn spatial<'a>(
    op: &'static str,
    operand: &'static str,
    ty: &'a TensorType,
) -> Result<&'a [usize], TypeError> {
    support::float(op, operand, ty)?;
    match ty.shape.dims() {
        [_, _, spatial @ ..]
            if (1..=3).contains(&spatial.len()) && !ty.shape.dims().contains(&0) =>
        {
            Ok(spatial)
        }
        _ => Err(support::operand_type(
            op,
            operand,
            "of two leading and one to three spatial axes, none of length 0",
            ty,
        )),
    }
}

/// Refuses windows that cover nothing but padding: their largest and their mean element do not exist.
pub(crate) fn refuse_empty(op: &'static str, axes: &[WindowAxis]) -> Result<(), TypeError> {
    match axes.iter().position(|axis| !axis.always_inside()) {
        None => Ok(()),
        Some(i) => {
            let axis = axes[i];
            Err(support::attribute(
                op,
                "pad",
                format!(
                    "padding that no window of {} on spatial axis {i} lies in as a whole",
                    axis.kernel
                ),
                format!(
                    "{} before and {} after {} elements, with stride {}",
                    axis.before, axis.after, axis.input, axis.stride
                ),
            ))
        }
    }
}

/// For every window, in row-major order: where in its image's plane the elements that it covers lie, each with its place
/// in the window; padding is left out.
pub(crate) fn taps(axes: &[WindowAxis]) -> Vec<Vec<(usize, usize)>> {
    let mut windows = vec![vec![(0, 0)]];
    for axis in axes {
        windows = windows
            .iter()
            .flat_map(|outer| {
                (0..axis.output).map(move |o| {
                    outer
                        .iter()
                        .flat_map(|&(at, place)| {
                            (0..axis.kernel).filter_map(move |k| {
                                let i = axis.position(o, k)?;
                                Some((at * axis.input + i, place * axis.kernel + k))
                            })
                        })
                        .collect()
                })
            })
            .collect();
    }
    windows
}

/// The shape [batch, channels, *spatial].
pub(crate) fn image(batch: usize, channels: usize, spatial: impl Iterator<Item = usize>) -> Shape {
    [batch, channels].into_iter().chain(spatial).collect()
}

/// `lengths` as an integer attribute.
pub(crate) fn ints(lengths: impl IntoIterator<Item = usize>) -> Vec<i32> {
    lengths
        .into_iter()
        .map(|l| i32::try_from(l).unwrap_or(i32::MAX))
        .collect()
}
