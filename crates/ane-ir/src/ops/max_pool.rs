//! `max_pool`: largest element of every window over one to three spatial axes.
//!
//! ```text
//! # Definition   max x over the window, without the padding; NaN if an element is
//! # Operands     x: [N, C, *D] fp16 | fp32          # Result    [N, C, *D'], D' as of conv, or rounded up with ceil_mode
//! # Attributes   kernel_sizes; strides (1); pad_type: valid | custom | same | same_lower; pad: before and after for every
//! #              spatial axis, read where pad_type is custom; ceil_mode (false): a last window counts that is not filled
//! #              but starts in the image
//! # Gradient     ct to the first largest element of the window in row-major order, as PyTorch
//! # Sources      coremltools iOS15 pool; PyTorch max_pool2d
//! ```

use super::{
    Fill, OpDef, Operand, Operands, ResultTypes, Sample, TypeError, attributes,
    conv::ConvDims,
    support::{
        self,
        pool::{self, PoolDims},
        reduce, view,
        window::{self, PadType, WindowAttributes},
    },
};
use crate::{
    autodiff::{Cotangent, VjpCx},
    graph::{Graph, Value},
    numerics::Numerics,
    tensor::{Literal, Real, Tensor},
    types::{DType, Shape, TensorType},
};

attributes! {
    /// Largest element of every window over one to three spatial axes.
    MaxPool {
        /// Elements that a window covers on every spatial axis.
        kernel_sizes: Vec<i32>,
        /// Elements from one window to the next, for every spatial axis; 1 when left out.
        strides: Option<Vec<i32>>,
        /// How the image is padded.
        pad_type: PadType,
        /// Padding before and after every spatial axis, read where `pad_type` is custom.
        pad: Option<Vec<i32>>,
        /// Whether a last window counts that is not filled.
        ceil_mode: bool = false,
    }
}

impl Default for MaxPool {
    /// Windows of one element with stride 1, without padding.
    fn default() -> Self {
        Self {
            kernel_sizes: Vec::new(),
            strides: None,
            pad_type: PadType::Valid,
            pad: None,
            ceil_mode: false,
        }
    }
}

impl OpDef for MaxPool {
    const NAME: &'static str = "max_pool";
    const OPERANDS: &'static [Operand] = &[Operand::required("x")];

    fn infer(&self, xs: &Operands<'_, &TensorType>) -> Result<ResultTypes, TypeError> {
        pool::ty(xs[0], &self.dims(xs[0])?)
    }

    fn eval<T: Real>(&self, xs: &Operands<'_, &Tensor<T>>, _: &Numerics) -> Vec<Tensor<T>> {
        let dims = self
            .dims(&xs[0].ty)
            .expect("the node was typed when it was made");
        pool::windows(xs[0], &dims, |_, window| reduce::max(window))
    }

    fn vjp(&self, cx: &mut VjpCx<'_>, cts: &[Option<Value>]) -> Result<Vec<Cotangent>, TypeError> {
        let Some(ct) = cts[0] else {
            return Ok(vec![Cotangent::Zero]);
        };
        Ok(vec![self.gradient(cx.g, cx.xs[0], cx.ys[0], ct)?.into()])
    }

    fn samples() -> Vec<Sample<Self>> {
        let d = Fill::Distinct;
        let custom = |strides: &[i32], pad: &[i32]| Self {
            strides: Some(strides.to_vec()),
            pad_type: PadType::Custom,
            pad: Some(pad.to_vec()),
            ..Self::default()
        };
        let with = |kernel_sizes: &[i32], op: Self, x| {
            let kernel_sizes = kernel_sizes.to_vec();
            Sample::new(Self { kernel_sizes, ..op }, [x])
        };
        vec![
            with(&[2], Self::default(), support::f(&[1, 2, 5], d)),
            with(
                &[2, 2],
                custom(&[2, 2], &[0; 4]),
                support::f(&[2, 1, 4, 4], d),
            ),
            // Side by side, with a row and a column left over.
            with(
                &[2, 3],
                custom(&[2, 3], &[0; 4]),
                support::f(&[1, 2, 3, 5], d),
            ),
            with(
                &[3, 2],
                custom(&[2, 1], &[1, 1, 0, 1]),
                support::f(&[1, 2, 4, 3], d),
            ),
            with(
                &[2, 2],
                Self {
                    strides: Some(vec![2, 2]),
                    ceil_mode: true,
                    ..Self::default()
                },
                support::f(&[1, 1, 5, 3], d),
            ),
            with(
                &[3, 3],
                Self {
                    strides: Some(vec![2, 2]),
                    pad_type: PadType::Same,
                    ..Self::default()
                },
                support::f(&[1, 1, 4, 5], d),
            ),
            with(
                &[1, 2, 2],
                custom(&[1, 1, 2], &[0; 6]),
                support::f(&[1, 1, 2, 3, 4], d),
            ),
            with(
                &[2, 2],
                custom(&[2, 2], &[0; 4]),
                support::h(&[3, 5, 12, 12], d),
            ),
            with(
                &[3, 3],
                Self {
                    pad_type: PadType::SameLower,
                    strides: Some(vec![2, 1]),
                    ..Self::default()
                },
                support::h(&[2, 3, 7, 34], d),
            ),
        ]
    }
}

impl Graph {
    /// Largest element of every window of `x`, [N, C, *D].
    ///
    /// # Errors
    /// When `x` is no floating-point image, the attributes do not fit it, or a window lies in the padding as a whole.
    pub fn max_pool(&mut self, x: Value, op: MaxPool) -> Result<Value, TypeError> {
        self.push(op, &[x])
    }
}

impl MaxPool {
    /// Sizes of the pool over `x`.
    ///
    /// # Errors
    /// When the attributes do not fit `x`.
    pub fn dims(&self, x: &TensorType) -> Result<PoolDims, TypeError> {
        let attributes = WindowAttributes {
            op: Self::NAME,
            strides: &self.strides,
            dilations: &None,
            pad_type: self.pad_type,
            pad: &self.pad,
            ceil_mode: self.ceil_mode,
        };
        PoolDims::new(&attributes, &self.kernel_sizes, x)
    }

    /// The cotangent of `x` from that of `y`, the pool of `x`.
    ///
    /// The elements of every window that equal its largest get a score, the higher the earlier they are; the one with
    /// the highest gets the cotangent. Where the windows lie side by side, they are axes of a view of `x`, and nothing
    /// moves. Otherwise a convolution by the unit kernels makes the elements of every window channels, and its transpose
    /// adds up what an element gets from each of its windows.
    ///
    /// # Errors
    /// When `y` or `ct` is not of the type of the pool of `x`.
    pub fn gradient(
        &self,
        g: &mut Graph,
        x: Value,
        y: Value,
        ct: Value,
    ) -> Result<Value, TypeError> {
        let dims = self.dims(g.ty(x))?;
        let given = picked(g, &dims, x, y, ct)?;
        let (image, covered) = (dims.image(), covered(&dims));
        if !tiles(&dims) || covered == image {
            return view(g, given, &image);
        }
        let inside = view(g, given, &covered)?;
        let rest = image.dims().iter().zip(covered.dims());
        let pad: Vec<i32> = window::ints(rest.flat_map(|(d, c)| [0, d - c]));
        g.pad(inside, &pad, 0.0)
    }

    /// What [`MaxPool::gradient`] of a pool over a tensor of type `x` computes, before it is given the shape of the
    /// image: a graph with the inputs `x`, `y` and `ct`, to be found again by [`crate::pattern::operands`].
    ///
    /// # Errors
    /// When the attributes do not fit `x`.
    pub fn gradient_pattern(&self, x: &TensorType) -> Result<Graph, TypeError> {
        let dims = self.dims(x)?;
        let y = TensorType::new(x.dtype, dims.windows());
        let mut g = Graph::new();
        let mut input = |name, ty: &TensorType| g.input(name, ty.clone()).expect("names differ");
        let (x, y, ct) = (input("x", x), input("y", &y), input("ct", &y));
        let picked = picked(&mut g, &dims, x, y, ct)?;
        g.output("picked", picked)
            .expect("a node, under its first name");
        Ok(g)
    }
}

/// Whether the windows lie side by side from the first element on; three axes of them have too many axes as a view.
fn tiles(dims: &PoolDims) -> bool {
    dims.axes.len() <= 2 && dims.axes.iter().all(window::WindowAxis::tiles)
}

/// The part of the image that windows side by side cover.
fn covered(dims: &PoolDims) -> Shape {
    let lengths = dims.axes.iter().map(|a| a.output * a.kernel);
    window::image(dims.batch, dims.channels, lengths)
}

/// What every element is given, in a view of the covered part of the image.
fn picked(
    g: &mut Graph,
    dims: &PoolDims,
    x: Value,
    y: Value,
    ct: Value,
) -> Result<Value, TypeError> {
    if tiles(dims) {
        picked_from_tiles(g, dims, x, y, ct)
    } else {
        picked_from_windows(g, &dims.planes(), x, y, ct)
    }
}

/// [`picked`] of windows that lie side by side, as [N·C·D', K, …]: their own axes lie between those that count them.
fn picked_from_tiles(
    g: &mut Graph,
    dims: &PoolDims,
    x: Value,
    y: Value,
    ct: Value,
) -> Result<Value, TypeError> {
    let covered = covered(dims);
    let mut inside = x;
    if covered != dims.image() {
        let begin = vec![0; covered.rank()];
        inside = g.slice_by_size(x, &begin, &window::ints(covered.dims().iter().copied()))?;
    }
    let planes = dims.batch * dims.channels;
    let split = |element: bool| -> Shape {
        let axes = dims.axes.iter().enumerate().flat_map(|(i, a)| {
            let outer = if i == 0 { planes } else { 1 };
            [outer * a.output, if element { a.kernel } else { 1 }]
        });
        axes.collect()
    };
    let elements = g.reshape(inside, &split(true))?;
    let largest = g.reshape(y, &split(false))?;
    let ct = g.reshape(ct, &split(false))?;
    let score: Shape = dims.axes.iter().flat_map(|a| [1, a.kernel]).collect();
    let within: Vec<i32> = window::ints((0..dims.axes.len()).map(|i| 2 * i + 1));
    let scores: Vec<f64> = (1..=dims.kernel()).rev().map(|s| s as f64).collect();
    let score = Literal::from_f64(TensorType::new(score_dtype(g, x, dims), score), &scores);
    first_largest(g, elements, largest, ct, score, &within)
}

/// [`picked`] of windows that overlap, leave gaps or reach into the padding, as [N·C, 1, *D]; `dims` of single planes.
fn picked_from_windows(
    g: &mut Graph,
    dims: &PoolDims,
    x: Value,
    y: Value,
    ct: Value,
) -> Result<Value, TypeError> {
    let dtype = g.ty(x).dtype;
    let kernel = dims.kernel();
    let lengths = dims.axes.iter().map(|a| a.kernel);
    let unit: Shape = [kernel, 1].into_iter().chain(lengths).collect();
    let diagonal: Vec<f64> = (0..kernel * kernel)
        .map(|i| f64::from(u8::from(i % kernel == i / kernel)))
        .collect();
    let unit = g.constant(Literal::from_f64(TensorType::new(dtype, unit), &diagonal))?;
    let windows = ConvDims {
        batch: dims.batch,
        groups: 1,
        inputs: 1,
        outputs: kernel,
        axes: dims.axes.clone(),
    };
    let planes = view(g, x, &dims.image())?;
    let elements = windows.convolved(g, planes, unit)?;
    let largest = view(g, y, &dims.windows())?;
    let ct = view(g, ct, &dims.windows())?;
    // Padding has no score: it is never picked, whatever the convolution reads there.
    let taps = window::taps(&dims.axes);
    let padded = taps.iter().any(|window| window.len() < kernel);
    let positions = if padded { taps.len() } else { 1 };
    let mut scores = vec![0.0; kernel * positions];
    for (p, window) in taps.iter().take(positions).enumerate() {
        for &(_, place) in window {
            scores[place * positions + p] = (kernel - place) as f64;
        }
    }
    let lengths = dims.axes.iter().map(|a| if padded { a.output } else { 1 });
    let score = window::image(1, kernel, lengths);
    let score = Literal::from_f64(TensorType::new(score_dtype(g, x, dims), score), &scores);
    let picked = first_largest(g, elements, largest, ct, score, &[1])?;
    windows.transposed(g, picked, unit)
}

/// `ct` where an element is the first that equals the largest of its window, 0 elsewhere: the one with the highest score
/// along the axes `within` that are a window's own.
fn first_largest(
    g: &mut Graph,
    elements: Value,
    largest: Value,
    ct: Value,
    score: Literal,
    within: &[i32],
) -> Result<Value, TypeError> {
    let none = g.scalar(score.ty().dtype, 0.0)?;
    let score = g.constant(score)?;
    let equal = g.equal(elements, largest)?;
    let scored = g.select(equal, score, none)?;
    let best = g.reduce_max(scored, within, true)?;
    let first = g.equal(scored, best)?;
    let zero = g.scalar(g.ty(ct).dtype, 0.0)?;
    g.select(first, ct, zero)
}

/// A dtype that holds a different number for every element of a window.
fn score_dtype(g: &Graph, x: Value, dims: &PoolDims) -> DType {
    match g.ty(x).dtype {
        // Whole numbers are exact to 2048.
        DType::Fp16 if dims.kernel() > 2048 => DType::Fp32,
        dtype => dtype,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{autodiff::vjp, ops::Op, passes, pattern, target::Target, testing};

    /// After differentiation and cleaning up, the gradient of a pool is still its pattern, once in the graph.
    #[test]
    fn a_gradient_is_found_again_in_a_graph_that_was_cleaned_up() {
        for sample in MaxPool::samples() {
            let mut g = testing::graph_of(&sample);
            let (x, y) = (g.inputs()[0], g.outputs()[0]);
            let flat = [g.ty(y).shape.numel()];
            let seed = g.input("ct", TensorType::new(g.ty(y).dtype, flat)).unwrap();
            // A reshape before the pattern, as behind a layer that flattens.
            let shape = g.ty(y).shape.clone();
            let ct = g.reshape(seed, &shape).unwrap();
            let dx = vjp(&mut g, &[y], &[ct], &[x]).unwrap()[0].unwrap();
            g.output("dx", dx).unwrap();
            let g = passes::run(&g, &Target::SOFTWARE, passes::LEGALIZE).unwrap();
            let x = g.input_named("x0").unwrap();
            let pattern = sample.op.gradient_pattern(g.ty(x)).unwrap();
            // Where an image is one plane, the pattern begins behind the reshape.
            let unshaped = |v: Value| match g.node_of(v) {
                Some(node) if matches!(node.op, Op::Reshape(_)) => node.operands[0],
                _ => v,
            };
            let found: Vec<Vec<Value>> = g
                .values()
                .filter_map(|v| pattern::operands(&g, v, &pattern))
                .map(|found| found.into_iter().map(unshaped).collect())
                .collect();
            let expected = [
                x,
                g.output_named("y0").unwrap(),
                g.input_named("ct").unwrap(),
            ];
            assert_eq!(found, [expected.to_vec()], "{g}");
        }
    }
}
