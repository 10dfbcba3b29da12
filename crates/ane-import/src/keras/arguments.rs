//! What a layer is called with: tensors, and what is none.

use super::error::KerasError;
use serde_json::Value as Json;

/// An argument; `T` is what stands for a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument<T> {
    /// A tensor.
    Tensor(T),
    /// Anything else.
    Json(Json),
    /// Several, some of which are tensors.
    List(Vec<Self>),
    /// Several by name.
    Map(Vec<(String, Self)>),
}

/// All arguments of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arguments<T> {
    /// By position.
    pub(super) positional: Vec<Argument<T>>,
    /// By name.
    pub(super) named: Vec<(String, Argument<T>)>,
}

impl<T> Argument<T> {
    /// Reads one; `tensor` makes of a reference (layer, call, output) what stands for it.
    pub(super) fn read(
        json: &Json,
        tensor: &mut impl FnMut(&str, usize, usize) -> Result<T, KerasError>,
    ) -> Result<Self, KerasError> {
        match json {
            Json::Array(all) => {
                let all = all.iter().map(|v| Self::read(v, tensor));
                Ok(Self::List(all.collect::<Result<_, _>>()?))
            }
            Json::Object(map) => match map.get("class_name").and_then(Json::as_str) {
                Some("__keras_tensor__") => {
                    let history = map.get("config").and_then(|c| c.get("keras_history"));
                    let (name, call, output) = reference(history)?;
                    Ok(Self::Tensor(tensor(name, call, output)?))
                }
                Some(_) => Ok(Self::Json(json.clone())),
                // Keras takes what has names in the order of the names.
                None => {
                    let all = map
                        .iter()
                        .map(|(k, v)| Ok((k.clone(), Self::read(v, tensor)?)));
                    let mut all = all.collect::<Result<Vec<_>, KerasError>>()?;
                    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                    Ok(Self::Map(all))
                }
            },
            other => Ok(Self::Json(other.clone())),
        }
    }

    /// The same with another stand-in for tensors.
    pub(super) fn map<U>(&self, f: &mut impl FnMut(&T) -> U) -> Argument<U> {
        match self {
            Self::Tensor(t) => Argument::Tensor(f(t)),
            Self::Json(json) => Argument::Json(json.clone()),
            Self::List(all) => Argument::List(all.iter().map(|a| a.map(f)).collect()),
            Self::Map(all) => {
                Argument::Map(all.iter().map(|(k, a)| (k.clone(), a.map(f))).collect())
            }
        }
    }

    /// Adds all tensors, in order.
    fn collect<'a>(&'a self, all: &mut Vec<&'a T>) {
        match self {
            Self::Tensor(t) => all.push(t),
            Self::Json(_) => {}
            Self::List(list) => list.iter().for_each(|a| a.collect(all)),
            Self::Map(map) => map.iter().for_each(|(_, a)| a.collect(all)),
        }
    }

    /// Whether it says nothing.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Json(Json::Null))
    }
}

impl<T> Arguments<T> {
    /// A call with one tensor.
    pub(super) fn of(tensor: T) -> Self {
        Self {
            positional: vec![Argument::Tensor(tensor)],
            named: Vec::new(),
        }
    }

    /// Reads an inbound node.
    pub(super) fn read(
        node: &Json,
        tensor: &mut impl FnMut(&str, usize, usize) -> Result<T, KerasError>,
    ) -> Result<Self, KerasError> {
        let positional = match node.get("args") {
            Some(Json::Array(all)) => all
                .iter()
                .map(|v| Argument::read(v, tensor))
                .collect::<Result<_, _>>()?,
            // Lists in the place of `args` and `kwargs` are how Keras 2 wrote calls.
            other => {
                let found = other.unwrap_or(node);
                let expected = "calls with `args` and `kwargs`, as Keras 3 writes them";
                return Err(super::settings::wrong("inbound_nodes", expected, found));
            }
        };
        let named = match node.get("kwargs") {
            Some(Json::Object(all)) => all
                .iter()
                .map(|(k, v)| Ok((k.clone(), Argument::read(v, tensor)?)))
                .collect::<Result<_, KerasError>>()?,
            None | Some(Json::Null) => Vec::new(),
            Some(other) => return Err(super::settings::wrong("kwargs", "an object", other)),
        };
        Ok(Self { positional, named })
    }

    /// The same with another stand-in for tensors.
    pub(super) fn map<U>(&self, f: &mut impl FnMut(&T) -> U) -> Arguments<U> {
        Arguments {
            positional: self.positional.iter().map(|a| a.map(f)).collect(),
            named: self
                .named
                .iter()
                .map(|(k, a)| (k.clone(), a.map(f)))
                .collect(),
        }
    }

    /// All tensors, in order.
    pub(super) fn tensors(&self) -> Vec<&T> {
        let mut all = Vec::new();
        self.positional.iter().for_each(|a| a.collect(&mut all));
        self.named.iter().for_each(|(_, a)| a.collect(&mut all));
        all
    }

    /// The argument with this place or name, unless it is null.
    pub(super) fn get(&self, position: usize, name: &str) -> Option<&Argument<T>> {
        let named = || self.named.iter().find(|(k, _)| k == name).map(|(_, a)| a);
        self.positional
            .get(position)
            .or_else(named)
            .filter(|a| !a.is_null())
    }
}

impl<T: Copy> Arguments<T> {
    /// The only tensor of a call, which has nothing else that matters.
    pub(super) fn one(&self) -> Result<T, KerasError> {
        self.refuse_named(&[])?;
        match self.tensors().as_slice() {
            [tensor] => Ok(**tensor),
            all => Err(KerasError::input(
                "one tensor",
                format!("{} tensors", all.len()),
            )),
        }
    }

    /// Refuses named arguments but for these, and those that say nothing: null, and whether it is training, which is
    /// for whoever runs the model to say.
    pub(super) fn refuse_named(&self, known: &[&str]) -> Result<(), KerasError> {
        for (name, argument) in &self.named {
            let tensor = matches!(
                argument,
                Argument::Tensor(_) | Argument::List(_) | Argument::Map(_)
            );
            let input = matches!(name.as_str(), "inputs" | "x" | "x1" | "x2") && tensor;
            if argument.is_null() || name == "training" || input || known.contains(&name.as_str()) {
                continue;
            }
            let help = "call the layer without it";
            return Err(KerasError::unsupported(
                format!("the argument `{name}`"),
                help,
            ));
        }
        Ok(())
    }
}

/// A tensor as a configuration names it: layer, call, output.
pub(super) type Reference<'a> = (&'a str, usize, usize);

/// `["dense", 0, 0]`.
pub(super) fn reference(history: Option<&Json>) -> Result<Reference<'_>, KerasError> {
    let number = |v: &Json| v.as_u64().and_then(|n| usize::try_from(n).ok());
    if let Some(Json::Array(all)) = history
        && let [Json::String(name), call, output] = all.as_slice()
        && let (Some(call), Some(output)) = (number(call), number(output))
    {
        return Ok((name, call, output));
    }
    let found = history.map_or("nothing".to_owned(), Json::to_string);
    let expected = "a layer's name and two numbers";
    Err(super::settings::wrong("keras_history", expected, found))
}
