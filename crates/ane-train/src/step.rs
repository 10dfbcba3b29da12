//! The training step as one graph: forward pass, loss, gradients and, in the fused plan, the update.

use crate::{
    loss::Loss,
    model::Parameter,
    nn::Sequential,
    optim::{
        Optimizer,
        pair::{GRADIENT_UNIT, Pair},
    },
};
use ane_ir::{
    DType, Graph, GraphError, Shape, TensorType, TypeError, Value,
    autodiff::{VjpError, vjp},
    ops::Op,
};
use serde::{Deserialize, Serialize};

/// Where the update runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanKind {
    /// The engine returns gradients, the host updates fp32 masters.
    Split,
    /// The update is part of the program and state stays on the engine.
    Fused,
}

impl PlanKind {
    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Fused => "fused",
        }
    }
}

/// What a step is built from.
#[derive(Debug)]
pub struct StepConfig<'a> {
    /// The model.
    pub model: &'a Sequential,
    /// What is minimised.
    pub loss: Loss,
    /// Examples per step.
    pub batch: usize,
    /// Where the update runs.
    pub plan: PlanKind,
    /// Who updates.
    pub optimizer: &'a dyn Optimizer,
    /// Largest global norm of the gradients, if clipped.
    pub max_norm: Option<f64>,
}

/// A state tensor of the fused plan: read from `old`, its next value written to `new`.
#[derive(Debug, Clone, PartialEq)]
pub struct StatePort {
    /// Parameter it belongs to, by position.
    pub parameter: usize,
    /// `weight`, or the optimizer's name of the state.
    pub role: &'static str,
    /// Whether this is the low part of a pair.
    pub low: bool,
    /// Input port.
    pub old: String,
    /// Output port.
    pub new: String,
    /// Its type.
    pub ty: TensorType,
}

/// The training step and its ports.
#[derive(Debug, Clone)]
pub struct TrainStep {
    /// Forward, loss, backward and, if fused, update.
    pub graph: Graph,
    /// The trainable tensors.
    pub parameters: Vec<Parameter>,
    /// Gradient outputs of the split plan, one per parameter.
    pub gradients: Vec<String>,
    /// State of the fused plan.
    pub state: Vec<StatePort>,
    /// Scalar inputs [1, 1] of the fused update, after `loss_scale`.
    pub scalars: Vec<String>,
}

/// A step could not be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The optimizer's settings do not fit into fp16.
    #[error("`{optimizer}` cannot be fused: {reason}; use --plan split")]
    Fusion {
        /// The optimizer.
        optimizer: &'static str,
        /// Why.
        reason: String,
    },
    /// A node did not type: our bug.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// A port could not be made: our bug.
    #[error(transparent)]
    Port(#[from] GraphError),
    /// The gradient could not be built: our bug.
    #[error(transparent)]
    Gradient(#[from] VjpError),
}

/// Names of the batch inputs.
pub const INPUT: &str = "x";
/// Target rows [B, K].
pub const TARGET: &str = "target";
/// Example weights [B, 1].
pub const WEIGHT: &str = "example_weight";
/// The loss scale [1, 1].
pub const LOSS_SCALE: &str = "loss_scale";
/// Output: the mean loss [1, 1].
pub const LOSS: &str = "loss";
/// Output: the logits [B, K].
pub const LOGITS: &str = "logits";
/// Output: largest magnitude of every raw backward product [1, 1].
pub const LARGEST_GRADIENT: &str = "largest_gradient";
/// Output: largest magnitude of every forward product [1, 1].
pub const LARGEST_ACTIVATION: &str = "largest_activation";
/// Output: largest magnitude of the new state [1, 1].
pub const LARGEST_STATE: &str = "largest_state";
/// Scalar input of the fused plan: gradient units per raw unit.
pub const UNSCALE: &str = "unscale";
/// Scalar input of the fused plan: the largest norm, in gradient units.
pub const MAX_NORM: &str = "max_norm";

impl TrainStep {
    /// Builds the step.
    ///
    /// # Errors
    /// When the optimizer cannot be fused with its settings.
    pub fn build(config: &StepConfig<'_>) -> Result<Self, StepError> {
        if config.plan == PlanKind::Fused
            && let Some(reason) = config.optimizer.refuses_fusion()
        {
            return Err(StepError::Fusion {
                optimizer: config.optimizer.name(),
                reason,
            });
        }
        let (b, k) = (config.batch, config.model.outputs());
        let mut g = Graph::new();
        let scalar = || TensorType::fp16([1, 1]);
        let x = g.input(INPUT, TensorType::fp16([b, config.model.inputs()]))?;
        let target = g.input(TARGET, TensorType::fp16([b, k]))?;
        let weight = g.input(WEIGHT, TensorType::fp16([b, 1]))?;
        let loss_scale = g.input(LOSS_SCALE, scalar())?;
        let parameters = config.model.parameters();
        let weights: Vec<Value> = parameters
            .iter()
            .map(|p| g.input(&weight_port(p), fp16(&p.shape)))
            .collect::<Result<_, _>>()?;
        let mut fused = match config.plan {
            PlanKind::Split => None,
            PlanKind::Fused => Some(FusedPorts::inputs(&mut g, config, &parameters, &weights)?),
        };
        let logits = config.model.build(&mut g, x, &weights)?;
        let loss = config.loss.build(&mut g, logits, target, weight)?;
        let forward = g.nodes().len();
        let gradients: Vec<Value> = vjp(&mut g, &[loss], &[loss_scale], &weights)?
            .into_iter()
            .map(|v| v.expect("every parameter of a sequential model has a gradient"))
            .collect();
        let needed = ancestors(&g, &gradients);
        let raw: Vec<Value> = g.nodes()[forward..]
            .iter()
            .filter(|n| is_backward_product(n) && needed[n.results[0].index()])
            .map(|n| n.results[0])
            .collect();
        let largest = largest_of(&mut g, &raw)?;
        // An engine that turns NaN into 0 makes finite numbers of infinite activations, so that neither the loss nor a
        // gradient shows them.
        let products: Vec<Value> = g.nodes()[..forward]
            .iter()
            .filter(|n| matches!(n.op, Op::Matmul(_)))
            .map(|n| n.results[0])
            .collect();
        let largest_activation = largest_of(&mut g, &products)?;
        let mut step = Self {
            graph: Graph::new(),
            gradients: Vec::new(),
            state: Vec::new(),
            scalars: Vec::new(),
            parameters,
        };
        g.output(LOSS, loss)?;
        g.output(LOGITS, logits)?;
        g.output(LARGEST_ACTIVATION, largest_activation)?;
        g.output(LARGEST_GRADIENT, largest)?;
        match &mut fused {
            None => {
                for (p, &v) in step.parameters.iter().zip(&gradients) {
                    let name = format!("grad_{}", p.identifier());
                    g.output(&name, v)?;
                    step.gradients.push(name);
                }
            }
            Some(ports) => {
                ports.update(&mut g, config, &gradients, largest)?;
                step.state = std::mem::take(&mut ports.state);
                step.scalars = std::mem::take(&mut ports.scalar_names);
            }
        }
        step.graph = g;
        Ok(step)
    }
}

/// Port of a parameter's fp16 weight.
pub fn weight_port(p: &Parameter) -> String {
    p.port()
}

fn fp16(shape: &Shape) -> TensorType {
    TensorType {
        dtype: DType::Fp16,
        shape: shape.clone(),
    }
}

/// Products and sums over the batch: what the backward pass makes out of many terms, and what overflows first.
fn is_backward_product(n: &ane_ir::Node) -> bool {
    matches!(n.op, Op::Matmul(_) | Op::ReduceSum(_))
}

/// Which values the given ones are computed from. Differentiation also leaves cotangents that nobody asked for, such as
/// the input's; watching them would compute them.
fn ancestors(g: &Graph, of: &[Value]) -> Vec<bool> {
    let mut needed = vec![false; g.values().len()];
    for v in of {
        needed[v.index()] = true;
    }
    for n in g.nodes().iter().rev() {
        if n.results.iter().any(|r| needed[r.index()]) {
            for x in &n.operands {
                needed[x.index()] = true;
            }
        }
    }
    needed
}

/// Largest magnitude [1, 1] of several tensors.
fn largest_of(g: &mut Graph, values: &[Value]) -> Result<Value, TypeError> {
    let mut largest: Option<Value> = None;
    for &v in values {
        let size = g.abs(v)?;
        let axes: Vec<i32> = (0..g.ty(v).shape.rank())
            .map(|a| i32::try_from(a).expect("a rank fits an i32"))
            .collect();
        let max = g.reduce_max(size, &axes, true)?;
        let max = g.reshape(max, &Shape::new(&[1, 1]))?;
        largest = Some(match largest {
            Some(so_far) => g.maximum(so_far, max)?,
            None => max,
        });
    }
    Ok(largest.expect("a model has a product"))
}

/// Inputs and outputs of the fused update.
struct FusedPorts {
    weights: Vec<Pair>,
    moments: Vec<Vec<Pair>>,
    unscale: Value,
    max_norm: Option<Value>,
    scalars: Vec<Value>,
    scalar_names: Vec<String>,
    state: Vec<StatePort>,
}

impl FusedPorts {
    fn inputs(
        g: &mut Graph,
        config: &StepConfig<'_>,
        parameters: &[Parameter],
        weights: &[Value],
    ) -> Result<Self, StepError> {
        let mut ports = Self {
            weights: Vec::new(),
            moments: Vec::new(),
            unscale: weights[0],
            max_norm: None,
            scalars: Vec::new(),
            scalar_names: Vec::new(),
            state: Vec::new(),
        };
        ports.unscale = ports.scalar(g, UNSCALE)?;
        if config.max_norm.is_some() {
            ports.max_norm = Some(ports.scalar(g, MAX_NORM)?);
        }
        for name in config.optimizer.scalars() {
            let v = ports.scalar(g, name)?;
            ports.scalars.push(v);
        }
        for (i, (p, &hi)) in parameters.iter().zip(weights).enumerate() {
            ports.note(i, "weight", false, weight_port(p), p);
            let lo =
                ports.state_input(g, i, "weight", true, &format!("{}_lo", weight_port(p)), p)?;
            ports.weights.push(Pair { hi, lo });
            let mut moments = Vec::new();
            for role in config.optimizer.state() {
                let name = format!("{role}_{}", p.identifier());
                let hi = ports.state_input(g, i, role, false, &name, p)?;
                let lo = ports.state_input(g, i, role, true, &format!("{name}_lo"), p)?;
                moments.push(Pair { hi, lo });
            }
            ports.moments.push(moments);
        }
        Ok(ports)
    }

    fn scalar(&mut self, g: &mut Graph, name: &str) -> Result<Value, GraphError> {
        self.scalar_names.push(name.to_owned());
        g.input(name, TensorType::fp16([1, 1]))
    }

    fn note(
        &mut self,
        parameter: usize,
        role: &'static str,
        low: bool,
        old: String,
        p: &Parameter,
    ) {
        self.state.push(StatePort {
            parameter,
            role,
            low,
            new: format!("new_{old}"),
            old,
            ty: fp16(&p.shape),
        });
    }

    fn state_input(
        &mut self,
        g: &mut Graph,
        parameter: usize,
        role: &'static str,
        low: bool,
        name: &str,
        p: &Parameter,
    ) -> Result<Value, GraphError> {
        self.note(parameter, role, low, name.to_owned(), p);
        g.input(name, fp16(&p.shape))
    }

    fn update(
        &mut self,
        g: &mut Graph,
        config: &StepConfig<'_>,
        gradients: &[Value],
        largest: Value,
    ) -> Result<(), StepError> {
        let mut factor = self.unscale;
        if let Some(max_norm) = self.max_norm {
            let clip = clip_coefficient(g, gradients, largest, self.unscale, max_norm)?;
            factor = g.mul(factor, clip)?;
        }
        let mut new_values = Vec::new();
        for (i, &raw) in gradients.iter().enumerate() {
            let gradient = g.mul(raw, factor)?;
            // Rank 1 times [1, 1] is [1, n]: back to the parameter's own shape.
            let shape = g.ty(raw).shape.clone();
            let gradient = g.reshape(gradient, &shape)?;
            let scalars: Vec<Value> = self.scalars.clone();
            let scalars = in_rank(g, &scalars, shape.rank())?;
            let (weight, moments) =
                config
                    .optimizer
                    .fuse(g, gradient, self.weights[i], &self.moments[i], &scalars)?;
            for pair in std::iter::once(weight).chain(moments) {
                new_values.extend([pair.hi, pair.lo]);
            }
        }
        let largest = largest_of(g, &new_values)?;
        g.output(LARGEST_STATE, largest)?;
        for (port, &v) in self.state.iter().zip(&new_values) {
            g.output(&port.new, v)?;
        }
        Ok(())
    }
}

/// Scalars [1, 1] under a shape of ones of the rank of the tensor they meet, so that they do not add an axis to it.
fn in_rank(g: &mut Graph, scalars: &[Value], rank: usize) -> Result<Vec<Value>, TypeError> {
    let shape = Shape::new(&vec![1; rank]);
    scalars.iter().map(|&s| g.reshape(s, &shape)).collect()
}

/// min(1, max_norm/(norm + 1e-6)) as `torch.nn.utils.clip_grad_norm_`, for raw gradients.
///
/// Squares of raw gradients leave fp16 in both directions, so they are taken relative to the largest gradient: each is
/// at most 1, and what vanishes does not count beside it. Row sums run inside matmuls, in fp32; before they are summed
/// up they are multiplied by a power of two that keeps the total below 2¹³ even if every element were the largest.
fn clip_coefficient(
    g: &mut Graph,
    gradients: &[Value],
    largest: Value,
    unscale: Value,
    max_norm: Value,
) -> Result<Value, TypeError> {
    let c = |g: &mut Graph, x: f64| g.scalar(DType::Fp16, x);
    let smallest = c(g, 2.0_f64.powi(-14))?;
    let unit = g.maximum(largest, smallest)?;
    let elements: usize = gradients.iter().map(|&v| g.ty(v).shape.numel()).sum();
    let shrink = 2.0_f64.powi(-((elements as f64).log2().ceil() as i32 - 13).max(0));
    let mut total: Option<Value> = None;
    for &raw in gradients {
        let shape = g.ty(raw).shape.clone();
        let matrix = Shape::new(&[shape.numel() / shape.last(), shape.last()]);
        let rows = g.reshape(raw, &matrix)?;
        let relative = g.real_div(rows, unit)?;
        let square = g.mul(relative, relative)?;
        // At most 1 per element: a row of 16,384 still fits below the cliff.
        let by_row = g.reduce_sum(square, &[1], true)?;
        let factor = c(g, shrink)?;
        let by_row = g.mul(by_row, factor)?;
        let sum = g.reduce_sum(by_row, &[0], true)?;
        total = Some(match total {
            Some(so_far) => g.add(so_far, sum)?,
            None => sum,
        });
    }
    let total = total.expect("a model has parameters");
    let root = g.sqrt(total)?;
    let grow = c(g, (1.0 / shrink).sqrt())?;
    let relative_norm = g.mul(root, grow)?;
    let relative_norm = g.maximum(relative_norm, smallest)?;
    // largest·unscale is the largest gradient in gradient units; dividing twice keeps the norm itself, which may be
    // larger than fp16, from being formed.
    let unit = g.mul(unit, unscale)?;
    let unit = g.maximum(unit, smallest)?;
    let allowed = g.real_div(max_norm, unit)?;
    let coefficient = g.real_div(allowed, relative_norm)?;
    let one = c(g, 1.0)?;
    g.minimum(coefficient, one)
}

/// Gradient units per raw unit at this loss scale.
pub fn unscale_value(loss_scale: f64) -> f64 {
    GRADIENT_UNIT / loss_scale
}

/// Whether a gradient of this magnitude, in the update's units, is an fp16 number.
pub fn accepts_gradient(in_units: f64) -> bool {
    in_units < 65_504.0
}

/// Whether new state of this magnitude may be used. What ranges allow stays below 32,768 (`optim::pair`); on silicon a
/// product with infinity is the finite −52,416, which must not pass for state.
pub fn accepts_state(largest: f32) -> bool {
    largest < 49_152.0
}
