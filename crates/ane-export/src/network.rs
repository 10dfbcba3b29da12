//! A trained model as exporters see it: its forward pass in fp32, with the weights beside it, and which of its lengths
//! are the batch.

mod baked;
mod grown;

pub use baked::Baked;

use crate::ExportError;
use ane_ir::{
    DType, Graph, Literal, Node, Shape, Target, TensorType, Value,
    ops::{Attr, Op, conv_transpose::ConvTranspose, slice_by_index::SliceByIndex},
    passes::{self, PassError},
};
use ane_train::{
    data::Description,
    model::{BufferForm, Model},
    models::ModelSpec,
    store::NamedWeight,
};

/// What a run has learned, and of what.
#[derive(Debug, Clone, Copy)]
pub struct Trained<'a> {
    /// The model.
    pub spec: &'a ModelSpec,
    /// The batch that it was trained with, for models that take no other.
    pub batch: usize,
    /// What its examples are.
    pub description: &'a Description,
    /// Its parameters and buffers by path: shape and elements.
    pub weights: &'a [NamedWeight],
}

/// A forward pass with its weights.
#[derive(Debug)]
pub struct Network {
    /// What it is called.
    pub name: String,
    /// The forward pass in fp32 at [`Network::batch`]; its inputs are those of the model, parameters and buffers, its
    /// outputs those of the model.
    pub graph: Graph,
    /// The same for one example more, node by node, where the two differ in nothing but lengths.
    twin: Option<Graph>,
    /// Whether no length that grows with the batch has to be named.
    is_for_any_batch: bool,
    /// Examples that [`Network::graph`] takes.
    pub batch: usize,
    /// The inputs of the model, [batch, …] each.
    pub inputs: Vec<Value>,
    /// The inputs that are weights, and what they hold.
    pub weights: Vec<Weight>,
}

/// An input of the graph that is a weight.
#[derive(Debug, Clone)]
pub struct Weight {
    /// The input.
    pub value: Value,
    /// PyTorch's name in the `state_dict`.
    pub path: String,
    /// What the input is of these elements.
    pub form: BufferForm,
    /// The elements, row-major, as many as the input has.
    pub elements: Vec<f32>,
}

/// The smallest batch at which every layer can be built for training too: batch normalisation of rows wants two.
const SMALLEST: usize = 2;

impl Network {
    /// Builds the forward pass.
    ///
    /// # Errors
    /// When the model cannot be built, has no result, or the weights are not those of the model.
    pub fn new(trained: &Trained<'_>) -> Result<Self, ExportError> {
        let examples = trained.description.examples();
        let build = |batch| trained.spec.build_in(DType::Fp32, batch, &examples);
        let inputs_of = |model: &Model, graph: &Graph| -> Vec<Value> {
            let named = |&v: &Value| graph.input_named(model.infer.graph.port(v));
            model.infer.inputs.iter().filter_map(named).collect()
        };
        let (model, graph, twin) = match (build(SMALLEST), build(SMALLEST + 1)) {
            (Ok(model), Ok(other)) => (model.clone(), forward(&model)?, Some(forward(&other)?)),
            // Models that were traced for one batch are built for no other.
            _ => {
                let model = build(trained.batch)?;
                let graph = forward(&model)?;
                let twin = grown::grown(&graph, &inputs_of(&model, &graph), model.batch);
                (model, graph, twin)
            }
        };
        let twin = twin.filter(|twin| differ_in_lengths_only(&graph, twin));
        Ok(Self {
            name: model.name.clone(),
            weights: weights(&model, &graph, trained.weights)?,
            batch: model.batch,
            inputs: inputs_of(&model, &graph),
            is_for_any_batch: twin
                .as_ref()
                .is_some_and(|twin| no_length_is_named(&graph, twin)),
            graph,
            twin,
        })
    }

    /// A network of any graph whose inputs are all given at run time.
    pub fn of_graph(name: &str, graph: Graph) -> Self {
        Self {
            name: name.to_owned(),
            twin: None,
            is_for_any_batch: false,
            batch: 1,
            inputs: graph.inputs().to_vec(),
            weights: Vec::new(),
            graph,
        }
    }

    /// Whether it can be written once for any number of examples.
    pub fn is_for_any_batch(&self) -> bool {
        self.is_for_any_batch
    }

    /// The same node for one example more, where a file can leave the number of examples open.
    pub fn twin_of(&self, node: usize) -> Option<&Node> {
        let twin = self.twin.as_ref().filter(|_| self.is_for_any_batch);
        twin.map(|twin| &twin.nodes()[node])
    }

    /// Lengths of the axes of a value; `None` for those that a file leaves open.
    pub fn lengths(&self, value: Value) -> Vec<Option<usize>> {
        let here = self.graph.ty(value).shape.dims();
        let Some(twin) = self.twin.as_ref().filter(|_| self.is_for_any_batch) else {
            return here.iter().map(|&d| Some(d)).collect();
        };
        let there = twin.ty(value).shape.dims();
        let pairs = here.iter().zip(there);
        pairs.map(|(a, b)| (a == b).then_some(*a)).collect()
    }
}

/// The forward pass with its results as outputs, without what they do not need.
fn forward(model: &Model) -> Result<Graph, ExportError> {
    let mut graph = model.infer.graph.clone();
    if model.infer.outputs.is_empty() {
        return Err(ExportError::NoOutput);
    }
    for (name, value) in &model.infer.outputs {
        let value = if graph.is_port(*value) {
            graph.identity(*value)?
        } else {
            *value
        };
        graph.output(name, value)?;
    }
    Ok(simpler(&graph)?)
}

/// Without nodes that change nothing, are there twice, or that nobody reads.
fn simpler(graph: &Graph) -> Result<Graph, PassError> {
    let wanted = |pass: &&passes::Pass| ["simplify", "cse", "dce"].contains(&pass.name);
    let chosen: Vec<_> = passes::LEGALIZE.iter().filter(wanted).copied().collect();
    passes::run(graph, &Target::SOFTWARE, &chosen)
}

/// Whether two graphs are the same but for lengths, which go on as they begin.
fn differ_in_lengths_only(a: &Graph, b: &Graph) -> bool {
    let same_type =
        |x: &TensorType, y: &TensorType| x.dtype == y.dtype && x.shape.rank() == y.shape.rank();
    let goes_on = |(x, y): (&(&str, Attr), &(&str, Attr))| match (&x.1, &y.1) {
        _ if x == y => true,
        (Attr::Ints(a), Attr::Ints(b)) => x.0 == y.0 && a.len() == b.len(),
        (Attr::Literal(a), Attr::Literal(b)) => {
            let value = a.splat_value().map(f64::to_bits);
            value.is_some()
                && value == b.splat_value().map(f64::to_bits)
                && same_type(a.ty(), b.ty())
        }
        _ => false,
    };
    let same_node = |(x, y): (&Node, &Node)| {
        let (of_x, of_y) = (x.op.attrs(), y.op.attrs());
        x.op.name() == y.op.name()
            && x.operands == y.operands
            && x.segments == y.segments
            && of_x.len() == of_y.len()
            && of_x.iter().zip(&of_y).all(goes_on)
    };
    a.nodes().len() == b.nodes().len()
        && a.inputs() == b.inputs()
        && a.outputs() == b.outputs()
        && a.nodes().iter().zip(b.nodes()).all(same_node)
        && a.values().all(|v| same_type(a.ty(v), b.ty(v)))
}

/// Whether the lengths in which two graphs differ can be left open: no constant has them, and nothing is repeated as
/// often.
fn no_length_is_named(a: &Graph, b: &Graph) -> bool {
    let nodes = a.nodes().iter().zip(b.nodes());
    nodes
        .into_iter()
        .all(|(x, y)| x.op.attrs() == y.op.attrs() || grows_with_the_batch(&x.op, &y.op))
}

/// Whether two ops differ in one length that can be said without naming it.
fn grows_with_the_batch(x: &Op, y: &Op) -> bool {
    let differing =
        |a: &[i32], b: &[i32]| -> Vec<usize> { (0..a.len()).filter(|&i| a[i] != b[i]).collect() };
    match (x, y) {
        (Op::Reshape(x), Op::Reshape(y)) => {
            let all = x.shape.iter().chain(&y.shape);
            x.shape.len() == y.shape.len()
                && differing(&x.shape, &y.shape).len() == 1
                && all.copied().all(|d| d >= 0)
        }
        (Op::ConvTranspose(x), Op::ConvTranspose(y)) => {
            // All that counts of the shape are the lengths of the image.
            let lengths = |op: &ConvTranspose| op.output_shape.clone().map(|s| s[1..].to_vec());
            let rest = |op: &ConvTranspose| ConvTranspose {
                output_shape: None,
                ..op.clone()
            };
            lengths(x) == lengths(y) && rest(x) == rest(y)
        }
        (Op::SliceBySize(x), Op::SliceBySize(y)) => {
            x.begin == y.begin
                && (differing(&x.size, &y.size).into_iter()).all(|axis| x.begin[axis] == 0)
        }
        (Op::SliceByIndex(x), Op::SliceByIndex(y)) => {
            let rest = |s: &SliceByIndex| {
                let mut s = s.clone();
                s.end.clear();
                s
            };
            let stride = |axis: usize| x.stride.as_ref().map_or(1, |s| s[axis]);
            rest(x) == rest(y)
                && (differing(&x.end, &y.end).into_iter())
                    .all(|axis| x.begin[axis] == 0 && stride(axis) == 1)
        }
        _ => false,
    }
}

/// An attribute for another batch: lengths go on as they begin.
fn continued(here: &Attr, there: &Attr, steps: i32) -> Attr {
    let go_on = |a: i32, b: i32| a + steps * (b - a);
    match (here, there) {
        (Attr::Ints(a), Attr::Ints(b)) => {
            Attr::Ints(a.iter().zip(b).map(|(&a, &b)| go_on(a, b)).collect())
        }
        (Attr::Literal(a), Attr::Literal(b)) if a != b => {
            let ty = TensorType::new(a.ty().dtype, continued_shape(a.ty(), b.ty(), steps));
            Attr::Literal(Literal::splat(ty, a.splat_value().unwrap_or_default()))
        }
        _ => here.clone(),
    }
}

/// A shape for another batch.
fn continued_shape(here: &TensorType, there: &TensorType, steps: i32) -> Shape {
    let pairs = here.shape.dims().iter().zip(there.shape.dims());
    let go_on = |(&a, &b): (&usize, &usize)| {
        let grown = a as i64 + i64::from(steps) * (b as i64 - a as i64);
        usize::try_from(grown).unwrap_or(0)
    };
    pairs.map(go_on).collect()
}

/// The inputs that are weights.
fn weights(
    model: &Model,
    graph: &Graph,
    given: &[NamedWeight],
) -> Result<Vec<Weight>, ExportError> {
    let ports = &model.infer;
    let parameters = model.parameters.iter().zip(&ports.parameters);
    let parameters = parameters.map(|(p, &value)| (&p.path, value, BufferForm::Plain));
    let buffers = ports.buffers.iter();
    let buffers = buffers.map(|b| (&model.buffers[b.buffer].path, b.value, b.form));
    parameters
        .chain(buffers)
        .filter_map(|(path, value, form)| {
            let port = ports.graph.port(value);
            graph.input_named(port).map(|value| (path, value, form))
        })
        .map(|(path, value, form)| {
            let expected = graph.ty(value).shape.numel();
            let elements = given.iter().find(|(name, ..)| name == path);
            let elements = elements.map_or(Vec::new(), |(_, _, elements)| elements.clone());
            if elements.len() != expected {
                return Err(ExportError::Weight {
                    path: path.clone(),
                    expected,
                    found: elements.len(),
                });
            }
            Ok(Weight {
                value,
                path: path.clone(),
                form,
                elements,
            })
        })
        .collect()
}
