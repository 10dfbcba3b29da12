//! What becomes of the ops of layers on a target, and why: of convolutions, pools and norms, by place.

use super::conv_to_matmul;
use crate::{
    graph::{Graph, Node},
    ops::Op,
    place::Place,
    target::{OpSupport, Target},
};

/// What a node becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// Where the node is.
    pub place: Place,
    /// Its op.
    pub op: &'static str,
    /// What it becomes: `native` where it stays, `decomposed` where its definition takes its place, or the name of a
    /// [`conv_to_matmul::ConvLowering`].
    pub into: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Where that is known from.
    pub source: &'static str,
}

/// Where the table of ops by chip is.
const TABLE: &str = "crates/ane-ir/src/target/op_floors.tsv";

/// What becomes of every convolution, pool and norm of `graph` on `target`, in order.
pub fn lowerings(graph: &Graph, target: &Target) -> Vec<Lowered> {
    let nodes = graph.nodes().iter().enumerate();
    nodes
        .filter_map(|(i, node)| {
            let (into, reason, source) = match conv_to_matmul::choose(graph, node, target) {
                Some(choice) => (choice.lowering.name(), choice.reason, choice.source),
                None => of_layer(node, target)?,
            };
            Some(Lowered {
                place: graph.place(i).clone(),
                op: node.op.name(),
                into,
                reason,
                source,
            })
        })
        .collect()
}

/// What becomes of a pool or norm; `None` for any other node.
fn of_layer(node: &Node, target: &Target) -> Option<(&'static str, &'static str, &'static str)> {
    let is_layer = matches!(
        node.op,
        Op::MaxPool(_) | Op::AvgPool(_) | Op::BatchNorm(_) | Op::LayerNorm(_) | Op::InstanceNorm(_)
    );
    if !is_layer {
        return None;
    }
    if !target.is_chip() {
        return Some((
            "native",
            "the software engine runs it",
            "crates/ane-engine/src/plan/lowering.rs",
        ));
    }
    Some(match target.op_support(node.op.name()) {
        OpSupport::Refused => ("decomposed", "the chip's compiler refuses it", TABLE),
        OpSupport::Native => ("native", "the chip runs it", TABLE),
        OpSupport::Indirect => ("native", "the system runs it by another way", TABLE),
        OpSupport::Unknown => ("native", "nothing is known against it", TABLE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chip, Route, TensorType, ops::conv::Conv};

    #[test]
    fn what_becomes_of_a_layer_is_said_with_its_place_and_source() {
        let mut g = Graph::new();
        let x = g.input("x", TensorType::fp16([2, 3, 8, 8])).unwrap();
        let weight = g.input("w", TensorType::fp16([4, 3, 3, 3])).unwrap();
        g.set_scope(Place::new("conv1"));
        let y = g.conv(x, weight, None, Conv::default()).unwrap();
        g.set_scope(Place::new("relu1"));
        let y = g.relu(y).unwrap();
        g.output("y", y).unwrap();
        let on = |target: &Target| -> Vec<(String, &str, &str, bool)> {
            let all = lowerings(&g, target).into_iter();
            all.map(|l| (l.place.path().to_owned(), l.op, l.into, l.source.is_empty()))
                .collect()
        };
        let expected = |into| vec![("conv1".to_owned(), "conv", into, false)];
        assert_eq!(on(&Target::SOFTWARE), expected("native"));
        assert_eq!(on(&Target::new(Chip::H13, Route::E5rt)), expected("im2col"));
    }
}
