//! ATen ops as ops of ours: the table of lowerings, and what they work with.
//!
//! Real numbers of any width are fp16, integers int32, truth values bool. A scalar tensor is one of shape `[1]`, since
//! no port of an engine has no axes.

mod activation;
mod argument;
mod arithmetic;
mod attention;
mod comparison;
mod convolution;
mod creation;
mod dropout;
mod in_place;
mod indexing;
mod interpolation;
mod loss;
mod matmul;
mod normalization;
mod pooling;
mod reduction;
mod shape;
mod softmax;
mod vjp;

use crate::{
    aten::{self, Arg, Dtype, Node},
    error::ImportError,
};
use ane_ir::{DType, Graph, Shape, TensorType, Value};
pub(crate) use argument::argument;
use in_place::InPlace;
pub(crate) use in_place::{changed, names};
use std::collections::HashMap;

/// What a lowering makes of a node: its results in order. A result that no lowering gives, such as the indices of a pool,
/// is none, and an error only if something reads it.
pub(crate) type Lowered = Result<Vec<Option<Value>>, ImportError>;

/// How an op is lowered.
pub(crate) type Lowering = fn(&mut Cx<'_>, &Node) -> Lowered;

/// Every lowering, by the name of its op.
fn lowering_of(op: &str) -> Option<Lowering> {
    [
        activation::lowering,
        arithmetic::lowering,
        attention::lowering,
        comparison::lowering,
        convolution::lowering,
        creation::lowering,
        dropout::lowering,
        indexing::lowering,
        interpolation::lowering,
        loss::lowering,
        matmul::lowering,
        normalization::lowering,
        pooling::lowering,
        reduction::lowering,
        shape::lowering,
        softmax::lowering,
    ]
    .into_iter()
    .find_map(|family| family(op))
}

/// Where ops are lowered into: a program by itself, or a model that is being built.
pub(crate) trait Frame {
    /// The graph that nodes are added to.
    fn graph(&mut self) -> &mut Graph;
    /// The type of real numbers.
    fn real(&self) -> DType {
        DType::Fp16
    }
    /// The input of this position of the ATen graph, as a value of its own type or of fp32.
    fn input(
        &mut self,
        index: usize,
        tensor: &aten::Tensor,
        wide: bool,
    ) -> Result<Value, ImportError>;
    /// A mask of this shape that the host draws anew for every run, for the module of this path: an element is kept with
    /// the probability `keep`, and 0 otherwise.
    fn keep_mask(
        &mut self,
        shape: &Shape,
        keep: f64,
        module: &str,
    ) -> Result<KeepMask, ImportError>;
    /// Whether dropout does what its arguments say; without, the frame is one for evaluation whose graph was made for
    /// training.
    fn drops(&self) -> bool {
        true
    }
    /// Batch normalisation of x with the running statistics at these inputs, if they outlive the run and follow its
    /// batches; none where they are inputs as others.
    fn batch_norm(&mut self, _norm: &BatchNorm) -> Result<Option<Value>, ImportError> {
        Ok(None)
    }
}

/// A mask that the host draws.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepMask {
    /// The mask.
    pub(crate) value: Value,
    /// What it holds where an element is kept: 1, or 1/keep.
    pub(crate) kept: f64,
}

/// A batch normalisation with running statistics.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    /// What is normalised, [B, C, …].
    pub(crate) x: Value,
    /// Weight and bias [C].
    pub(crate) affine: [Option<Value>; 2],
    /// The inputs that are the running mean and the running variance.
    pub(crate) running: [usize; 2],
    /// Share of a batch in them.
    pub(crate) momentum: f64,
    /// What is added to a variance.
    pub(crate) eps: f64,
    /// Whether statistics are those of the batch.
    pub(crate) trains: bool,
}

/// A tensor of the ATen graph while it is lowered.
#[derive(Debug, Clone)]
enum Item {
    /// An input that nothing has read yet, or that is read anew.
    Input(usize, aten::Tensor),
    /// A value, and what PyTorch says it is.
    Value(Value, aten::Tensor),
    /// What no lowering gives; of this op.
    Missing(String),
}

/// What lowerings work with.
pub(crate) struct Cx<'a> {
    frame: &'a mut dyn Frame,
    items: HashMap<String, Item>,
    in_place: InPlace,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("items", &self.items).finish()
    }
}

/// Our element type for one of PyTorch's.
pub(crate) fn dtype_of(dtype: Dtype) -> Option<DType> {
    match dtype {
        d if d.is_float() => Some(DType::Fp16),
        d if d.is_integer() => Some(DType::Int32),
        Dtype::Bool => Some(DType::Bool),
        _ => None,
    }
}

/// Our shape for one of PyTorch's.
pub(crate) fn shape_of(dims: &[usize]) -> Shape {
    if dims.is_empty() {
        Shape::new(&[1])
    } else {
        Shape::new(dims)
    }
}

/// `x`, or the largest number of the type where `x` is finite and beyond: the least number of fp32, which masks are made
/// of, would be an infinity in fp16.
pub(crate) fn within(dtype: DType, x: f64) -> f64 {
    const LARGEST: f64 = 65_504.0;
    match dtype {
        DType::Fp16 if x.is_finite() => x.clamp(-LARGEST, LARGEST),
        DType::Int32 => x.clamp(f64::from(i32::MIN), f64::from(i32::MAX)),
        _ => x,
    }
}

/// A size or an index as ops take it.
pub(crate) fn int(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

/// Sizes as ops take them.
pub(crate) fn ints(sizes: &[usize]) -> Vec<i32> {
    sizes.iter().map(|&s| int(s)).collect()
}

impl<'a> Cx<'a> {
    /// Lowers all nodes of `graph` into `frame`.
    ///
    /// # Errors
    /// When an op has no lowering for what is asked of it, with its place.
    pub(crate) fn lower(
        frame: &'a mut dyn Frame,
        graph: &aten::Graph,
    ) -> Result<Self, ImportError> {
        let mut cx = Self {
            frame,
            items: HashMap::new(),
            in_place: InPlace::new(graph),
        };
        for (i, input) in graph.inputs.iter().enumerate() {
            if let Some(tensor) = input {
                let item = Item::Input(i, tensor.clone());
                cx.items.insert(tensor.name.clone(), item);
            }
        }
        for (at, node) in graph.nodes.iter().enumerate() {
            let outside = cx.g().set_scope(node.place());
            let lowered = cx.node(at, node);
            cx.g().set_scope(outside);
            lowered?;
        }
        Ok(cx)
    }

    fn node(&mut self, at: usize, node: &Node) -> Result<(), ImportError> {
        let changed = self.in_place.changed_by(node, at)?;
        let pure = in_place::pure(node);
        let node = pure.as_ref().unwrap_or(node);
        let lowering = lowering_of(node.op())
            .filter(|_| node.target.starts_with("aten."))
            .ok_or_else(|| ImportError::Op {
                op: node.target.clone(),
                place: node.place(),
            })?;
        let results = lowering(self, node).map_err(|error| match error {
            // What an op of ours does not take, such as integers where it computes with real numbers, has no form either.
            ImportError::Type(error) => self.unsupported(node, &format!("its operands ({error})")),
            error => error,
        })?;
        for (i, output) in node.outputs.iter().enumerate() {
            let Some(tensor) = output else { continue };
            let item = match results.get(i).copied().flatten() {
                Some(value) => Item::Value(self.as_declared(node, tensor, value)?, tensor.clone()),
                None => Item::Missing(node.target.clone()),
            };
            for name in &changed {
                self.items.insert(name.clone(), item.clone());
            }
            self.items.insert(tensor.name.clone(), item);
        }
        Ok(())
    }

    /// A result of the type that PyTorch says it has. Only the element type may still be another.
    fn as_declared(
        &mut self,
        node: &Node,
        tensor: &aten::Tensor,
        value: Value,
    ) -> Result<Value, ImportError> {
        let ty = self.g().ty(value).clone();
        let shape = shape_of(&tensor.shape);
        let Some(dtype) = dtype_of(tensor.dtype) else {
            return Err(self.unsupported(node, "results of this element type"));
        };
        if ty.shape != shape {
            return Err(ImportError::Result {
                op: node.target.clone(),
                expected: TensorType { dtype, shape }.to_string(),
                found: ty.to_string(),
                place: node.place(),
            });
        }
        // What was computed in fp32 stays so.
        if ty.dtype == DType::Fp32 && dtype == DType::Fp16 {
            return Ok(value);
        }
        self.cast(value, dtype)
    }

    /// The graph that nodes are added to.
    pub(crate) fn g(&mut self) -> &mut Graph {
        self.frame.graph()
    }

    /// Shape of a value.
    pub(crate) fn shape(&mut self, x: Value) -> Shape {
        self.g().ty(x).shape.clone()
    }

    /// x with elements that are kept with the probability `keep` and scaled up, and the mask.
    pub(crate) fn dropped(
        &mut self,
        node: &Node,
        x: Value,
        keep: f64,
    ) -> Result<[Value; 2], ImportError> {
        let shape = self.shape(x);
        let mask = self.frame.keep_mask(&shape, keep, &node.module)?;
        let mut y = self.g().mul(x, mask.value)?;
        if mask.kept == 1.0 {
            let scale = self.scalar_like(x, 1.0 / keep)?;
            y = self.g().mul(y, scale)?;
        }
        Ok([y, mask.value])
    }

    /// Whether dropout drops, as [`Frame::drops`].
    pub(crate) fn drops(&self) -> bool {
        self.frame.drops()
    }

    /// A batch normalisation as [`Frame::batch_norm`].
    pub(crate) fn framed_batch_norm(
        &mut self,
        norm: &BatchNorm,
    ) -> Result<Option<Value>, ImportError> {
        self.frame.batch_norm(norm)
    }

    /// The input of the graph that an argument is, if it is one.
    pub(crate) fn input_of(&self, node: &Node, name: &str) -> Option<usize> {
        match node.arg(name) {
            Some(Arg::Tensor(tensor)) => match self.items.get(tensor) {
                Some(Item::Input(index, _)) => Some(*index),
                _ => None,
            },
            _ => None,
        }
    }

    /// `x` as `dtype`. Truth values become 0 and 1 by a choice, which engines have where they have no conversion.
    pub(crate) fn cast(&mut self, x: Value, dtype: DType) -> Result<Value, ImportError> {
        let from = self.g().ty(x).dtype;
        let dtype = self.in_frame(dtype);
        Ok(match (from, dtype) {
            (a, b) if a == b => x,
            (DType::Bool, to) if to == self.in_frame(DType::Fp16) => {
                let one = self.g().scalar(dtype, 1.0)?;
                let zero = self.g().scalar(dtype, 0.0)?;
                self.g().select(x, one, zero)?
            }
            (_, DType::Bool) => {
                let zero = self.g().scalar(from, 0.0)?;
                let is_zero = self.g().equal(x, zero)?;
                self.g().logical_not(is_zero)?
            }
            _ => self.g().cast(x, dtype)?,
        })
    }

    /// A type as the frame has it, whose real numbers may be wider.
    pub(crate) fn in_frame(&self, dtype: DType) -> DType {
        match dtype {
            DType::Fp16 => self.frame.real(),
            other => other,
        }
    }

    /// A scalar of this type.
    pub(crate) fn number_of(&mut self, dtype: DType, x: f64) -> Result<Value, ImportError> {
        let dtype = self.in_frame(dtype);
        Ok(self.g().scalar(dtype, within(dtype, x))?)
    }

    /// A scalar of fp16.
    pub(crate) fn real(&mut self, x: f64) -> Result<Value, ImportError> {
        self.number_of(DType::Fp16, x)
    }

    /// A scalar of the element type of `x`.
    pub(crate) fn scalar_like(&mut self, x: Value, value: f64) -> Result<Value, ImportError> {
        let dtype = self.g().ty(x).dtype;
        self.number_of(dtype, value)
    }

    /// `x` under another of PyTorch's shapes.
    pub(crate) fn reshape(&mut self, x: Value, dims: &[usize]) -> Result<Value, ImportError> {
        let shape = shape_of(dims);
        if self.shape(x) == shape {
            return Ok(x);
        }
        Ok(self.g().reshape(x, &shape)?)
    }

    /// What the graph returns as `arg`: a value, or the position of an input that leaves as it came.
    pub(crate) fn result(&mut self, arg: &Arg) -> Option<Given> {
        let Arg::Tensor(name) = arg else { return None };
        match self.items.get(name)? {
            Item::Input(i, _) => Some(Given::Input(*i)),
            Item::Value(v, tensor) => Some(Given::Value(*v, tensor.clone())),
            Item::Missing(op) => Some(Given::Missing(op.clone())),
        }
    }
}

/// What a graph returns.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    /// An input as it came.
    Input(usize),
    /// A value, and what PyTorch says it is.
    Value(Value, aten::Tensor),
    /// What no lowering gives; of this op.
    Missing(String),
}

/// A single result.
pub(crate) fn one(value: Value) -> Lowered {
    Ok(vec![Some(value)])
}
