//! What every op is to the engine: one match, total over the op set.
//!
//! A node is lowered once, with all that depends on its op, types and numerics; grouping and building see the result
//! and never the op. A new elementwise op is a line of [`of_op`] if [`Ew`] can express it. An op without a kernel is a
//! [`Kernel::Definition`], which is right at once and fast later.

mod channel_sums;
mod convolution;
mod indexing;
mod normalization;

pub(super) use channel_sums::ChannelSums;
pub(super) use convolution::{Convolution, Operand, axes_of_images};
pub(super) use indexing::{Argmax, Gather, OneHot, Scatter};
pub(super) use normalization::{Affine, ByChannel, Normalize};

use super::{
    Options, Reduction,
    function::Ew,
    pattern,
    pool::Pooling,
    strided::{self, Demand},
    walk::Walk,
};
use ane_ir::{
    Accumulate, DType, Graph, Literal, Node, NonFinite, Shape, TensorType, Value,
    ops::{
        Op, gelu,
        matmul::MatmulDims,
        support::{pool::PoolDims, window::WindowAxis},
    },
};

/// What a node is to the planner.
#[derive(Debug)]
pub(super) enum Lowering {
    /// The same elements under another shape: no work.
    View,
    /// Data that is in memory from the start.
    Constant,
    /// What nobody wants: no work.
    Unused,
    /// Part of a pass over tiles: a step for every result.
    Steps(Vec<Step>),
    /// A unit of its own.
    Alone(Kernel),
}

/// One value of a pass over tiles.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Every element from the elements at its place.
    Elementwise {
        /// The function.
        function: Ew,
        /// Whether its results may leave the grid of their dtype.
        inexact: bool,
    },
    /// The same element everywhere.
    Splat(f32),
    /// Elements normalised by statistics that are given.
    ByChannel(Box<ByChannel>),
    /// A strided read, infinite beyond a magnitude; starts a chain.
    Movement {
        /// Where the elements are in the operand.
        walk: Walk,
        /// The magnitude.
        cliff: Option<f32>,
    },
    /// A kernel that makes blocks of elements, on which the pass runs while they are hot.
    Head(Head),
    /// Largest of all elements; ends a chain.
    Largest,
    /// Sums by channel; end a chain.
    ChannelSums(ChannelSums),
}

impl Lowering {
    /// What the lowered `node` reads.
    pub(super) fn reads<'a>(&'a self, node: &'a Node) -> &'a [Value] {
        match self {
            Self::Unused => &[],
            Self::Steps(steps) => match &steps[..] {
                [Step::Head(Head::MaxPoolGradient(gradient))] => &gradient.operands,
                _ => &node.operands,
            },
            // Data that is the same everywhere is not read.
            Self::Alone(Kernel::Scatter(scatter)) if scatter.splat.is_some() => &node.operands[1..],
            Self::View | Self::Constant | Self::Alone(_) => &node.operands,
        }
    }
}

impl Step {
    pub(super) fn is_head(&self) -> bool {
        matches!(self, Self::Head(_))
    }

    /// Whether it is known only when the whole pass is over.
    pub(super) fn ends_pass(&self) -> bool {
        matches!(self, Self::Largest | Self::ChannelSums(_))
    }

    /// Whether it reads its operands element by element.
    pub(super) fn reads_elements(&self) -> bool {
        match self {
            Self::Elementwise { .. }
            | Self::Splat(_)
            | Self::ByChannel(_)
            | Self::Largest
            | Self::ChannelSums(_) => true,
            Self::Movement { .. } | Self::Head(_) => false,
        }
    }
}

/// A kernel whose blocks a pass runs on.
#[derive(Debug, Clone)]
pub(super) enum Head {
    /// A batch of matrix products.
    Matmul(Box<Product>),
    /// A convolution or the transpose of one.
    Convolution(Box<Convolution>),
    /// A pool.
    Pool(Box<Pool>),
    /// The gradient of a pool of largest elements.
    MaxPoolGradient(Box<MaxPoolGradient>),
    /// Elements normalised by their own statistics.
    Normalize(Box<Normalize>),
}

/// A batch of matrix products.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) operands: [Value; 2],
    /// Leading axes of both: how many matrices each has.
    pub(super) leading: [Shape; 2],
    /// What is added to every row of the result.
    pub(super) bias: Option<Value>,
    pub(super) transpose_x: bool,
    pub(super) transpose_y: bool,
    pub(super) dims: MatmulDims,
}

/// A pool of planes over two spatial axes.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) x: Value,
    pub(super) kind: Pooling,
    pub(super) planes: usize,
    /// Rows and columns.
    pub(super) axes: [WindowAxis; 2],
}

/// The gradient of a pool of largest elements over two spatial axes.
#[derive(Debug, Clone)]
pub(super) struct MaxPoolGradient {
    /// What was pooled, and the cotangent of the pool.
    pub(super) operands: [Value; 2],
    pub(super) planes: usize,
    /// Rows and columns.
    pub(super) axes: [WindowAxis; 2],
}

/// What runs by itself.
#[derive(Debug)]
pub(super) enum Kernel {
    /// Elements along axes made one.
    Reduction { kind: Reduction, axes: Vec<usize> },
    /// Elements along an axis divided by their sum, as exponentials.
    Softmax { axis: usize },
    /// Blocks joined along an axis.
    Concat { axis: usize },
    /// A constant around every axis.
    Pad {
        around: Vec<(usize, usize)>,
        value: f32,
    },
    /// Slices by index.
    Gather(Gather),
    /// Slices put or added into a tensor by index.
    Scatter(Scatter),
    /// Indices as vectors that are on at one place.
    OneHot(OneHot),
    /// Indices of largest elements along an axis.
    Argmax(Argmax),
    /// The op's own definition, in one task.
    Definition(Op),
}

/// The lowering of every node.
pub(super) fn lower(graph: &Graph, options: &Options) -> Vec<Lowering> {
    let nodes = graph.nodes();
    let patterns = pattern::find(graph, options.numerics.matmul_limit.is_some());
    let reads = |node: usize| match (patterns.get(&node), &nodes[node].op) {
        (Some(found), _) => found.operands(),
        (None, Op::Scatter(_)) if Scatter::splat(graph, &nodes[node]).is_some() => {
            &nodes[node].operands[1..]
        }
        (None, _) => &nodes[node].operands[..],
    };
    // A convolution whose operands do not lie by strides wants them in order.
    let mut in_place: Vec<bool> = nodes
        .iter()
        .map(|n| Convolution::dims(graph, n).is_some())
        .collect();
    let demand = loop {
        let demand = strided::demand(graph, reads, |node| in_place[node]);
        let refused = |&node: &usize| {
            in_place[node] && Convolution::of(graph, &nodes[node], &demand).is_none()
        };
        let refused: Vec<usize> = (0..nodes.len()).filter(refused).collect();
        if refused.is_empty() {
            break demand;
        }
        for node in refused {
            in_place[node] = false;
        }
    };
    let of = |(i, node): (usize, &Node)| match patterns.get(&i) {
        _ if is_unused(node, &demand) => Lowering::Unused,
        Some(found) => pattern::lowering(found),
        None => of_op(graph, node, options, &demand),
    };
    nodes.iter().enumerate().map(of).collect()
}

fn is_unused(node: &Node, demand: &[Demand]) -> bool {
    let unused = |r: &Value| demand[r.index()] == Demand::None;
    !matches!(node.op, Op::Const(_)) && node.results.iter().all(unused)
}

const TYPED: &str = "the node was typed when it was made";

fn of_op(graph: &Graph, node: &Node, options: &Options, demand: &[Demand]) -> Lowering {
    let numerics = &options.numerics;
    let silicon = numerics.non_finite == NonFinite::Silicon;
    let operand = |i: usize| graph.ty(node.operands[i]);
    let result = |i: usize| graph.ty(node.results[i]);
    let inexact = |function| elementwise(function, true);
    let exact = |function| elementwise(function, false);
    let reduction = |kind, axes: &[i32]| {
        let shape = &operand(0).shape;
        let axes: Vec<usize> = axes.iter().filter_map(|&a| shape.axis(a)).collect();
        let by_channel = match kind {
            // A running sum in fp16 rounds at every step.
            _ if numerics.accumulate == Accumulate::Stepwise => None,
            Reduction::Sum => ChannelSums::over(shape, &axes, false),
            Reduction::Mean => ChannelSums::over(shape, &axes, true),
            Reduction::Max
            | Reduction::Min
            | Reduction::LogSumExp
            | Reduction::SumSquare
            | Reduction::L2Norm
            | Reduction::RootOfSum => None,
        };
        match by_channel {
            Some(sums) => Lowering::Steps(vec![Step::ChannelSums(sums)]),
            None => Lowering::Alone(Kernel::Reduction { kind, axes }),
        }
    };
    // Passes compute in f32, which holds whole numbers up to 2²⁴ only.
    let wide_integers = node
        .operands
        .iter()
        .chain(&node.results)
        .any(|&v| graph.ty(v).dtype == DType::Int32);
    let definition = || Lowering::Alone(Kernel::Definition(node.op.clone()));
    match &node.op {
        Op::Const(_) => Lowering::Constant,
        Op::Reshape(_) | Op::ExpandDims(_) | Op::Squeeze(_) | Op::Identity(_) => Lowering::View,
        Op::Gather(op) => Lowering::Alone(Kernel::Gather(Gather::of(graph, node, op))),
        Op::OneHot(op) => Lowering::Alone(Kernel::OneHot(OneHot::of(graph, node, op, numerics))),
        Op::ReduceArgmax(op) if operand(0).dtype != DType::Int32 => {
            Lowering::Alone(Kernel::Argmax(Argmax::of(graph, node, op)))
        }
        Op::Scatter(op) if operand(0).dtype != DType::Int32 => {
            Lowering::Alone(Kernel::Scatter(Scatter::of(graph, node, op)))
        }
        Op::GatherAlongAxis(_) => definition(),
        _ if wide_integers => definition(),
        Op::ReduceArgmax(_) | Op::Scatter(_) => definition(),
        Op::BandPart(_) | Op::Cumsum(_) | Op::UpsampleBilinear(_) => definition(),

        Op::Transpose(_) if demand[node.results[0].index()] == Demand::InPlace => Lowering::View,
        Op::Transpose(op) => {
            let x = &operand(0).shape;
            let strides = x.strides();
            let perm = op.axes_of(x).expect(TYPED);
            let strides: Vec<usize> = perm.iter().map(|&a| strides[a]).collect();
            movement([Walk::new(0, result(0).shape.dims(), &strides)], None)
        }
        Op::SliceBySize(op) => {
            let x = operand(0);
            let strides = x.shape.strides();
            let (begin, _) = op.block(&x.shape).expect(TYPED);
            let offset = begin.iter().zip(&strides).map(|(b, s)| b * s).sum();
            let inside = begin.last().is_some_and(|&b| b > 0) && x.dtype == DType::Fp16;
            let walk = Walk::new(offset, result(0).shape.dims(), &strides);
            movement([walk], numerics.slice_limit.filter(|_| inside))
        }
        Op::Split(op) => {
            let x = &operand(0).shape;
            let strides = x.strides();
            let (axis, sizes) = op.parts(x).expect(TYPED);
            let mut offset = 0;
            let walks = sizes.iter().enumerate().map(|(i, len)| {
                let walk = Walk::new(offset, result(i).shape.dims(), &strides);
                offset += len * strides[axis];
                walk
            });
            movement(walks, None)
        }

        Op::SliceByIndex(op) => {
            let x = operand(0);
            let axes = op.axes(&x.shape).expect(TYPED);
            let strides: Option<Vec<usize>> = axes
                .iter()
                .zip(x.shape.strides())
                .map(|(axis, stride)| Some(usize::try_from(axis.step).ok()? * stride))
                .collect();
            // Backwards is rare.
            let Some(strides) = strides else {
                return definition();
            };
            let firsts = axes.iter().zip(x.shape.strides());
            let offset = firsts.map(|(axis, stride)| axis.first * stride).sum();
            let lengths: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
            let inside = axes.last().is_some_and(|a| a.first > 0) && x.dtype == DType::Fp16;
            let walk = Walk::new(offset, &lengths, &strides);
            movement([walk], numerics.slice_limit.filter(|_| inside))
        }
        Op::Tile(op) => {
            let x = &operand(0).shape;
            let reps = op.repetitions(x).expect(TYPED);
            let axes = x.dims().iter().zip(x.strides()).zip(reps);
            let (lengths, strides): (Vec<usize>, Vec<usize>) = axes
                .flat_map(|((&length, stride), reps)| [(reps, 0), (length, stride)])
                .unzip();
            movement([Walk::new(0, &lengths, &strides)], None)
        }
        Op::UpsampleNearestNeighbor(op) => {
            let x = &operand(0).shape;
            let [height, width] = op.scales().expect(TYPED);
            let columns = x.last();
            let lengths = [x.numel() / columns, height, columns, width];
            movement([Walk::new(0, &lengths, &[columns, 0, 1, 0])], None)
        }

        Op::Matmul(op) => Lowering::Steps(vec![Step::Head(Head::Matmul(Box::new(Product {
            operands: [node.operands[0], node.operands[1]],
            leading: [operand(0), operand(1)].map(|ty| {
                let dims = ty.shape.dims();
                Shape::new(&dims[..dims.len() - 2])
            }),
            bias: None,
            transpose_x: op.transpose_x,
            transpose_y: op.transpose_y,
            dims: op.dims(operand(0), operand(1)).expect(TYPED),
        })))]),
        Op::Linear(_) => {
            let (x, y) = (&operand(0).shape, &result(0).shape);
            let matrix = || Shape::new(&[]);
            Lowering::Steps(vec![Step::Head(Head::Matmul(Box::new(Product {
                operands: [node.operands[0], node.operands[1]],
                leading: [matrix(), matrix()],
                bias: node.operands.get(2).copied(),
                transpose_x: false,
                transpose_y: true,
                dims: MatmulDims {
                    batch: matrix(),
                    m: x.numel() / x.last(),
                    n: y.last(),
                    k: x.last(),
                },
            })))])
        }

        Op::BatchNorm(op) => {
            let norm = ByChannel::of(graph, node, op, options);
            Lowering::Steps(vec![Step::ByChannel(Box::new(norm))])
        }
        Op::InstanceNorm(op) => Normalize::of(graph, node, &op.over(&operand(0).shape), options)
            .unwrap_or_else(definition),
        Op::LayerNorm(op) => {
            let over = op.over(&operand(0).shape).expect(TYPED);
            Normalize::of(graph, node, &over, options).unwrap_or_else(definition)
        }

        Op::Conv(_) | Op::ConvTranspose(_) => match Convolution::of(graph, node, demand) {
            Some(convolution) => {
                Lowering::Steps(vec![Step::Head(Head::Convolution(Box::new(convolution)))])
            }
            None => Lowering::Alone(Kernel::Definition(node.op.clone())),
        },

        Op::ReduceMax(_) if result(0).shape.numel() == 1 => Lowering::Steps(vec![Step::Largest]),
        Op::ReduceMax(op) => reduction(Reduction::Max, &op.axes),
        Op::ReduceMin(op) => reduction(Reduction::Min, &op.axes),
        Op::ReduceL2Norm(op) => reduction(Reduction::L2Norm, &op.axes),
        Op::ReduceSumSquare(op) => reduction(Reduction::SumSquare, &op.axes),
        Op::ReduceSum(op) => reduction(Reduction::Sum, &op.axes),
        Op::ReduceMean(op) => reduction(Reduction::Mean, &op.axes),
        Op::ReduceLogSumExp(op) => reduction(Reduction::LogSumExp, &op.axes),
        Op::Softmax(op) => Lowering::Alone(Kernel::Softmax {
            axis: operand(0).shape.axis(op.axis).expect(TYPED),
        }),
        Op::Concat(op) => Lowering::Alone(Kernel::Concat {
            axis: result(0).shape.axis(op.axis).expect(TYPED),
        }),
        Op::Pad(op) => {
            let scalar = TensorType::new(operand(0).dtype, []);
            Lowering::Alone(Kernel::Pad {
                around: op.around(&operand(0).shape).expect(TYPED),
                value: Literal::splat(scalar, op.constant_val).to_f64()[0] as f32,
            })
        }

        Op::MaxPool(op) => pool(node, op.dims(operand(0)).expect(TYPED), |_| Pooling::Max),
        // A running sum in fp16 rounds at every step.
        Op::AvgPool(op) if numerics.accumulate == Accumulate::Fp32 => {
            pool(node, op.dims(operand(0)).expect(TYPED), |dims| {
                let mut counts = op.counts(dims);
                if counts.iter().all(|c| *c == counts[0]) {
                    counts.truncate(1);
                }
                Pooling::Mean(counts.into_iter().map(|c| c as f32).collect())
            })
        }
        Op::AvgPool(_) => definition(),

        Op::Fill(op) => {
            let element = op.element().to_f64()[0] as f32;
            Lowering::Steps(vec![Step::Splat(numerics.store(result(0).dtype, element))])
        }

        Op::Abs(_) => exact(Ew::Abs),
        Op::Add(_) => inexact(Ew::Add),
        Op::Cast(op) => match op.dtype.integer_range() {
            None => inexact(Ew::Copy),
            Some(_) if op.dtype == DType::Bool => exact(Ew::NonZero),
            Some((low, high)) => exact(Ew::Truncate(low as f32, high as f32)),
        },
        Op::Ceil(_) => exact(Ew::Ceil),
        Op::Clip(op) => {
            let [low, high] = op.bounds_in(operand(0).dtype, numerics);
            exact(Ew::Clip(low, high))
        }
        Op::Cos(_) => inexact(Ew::Cos),
        Op::Elu(op) => inexact(Ew::Elu(op.alpha_in(operand(0).dtype, numerics))),
        Op::Equal(_) => exact(Ew::Equal),
        Op::Erf(_) => inexact(Ew::Erf),
        Op::Exp(_) => inexact(Ew::Exp),
        Op::Floor(_) => exact(Ew::Floor),
        Op::Gelu(op) => inexact(match op.mode {
            gelu::Mode::Exact => Ew::GeluExact,
            gelu::Mode::TanhApproximation => Ew::GeluTanh,
            gelu::Mode::SigmoidApproximation => Ew::GeluSigmoid,
        }),
        Op::Greater(_) => exact(Ew::Greater),
        Op::GreaterEqual(_) => exact(Ew::GreaterEqual),
        Op::Inverse(op) => inexact(Ew::Inverse(op.epsilon_in(operand(0).dtype, numerics))),
        Op::LeakyRelu(op) => inexact(Ew::LeakyRelu(op.alpha_in(operand(0).dtype, numerics))),
        Op::Less(_) => exact(Ew::Less),
        Op::LessEqual(_) => exact(Ew::LessEqual),
        Op::Log(op) => {
            let epsilon = op.epsilon_in(operand(0).dtype, numerics);
            inexact(if silicon {
                Ew::LogSilicon(epsilon)
            } else {
                Ew::Log(epsilon)
            })
        }
        Op::LogicalAnd(_) => exact(Ew::And),
        Op::LogicalNot(_) => exact(Ew::Not),
        Op::LogicalOr(_) => exact(Ew::Or),
        Op::LogicalXor(_) => exact(Ew::Xor),
        Op::Maximum(_) => exact(Ew::Max),
        Op::Minimum(_) => exact(Ew::Min),
        Op::Mul(_) if silicon => inexact(Ew::MulSilicon),
        Op::Mul(_) => inexact(Ew::Mul),
        Op::NotEqual(_) => exact(Ew::NotEqual),
        Op::Pow(_) => inexact(Ew::Pow),
        Op::RealDiv(_) => inexact(Ew::Div),
        Op::Relu(_) => exact(Ew::Relu),
        Op::Round(_) => exact(Ew::RoundEven),
        Op::Rsqrt(op) => inexact(Ew::Rsqrt(op.epsilon_in(operand(0).dtype, numerics))),
        Op::Select(_) => exact(Ew::Select),
        Op::Sigmoid(_) => inexact(Ew::Sigmoid),
        Op::SigmoidHard(op) => {
            let [alpha, beta] = op.line_in(operand(0).dtype, numerics);
            inexact(Ew::SigmoidHard(alpha, beta))
        }
        Op::Sign(_) => exact(Ew::Sign),
        Op::Silu(_) => inexact(Ew::Silu),
        Op::Sin(_) => inexact(Ew::Sin),
        Op::Softplus(_) => inexact(Ew::Softplus),
        Op::Softsign(_) => inexact(Ew::Softsign),
        Op::Sqrt(_) => inexact(Ew::Sqrt),
        Op::Square(_) => inexact(Ew::Square),
        Op::Sub(_) => inexact(Ew::Sub),
        Op::Tanh(_) => inexact(Ew::Tanh),
    }
}

/// A pool of these sizes.
fn pool(node: &Node, dims: PoolDims, kind: impl FnOnce(&PoolDims) -> Pooling) -> Lowering {
    let Some(axes) = axes_of_images(&dims.axes) else {
        return Lowering::Alone(Kernel::Definition(node.op.clone()));
    };
    Lowering::Steps(vec![Step::Head(Head::Pool(Box::new(Pool {
        x: node.operands[0],
        kind: kind(&dims),
        planes: dims.batch * dims.channels,
        axes,
    })))])
}

fn elementwise(function: Ew, inexact: bool) -> Lowering {
    Lowering::Steps(vec![Step::Elementwise { function, inexact }])
}

fn movement(walks: impl IntoIterator<Item = Walk>, cliff: Option<f32>) -> Lowering {
    let step = |walk| Step::Movement { walk, cliff };
    Lowering::Steps(walks.into_iter().map(step).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, Pool, SharedBuffer};
    use ane_ir::{Numerics, Tensor, eval, ops::OpDef, testing};

    #[test]
    fn ops_by_definition_agree_with_eval_bit_for_bit() {
        macro_rules! check_all {
            ($($module:ident::$op:ident,)*) => { $(check::<ane_ir::ops::$module::$op>();)* };
        }
        ane_ir::for_each_op!(check_all);
    }

    fn check<O: OpDef>() {
        for sample in O::samples() {
            let g = testing::graph_of(&sample);
            let xs: Vec<Tensor<f32>> = testing::operands(&sample);
            let options = Options::new(Numerics::ieee());
            let mut lowered = lower(&g, &options);
            for (node, lowering) in g.nodes().iter().zip(&mut lowered) {
                if !matches!(node.op, Op::Const(_)) {
                    *lowering = Lowering::Alone(Kernel::Definition(node.op.clone()));
                }
            }
            let plan = Plan::lowered(&g, &lowered, options);
            let buffers = |xs: &[Tensor<f32>]| -> Vec<SharedBuffer> {
                let filled = |x: &Tensor<f32>| {
                    let elements: Vec<f64> = x.data.iter().map(|&x| x.into()).collect();
                    let literal = Literal::from_f64(x.ty.clone(), &elements);
                    let buffer = SharedBuffer::new(x.ty.bytes());
                    buffer.write(|bytes| bytes.copy_from_slice(literal.bytes()));
                    buffer
                };
                xs.iter().map(filled).collect()
            };
            let want = eval(&g, &xs, &Numerics::ieee()).unwrap();
            let expected = buffers(&want);
            let blank = |ty: &TensorType| SharedBuffer::new(ty.bytes());
            let outputs: Vec<SharedBuffer> = want.iter().map(|y| blank(&y.ty)).collect();
            let pool = Pool::new(2).unwrap();
            let mut bound = plan.bind(&buffers(&xs), &outputs, 2).unwrap();
            bound.execute(&pool);
            for (want, found) in expected.iter().zip(&outputs) {
                assert_eq!(want.read(<[u8]>::to_vec), found.read(<[u8]>::to_vec), "{g}");
            }
        }
    }
}
