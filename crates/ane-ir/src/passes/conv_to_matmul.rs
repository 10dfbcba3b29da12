//! Convolutions whose weights are not constant, in terms of what an engine runs at every batch size.
//!
//! | before, on chip targets | after |
//! |---|---|
//! | `conv`, one element a window | `matmul(weight, x)` over the channels |
//! | `conv` | slices of x, one for every element of the window, stacked into rows of a matrix, and one `matmul` |
//! | `conv` of a weight larger than the result (a weight gradient) | the same rows, one for every element of the result, `matmul` by the weight image by image, and the sum over images |
//! | `conv_transpose` | `conv` of x with stride − 1 zeros between its elements |
//! | depthwise `conv` | products of slices and weights, added up |
//!
//! A weight that is constant stays: engines are made for that. The slices are taken with the channels last, so that none
//! begins inside a row: that is where M1 and M2 lose values beyond 4,094, and where stacked slices were seen in the wrong
//! order. The forward pass and the weight gradient stack the same slices of x, which `cse` then makes once.

use super::{PassError, Rewriter, rewrite};
use crate::{
    graph::{Graph, Node, Results, Value},
    ops::{
        Op, TypeError,
        conv::ConvDims,
        support::window::{WindowAxis, ints},
    },
    target::Target,
    types::Shape,
};
use smallvec::smallvec;

const NAME: &str = "conv_to_matmul";

/// Why a convolution of a trained weight does not stay one.
const NOT_CONSTANT: &str = "weights that are not constant crash the compiler from two images on";
/// Why one over three spatial axes is not cut into slices.
const THREE_AXES: &str = "slices over three spatial axes need more axes than the engine has";

/// What becomes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvLowering {
    /// It stays a convolution.
    Native,
    /// One product over the channels.
    Matmul,
    /// Stacked slices and one product.
    Im2col,
    /// Slices times weights, added up.
    Shift,
}

impl ConvLowering {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Native, Self::Matmul, Self::Im2col, Self::Shift];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Matmul => "matmul",
            Self::Im2col => "im2col",
            Self::Shift => "shift",
        }
    }
}

/// A choice and what speaks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// What the convolution becomes.
    pub lowering: ConvLowering,
    /// Why.
    pub reason: &'static str,
    /// Who has seen that, and on which chip; where the reason is one of this crate's own, the file.
    pub source: &'static str,
}

/// What becomes of the convolution `node` on `target`; `None` where the node is none.
pub fn choose(graph: &Graph, node: &Node, target: &Target) -> Option<Choice> {
    let (dims, transposed) = dims_of(graph, node)?;
    let choice = |lowering, reason, source| {
        Some(Choice {
            lowering,
            reason,
            source,
        })
    };
    if !target.is_chip() {
        return choice(
            ConvLowering::Native,
            "the software engine has kernels for it",
            "crates/ane-engine/src/plan/build/convolution.rs",
        );
    }
    if graph.literal(node.operands[1]).is_some() {
        return choice(
            ConvLowering::Native,
            "the weight is constant, for which engines are made",
            "Core ML models, whose weights are constants",
        );
    }
    if dims.axes.len() > 2 {
        return choice(
            ConvLowering::Native,
            THREE_AXES,
            "crates/ane-ir/src/target.rs, Target::max_rank",
        );
    }
    if !transposed && is_depthwise(&dims) {
        return choice(
            ConvLowering::Shift,
            "depthwise with a weight that is not constant is refused, and one row makes no product",
            "imperator, M1",
        );
    }
    if is_pointwise(&dims) {
        return choice(
            ConvLowering::Matmul,
            "one element a window; weights that are not constant crash the compiler from two images on",
            "aneforge, chapter 19, M1 and M5",
        );
    }
    choice(
        ConvLowering::Im2col,
        NOT_CONSTANT,
        "aneforge, chapter 19, M1 and M5",
    )
}

/// Sizes of a convolution, and whether it is the transpose of one.
fn dims_of(graph: &Graph, node: &Node) -> Option<(ConvDims, bool)> {
    let types = || (graph.ty(node.operands[0]), graph.ty(node.operands[1]));
    match &node.op {
        Op::Conv(op) => {
            let (x, weight) = types();
            Some((op.dims(x, weight).ok()?, false))
        }
        Op::ConvTranspose(op) => {
            let (x, weight) = types();
            Some((op.dims(x, weight).ok()?, true))
        }
        _ => None,
    }
}

/// Whether every channel is convolved by itself, in a forward pass.
fn is_depthwise(dims: &ConvDims) -> bool {
    dims.inputs == 1 && dims.outputs == 1 && dims.groups > 1 && !is_gradient(dims)
}

/// Whether windows are single elements and all of them are covered in order.
fn is_pointwise(dims: &ConvDims) -> bool {
    let in_order = |a: &WindowAxis| a.stride == 1 && a.before == 0 && a.output == a.input;
    dims.kernel() == 1 && dims.axes.iter().all(in_order)
}

/// Whether a convolution has more elements in a window than windows in an image, as a weight gradient has.
fn is_gradient(dims: &ConvDims) -> bool {
    dims.kernel() > dims.positions()
}

pub(super) fn run(graph: &Graph, target: &Target) -> Result<Graph, PassError> {
    if !target.is_chip() {
        return Ok(graph.clone());
    }
    rewrite(NAME, graph, |r, node, xs| {
        let Some(choice) = choose(graph, node, target) else {
            return Ok(None);
        };
        lower(r, graph, node, xs, choice.lowering)
            .map_err(|source| PassError::Type { pass: NAME, source })
    })
}

/// Whether `lowering` fits the convolution `node` on `target`, or why it does not; `None` where the node is none.
pub(super) fn fits(
    graph: &Graph,
    node: &Node,
    target: &Target,
    lowering: ConvLowering,
) -> Option<Result<(), &'static str>> {
    let (dims, transposed) = dims_of(graph, node)?;
    let reason = match lowering {
        ConvLowering::Native if target.is_chip() && graph.literal(node.operands[1]).is_none() => {
            NOT_CONSTANT
        }
        ConvLowering::Matmul if !is_pointwise(&dims) => {
            "one product wants windows of one element, side by side"
        }
        ConvLowering::Im2col if dims.axes.len() > 2 => THREE_AXES,
        ConvLowering::Shift if transposed || !is_depthwise(&dims) => {
            "shifted products want groups of one channel in and one out"
        }
        _ => return Some(Ok(())),
    };
    Some(Err(reason))
}

pub(super) fn lower(
    r: &mut Rewriter<'_>,
    graph: &Graph,
    node: &Node,
    xs: &[Value],
    lowering: ConvLowering,
) -> Result<Option<Results>, TypeError> {
    let Some((dims, transposed)) = dims_of(graph, node) else {
        return Ok(None);
    };
    let (x, weight) = (xs[0], xs[1]);
    let bias = node.view(xs).optional("bias");
    let g = &mut r.out;
    let y = match lowering {
        ConvLowering::Native => return Ok(None),
        ConvLowering::Shift => shift(g, &dims, x, weight)?,
        ConvLowering::Matmul if transposed => {
            let weight = rows_of_transpose(g, &dims, weight)?;
            product(g, &dims.image(), dims.groups, weight, x)?
        }
        ConvLowering::Matmul => product(g, &dims.windows(), dims.groups, weight, x)?,
        ConvLowering::Im2col if transposed => image_gradient(g, &dims, x, weight)?,
        ConvLowering::Im2col if is_gradient(&dims) => weight_gradient(g, &dims, x, weight)?,
        ConvLowering::Im2col => forward(g, &dims, x, weight)?,
    };
    Ok(Some(smallvec![with_bias(g, y, bias)?]))
}

fn with_bias(g: &mut Graph, y: Value, bias: Option<Value>) -> Result<Value, TypeError> {
    let Some(bias) = bias else { return Ok(y) };
    let (channels, rank) = (g.ty(bias).shape.numel(), g.ty(y).shape.rank());
    let shape: Shape = (0..rank)
        .map(|axis| if axis == 1 { channels } else { 1 })
        .collect();
    let bias = g.reshape(bias, &shape)?;
    g.add(y, bias)
}

/// Where the slices of one spatial axis lie in what is sliced.
#[derive(Debug, Clone, Copy)]
struct Taps {
    /// Elements added before and after the axis.
    pad: (usize, usize),
    /// Slices.
    count: usize,
    /// Elements from the beginning of one slice to that of the next; backwards where `reversed`.
    between: usize,
    reversed: bool,
    /// Where the first slice begins; the last where `reversed`.
    first: usize,
    /// Elements of a slice.
    len: usize,
    /// Elements from one element of a slice to the next.
    stride: usize,
}

impl Taps {
    /// The slice number `k` begins here.
    fn begin(&self, k: usize) -> usize {
        let k = if self.reversed { self.count - 1 - k } else { k };
        self.first + k * self.between
    }

    /// `count` slices of `len` elements over an axis of `input` elements with padding before it.
    fn over(
        input: usize,
        before: usize,
        count: usize,
        between: usize,
        len: usize,
        stride: usize,
    ) -> Self {
        let needed = (count - 1) * between + (len - 1) * stride + 1;
        Self {
            pad: (before, needed.saturating_sub(input + before)),
            count,
            between,
            reversed: false,
            first: 0,
            len,
            stride,
        }
    }
}

/// `x` [N, C, *D] with the channels last and its padding around it: [N, *D, C].
fn padded(g: &mut Graph, x: Value, taps: &[Taps]) -> Result<Value, TypeError> {
    let last: Vec<i32> = [0]
        .into_iter()
        .chain(ints(2..2 + taps.len()))
        .chain([1])
        .collect();
    let x = g.transpose(x, &last)?;
    let pad: Vec<i32> = ints(
        [0, 0]
            .into_iter()
            .chain(taps.iter().flat_map(|t| [t.pad.0, t.pad.1]))
            .chain([0, 0]),
    );
    if pad.iter().all(|&p| p == 0) {
        return Ok(x);
    }
    g.pad(x, &pad, 0.0)
}

/// Slices of `x` [N, C, *D], one for every combination of taps: [N, taps, slice, C].
fn stack(g: &mut Graph, x: Value, taps: &[Taps]) -> Result<Value, TypeError> {
    let (images, channels) = (g.ty(x).shape.dims()[0], g.ty(x).shape.dims()[1]);
    let x = padded(g, x, taps)?;
    let slice: usize = taps.iter().map(|t| t.len).product();
    let mut slices = Vec::new();
    for number in 0..taps.iter().map(|t| t.count).product() {
        let part = cut(g, x, taps, number)?;
        slices.push(g.reshape(part, &[images, 1, slice, channels].into())?);
    }
    match slices[..] {
        [only] => Ok(only),
        _ => g.concat(&slices, 1),
    }
}

/// Slice `number` of `x` [N, *D, C], in row-major order of the taps.
fn cut(g: &mut Graph, x: Value, taps: &[Taps], mut number: usize) -> Result<Value, TypeError> {
    let dims = g.ty(x).shape.dims().to_vec();
    let mut begin = vec![0; dims.len()];
    let mut end = dims.clone();
    let mut stride = vec![1; dims.len()];
    for (i, t) in taps.iter().enumerate().rev() {
        begin[i + 1] = t.begin(number % t.count);
        end[i + 1] = begin[i + 1] + (t.len - 1) * t.stride + 1;
        stride[i + 1] = t.stride;
        number /= t.count;
    }
    if begin.iter().all(|&b| b == 0) && end == dims && stride.iter().all(|&s| s == 1) {
        return Ok(x);
    }
    if stride.iter().all(|&s| s == 1) {
        let size = ints(end.iter().zip(&begin).map(|(e, b)| e - b));
        return g.slice_by_size(x, &ints(begin), &size);
    }
    g.slice_by_index(x, &ints(begin), &ints(end), &ints(stride))
}

/// Stacked slices [N, taps, slice, G·C] as the rows of one matrix an image and group: [N, taps·C, slice], with an axis of
/// groups behind the first where there are several.
fn rows(g: &mut Graph, stacked: Value, groups: usize) -> Result<Value, TypeError> {
    let shape = g.ty(stacked).shape.clone();
    let [images, taps, slice, channels] = shape.dims()[..] else {
        unreachable!("slices are stacked in four axes");
    };
    let inside = channels / groups;
    if groups == 1 {
        let rows = g.transpose(stacked, &[0, 1, 3, 2])?;
        return g.reshape(rows, &[images, taps * inside, slice].into());
    }
    let split = g.reshape(stacked, &[images, taps, slice, groups, inside].into())?;
    let rows = g.transpose(split, &[0, 3, 1, 4, 2])?;
    g.reshape(rows, &[images, groups, taps * inside, slice].into())
}

/// weight [G·O, C, *K] as rows in the order of stacked slices: [1, O, taps·C], or [1, G, O, taps·C].
fn weight_rows(g: &mut Graph, dims: &ConvDims, weight: Value) -> Result<Value, TypeError> {
    let (all, kernel) = (dims.groups * dims.outputs, dims.kernel());
    let flat = g.reshape(weight, &[all, dims.inputs, kernel].into())?;
    let flat = g.transpose(flat, &[0, 2, 1])?;
    let depth = kernel * dims.inputs;
    let shape = if dims.groups == 1 {
        Shape::new(&[1, all, depth])
    } else {
        Shape::new(&[1, dims.groups, dims.outputs, depth])
    };
    g.reshape(flat, &shape)
}

/// weight [G·O, C, *K] of a transposed convolution as rows: [1, C, taps·O], or [1, G, C, taps·O].
fn rows_of_transpose(g: &mut Graph, dims: &ConvDims, weight: Value) -> Result<Value, TypeError> {
    let (groups, kernel) = (dims.groups, dims.kernel());
    let split = g.reshape(weight, &[groups, dims.outputs, dims.inputs, kernel].into())?;
    let rows = g.transpose(split, &[0, 2, 3, 1])?;
    let depth = kernel * dims.outputs;
    let shape = if groups == 1 {
        Shape::new(&[1, dims.inputs, depth])
    } else {
        Shape::new(&[1, groups, dims.inputs, depth])
    };
    g.reshape(rows, &shape)
}

/// The result `shape` of a convolution whose windows hold one element: weight by x, over the channels of a group.
fn product(
    g: &mut Graph,
    shape: &Shape,
    groups: usize,
    weight: Value,
    x: Value,
) -> Result<Value, TypeError> {
    let dims = g.ty(x).shape.dims().to_vec();
    let slice: usize = dims[2..].iter().product();
    let outputs = shape.dims()[1] / groups;
    let inside = dims[1] / groups;
    let (weights, columns) = if groups == 1 {
        (
            Shape::new(&[1, outputs, inside]),
            Shape::new(&[dims[0], inside, slice]),
        )
    } else {
        (
            Shape::new(&[1, groups, outputs, inside]),
            Shape::new(&[dims[0], groups, inside, slice]),
        )
    };
    let weight = g.reshape(weight, &weights)?;
    let columns = g.reshape(x, &columns)?;
    let y = g.matmul(weight, columns, false, false)?;
    g.reshape(y, shape)
}

/// One product of the weight and the slices of x.
fn forward(g: &mut Graph, dims: &ConvDims, x: Value, weight: Value) -> Result<Value, TypeError> {
    let taps: Vec<Taps> = dims.axes.iter().map(taps_of_windows).collect();
    let stacked = stack(g, x, &taps)?;
    let columns = rows(g, stacked, dims.groups)?;
    let weight = weight_rows(g, dims, weight)?;
    let y = g.matmul(weight, columns, false, false)?;
    g.reshape(y, &dims.windows())
}

/// A convolution of x [A, G·N, *D] by a weight [G·O, N, *K] larger than the result [A, G·O, *P]: one product of the
/// slices of image n, a row for every element of the result and a, by the weight's channel n; then the sum over n.
fn weight_gradient(
    g: &mut Graph,
    dims: &ConvDims,
    x: Value,
    weight: Value,
) -> Result<Value, TypeError> {
    let (groups, images) = (dims.groups, dims.inputs);
    let (rows_of, outputs) = (dims.batch, dims.outputs);
    let (taps, kernel) = (dims.positions(), dims.kernel());
    let slices: Vec<Taps> = dims
        .axes
        .iter()
        .map(|a| Taps::over(a.input, a.before, a.output, a.stride, a.kernel, a.dilation))
        .collect();
    let spatial = dims.axes.len();
    let exchanged: Vec<i32> = [1, 0].into_iter().chain(ints(2..2 + spatial)).collect();
    let image = g.transpose(x, &exchanged)?;
    let stacked = stack(g, image, &slices)?;
    let columns = rows(g, stacked, 1)?;
    let weight = if groups == 1 {
        let weight = g.transpose(weight, &exchanged)?;
        g.reshape(weight, &[images, outputs, kernel].into())?
    } else {
        let weight = g.reshape(weight, &[groups, outputs, images, kernel].into())?;
        let weight = g.transpose(weight, &[0, 2, 1, 3])?;
        g.reshape(weight, &[groups * images, outputs, kernel].into())?
    };
    let by_image = g.matmul(columns, weight, false, true)?;
    // Sums over images are sums over the axis before the last, which targets take as products with ones.
    let depth = taps * rows_of;
    let sum = if groups == 1 {
        let by_image = g.transpose(by_image, &[1, 0, 2])?;
        g.reduce_sum(by_image, &[-2], false)?
    } else {
        let by_image = g.reshape(by_image, &[groups, images, depth, outputs].into())?;
        let by_image = g.transpose(by_image, &[0, 2, 1, 3])?;
        g.reduce_sum(by_image, &[-2], false)?
    };
    let split = g.reshape(sum, &[groups, taps, rows_of, outputs].into())?;
    let y = g.transpose(split, &[2, 0, 3, 1])?;
    g.reshape(y, &dims.windows())
}

/// The transpose of a convolution, as one of x with zeros between its elements: the slice for element k of a window lies
/// where what the window adds there comes from.
fn image_gradient(
    g: &mut Graph,
    dims: &ConvDims,
    x: Value,
    weight: Value,
) -> Result<Value, TypeError> {
    let mut spread = x;
    for (axis, a) in dims.axes.iter().enumerate() {
        spread = with_zeros_between(g, spread, axis + 2, a.stride)?;
    }
    let taps: Vec<Taps> = dims.axes.iter().map(taps_of_transpose).collect();
    let stacked = stack(g, spread, &taps)?;
    let columns = rows(g, stacked, dims.groups)?;
    let weight = rows_of_transpose(g, dims, weight)?;
    let y = g.matmul(weight, columns, false, false)?;
    g.reshape(y, &dims.image())
}

/// Element q of the image gets weight k from element q + before − k·dilation of what was spread.
fn taps_of_transpose(a: &WindowAxis) -> Taps {
    let spread = a.output * a.stride;
    let reach = (a.kernel - 1) * a.dilation;
    let left = reach.saturating_sub(a.before);
    let first = (a.before + left) - reach;
    let needed = first + reach + a.input;
    Taps {
        pad: (left, needed.saturating_sub(spread + left)),
        count: a.kernel,
        between: a.dilation,
        reversed: true,
        first,
        len: a.input,
        stride: 1,
    }
}

/// `stride` − 1 zeros after every element along `axis`.
fn with_zeros_between(
    g: &mut Graph,
    x: Value,
    axis: usize,
    stride: usize,
) -> Result<Value, TypeError> {
    if stride == 1 {
        return Ok(x);
    }
    let dims = g.ty(x).shape.dims().to_vec();
    let place = i32::try_from(axis + 1).expect("a rank fits an i32");
    let x = g.expand_dims(x, &[place])?;
    let pad: Vec<usize> = (0..=dims.len())
        .flat_map(|i| [0, if i == axis + 1 { stride - 1 } else { 0 }])
        .collect();
    let x = g.pad(x, &ints(pad), 0.0)?;
    let shape: Shape = dims
        .iter()
        .enumerate()
        .map(|(i, &d)| if i == axis { d * stride } else { d })
        .collect();
    g.reshape(x, &shape)
}

/// A depthwise convolution: every slice times its weights, added up.
fn shift(g: &mut Graph, dims: &ConvDims, x: Value, weight: Value) -> Result<Value, TypeError> {
    let taps: Vec<Taps> = dims.axes.iter().map(taps_of_windows).collect();
    let x = padded(g, x, &taps)?;
    let flat = g.reshape(weight, &[dims.groups, dims.kernel()].into())?;
    let by_tap = g.transpose(flat, &[1, 0])?;
    let mut sum: Option<Value> = None;
    for k in 0..dims.kernel() {
        let slice = cut(g, x, &taps, k)?;
        let scale = g.slice_by_size(by_tap, &ints([k, 0]), &ints([1, dims.groups]))?;
        let scale = g.reshape(scale, &[dims.groups].into())?;
        let term = g.mul(slice, scale)?;
        sum = Some(match sum {
            Some(sum) => g.add(sum, term)?,
            None => term,
        });
    }
    let sum = sum.expect("windows hold an element");
    let back = [0, 1 + taps.len()].into_iter().chain(1..1 + taps.len());
    g.transpose(sum, &ints(back))
}

/// The slices of x for every element of a window.
fn taps_of_windows(a: &WindowAxis) -> Taps {
    Taps::over(a.input, a.before, a.kernel, a.dilation, a.output, a.stride)
}

#[cfg(test)]
mod tests;
