//! What one execution computes, as a graph: forward pass and loss, and in training gradients and, fused, the update.

mod error;
mod fused;
mod overflow;
mod pack;

pub use error::StepError;
pub(crate) use fused::LARGEST_STATE_ACCEPTED;
pub use fused::{MAX_NORM, StatePort, UNSCALE, accepts_gradient, accepts_state, unscale_value};
pub(crate) use overflow::{PRODUCT, Watched, watched};
pub use pack::{Member, PackedPort};

use crate::{
    lowering::{self, LoweringRule},
    model::{BufferPort, Model, ModelGraph, RandomPort, Statistic, identifier},
    objective::Objective,
    optim::Optimizer,
};
use ane_ir::{Graph, Shape, Target, TensorType, Value, autodiff::vjp, passes::lowerings::Lowered};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

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
    pub model: &'a Model,
    /// What is minimised.
    pub objective: &'a Objective,
    /// Where the update runs.
    pub plan: PlanKind,
    /// Who updates.
    pub optimizer: &'a dyn Optimizer,
    /// Largest global norm of the gradients, if clipped.
    pub max_norm: Option<f64>,
    /// Whose limits are watched.
    pub target: Target,
}

/// An output of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputPort {
    /// Its name, and that of its port.
    pub name: String,
    /// Values of a row.
    pub width: usize,
}

/// A batch statistic of a training step.
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticPort {
    /// What it is.
    pub statistic: Statistic,
    /// Its output port.
    pub port: String,
}

/// What one execution computes, and the ports by which it does.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The graph.
    pub graph: Graph,
    /// Input ports of the model's inputs.
    pub inputs: Vec<String>,
    /// The model's outputs.
    pub outputs: Vec<OutputPort>,
    /// Input ports of the targets, by term of the objective.
    pub targets: Vec<String>,
    /// Whether [`PRESENT`](crate::model::PRESENT) is an input.
    pub has_present: bool,
    /// Whether [`LARGEST_ACTIVATION`] is an output: whether the forward pass has anything to watch.
    pub watches_forward: bool,
    /// Inference: input ports of buffers.
    pub buffers: Vec<(BufferPort, String)>,
    /// Training: random inputs.
    pub randoms: Vec<RandomPort>,
    /// Training: batch statistics.
    pub statistics: Vec<StatisticPort>,
    /// Training: positions of the parameters that are trained.
    pub trained: Vec<usize>,
    /// Split plan: output ports of the gradients, in the order of `trained`.
    pub gradients: Vec<String>,
    /// Fused plan: state.
    pub state: Vec<StatePort>,
    /// Fused plan: scalar inputs [1, 1] of the update.
    pub scalars: Vec<String>,
    /// Ports that stand for several of those named above.
    pub packed: Vec<PackedPort>,
    /// What became of convolutions that were lowered because it was asked for.
    pub lowered: Vec<Lowered>,
    /// Ports that are never packed, as nodes on the host use them.
    pub unpacked: BTreeSet<String>,
}

/// Example weights [B, 1].
pub const WEIGHT: &str = "example_weight";
/// What the weighted sum of losses is divided by [1, 1].
pub const DIVISOR: &str = "divisor";
/// The loss scale [1, 1].
pub const LOSS_SCALE: &str = "loss_scale";
/// Output: the mean loss [1, 1].
pub const LOSS: &str = "loss";
/// Output: largest magnitude of the backward pass's values that overflow first [1, 1].
pub const LARGEST_GRADIENT: &str = "largest_gradient";
/// Output: largest magnitude of the forward pass's values that overflow first [1, 1].
pub const LARGEST_ACTIVATION: &str = "largest_activation";
/// Output: largest magnitude of the new state [1, 1].
pub const LARGEST_STATE: &str = "largest_state";

/// The forward pass of a step while it is being built.
struct Forward {
    g: Graph,
    step: Step,
    loss: Option<Value>,
}

impl Step {
    /// The training step.
    ///
    /// # Errors
    /// When the objective does not fit the model, when nothing is trained, or when the optimizer cannot be fused with
    /// its settings.
    pub fn train(config: &StepConfig<'_>) -> Result<Self, StepError> {
        if config.plan == PlanKind::Fused
            && let Some(reason) = config.optimizer.refuses_fusion()
        {
            return Err(StepError::Fusion {
                optimizer: config.optimizer.name(),
                reason,
            });
        }
        let model = config.model;
        let trained: Vec<usize> = (0..model.parameters.len())
            .filter(|&i| model.parameters[i].trainable)
            .collect();
        if trained.is_empty() {
            return Err(StepError::NothingTrains {
                model: model.name.clone(),
                parameters: model.parameters.len(),
            });
        }
        let Forward {
            mut g,
            mut step,
            loss,
        } = forward(model, &model.train, Some(config.objective))?;
        let loss = loss.expect("an objective has a loss");
        let weights: Vec<Value> = trained.iter().map(|&i| model.train.parameters[i]).collect();
        let forward_nodes = g.nodes().len();
        let loss_scale = g.input(LOSS_SCALE, TensorType::new(g.ty(loss).dtype, [1, 1]))?;
        let mut fused = match config.plan {
            PlanKind::Split => None,
            PlanKind::Fused => Some(fused::FusedPorts::inputs(
                &mut g, config, &trained, &weights,
            )?),
        };
        let gradients = vjp(&mut g, &[loss], &[loss_scale], &weights)?
            .into_iter()
            .zip(&trained)
            .map(|(gradient, &i)| {
                gradient.ok_or_else(|| StepError::Unused {
                    parameter: model.parameters[i].path.clone(),
                })
            })
            .collect::<Result<Vec<Value>, StepError>>()?;
        let needed = ancestors(&g, &gradients);
        let backward = g.nodes()[forward_nodes..]
            .iter()
            .filter(|n| needed[n.results[0].index()]);
        let backward = overflow::of_axes_that_fit(&g, &config.target, backward);
        let watched = watched(backward, &config.target, false);
        let largest = match overflow::largest_gradient(&mut g, &watched)? {
            Some(largest) => largest,
            // Nothing is summed up in the backward pass: the gradients themselves are all there is.
            None => overflow::largest_of(&mut g, &gradients)?.expect("something is trained"),
        };
        step.watch_forward(&mut g, forward_nodes, &config.target)?;
        step.output_model(&mut g, model, &model.train)?;
        g.output(LARGEST_GRADIENT, largest)?;
        for (i, statistic) in model.train.statistics.iter().enumerate() {
            let port = format!(
                "statistic_{i}_{}",
                identifier(&model.buffers[statistic.buffer].path)
            );
            output(&mut g, &port, statistic.value)?;
            step.statistics.push(StatisticPort {
                statistic: *statistic,
                port,
            });
        }
        step.randoms.clone_from(&model.train.randoms);
        match &mut fused {
            None => {
                for (&i, &v) in trained.iter().zip(&gradients) {
                    let name = format!("grad_{}", model.parameters[i].identifier());
                    output(&mut g, &name, v)?;
                    step.gradients.push(name);
                }
            }
            Some(ports) => {
                ports.update(&mut g, config, &gradients, largest)?;
                step.state = std::mem::take(&mut ports.state);
                step.scalars = std::mem::take(&mut ports.scalar_names);
            }
        }
        step.trained = trained;
        step.graph = g;
        Ok(step)
    }

    /// Lowers convolutions by `rules`.
    ///
    /// # Errors
    /// When a rule names no layer with a convolution, or does not fit one that it names.
    pub fn lower(&mut self, rules: &[LoweringRule], target: &Target) -> Result<(), StepError> {
        if !rules.is_empty() {
            (self.graph, self.lowered) = lowering::lowered(&self.graph, rules, target)?;
        }
        Ok(())
    }

    /// Loss and outputs of the inference graph.
    ///
    /// # Errors
    /// When the objective does not fit the model.
    pub fn evaluate(
        model: &Model,
        objective: &Objective,
        target: &Target,
    ) -> Result<Self, StepError> {
        Self::infer(model, Some(objective), target)
    }

    /// Outputs of the inference graph.
    ///
    /// # Errors
    /// When a port cannot be made: our bug.
    pub fn predict(model: &Model, target: &Target) -> Result<Self, StepError> {
        Self::infer(model, None, target)
    }

    fn infer(
        model: &Model,
        objective: Option<&Objective>,
        target: &Target,
    ) -> Result<Self, StepError> {
        let alone;
        let of = match (objective, model.infer.loss) {
            (None, Some(_)) => {
                alone = without_loss(&model.infer)?;
                &alone
            }
            _ => &model.infer,
        };
        let Forward {
            mut g, mut step, ..
        } = forward(model, of, objective)?;
        let nodes = g.nodes().len();
        step.watch_forward(&mut g, nodes, target)?;
        step.output_model(&mut g, model, of)?;
        step.buffers = of
            .buffers
            .iter()
            .map(|&b| (b, g.port(b.value).to_owned()))
            .collect();
        step.graph = g;
        Ok(step)
    }

    /// Makes what the first `nodes` nodes are watched by an output.
    fn watch_forward(
        &mut self,
        g: &mut Graph,
        nodes: usize,
        target: &Target,
    ) -> Result<(), StepError> {
        let forward = overflow::of_axes_that_fit(g, target, g.nodes()[..nodes].iter());
        let watched = watched(forward, target, true);
        if let Some(largest) = overflow::largest_activation(g, &watched)? {
            output(g, LARGEST_ACTIVATION, largest)?;
            self.watches_forward = true;
        }
        Ok(())
    }

    fn output_model(
        &mut self,
        g: &mut Graph,
        model: &Model,
        of: &ModelGraph,
    ) -> Result<(), StepError> {
        for (name, value) in &of.outputs {
            self.output_rows(g, model, name, *value)?;
        }
        Ok(())
    }

    /// Makes a value an output whose first axis is the batch.
    fn output_rows(
        &mut self,
        g: &mut Graph,
        model: &Model,
        name: &str,
        value: Value,
    ) -> Result<(), StepError> {
        let width = g.ty(value).shape.numel() / model.batch;
        output(g, name, value)?;
        self.outputs.push(OutputPort {
            name: name.to_owned(),
            width,
        });
        Ok(())
    }
}

/// The forward pass, with the loss as an output where there is an objective.
fn forward(
    model: &Model,
    of: &ModelGraph,
    objective: Option<&Objective>,
) -> Result<Forward, StepError> {
    let mut g = of.graph.clone();
    let mut step = Step {
        inputs: of.inputs.iter().map(|&v| g.port(v).to_owned()).collect(),
        has_present: of.present.is_some(),
        ..Step::default()
    };
    let Some(objective) = objective else {
        if let Some((name, head)) = &of.head {
            let logits = head.logits(&mut g)?;
            step.output_rows(&mut g, model, name, logits)?;
        }
        return Ok(Forward {
            g,
            step,
            loss: None,
        });
    };
    let outputs = of.outputs.iter().map(|(_, v)| *v);
    let head = of.head.iter().map(|(_, head)| head.hidden);
    let first = outputs.chain(head).next();
    let dtype = first.map_or(ane_ir::DType::Fp16, |v| g.ty(v).dtype);
    if let (true, Some(own)) = (objective.is_own(), of.loss) {
        let loss = g.reshape(own, &Shape::new(&[1, 1]))?;
        output(&mut g, LOSS, loss)?;
        return Ok(Forward {
            g,
            step,
            loss: Some(loss),
        });
    }
    let weight = g.input(WEIGHT, TensorType::new(dtype, [model.batch, 1]))?;
    let divisor = g.input(DIVISOR, TensorType::new(dtype, [1, 1]))?;
    let minimised = objective.build(&mut g, model, of, weight, divisor)?;
    step.targets = minimised.targets;
    for (name, losses) in minimised.token_losses {
        step.output_rows(&mut g, model, &name, losses)?;
    }
    if let Some(loss) = minimised.loss {
        output(&mut g, LOSS, loss)?;
    }
    Ok(Forward {
        g,
        step,
        loss: minimised.loss,
    })
}

/// What the outputs are computed from, and nothing of the loss and its targets, which who predicts does not have.
fn without_loss(of: &ModelGraph) -> Result<ModelGraph, StepError> {
    let outputs: Vec<Value> = of.outputs.iter().map(|&(_, v)| v).collect();
    let needed = ancestors(&of.graph, &outputs);
    let all = of.graph.inputs().iter().copied();
    let kept: Vec<Value> = all.filter(|v| needed[v.index()]).collect();
    let inputs: Vec<(&str, Value)> = kept.iter().map(|&v| (of.graph.port(v), v)).collect();
    let named = of.outputs.iter().map(|(name, v)| (name.as_str(), *v));
    let part = of.graph.extract(&inputs, &named.collect::<Vec<_>>())?;
    let mut graph = Graph::new();
    let mut here = HashMap::new();
    for (name, v) in inputs {
        here.insert(v, graph.input(name, of.graph.ty(v).clone())?);
    }
    let ports: Vec<Value> = kept.iter().map(|v| here[v]).collect();
    let values = graph.inline(&part, &ports)?;
    let of_kept = |values: &[Value]| values.iter().filter_map(|v| here.get(v).copied()).collect();
    Ok(ModelGraph {
        inputs: of_kept(&of.inputs),
        parameters: of_kept(&of.parameters),
        buffers: of
            .buffers
            .iter()
            .filter_map(|b| {
                let value = *here.get(&b.value)?;
                Some(BufferPort { value, ..*b })
            })
            .collect(),
        outputs: of
            .outputs
            .iter()
            .zip(values)
            .map(|((name, _), v)| (name.clone(), v))
            .collect(),
        loss: None,
        head: None,
        statistics: Vec::new(),
        randoms: Vec::new(),
        present: of.present.and_then(|v| here.get(&v).copied()),
        graph,
    })
}

impl Step {
    /// The value that leaves by the output `port`, also where it shares a packed one.
    pub(crate) fn output_value(&self, port: &str) -> Option<Value> {
        let g = &self.graph;
        if let Some(value) = g.output_named(port) {
            return Some(value);
        }
        self.packed.iter().find_map(|packed| {
            let at = packed.members.iter().position(|m| m.port == port)?;
            let whole = g.output_named(&packed.name)?;
            g.node_of(whole)?.operands.get(at).copied()
        })
    }

    /// Where the elements of the output `port` are: in which output of the graph, by position, and where within it.
    pub(crate) fn output_elements(&self, port: &str) -> Option<(usize, Range<usize>)> {
        let g = &self.graph;
        let at = |name: &str| g.outputs().iter().position(|&v| g.port(v) == name);
        if let Some(at) = at(port) {
            return Some((at, 0..g.ty(g.outputs()[at]).shape.numel()));
        }
        self.packed.iter().find_map(|packed| {
            let member = packed.members.iter().find(|m| m.port == port)?;
            let first = member.row * packed.ty.shape.last();
            let elements = first..first + member.rows.shape.numel();
            Some((at(&packed.name)?, elements))
        })
    }
}

/// Makes `value` the output `name`. A value that is a port already leaves by a node of its own.
fn output(g: &mut Graph, name: &str, value: Value) -> Result<(), StepError> {
    let is_port = g.inputs().contains(&value) || g.outputs().contains(&value);
    let value = if is_port { g.identity(value)? } else { value };
    Ok(g.output(name, value)?)
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
