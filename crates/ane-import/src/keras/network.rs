//! A configuration as layers and what they are called with, in an order in which they can be computed.

mod reader;

pub(super) use reader::{Reader, serialized};

use super::{
    arguments::{Argument, Arguments},
    error::{KerasError, Place},
    layers::Entry,
    ops::Operation,
    settings::wrong,
};
use ane_ir::DType;
use serde_json::{Map, Value as Json};
use std::collections::{BTreeSet, HashMap};

/// A tensor of a model: which output of which call of which layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// Position of the layer.
    pub(super) layer: usize,
    /// Which of its calls.
    pub(super) call: usize,
    /// Which tensor of that call.
    pub(super) output: usize,
}

/// A Sequential or functional model.
#[derive(Debug)]
pub(super) struct Network {
    /// Its name.
    pub(super) name: String,
    /// Its layers, in the order of the configuration, which is that of their weights.
    pub(super) layers: Vec<Node>,
    /// Positions of the input layers, in the order of the model's inputs.
    pub(super) inputs: Vec<usize>,
    /// The outputs, by name where the model names them.
    pub(super) outputs: Vec<(Option<String>, Source)>,
    /// Layers and calls, so that each comes after what it needs.
    pub(super) order: Vec<(usize, usize)>,
}

/// A layer.
#[derive(Debug)]
pub(super) struct Node {
    /// Its name in its model.
    pub(super) name: String,
    /// Where it is.
    pub(super) place: Place,
    /// What it is.
    pub(super) what: What,
    /// Its settings.
    pub(super) config: Map<String, Json>,
    /// What it is called with.
    pub(super) calls: Vec<Arguments<Source>>,
    /// Index in `model.weights` of its first weight.
    pub(super) first_weight: usize,
    /// Names of its weights.
    pub(super) weights: Vec<String>,
    /// Whether it and the models it is in are trained.
    pub(super) trained: bool,
}

/// What a layer is.
#[derive(Debug)]
pub(super) enum What {
    /// An input of the model.
    Input(InputLayer),
    /// A layer of the list.
    Layer(&'static Entry),
    /// An operation of `keras.ops`.
    Operation(&'static Operation),
    /// A model.
    Network(Box<Network>),
}

/// An input of a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InputLayer {
    /// Shape with the batch first, where it is known.
    shape: Option<Vec<Option<usize>>>,
    /// The type of its elements.
    pub(super) dtype: DType,
}

impl InputLayer {
    /// Shape of an example.
    pub(super) fn example(&self, place: &Place, batch: usize) -> Result<Vec<usize>, KerasError> {
        let unknown = |what| {
            let help = "build the model with the shape of its data, or say that shape";
            KerasError::unsupported(what, help).at(place)
        };
        let shape = self.shape.as_ref();
        let shape = shape.ok_or_else(|| unknown("a model that was never built"))?;
        let (rows, example) = shape
            .split_first()
            .ok_or_else(|| wrong("batch_shape", "a shape with the batch first", "[]").at(place))?;
        if rows.is_some_and(|rows| rows != batch) {
            let found = format!("{rows:?}");
            return Err(
                wrong("batch_shape", format!("of no batch, or of {batch}"), found).at(place),
            );
        }
        let all: Option<Vec<usize>> = example.iter().copied().collect();
        all.ok_or_else(|| unknown("an axis of unknown length"))
    }
}

impl Network {
    /// Names, places and settings of the inputs.
    pub(super) fn inputs(&self) -> Result<Vec<(&str, Place, InputLayer)>, KerasError> {
        let input = |&i: &usize| {
            let node = &self.layers[i];
            let What::Input(input) = &node.what else {
                let found = &node.place.class;
                return Err(wrong("input_layers", "names of input layers", found));
            };
            let mut input = input.clone();
            // Indices are numbers for Keras as well as integers; fp16 has too few of them.
            if input.dtype.is_float() && self.only_indexes(i) {
                input.dtype = DType::Int32;
            }
            Ok((node.name.as_str(), node.place.clone(), input))
        };
        self.inputs.iter().map(input).collect()
    }

    /// Whether whatever reads this layer takes it as indices.
    fn only_indexes(&self, layer: usize) -> bool {
        let mut readers = self
            .layers
            .iter()
            .filter(|node| {
                let mut tensors = node.calls.iter().flat_map(Arguments::tensors);
                tensors.any(|source| source.layer == layer)
            })
            .peekable();
        readers.peek().is_some()
            && readers.all(|node| matches!(node.what, What::Layer(entry) if entry.indices))
    }

    /// How often something reads this call of a layer, the model's outputs included.
    pub(super) fn uses(&self, layer: usize, call: usize) -> usize {
        let inside = self.layers.iter().flat_map(|node| &node.calls);
        inside
            .flat_map(Arguments::tensors)
            .chain(self.outputs.iter().map(|(_, source)| source))
            .filter(|source| (source.layer, source.call) == (layer, call))
            .count()
    }

    /// Paths of all weights, in order.
    pub(super) fn weight_names(&self) -> Vec<String> {
        self.weights()
            .map(|(node, name)| format!("{}.{name}", node.place.path))
            .enumerate()
            .map(|(i, path)| format!("{i}.{path}"))
            .collect()
    }

    /// Which weights are not trained.
    pub(super) fn frozen(&self) -> Vec<bool> {
        self.weights()
            .map(|(node, name)| !node.trained || node.is_constant(name))
            .collect()
    }

    /// All weights: their layers and names.
    fn weights(&self) -> Box<dyn Iterator<Item = (&Node, &str)> + '_> {
        Box::new(self.layers.iter().flat_map(|node| match &node.what {
            What::Network(inner) => inner.weights(),
            _ => Box::new(node.weights.iter().map(move |name| (node, name.as_str()))),
        }))
    }

    /// Puts calls into an order; a cycle has none.
    fn sort(&mut self, place: &Place) -> Result<(), KerasError> {
        // Of every call, how many of its operands are not there yet, and who waits for it.
        let mut missing = HashMap::new();
        let mut waiting: HashMap<(usize, usize), Vec<(usize, usize)>> = HashMap::new();
        let mut ready = BTreeSet::new();
        for (l, node) in self.layers.iter().enumerate() {
            for (c, call) in node.calls.iter().enumerate() {
                let operands = call.tensors();
                if operands.is_empty() {
                    ready.insert((l, c));
                }
                missing.insert((l, c), operands.len());
                for source in operands {
                    let by = (source.layer, source.call);
                    waiting.entry(by).or_default().push((l, c));
                }
            }
        }
        while let Some(next) = ready.pop_first() {
            self.order.push(next);
            for waiter in waiting.remove(&next).into_iter().flatten() {
                let left = missing.entry(waiter).or_insert(1);
                *left -= 1;
                if *left == 0 {
                    ready.insert(waiter);
                }
            }
        }
        missing.retain(|_, left| *left > 0);
        match missing.into_keys().min() {
            None => Ok(()),
            Some((l, _)) => {
                let place = self.layers.get(l).map_or(place, |node| &node.place);
                Err(KerasError::Cycle {
                    place: Box::new(place.clone()),
                })
            }
        }
    }
}

impl Node {
    /// Whether a weight is a parameter of ours that nothing trains: what inference and training alike compute with.
    fn is_constant(&self, name: &str) -> bool {
        matches!(self.what, What::Layer(entry) if entry.constants.contains(&name))
    }
}

/// The tensors of an argument, for layers that take several.
pub(super) fn tensors_of<T: Copy>(argument: &Argument<T>) -> Vec<T> {
    match argument {
        Argument::Tensor(t) => vec![*t],
        Argument::Json(_) => Vec::new(),
        Argument::List(all) => all.iter().flat_map(tensors_of).collect(),
        Argument::Map(all) => all.iter().flat_map(|(_, a)| tensors_of(a)).collect(),
    }
}
