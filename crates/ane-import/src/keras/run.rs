//! The forward pass of a model while its graph is being built: layers that are applied, and their weights.

mod layout;

pub(super) use layout::{Tensor, fits, int, ints};

use super::{
    Head, Options, Output, Role, Weight,
    arguments::Arguments,
    error::KerasError,
    network::{Network, Node, What, tensors_of},
    settings::Settings,
};
use ane_ir::Value;
use ane_train::model::{Builder, Init, Input, Tags};
use std::collections::HashMap;

/// Most calls of layers, those inside of models that are called again and again counted each time.
const MOST_CALLS: usize = 40_000;

/// What a layer gives: tensors, and the activation that was taken off each.
type Results = Vec<(Tensor, Option<Head>)>;

/// A layer that is being applied.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    node: &'a Node,
    /// Its settings.
    pub(super) settings: Settings<'a>,
    /// Whether its last activation is left out.
    bare: bool,
}

impl Layer<'_> {
    /// Its path.
    pub(super) fn path(&self) -> &str {
        &self.node.place.path
    }

    /// The name of its class.
    pub(super) fn class(&self) -> &str {
        &self.node.place.class
    }

    /// Whether it has this weight.
    pub(super) fn has(&self, weight: &str) -> bool {
        self.node.weights.iter().any(|w| w == weight)
    }

    /// How many spatial axes its images have, by the end of its class's name.
    pub(super) fn axes(&self) -> usize {
        if self.class().contains("1D") { 1 } else { 2 }
    }

    /// Whether its images have their channels before the spatial axes, for Keras as well.
    pub(super) fn channels_first(&self) -> Result<bool, KerasError> {
        match self.settings.text("data_format", "channels_last")? {
            "channels_last" => Ok(false),
            "channels_first" => Ok(true),
            other => Err(super::settings::wrong(
                "data_format",
                "channels_last or channels_first",
                other,
            )),
        }
    }
}

/// A weight that was asked for.
#[derive(Debug, Clone, Copy)]
enum Held {
    Parameter(Value),
    Buffer,
}

/// A forward pass.
pub(super) struct Run<'a> {
    /// The builder of the model.
    pub(super) cx: &'a mut Builder,
    options: &'a Options,
    names: Vec<String>,
    shapes: Vec<Vec<usize>>,
    held: HashMap<usize, Held>,
    head: Option<Head>,
    calls: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(cx: &'a mut Builder, options: &'a Options, names: Vec<String>) -> Self {
        Self {
            cx,
            options,
            shapes: vec![Vec::new(); names.len()],
            names,
            held: HashMap::new(),
            head: None,
            calls: 0,
        }
    }

    /// Applies the outermost model, whose own inputs these are, to values of the inputs that it was given.
    pub(super) fn model(
        &mut self,
        network: &Network,
        own: &[Input],
        values: &[Value],
    ) -> Result<Vec<(Output, Value)>, KerasError> {
        let inputs = match (&self.options.examples, own, values) {
            (None, ..) => values.iter().map(|&v| Tensor::plain(v)).collect(),
            (Some(_), [takes], &[x]) => vec![self.example(x, takes)?],
            (Some(_), ..) => {
                let found = format!("a model of {} inputs", own.len());
                return Err(KerasError::input("examples as its only input", found));
            }
        };
        let outputs = self.network(network, inputs, self.options.logits)?;
        let alone = outputs.len() == 1;
        let mut all: Vec<(Output, Value)> = Vec::new();
        for ((name, source), (tensor, head)) in network.outputs.iter().zip(outputs) {
            let layer = &network.layers[source.layer];
            let mut name = match name {
                _ if alone => "output".to_owned(),
                Some(name) => name.clone(),
                None => layer.name.clone(),
            };
            while all.iter().any(|(o, _)| o.name == name) {
                name.push_str("_1");
            }
            let value = self.real(tensor).and_then(|t| self.plain(t));
            let value = value.map_err(|e| e.at(&layer.place))?;
            all.push((Output { name, head }, value));
        }
        Ok(all)
    }

    /// What is known of `model.weights` after the model was applied.
    pub(super) fn weights(self) -> Vec<Weight> {
        let held = &self.held;
        let role = |i: usize| match held.get(&i) {
            Some(Held::Parameter(_)) => Role::Parameter,
            Some(Held::Buffer) => Role::Buffer,
            None => Role::Unused,
        };
        let all = self.names.into_iter().zip(self.shapes).enumerate();
        all.map(|(i, (path, shape))| Weight {
            path,
            shape,
            role: role(i),
        })
        .collect()
    }

    /// Applies a model; with `heads` its last activations are left out and told.
    fn network(
        &mut self,
        network: &Network,
        inputs: Vec<Tensor>,
        heads: bool,
    ) -> Result<Results, KerasError> {
        if inputs.len() != network.inputs.len() {
            let expected = format!("{} tensors", network.inputs.len());
            return Err(KerasError::input(
                expected,
                format!("{} tensors", inputs.len()),
            ));
        }
        let mut made: HashMap<(usize, usize), Results> = HashMap::new();
        for (&layer, tensor) in network.inputs.iter().zip(inputs) {
            made.insert((layer, 0), vec![(tensor, None)]);
        }
        let missing = |node: &Node, output| KerasError::Reference {
            place: Box::default(),
            name: node.name.clone(),
            call: 0,
            output,
        };
        for &(l, c) in &network.order {
            let node = &network.layers[l];
            if made.contains_key(&(l, c)) {
                continue;
            }
            let call = &node.calls[c];
            for s in call.tensors() {
                let there = made.get(&(s.layer, s.call)).map_or(0, Vec::len);
                if s.output >= there {
                    return Err(missing(&network.layers[s.layer], s.output));
                }
            }
            let arguments = call.map(&mut |s| made[&(s.layer, s.call)][s.output].0);
            let last = heads
                && network
                    .outputs
                    .iter()
                    .any(|(_, s)| (s.layer, s.call) == (l, c))
                && network.uses(l, c) == 1;
            let results = self.apply(node, arguments, last);
            made.insert((l, c), results.map_err(|e| e.at(&node.place))?);
        }
        let output = |(_, s): &(Option<String>, super::network::Source)| {
            let tensors = made.get(&(s.layer, s.call));
            let tensor = tensors.and_then(|all| all.get(s.output));
            let node = &network.layers[s.layer];
            tensor.copied().ok_or_else(|| missing(node, s.output))
        };
        network.outputs.iter().map(output).collect()
    }

    /// Applies a layer.
    fn apply(
        &mut self,
        node: &Node,
        arguments: Arguments<Tensor>,
        bare: bool,
    ) -> Result<Results, KerasError> {
        self.calls += 1;
        if self.calls > MOST_CALLS {
            return Err(KerasError::Limit {
                what: "the number of calls of layers".to_owned(),
                found: self.calls.to_string(),
                most: MOST_CALLS,
            });
        }
        let layer = Layer {
            node,
            settings: Settings::new(&node.config),
            bare,
        };
        let outside = self.cx.graph().current_scope().clone();
        let here = outside.child(&node.name);
        self.cx.graph().set_scope(here);
        let results = match &node.what {
            What::Input(_) => Err(KerasError::unsupported(
                "an input that the model does not list",
                "list it among the inputs",
            )),
            What::Network(inner) => {
                arguments.refuse_named(&["inputs"])?;
                let inputs = arguments.positional.iter().flat_map(tensors_of);
                let named = arguments.named.iter().flat_map(|(_, a)| tensors_of(a));
                let inputs = inputs.chain(named).collect();
                self.network(inner, inputs, bare)
            }
            What::Layer(entry) => {
                self.head = None;
                let mut failed = None;
                let arguments = arguments.map(&mut |&t| match entry.indices {
                    true => t,
                    false => self.real(t).unwrap_or_else(|e| {
                        failed = Some(e);
                        t
                    }),
                });
                match failed {
                    Some(error) => Err(error),
                    None => (entry.apply)(self, &layer, &arguments).map(|tensors| {
                        let head = self.head.take();
                        tensors.into_iter().map(|t| (t, head)).collect()
                    }),
                }
            }
            What::Operation(operation) => {
                (operation.apply)(self, &layer, &arguments).map(|tensor| vec![(tensor, None)])
            }
        };
        self.cx.graph().set_scope(outside);
        let results = results?;
        for (tensor, _) in &results {
            fits(self.cx.shape(tensor.value).dims(), "the result")?;
        }
        Ok(results)
    }

    /// Whether the last activation of a layer, which would be this one, is left out; if so it is told.
    pub(super) fn takes_off(&mut self, layer: &Layer<'_>, head: Head) -> bool {
        if layer.bare {
            self.head = Some(head);
        }
        layer.bare
    }

    /// The parameter `name` of a layer, which may have been asked for before.
    pub(super) fn weight(
        &mut self,
        layer: &Layer<'_>,
        name: &str,
        shape: &[usize],
        init: Init,
        tags: Tags,
    ) -> Result<Value, KerasError> {
        let index = self.index(layer, name, shape)?;
        if let Some(Held::Parameter(value)) = self.held.get(&index) {
            return Ok(*value);
        }
        let path = self.names[index].clone();
        let value = self.cx.parameter(&path, shape, init, tags)?;
        self.held.insert(index, Held::Parameter(value));
        Ok(value)
    }

    /// The buffer `name` of a layer, which may have been asked for before: its position.
    pub(super) fn buffer(
        &mut self,
        layer: &Layer<'_>,
        name: &str,
        shape: &[usize],
        initial: f32,
    ) -> Result<usize, KerasError> {
        let index = self.index(layer, name, shape)?;
        if let Some(Held::Buffer) = self.held.get(&index) {
            return Err(KerasError::unsupported(
                "a layer with running statistics that is called twice",
                "give each call a layer of its own",
            ));
        }
        let path = self.names[index].clone();
        let buffer = self
            .cx
            .buffer(&path, shape, Init::Constant(f64::from(initial)))?;
        self.held.insert(index, Held::Buffer);
        Ok(buffer)
    }

    /// Position of a weight in `model.weights`, which has this shape.
    fn index(
        &mut self,
        layer: &Layer<'_>,
        name: &str,
        shape: &[usize],
    ) -> Result<usize, KerasError> {
        fits(shape, "a weight")?;
        let position = layer.node.weights.iter().position(|w| w == name);
        let position = position.expect("a layer asks for the weights that it lists");
        let index = layer.node.first_weight + position;
        if self.held.contains_key(&index) && self.shapes[index] != shape {
            let expected = format!("what fits its `{name}` {:?}", self.shapes[index]);
            return Err(KerasError::input(
                expected,
                format!("what needs {shape:?}, in another call"),
            ));
        }
        self.shapes[index] = shape.to_vec();
        Ok(index)
    }
}
