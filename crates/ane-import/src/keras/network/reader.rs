//! Reading configurations: layers, what they are called with, and their weights counted.

use super::{InputLayer, Network, Node, Source, What};
use crate::keras::{
    Options,
    arguments::{Arguments, Reference, reference},
    error::{KerasError, Place, shortened},
    layers, ops,
    settings::{self, Settings, wrong},
};
use ane_ir::DType;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// Most layers of a model, and most calls of layers.
const MOST: usize = 20_000;

/// Reads configurations and counts what is in them.
#[derive(Debug, Default)]
pub(in crate::keras) struct Reader {
    weights: usize,
    layers: usize,
}

impl Reader {
    /// Reads the outermost model.
    pub(in crate::keras) fn model(
        &mut self,
        json: &Json,
        options: &Options,
    ) -> Result<Network, KerasError> {
        let place = Place::default();
        let (_, class, config) = serialized(json).map_err(|e| e.at(&place))?;
        let name = config.get("name").and_then(Json::as_str);
        let name = name.unwrap_or("model").to_owned();
        let mut network = self.network(json, class, config, "", name, true)?;
        // Whoever says shapes says them of a model whose own may be unknown.
        if let Some(shapes) = &options.input_shapes
            && shapes.len() != network.inputs.len()
        {
            let found = shapes.len();
            let expected = format!("{} shapes, one for each input", network.inputs.len());
            return Err(wrong("input shapes", expected, found));
        }
        network.layers.shrink_to_fit();
        Ok(network)
    }

    /// Reads a model of this class.
    fn network(
        &mut self,
        json: &Json,
        class: &str,
        config: &Map<String, Json>,
        path: &str,
        name: String,
        trained: bool,
    ) -> Result<Network, KerasError> {
        let place = Place::new(class, path);
        let trained = trained && Settings::new(config).flag("trainable", true)?;
        let layers = match config.get("layers") {
            Some(Json::Array(layers)) if matches!(class, "Sequential" | "Functional" | "Model") => {
                layers
            }
            Some(_) | None => {
                return Err(KerasError::UnsupportedLayer {
                    place,
                    module: text(json, "module").unwrap_or("").to_owned(),
                    help: "a model that is a class of its own says nothing of its layers; build it as Sequential or with the functional API",
                });
            }
        };
        let mut network = Network {
            name,
            layers: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            order: Vec::new(),
        };
        let mut by_name = HashMap::new();
        for layer in layers {
            let node = self.node(layer, path, trained)?;
            if by_name
                .insert(node.name.clone(), network.layers.len())
                .is_some()
            {
                return Err(KerasError::Twice {
                    path: node.place.path,
                });
            }
            network.layers.push(node);
        }
        let wired = match class {
            "Sequential" => self.sequential(&mut network, json, config, path),
            _ => self.functional(&mut network, layers, config, &by_name),
        };
        wired.map_err(|e| e.at(&place))?;
        network.sort(&place)?;
        Ok(network)
    }

    /// Each layer is called with what the one before it gives.
    fn sequential(
        &mut self,
        network: &mut Network,
        json: &Json,
        config: &Map<String, Json>,
        path: &str,
    ) -> Result<(), KerasError> {
        if !matches!(
            network.layers.first().map(|n| &n.what),
            Some(What::Input(_))
        ) {
            let built = json.get("build_config").and_then(|c| c.get("input_shape"));
            let shape = config.get("build_input_shape").or(built);
            let input = InputLayer {
                shape: shape.map(shape_of).transpose()?,
                dtype: DType::Fp16,
            };
            let name = "x".to_owned();
            network.layers.insert(
                0,
                Node {
                    place: *Place::new("InputLayer", &join(path, &name)),
                    name,
                    what: What::Input(input),
                    config: Map::new(),
                    calls: Vec::new(),
                    first_weight: 0,
                    weights: Vec::new(),
                    trained: false,
                },
            );
        }
        for (i, node) in network.layers.iter_mut().enumerate() {
            node.calls = vec![match i.checked_sub(1) {
                Some(before) => Arguments::of(source(before)),
                None => Arguments {
                    positional: Vec::new(),
                    named: Vec::new(),
                },
            }];
        }
        network.inputs = vec![0];
        network.outputs = vec![(None, source(network.layers.len() - 1))];
        Ok(())
    }

    /// Each layer is called with what its inbound nodes say.
    fn functional(
        &mut self,
        network: &mut Network,
        layers: &[Json],
        config: &Map<String, Json>,
        by_name: &HashMap<String, usize>,
    ) -> Result<(), KerasError> {
        let mut calls = Vec::with_capacity(layers.len());
        for (layer, node) in layers.iter().zip(&network.layers) {
            let nodes = match layer.get("inbound_nodes") {
                Some(Json::Array(nodes)) => nodes.as_slice(),
                None => &[],
                Some(other) => return Err(wrong("inbound_nodes", "a list", other).at(&node.place)),
            };
            let mut tensor = |name: &str, call, output| match by_name.get(name) {
                Some(&layer) => Ok(Source {
                    layer,
                    call,
                    output,
                }),
                None => Err(unknown(&node.place, name, call, output)),
            };
            let mut own = nodes
                .iter()
                .map(|n| Arguments::read(n, &mut tensor).map_err(|e| e.at(&node.place)))
                .collect::<Result<Vec<_>, _>>()?;
            if matches!(node.what, What::Input(_)) {
                own = vec![Arguments {
                    positional: Vec::new(),
                    named: Vec::new(),
                }];
            }
            self.count(own.len())?;
            calls.push(own);
        }
        for (node, own) in network.layers.iter_mut().zip(calls) {
            node.calls = own;
        }
        let ports = |key: &str| -> Result<Vec<(Option<String>, Source)>, KerasError> {
            let mut all = Vec::new();
            let json = config.get(key).ok_or_else(|| KerasError::Missing {
                place: Box::default(),
                key: key.to_owned(),
            })?;
            references(json, None, &mut all)?;
            let of = |(name, (layer, call, output)): (Option<String>, Reference<'_>)| {
                let place = Place::default();
                let Some(&l) = by_name.get(layer) else {
                    return Err(unknown(&place, layer, call, output));
                };
                let source = Source {
                    layer: l,
                    call,
                    output,
                };
                Ok((name, source))
            };
            all.into_iter().map(of).collect()
        };
        network.outputs = ports("output_layers")?;
        network.inputs = ports("input_layers")?
            .iter()
            .map(|(_, s)| s.layer)
            .collect();
        // What is referred to must exist, before anything waits for it.
        let counts: Vec<usize> = network.layers.iter().map(|n| n.calls.len()).collect();
        let inside = network.layers.iter().flat_map(|n| {
            n.calls
                .iter()
                .flat_map(|c| c.tensors())
                .map(|s| (&n.place, s))
        });
        let model = Place::default();
        let outputs = network.outputs.iter().map(|(_, s)| (&model, s));
        for (place, s) in inside.chain(outputs) {
            if s.call >= counts[s.layer] {
                let name = &network.layers[s.layer].name;
                return Err(unknown(place, name, s.call, s.output));
            }
        }
        Ok(())
    }

    /// Reads one layer, without its calls.
    fn node(&mut self, json: &Json, path: &str, trained: bool) -> Result<Node, KerasError> {
        self.count(1)?;
        let (module, class, config) = serialized(json).map_err(|e| e.at(&Place::new("", path)))?;
        let settings = Settings::new(config);
        let name = text(json, "name").or_else(|| config.get("name").and_then(Json::as_str));
        let name = name.unwrap_or(class).to_owned();
        let path = join(path, &name);
        let place = *Place::new(class, &path);
        let own = |e: KerasError| e.at(&place);
        let trained = trained && settings.flag("trainable", true).map_err(own)?;
        let first_weight = self.weights;
        let mut weights = Vec::new();
        let what = if class == "InputLayer" {
            What::Input(input_layer(&settings).map_err(own)?)
        } else if let Some(entry) = layers::find(module, class) {
            settings.refuse_common().map_err(own)?;
            weights = (entry.weights)(&settings).map_err(own)?;
            What::Layer(entry)
        } else if let Some(operation) = ops::find(module, class) {
            What::Operation(operation)
        } else if config.contains_key("layers") {
            let inner = self.network(json, class, config, &path, name.clone(), trained)?;
            What::Network(Box::new(inner))
        } else {
            return Err(KerasError::UnsupportedLayer {
                help: layers::help(module, class),
                module: shortened(module),
                place: Box::new(place),
            });
        };
        self.weights += weights.len();
        Ok(Node {
            name,
            place,
            // A model's own layers have their settings themselves.
            config: match &what {
                What::Network(_) => Map::new(),
                _ => config.clone(),
            },
            what,
            calls: Vec::new(),
            first_weight,
            weights,
            trained,
        })
    }

    /// Counts layers and calls.
    fn count(&mut self, more: usize) -> Result<(), KerasError> {
        self.layers = self.layers.saturating_add(more);
        if self.layers <= MOST {
            return Ok(());
        }
        Err(KerasError::Limit {
            what: "the number of layers and their calls".to_owned(),
            found: self.layers.to_string(),
            most: MOST,
        })
    }
}

fn source(layer: usize) -> Source {
    Source {
        layer,
        call: 0,
        output: 0,
    }
}

fn unknown(place: &Place, name: &str, call: usize, output: usize) -> KerasError {
    KerasError::Reference {
        place: Box::new(place.clone()),
        name: shortened(name),
        call,
        output,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn text<'a>(json: &'a Json, key: &str) -> Option<&'a str> {
    json.get(key).and_then(Json::as_str)
}

/// Module, class and settings of a serialised object.
pub(in crate::keras) fn serialized(
    json: &Json,
) -> Result<(&str, &str, &Map<String, Json>), KerasError> {
    let missing = |key: &str| KerasError::Missing {
        place: Box::default(),
        key: key.to_owned(),
    };
    let class = text(json, "class_name").ok_or_else(|| missing("class_name"))?;
    let config = json.get("config").and_then(Json::as_object);
    let config = config.ok_or_else(|| missing("config"))?;
    // A class of somebody else's has another module, or is registered under the name of a package.
    let module = text(json, "module").unwrap_or("");
    Ok((module, class, config))
}

/// References to tensors: one, a list, or by name.
fn references<'a>(
    json: &'a Json,
    name: Option<&str>,
    all: &mut Vec<(Option<String>, Reference<'a>)>,
) -> Result<(), KerasError> {
    match json {
        Json::Array(items) if !matches!(items.first(), Some(Json::String(_))) => {
            items.iter().try_for_each(|v| references(v, name, all))
        }
        // Keras takes what has names in the order of the names.
        Json::Object(map) => {
            let mut named: Vec<_> = map.iter().collect();
            named.sort_unstable_by_key(|(name, _)| *name);
            named
                .into_iter()
                .try_for_each(|(name, v)| references(v, Some(name), all))
        }
        one => {
            all.push((name.map(str::to_owned), reference(Some(one))?));
            Ok(())
        }
    }
}

fn shape_of(json: &Json) -> Result<Vec<Option<usize>>, KerasError> {
    let Json::Array(all) = json else {
        return Err(wrong("batch_shape", "a list of numbers", json));
    };
    all.iter()
        .map(|v| match v {
            Json::Null => Ok(None),
            v => settings::size("batch_shape", v, 1).map(Some),
        })
        .collect()
}

fn input_layer(settings: &Settings<'_>) -> Result<InputLayer, KerasError> {
    for key in ["sparse", "ragged"] {
        if settings.flag(key, false)? {
            let help = "feed the model dense tensors";
            return Err(KerasError::unsupported(format!("`{key}` true"), help));
        }
    }
    let shape = settings
        .get("batch_shape")
        .or(settings.get("batch_input_shape"))
        .ok_or_else(|| KerasError::Missing {
            place: Box::default(),
            key: "batch_shape".to_owned(),
        })?;
    let dtype = match settings.get("dtype") {
        None => DType::Fp16,
        Some(Json::String(name)) => match name.as_str() {
            "uint8" => DType::UInt8,
            "int8" | "int16" | "uint16" | "int32" | "uint32" | "int64" | "uint64" => DType::Int32,
            "float16" | "bfloat16" | "float32" | "float64" => DType::Fp16,
            other => return Err(wrong("dtype", "a type of numbers", other)),
        },
        Some(other) => return Err(wrong("dtype", "the name of a type", other)),
    };
    Ok(InputLayer {
        shape: Some(shape_of(shape)?),
        dtype,
    })
}
