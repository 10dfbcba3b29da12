//! Nodes of an exported graph as ATen nodes: places in the user's program, sizes as numbers, inner graphs put in.

use super::{
    Pt2Error,
    json::{Argument, Graph, Node, OptionalTensor},
    size::Sizes,
    weights::dtype_of,
};
use crate::aten::{self, Arg};
use std::collections::HashMap;

/// What a `no_grad` block is to `torch.export`: an op with a graph of its own.
const SET_GRAD: &str = "torch.ops.higher_order.wrap_with_set_grad_enabled";

/// All nodes of a graph.
pub(super) fn of(sizes: &Sizes, graph: &Graph) -> Result<Vec<aten::Node>, Pt2Error> {
    let mut nodes = Vec::new();
    put(sizes, graph, &HashMap::new(), "", &mut nodes)?;
    Ok(nodes)
}

/// Appends the nodes of `graph`, whose inputs are called as `outer` says and all else with `prefix`.
fn put(
    sizes: &Sizes,
    graph: &Graph,
    outer: &HashMap<String, String>,
    prefix: &str,
    to: &mut Vec<aten::Node>,
) -> Result<(), Pt2Error> {
    let named = |name: &str| match outer.get(name) {
        Some(outer) => outer.clone(),
        None => format!("{prefix}{name}"),
    };
    for node in &graph.nodes {
        let gives_tensors = |o: &Argument| {
            matches!(
                o,
                Argument::AsTensor(_)
                    | Argument::AsTensors(_)
                    | Argument::AsOptionalTensor(_)
                    | Argument::AsOptionalTensors(_)
            )
        };
        // Sizes are numbers by now, and what only checks them or tensors has no result.
        let checks = node.target.contains("_assert") || node.target.contains("sym_constrain");
        if checks || (!node.outputs.is_empty() && !node.outputs.iter().any(gives_tensors)) {
            continue;
        }
        if node.target == SET_GRAD {
            grad_mode(sizes, graph, node, &named, prefix, to)?;
            continue;
        }
        let mut args = Vec::new();
        for input in &node.inputs {
            let arg = argument(sizes, graph, &input.arg)?;
            args.push((input.name.clone(), renamed(arg, &named)));
        }
        to.push(aten::Node {
            target: target(node),
            args,
            outputs: outputs(sizes, graph, node, &named)?,
            module: module(node),
            source: source(node),
        });
    }
    Ok(())
}

/// A block in which gradients are off, or on again: its nodes, and what leaves it.
fn grad_mode(
    sizes: &Sizes,
    graph: &Graph,
    node: &Node,
    named: &dyn Fn(&str) -> String,
    prefix: &str,
    to: &mut Vec<aten::Node>,
) -> Result<(), Pt2Error> {
    let malformed = || Pt2Error::Malformed {
        what: format!("`{}` has other arguments than it should", node.target),
    };
    let [enabled, inner, given @ ..] = &node.inputs[..] else {
        return Err(malformed());
    };
    let (Argument::AsBool(enabled), Argument::AsGraph(inner)) = (&enabled.arg, &inner.arg) else {
        return Err(malformed());
    };
    let inner = &inner.graph;
    let mut outer = HashMap::new();
    for (inside, given) in inner.inputs.iter().zip(given) {
        if let (Argument::AsTensor(inside), Argument::AsTensor(given)) = (inside, &given.arg) {
            outer.insert(inside.name.clone(), named(&given.name));
        }
    }
    let name = node.name.as_deref().unwrap_or("block");
    let inside = format!("{prefix}{name}.");
    put(sizes, inner, &outer, &inside, to)?;
    let mut leaves = Vec::new();
    for output in &node.outputs {
        match output {
            Argument::AsTensor(t) => leaves.push(t),
            Argument::AsTensors(all) => leaves.extend(all),
            _ => return Err(malformed()),
        }
    }
    let mut results = Vec::new();
    for output in &inner.outputs {
        match output {
            Argument::AsTensor(t) => results.push(t),
            Argument::AsTensors(all) => results.extend(all),
            _ => return Err(malformed()),
        }
    }
    for (result, leaves) in results.into_iter().zip(leaves) {
        let result = match outer.get(&result.name) {
            Some(outer) => outer.clone(),
            None => format!("{inside}{}", result.name),
        };
        let mut tensor = sizes.tensor(graph, &leaves.name)?;
        tensor.name = named(&leaves.name);
        let target = if *enabled {
            "aten.alias.default"
        } else {
            "aten.detach.default"
        };
        to.push(aten::Node {
            target: target.to_owned(),
            args: vec![("self".to_owned(), Arg::Tensor(result))],
            outputs: vec![Some(tensor)],
            module: module(node),
            source: source(node),
        });
    }
    Ok(())
}

/// The op without the library's own name: `aten.linear.default`.
fn target(node: &Node) -> String {
    let target = node.target.strip_prefix("torch.ops.");
    target.unwrap_or(&node.target).to_owned()
}

fn outputs(
    sizes: &Sizes,
    graph: &Graph,
    node: &Node,
    named: &dyn Fn(&str) -> String,
) -> Result<Vec<Option<aten::Tensor>>, Pt2Error> {
    let mut all = Vec::new();
    let tensor = |name: &str| -> Result<Option<aten::Tensor>, Pt2Error> {
        // A result that nobody reads may have no description.
        if !graph.tensor_values.contains_key(name) {
            return Ok(None);
        }
        let mut tensor = sizes.tensor(graph, name)?;
        tensor.name = named(name);
        Ok(Some(tensor))
    };
    for output in &node.outputs {
        match output {
            Argument::AsTensor(t) => all.push(tensor(&t.name)?),
            Argument::AsTensors(ts) => {
                for t in ts {
                    all.push(tensor(&t.name)?);
                }
            }
            _ => all.push(None),
        }
    }
    Ok(all)
}

/// An argument with sizes as numbers.
pub(super) fn argument(sizes: &Sizes, graph: &Graph, arg: &Argument) -> Result<Arg, Pt2Error> {
    let tensor = |name: &str| Arg::Tensor(name.to_owned());
    let optional = |t: &OptionalTensor| match t {
        OptionalTensor::AsTensor(t) => tensor(&t.name),
        OptionalTensor::AsNone(_) => Arg::None,
    };
    Ok(match arg {
        Argument::AsTensor(t) => tensor(&t.name),
        Argument::AsTensors(ts) => Arg::List(ts.iter().map(|t| tensor(&t.name)).collect()),
        Argument::AsOptionalTensor(t) => optional(t),
        Argument::AsOptionalTensors(ts) => Arg::List(ts.iter().map(optional).collect()),
        Argument::AsInt(n) => Arg::Int(*n),
        Argument::AsInts(ns) => Arg::List(ns.iter().map(|&n| Arg::Int(n)).collect()),
        Argument::AsFloat(x) => Arg::Float(x.0),
        Argument::AsFloats(xs) => Arg::List(xs.iter().map(|x| Arg::Float(x.0)).collect()),
        Argument::AsBool(b) => Arg::Bool(*b),
        Argument::AsBools(bs) => Arg::List(bs.iter().map(|&b| Arg::Bool(b)).collect()),
        Argument::AsString(s) => Arg::Str(s.clone()),
        Argument::AsSymInt(n) => Arg::Int(sizes.argument(graph, n)?),
        Argument::AsSymInts(ns) => {
            let ints = ns.iter().map(|n| sizes.argument(graph, n).map(Arg::Int));
            Arg::List(ints.collect::<Result<_, _>>()?)
        }
        Argument::AsScalarType(number) => Arg::Dtype(dtype_of(*number)),
        _ => Arg::None,
    })
}

fn renamed(arg: Arg, named: &dyn Fn(&str) -> String) -> Arg {
    match arg {
        Arg::Tensor(name) => Arg::Tensor(named(&name)),
        Arg::List(all) => Arg::List(all.into_iter().map(|a| renamed(a, named)).collect()),
        other => other,
    }
}

/// Path of the module that a node comes from: `L__self__,,Net;L__self__bn,bn,BatchNorm2d` is `bn`.
fn module(node: &Node) -> String {
    let stack = node.metadata.get("nn_module_stack");
    let last = stack.and_then(|s| s.rsplit(';').next());
    let path = last.and_then(|entry| entry.split(',').nth(1));
    let path = path.filter(|path| !path.starts_with('_'));
    path.unwrap_or_default().to_owned()
}

/// The innermost line of the user's program, `net.py:41`: what PyTorch's own files, and the module that capture wraps around a
/// model, do in between tells nobody anything.
fn source(node: &Node) -> String {
    let trace = node.metadata.get("stack_trace").map_or("", String::as_str);
    let mut lines = trace.lines().rev().filter_map(|line| {
        let (path, rest) = line.trim().strip_prefix("File \"")?.split_once('"')?;
        let number = rest.strip_prefix(", line ")?.split(',').next()?;
        let is_between = path.contains("site-packages/torch/")
            || path.starts_with("torch/")
            || path.ends_with("ane_trainer/torch/captured/forward.py");
        (!is_between).then(|| format!("{}:{number}", path.rsplit('/').next().unwrap_or(path)))
    });
    lines.next().unwrap_or_default()
}
