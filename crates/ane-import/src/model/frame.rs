//! Lowering into a model that is being built.

use super::passes::Pass;
use crate::{
    aten,
    error::ImportError,
    lower::{BatchNorm, Frame, KeepMask, dtype_of, shape_of, within},
    pt2::{Role, StoredTensor, Values},
};
use ane_ir::{DType, Graph, Literal, Shape, TensorType, Value};
use ane_train::{
    model::{Builder, Mode},
    nn::RunningStatistics,
};
use std::collections::HashMap;

/// What an input of the exported graph is in the model.
#[derive(Debug, Clone)]
enum Bound {
    /// A parameter, or what the user passes.
    Value(Value),
    /// The buffer of this position, which follows the batches.
    Running(usize, String),
    /// A tensor that never changes.
    Fixed(StoredTensor),
    /// Nothing that a graph can read.
    Nothing,
}

/// A model that is being built, as what ops are lowered into.
pub(super) struct ModelFrame<'a> {
    cx: &'a mut Builder,
    bound: Vec<Bound>,
    fixed: HashMap<usize, Value>,
    /// Whether there is no graph for evaluation, so that this one is both.
    is_only: bool,
}

impl<'a> ModelFrame<'a> {
    /// Declares parameters and buffers, in PyTorch's order. `given` is what the user passes, in order.
    pub(super) fn new(
        cx: &'a mut Builder,
        given: &[Value],
        pass: &Pass<'_>,
    ) -> Result<Self, ImportError> {
        let Pass {
            exported,
            file,
            state,
            is_only,
        } = *pass;
        let mut declared = HashMap::new();
        for w in &state.weights {
            let value = cx.parameter(&w.path, w.shape.clone(), w.init.clone(), w.tags)?;
            declared.insert(w.path.as_str(), value);
        }
        let mut running = HashMap::new();
        for (path, shape, init) in &state.running {
            let position = cx.buffer(path, shape.clone(), init.clone())?;
            running.insert(path.as_str(), position);
        }
        let fixed =
            |stored: Option<&StoredTensor>| stored.cloned().map_or(Bound::Nothing, Bound::Fixed);
        let mut given = given.iter();
        let bound = exported.roles.iter().map(|role| match role {
            Role::User => given.next().map_or(Bound::Nothing, |&x| Bound::Value(x)),
            Role::Constant { path } => fixed(file.constant(path)),
            Role::Parameter { path, .. } => match declared.get(state.declared(path)) {
                Some(&value) => Bound::Value(value),
                None => fixed(file.weight(path)),
            },
            Role::Buffer { path, .. } => match running.get(state.told(path)) {
                Some(&position) => Bound::Running(position, state.told(path).to_owned()),
                None => fixed(file.weight(path).or(file.constant(path))),
            },
        });
        Ok(Self {
            bound: bound.collect(),
            cx,
            fixed: HashMap::new(),
            is_only,
        })
    }

    fn refused(&mut self, op: &str, what: String) -> ImportError {
        ImportError::Unsupported {
            op: op.to_owned(),
            what,
            place: self.cx.graph().current_scope().clone(),
        }
    }

    /// A tensor that never changes, as a constant.
    fn constant(&mut self, stored: &StoredTensor) -> Result<Value, ImportError> {
        let real = self.cx.dtype();
        let (dtype, elements): (DType, Vec<f64>) = match &stored.values {
            Values::Real(x) => (
                real,
                x.iter().map(|&x| within(real, f64::from(x))).collect(),
            ),
            Values::Whole(x) => (
                DType::Int32,
                x.iter().map(|&x| within(DType::Int32, x as f64)).collect(),
            ),
            Values::Truth(x) => (
                DType::Bool,
                x.iter().map(|&x| f64::from(u8::from(x))).collect(),
            ),
        };
        let ty = TensorType {
            dtype,
            shape: shape_of(&stored.shape),
        };
        if ty.shape.numel() != elements.len() {
            return Err(self.refused("a constant", "no elements".to_owned()));
        }
        let literal = Literal::from_f64(ty, &elements);
        Ok(self.cx.graph().constant(literal)?)
    }
}

impl Frame for ModelFrame<'_> {
    fn graph(&mut self) -> &mut Graph {
        self.cx.graph()
    }

    fn real(&self) -> DType {
        self.cx.dtype()
    }

    fn input(
        &mut self,
        index: usize,
        tensor: &aten::Tensor,
        _wide: bool,
    ) -> Result<Value, ImportError> {
        match self.bound.get(index).cloned() {
            Some(Bound::Value(value)) => {
                let expected = dtype_of(tensor.dtype).map(|dtype| match dtype {
                    DType::Fp16 => self.cx.dtype(),
                    other => other,
                });
                if expected != Some(self.cx.graph().ty(value).dtype) {
                    let what = format!("an input of {:?}", tensor.dtype);
                    return Err(self.refused("the model", what));
                }
                Ok(value)
            }
            Some(Bound::Fixed(stored)) => {
                if let Some(&value) = self.fixed.get(&index) {
                    return Ok(value);
                }
                let value = self.constant(&stored)?;
                self.fixed.insert(index, value);
                Ok(value)
            }
            Some(Bound::Running(_, path)) => Err(self.refused(
                "the model",
                format!("a read of `{path}`, which only its batch norm may read"),
            )),
            Some(Bound::Nothing) | None => Err(self.refused(
                "the model",
                format!("the input `{}`, which no file holds", tensor.name),
            )),
        }
    }

    fn keep_mask(
        &mut self,
        shape: &Shape,
        keep: f64,
        module: &str,
    ) -> Result<KeepMask, ImportError> {
        let shape = shape.clone();
        let value = match module {
            "" => self.cx.keep_mask(shape, keep)?,
            module => self.cx.scope(module, |cx| cx.keep_mask(shape, keep))?,
        };
        Ok(KeepMask {
            value,
            kept: 1.0 / keep,
        })
    }

    fn drops(&self) -> bool {
        self.cx.mode() == Mode::Train || !self.is_only
    }

    fn batch_norm(&mut self, norm: &BatchNorm) -> Result<Option<Value>, ImportError> {
        let [mean, variance] = norm.running.map(|index| self.bound.get(index));
        let (Some(Bound::Running(mean, path)), Some(Bound::Running(variance, _))) =
            (mean, variance)
        else {
            return Ok(None);
        };
        let running = RunningStatistics {
            mean: *mean,
            variance: *variance,
            momentum: norm.momentum,
            eps: norm.eps,
        };
        let path = path.clone();
        // One graph for both modes says what training does.
        let expected = self.cx.mode() == Mode::Train || self.is_only;
        if norm.trains != expected {
            let what = format!(
                "statistics of the {} for `{path}` in this mode",
                if norm.trains { "batch" } else { "past" }
            );
            return Err(self.refused("batch_norm", what));
        }
        let y = running.normalise(self.cx, norm.x, |_| Ok(norm.affine))?;
        Ok(Some(y))
    }
}
