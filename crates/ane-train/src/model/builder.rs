//! The builder of a forward pass: a graph, the path of the layer being built, and what layers ask for.

use super::{
    BufferForm, BufferPort, Head, Init, Input, Layer, ModelBuffer, ModelError, ModelGraph, Outputs,
    PRESENT, Parameter, RandomPort, Statistic, StatisticKind, Tags, identifier, real,
};
use ane_ir::{DType, Graph, Shape, Value};
use std::collections::HashSet;

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch, dropout.
    Train,
    /// Running statistics, no dropout.
    Infer,
}

/// The forward pass of a [`super::Model`] while it is being built.
#[derive(Debug)]
pub struct Builder {
    mode: Mode,
    dtype: DType,
    batch: usize,
    g: Graph,
    scope: Vec<String>,
    paths: HashSet<String>,
    parameters: Vec<(Parameter, Value)>,
    buffers: Vec<ModelBuffer>,
    buffer_ports: Vec<BufferPort>,
    loss: Option<Value>,
    head: Option<(String, Head)>,
    statistics: Vec<Statistic>,
    randoms: Vec<RandomPort>,
    present: Option<Value>,
}

/// What a run of the forward function made.
pub(super) struct Built {
    pub(super) parameters: Vec<Parameter>,
    pub(super) buffers: Vec<ModelBuffer>,
    pub(super) graph: ModelGraph,
}

impl Built {
    /// Path of the first parameter or buffer that is not the same in both.
    pub(super) fn first_difference(&self, other: &Self) -> Option<String> {
        let of = |b: &Self| -> Vec<(String, Shape)> {
            let parameters = b
                .parameters
                .iter()
                .map(|p| (p.path.clone(), p.shape.clone()));
            let buffers = b.buffers.iter().map(|b| (b.path.clone(), b.shape.clone()));
            parameters.chain(buffers).collect()
        };
        let (a, b) = (of(self), of(other));
        (0..a.len().max(b.len()))
            .find(|&i| a.get(i) != b.get(i))
            .and_then(|i| a.get(i).or(b.get(i)))
            .map(|(path, _)| path.clone())
    }
}

impl Builder {
    pub(super) fn new(mode: Mode, dtype: DType, batch: usize) -> Self {
        Self {
            mode,
            dtype,
            batch,
            g: Graph::new(),
            scope: Vec::new(),
            paths: HashSet::new(),
            parameters: Vec::new(),
            buffers: Vec::new(),
            buffer_ports: Vec::new(),
            loss: None,
            head: None,
            statistics: Vec::new(),
            randoms: Vec::new(),
            present: None,
        }
    }

    /// What this forward pass is for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Rows of every input and output.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The type of real numbers.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The graph, for ops that no layer stands for. Ports are made by the builder's own methods.
    pub fn graph(&mut self) -> &mut Graph {
        &mut self.g
    }

    /// Shape of a value.
    pub fn shape(&self, x: Value) -> &Shape {
        &self.g.ty(x).shape
    }

    /// A scalar constant.
    ///
    /// # Errors
    /// Never; kept for uniformity of builder code.
    pub fn scalar(&mut self, x: f64) -> Result<Value, ModelError> {
        Ok(self.g.scalar(self.dtype, x)?)
    }

    /// Path of the layer being built; empty outside of all scopes.
    pub fn path(&self) -> String {
        self.scope.join(".")
    }

    /// Runs `f` with `name` added to the path. Errors without a place get this one.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn scope<T>(
        &mut self,
        name: &str,
        f: impl FnOnce(&mut Self) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        self.scope.push(name.to_owned());
        let inside = self.g.current_scope().child(name);
        let outside = self.g.set_scope(inside);
        let result = f(self).map_err(|e| e.at(&self.path()));
        self.g.set_scope(outside);
        self.scope.pop();
        result
    }

    /// Applies a layer under a name.
    ///
    /// # Errors
    /// When the layer does not take x.
    pub fn layer(&mut self, name: &str, layer: impl Layer, x: Value) -> Result<Value, ModelError> {
        self.scope(name, |cx| layer.forward(cx, x))
    }

    /// The parameter `name` of this layer.
    ///
    /// # Errors
    /// When the layer already has something of that name, or the shape is empty.
    pub fn parameter(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        init: Init,
        tags: Tags,
    ) -> Result<Value, ModelError> {
        let (path, shape) = self.declare(name, shape.into())?;
        let parameter = Parameter {
            path,
            shape,
            init,
            trainable: true,
            tags,
        };
        let ty = real(self.dtype, &parameter.shape);
        let value = self.g.input(&parameter.port(), ty)?;
        self.parameters.push((parameter, value));
        Ok(value)
    }

    /// Declares the buffer `name` of this layer; its position is what the other methods want.
    ///
    /// # Errors
    /// When the layer already has something of that name, or the shape is empty.
    pub fn buffer(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        init: Init,
    ) -> Result<usize, ModelError> {
        let (path, shape) = self.declare(name, shape.into())?;
        self.buffers.push(ModelBuffer { path, shape, init });
        Ok(self.buffers.len() - 1)
    }

    /// A buffer as an input of the graph.
    ///
    /// # Errors
    /// When the buffer was read before in another form.
    ///
    /// # Panics
    /// When there is no such buffer.
    pub fn read(&mut self, buffer: usize, form: BufferForm) -> Result<Value, ModelError> {
        let b = &self.buffers[buffer];
        let port = format!("buffer_{}", identifier(&b.path));
        let value = self.g.input(&port, real(self.dtype, &b.shape))?;
        self.buffer_ports.push(BufferPort {
            buffer,
            value,
            form,
        });
        Ok(value)
    }

    /// Has the host update a buffer with a statistic of the batch, to which each row contributes `count` values.
    ///
    /// # Panics
    /// When there is no such buffer, or the statistic has another shape.
    pub fn update(
        &mut self,
        buffer: usize,
        value: Value,
        kind: StatisticKind,
        momentum: f64,
        count: usize,
    ) {
        assert_eq!(self.buffers[buffer].shape, self.g.ty(value).shape);
        self.statistics.push(Statistic {
            buffer,
            value,
            momentum,
            kind,
            count,
        });
    }

    /// Declares the loss, one number, that the model computes itself.
    ///
    /// # Panics
    /// When it is not one number.
    pub fn set_loss(&mut self, loss: Value) {
        assert_eq!(self.g.ty(loss).shape.numel(), 1, "a loss is one number");
        self.loss = Some(loss);
    }

    /// Declares what the scores called `name` of a language model are made of.
    pub fn set_head(&mut self, name: &str, head: Head) {
        self.head = Some((name.to_owned(), head));
    }

    /// An input that all examples share: a port of its own shape, without the batch before it.
    ///
    /// # Errors
    /// When its name is taken.
    pub fn shared_input(&mut self, input: &Input) -> Result<Value, ModelError> {
        let ty = real(self.dtype_of(input), &input.shape);
        Ok(self.g.input(&input.name, ty)?)
    }

    /// The type of an input's port.
    fn dtype_of(&self, input: &Input) -> DType {
        match input.dtype {
            DType::Fp16 => self.dtype,
            other => other,
        }
    }

    /// The input [B, 1] that is 1 for rows that hold an example and 0 for padding.
    ///
    /// # Errors
    /// When an input of the model has its name.
    pub fn present(&mut self) -> Result<Value, ModelError> {
        if let Some(present) = self.present {
            return Ok(present);
        }
        let shape = Shape::new(&[self.batch, 1]);
        let present = self.g.input(PRESENT, real(self.dtype, &shape))?;
        self.present = Some(present);
        Ok(present)
    }

    /// An input of this shape that the host fills, anew for every step, with 1/keep where an element is kept, which
    /// has the probability `keep`, and 0 elsewhere.
    ///
    /// # Errors
    /// When the port's name is taken.
    pub fn keep_mask(&mut self, shape: impl Into<Shape>, keep: f64) -> Result<Value, ModelError> {
        let (path, shape) = (self.path(), shape.into());
        let ordinal = self.randoms.iter().filter(|r| r.path == path).count();
        let port = format!("random_{}", identifier(&format!("{path}.{ordinal}")));
        let value = self.g.input(&port, real(self.dtype, &shape))?;
        self.randoms.push(RandomPort {
            value,
            port,
            shape,
            keep,
            path,
            ordinal,
        });
        Ok(value)
    }

    /// Full path of a new tensor of this layer.
    fn declare(&mut self, name: &str, shape: Shape) -> Result<(String, Shape), ModelError> {
        let mut path = self.path();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        if shape.numel() == 0 {
            return Err(ModelError::Empty { name: path, shape });
        }
        if !self.paths.insert(path.clone()) {
            return Err(ModelError::PathTwice { path });
        }
        Ok((path, shape))
    }

    pub(super) fn input(&mut self, input: &Input) -> Result<Value, ModelError> {
        let dtype = self.dtype_of(input);
        let shape: Shape = std::iter::once(self.batch)
            .chain(input.shape.dims().iter().copied())
            .collect();
        if shape.numel() == 0 {
            return Err(ModelError::Empty {
                name: input.name.clone(),
                shape,
            });
        }
        Ok(self.g.input(&input.name, real(dtype, &shape))?)
    }

    pub(super) fn finish(self, inputs: Vec<Value>, outputs: Outputs) -> Result<Built, ModelError> {
        let Outputs(outputs) = outputs;
        if outputs.is_empty() && self.loss.is_none() && self.head.is_none() {
            return Err(ModelError::NoOutputs);
        }
        let mut names = HashSet::new();
        for (name, value) in &outputs {
            if !names.insert(name) {
                return Err(ModelError::OutputTwice { name: name.clone() });
            }
            let shape = &self.g.ty(*value).shape;
            if shape.dims().first() != Some(&self.batch) {
                return Err(ModelError::OutputShape {
                    name: name.clone(),
                    found: shape.clone(),
                    batch: self.batch,
                });
            }
        }
        let (parameters, values) = self.parameters.into_iter().unzip();
        Ok(Built {
            parameters,
            buffers: self.buffers,
            graph: ModelGraph {
                graph: self.g,
                inputs,
                outputs,
                parameters: values,
                buffers: self.buffer_ports,
                loss: self.loss,
                head: self.head,
                statistics: self.statistics,
                randoms: self.randoms,
                present: self.present,
            },
        })
    }
}
