//! What each op is in ONNX, opset 17. The match is total: an op that is new does not compile until it says what it is.
//!
//! Definitions of the other side: <https://onnx.ai/onnx/operators/>, of opset 17 or the newest below it.

mod arithmetic;
mod indexing;
mod movement;
mod normalization;
mod reduction;
mod window;

use super::builder::{Builder, Setting, Settings};
use ane_ir::{DType, Graph, Node, Operands, TensorType, ops::Op};

/// A node that is being lowered.
pub(super) struct Call<'a> {
    pub(super) to: &'a mut Builder,
    pub(super) graph: &'a Graph,
    pub(super) node: &'a Node,
    /// The same node for one example more, where a file is for any number of them.
    pub(super) twin: Option<&'a Node>,
    /// Names of the operands that are present.
    pub(super) operands: &'a [&'a str],
    /// Names that the results have to get.
    pub(super) results: &'a [String],
}

/// Why an op has no counterpart.
pub(super) type Unsupported = &'static str;
type Done = Result<(), Unsupported>;

impl<'a> Call<'a> {
    fn xs(&self) -> Operands<'a, &'a str> {
        self.node.view(self.operands)
    }

    /// The operand of that position among those that are present.
    fn x(&self, i: usize) -> &'a str {
        self.operands[i]
    }

    fn ty(&self, i: usize) -> &'a TensorType {
        self.graph.ty(self.node.operands[i])
    }

    fn rank(&self, i: usize) -> usize {
        self.ty(i).shape.rank()
    }

    fn dtype(&self) -> DType {
        self.ty(0).dtype
    }

    fn result_ty(&self) -> &'a TensorType {
        self.graph.ty(self.node.results[0])
    }

    /// An axis of the first operand, counted from the front.
    fn axis(&self, axis: i32) -> i64 {
        from_front(axis, self.rank(0))
    }

    /// A node in between; the name of its result.
    fn node(&mut self, op: &str, inputs: &[&str], settings: Settings) -> String {
        self.to.node(op, inputs, settings)
    }

    /// The node that makes the result.
    fn last(&mut self, op: &str, inputs: &[&str], settings: Settings) -> Done {
        self.to.node_to(op, inputs, settings, self.results);
        Ok(())
    }

    /// The same elements as a result.
    fn same(&mut self, op: &str) -> Done {
        self.last(op, self.operands, Vec::new())
    }
}

/// An axis counted from the front, of a tensor with so many.
fn from_front(axis: i32, rank: usize) -> i64 {
    let axis = i64::from(axis);
    if axis < 0 { axis + rank as i64 } else { axis }
}

fn longs(values: &[i32]) -> Vec<i64> {
    values.iter().map(|&x| i64::from(x)).collect()
}

fn axis_setting(axis: i64) -> Settings {
    vec![("axis", Setting::Int(axis))]
}

/// Writes the nodes that a node becomes.
pub(super) fn lower(mut call: Call<'_>) -> Done {
    let c = &mut call;
    match &c.node.op {
        Op::Abs(_) => c.same("Abs"),
        Op::Add(_) => c.same("Add"),
        Op::AvgPool(op) => window::avg_pool(c, op),
        Op::BandPart(op) => movement::band_part(c, op),
        Op::BatchNorm(op) => normalization::batch_norm(c, op),
        Op::Cast(op) => movement::cast(c, op),
        Op::Ceil(_) => c.same("Ceil"),
        Op::Clip(op) => arithmetic::clip(c, op),
        Op::Concat(op) => movement::concat(c, op),
        Op::Const(op) => movement::constant(c, op),
        Op::Conv(op) => window::conv(c, op),
        Op::ConvTranspose(op) => window::conv_transpose(c, op),
        Op::Cos(_) => c.same("Cos"),
        Op::Cumsum(op) => reduction::cumsum(c, op),
        Op::Elu(op) => c.last("Elu", c.operands, vec![("alpha", Setting::Float(op.alpha))]),
        Op::Equal(_) => c.same("Equal"),
        Op::Erf(_) => c.same("Erf"),
        Op::Exp(_) => c.same("Exp"),
        Op::ExpandDims(op) => movement::expand_dims(c, op),
        Op::Fill(op) => movement::fill(c, op),
        Op::Floor(_) => c.same("Floor"),
        Op::Gather(op) => indexing::gather(c, op),
        Op::GatherAlongAxis(op) => indexing::gather_along_axis(c, op),
        Op::Gelu(op) => arithmetic::gelu(c, op),
        Op::Greater(_) => c.same("Greater"),
        Op::GreaterEqual(_) => c.same("GreaterOrEqual"),
        Op::Identity(_) => c.same("Identity"),
        Op::InstanceNorm(op) => normalization::instance_norm(c, op),
        Op::Inverse(op) => arithmetic::shifted(c, op.epsilon.unwrap_or(1e-4), &["Reciprocal"]),
        Op::LayerNorm(op) => normalization::layer_norm(c, op),
        Op::LeakyRelu(op) => {
            let alpha = vec![("alpha", Setting::Float(op.alpha))];
            c.last("LeakyRelu", c.operands, alpha)
        }
        Op::Less(_) => c.same("Less"),
        Op::LessEqual(_) => c.same("LessOrEqual"),
        Op::Linear(_) => arithmetic::linear(c),
        Op::Log(op) => arithmetic::shifted(c, op.epsilon.unwrap_or(1e-45), &["Log"]),
        Op::LogicalAnd(_) => c.same("And"),
        Op::LogicalNot(_) => c.same("Not"),
        Op::LogicalOr(_) => c.same("Or"),
        Op::LogicalXor(_) => c.same("Xor"),
        Op::Matmul(op) => arithmetic::matmul(c, op),
        Op::MaxPool(op) => window::max_pool(c, op),
        Op::Maximum(_) => c.same("Max"),
        Op::Minimum(_) => c.same("Min"),
        Op::Mul(_) => c.same("Mul"),
        Op::NotEqual(_) => {
            let equal = c.node("Equal", c.operands, Vec::new());
            c.last("Not", &[&equal], Vec::new())
        }
        Op::OneHot(op) => indexing::one_hot(c, op),
        Op::Pad(op) => movement::pad(c, op),
        Op::Pow(_) => c.same("Pow"),
        Op::RealDiv(_) => c.same("Div"),
        Op::ReduceArgmax(op) => reduction::argmax(c, op),
        Op::ReduceL2Norm(op) => reduction::by_setting(c, "ReduceL2", &op.axes, op.keep_dims),
        Op::ReduceLogSumExp(op) => {
            reduction::by_setting(c, "ReduceLogSumExp", &op.axes, op.keep_dims)
        }
        Op::ReduceMax(op) => reduction::by_setting(c, "ReduceMax", &op.axes, op.keep_dims),
        Op::ReduceMean(op) => reduction::by_setting(c, "ReduceMean", &op.axes, op.keep_dims),
        Op::ReduceMin(op) => reduction::by_setting(c, "ReduceMin", &op.axes, op.keep_dims),
        Op::ReduceSum(op) => reduction::sum(c, &op.axes, op.keep_dims),
        Op::ReduceSumSquare(op) => {
            reduction::by_setting(c, "ReduceSumSquare", &op.axes, op.keep_dims)
        }
        Op::Relu(_) => c.same("Relu"),
        Op::Reshape(op) => movement::reshape(c, op),
        Op::Round(_) => c.same("Round"),
        Op::Rsqrt(op) => {
            arithmetic::shifted(c, op.epsilon.unwrap_or(1e-12), &["Sqrt", "Reciprocal"])
        }
        Op::Scatter(op) => indexing::scatter(c, op),
        Op::Select(_) => c.same("Where"),
        Op::Sigmoid(_) => c.same("Sigmoid"),
        Op::SigmoidHard(op) => {
            let settings = vec![
                ("alpha", Setting::Float(op.alpha)),
                ("beta", Setting::Float(op.beta)),
            ];
            c.last("HardSigmoid", c.operands, settings)
        }
        Op::Sign(_) => c.same("Sign"),
        Op::Silu(_) => {
            let gate = c.node("Sigmoid", c.operands, Vec::new());
            c.last("Mul", &[c.x(0), &gate], Vec::new())
        }
        Op::Sin(_) => c.same("Sin"),
        Op::SliceByIndex(op) => movement::slice_by_index(c, op),
        Op::SliceBySize(op) => movement::slice_by_size(c, op),
        Op::Softmax(op) => c.last("Softmax", c.operands, axis_setting(c.axis(op.axis))),
        Op::Softplus(_) => c.same("Softplus"),
        Op::Softsign(_) => c.same("Softsign"),
        Op::Split(op) => movement::split(c, op),
        Op::Sqrt(_) => c.same("Sqrt"),
        Op::Square(_) => c.last("Mul", &[c.x(0), c.x(0)], Vec::new()),
        Op::Squeeze(op) => movement::squeeze(c, op),
        Op::Sub(_) => c.same("Sub"),
        Op::Tanh(_) => c.same("Tanh"),
        Op::Tile(op) => movement::tile(c, op),
        Op::Transpose(op) => movement::transpose(c, op),
        Op::UpsampleBilinear(op) => window::upsample_bilinear(c, op),
        Op::UpsampleNearestNeighbor(op) => window::upsample_nearest_neighbor(c, op),
    }
}
