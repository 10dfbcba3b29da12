//! Names of values in text. Nothing else decides one: devices bind ports by name, so a port keeps its name exactly, and
//! other values get out of its way.

use ane_ir::{Graph, Value};
use std::collections::HashMap;

/// Words that the grammar takes for something else than a value.
const KEYWORDS: &[&str] = &[
    "BLOBFILE",
    "bool",
    "const",
    "dict",
    "false",
    "fp16",
    "fp32",
    "func",
    "inf",
    "int16",
    "int32",
    "int4",
    "int64",
    "int8",
    "list",
    "nan",
    "program",
    "state",
    "string",
    "tensor",
    "tensor_buffer",
    "true",
    "tuple",
    "uint1",
    "uint16",
    "uint32",
    "uint4",
    "uint64",
    "uint8",
];

/// Whether the grammar takes `name` for something else than a value.
pub(crate) fn is_keyword(name: &str) -> bool {
    KEYWORDS.binary_search(&name).is_ok()
}

/// Whether `name` has the form `[A-Za-z_][A-Za-z0-9_]*`.
pub(crate) fn is_identifier(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && name.starts_with(|c: char| word(c) && !c.is_ascii_digit())
}

/// The name of every value of `graph` in text, by value index; deterministic.
///
/// A port keeps its name even where that is no identifier: `check` refuses such a graph and a silent change would bind
/// another port. Other values keep theirs where it is an identifier, made unique by a suffix, or get `v7`.
pub(crate) fn names(graph: &Graph) -> Vec<String> {
    let mut names: Vec<Option<String>> = vec![None; graph.values().len()];
    // Every name, and how many have been made of it by a number.
    let mut taken: HashMap<String, u32> = HashMap::new();
    for &v in graph.inputs().iter().chain(graph.outputs()) {
        let port = graph.port(v).to_owned();
        taken.insert(port.clone(), 0);
        names[v.index()] = Some(port);
    }
    graph
        .values()
        .map(|v| match names[v.index()].take() {
            Some(port) => port,
            None => unique(candidate(graph, v), &mut taken),
        })
        .collect()
}

fn candidate(graph: &Graph, v: Value) -> String {
    let sane: String = graph
        .name(v)
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let meaning = sane.chars().any(|c| c != '_');
    if !meaning {
        return format!("v{}", v.index());
    }
    if is_identifier(&sane) && !is_keyword(&sane) {
        sane
    } else {
        format!("v_{sane}")
    }
}

fn unique(wanted: String, taken: &mut HashMap<String, u32>) -> String {
    let Some(&made) = taken.get(&wanted) else {
        taken.insert(wanted.clone(), 0);
        return wanted;
    };
    let (number, name) = (made + 1..)
        .map(|i| (i, format!("{wanted}_{i}")))
        .find(|(_, name)| !taken.contains_key(name))
        .expect("some number is free");
    taken.insert(wanted, number);
    taken.insert(name.clone(), 0);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use ane_ir::TensorType;

    #[test]
    fn keywords_are_sorted_for_the_search() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn ports_keep_their_names_and_others_give_way() {
        let mut g = Graph::new();
        let x = g.input("layer.0", TensorType::fp16([2])).unwrap();
        let a = g.relu(x).unwrap();
        g.set_name(a, "y");
        let b = g.tanh(a).unwrap();
        g.set_name(b, "block.1/out");
        let c = g.tanh(b).unwrap();
        let d = g.tanh(c).unwrap();
        g.set_name(d, "tensor");
        let y = g.tanh(d).unwrap();
        g.output("y", y).unwrap();
        assert_eq!(
            names(&g),
            ["layer.0", "y_1", "block_1_out", "v3", "v_tensor", "y"]
        );
    }
}
