//! Convolutions lowered as somebody asks, before the table of costs is asked.
//!
//! What is asked for a layer holds for its convolution and for those of its gradients, where it fits them; the others
//! keep the choice of the table.

use super::{
    PassError,
    conv_to_matmul::{self, ConvLowering},
    lowerings::Lowered,
    rewrite,
};
use crate::{graph::Graph, place::Place, target::Target};
use std::collections::BTreeMap;

const NAME: &str = "lower_as";

/// A convolution cannot be lowered as it is asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerAsError {
    /// It fits no convolution of a layer.
    #[error("the convolution at `{layer}` cannot become {} on {target}: {reason}", .lowering.name())]
    DoesNotFit {
        /// Path of the layer.
        layer: String,
        /// What is asked for.
        lowering: ConvLowering,
        /// The target.
        target: Target,
        /// Why not.
        reason: &'static str,
    },
    /// A node did not type: our bug.
    #[error(transparent)]
    Pass(#[from] PassError),
}

/// `graph` with convolutions lowered as `asked` says by the place of each, and what became of those.
///
/// # Errors
/// When what is asked for a layer fits none of its convolutions.
pub fn lower_as(
    graph: &Graph,
    target: &Target,
    asked: impl Fn(&Place) -> Option<ConvLowering>,
) -> Result<(Graph, Vec<Lowered>), LowerAsError> {
    let mut lowered = Vec::new();
    let mut refused: BTreeMap<String, LowerAsError> = BTreeMap::new();
    let mut chosen: Vec<Option<ConvLowering>> = vec![None; graph.nodes().len()];
    for (i, node) in graph.nodes().iter().enumerate() {
        let place = graph.place(i);
        let Some(lowering) = asked(place) else {
            continue;
        };
        match conv_to_matmul::fits(graph, node, target, lowering) {
            None => {}
            Some(Ok(())) => {
                chosen[i] = Some(lowering);
                lowered.push(Lowered {
                    place: place.clone(),
                    op: node.op.name(),
                    into: lowering.name(),
                    reason: "it was asked for",
                    source: "--lowering",
                });
            }
            Some(Err(reason)) => {
                let layer = place.path().to_owned();
                let error = LowerAsError::DoesNotFit {
                    layer: layer.clone(),
                    lowering,
                    target: *target,
                    reason,
                };
                refused.entry(layer).or_insert(error);
            }
        }
    }
    let fits_elsewhere = |layer: &str| lowered.iter().any(|l| l.place.path() == layer);
    if let Some((_, error)) = refused
        .into_iter()
        .find(|(layer, _)| !fits_elsewhere(layer))
    {
        return Err(error);
    }
    if lowered.is_empty() {
        return Ok((graph.clone(), lowered));
    }
    let mut at = chosen.into_iter();
    let graph = rewrite(NAME, graph, |r, node, xs| {
        // Every node comes by once, in order: none was dropped.
        match at.next().flatten() {
            Some(lowering) => conv_to_matmul::lower(r, graph, node, xs, lowering)
                .map_err(|source| PassError::Type { pass: NAME, source }),
            None => Ok(None),
        }
    })?;
    Ok((graph, lowered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Chip, Numerics, Route, TensorType, Value,
        eval::eval,
        ops::{Op, conv::Conv},
        tensor::Tensor,
    };

    /// A 3x3 convolution at `conv1` and a 1x1 convolution at `conv2`.
    fn network() -> Graph {
        let mut g = Graph::new();
        let mut input = |name: &str, shape: &[usize]| -> Value {
            let ty = TensorType::new(crate::DType::Fp32, crate::Shape::new(shape));
            g.input(name, ty).unwrap()
        };
        let (x, a, b) = (
            input("x", &[2, 3, 6, 6]),
            input("a", &[4, 3, 3, 3]),
            input("b", &[5, 4, 1, 1]),
        );
        g.set_scope(Place::new("conv1"));
        let y = g.conv(x, a, None, Conv::default()).unwrap();
        g.set_scope(Place::new("conv2"));
        let y = g.conv(y, b, None, Conv::default()).unwrap();
        g.output("y", y).unwrap();
        g
    }

    fn convolutions(g: &Graph) -> usize {
        let is_conv = |n: &&crate::Node| matches!(n.op, Op::Conv(_));
        g.nodes().iter().filter(is_conv).count()
    }

    fn result(g: &Graph) -> Vec<f64> {
        let inputs: Vec<Tensor<f64>> = g
            .inputs()
            .iter()
            .map(|&v| {
                let ty = g.ty(v).clone();
                let data = (0..ty.shape.numel()).map(|i| ((i * 7) % 11) as f64 - 5.0);
                Tensor {
                    data: data.collect(),
                    ty,
                }
            })
            .collect();
        eval(g, &inputs, &Numerics::ieee()).unwrap()[0].data.clone()
    }

    #[test]
    fn layers_that_are_asked_for_are_lowered_and_compute_the_same() {
        let g = network();
        let only = |path: &'static str, lowering| {
            move |place: &Place| (place.path() == path).then_some(lowering)
        };
        for target in [Target::SOFTWARE, Target::new(Chip::H13, Route::E5rt)] {
            for (path, lowering) in [
                ("conv1", ConvLowering::Im2col),
                ("conv2", ConvLowering::Im2col),
                ("conv2", ConvLowering::Matmul),
            ] {
                let (out, lowered) = lower_as(&g, &target, only(path, lowering)).unwrap();
                assert_eq!(convolutions(&out), 1, "{path}");
                assert_eq!(result(&out), result(&g), "{path}");
                let said: Vec<(&str, &str)> =
                    lowered.iter().map(|l| (l.place.path(), l.into)).collect();
                assert_eq!(said, [(path, lowering.name())]);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_layer_and_reason() {
        let g = network();
        let chip = Target::new(Chip::H13, Route::E5rt);
        for (lowering, layer) in [
            (ConvLowering::Matmul, "conv1"),
            (ConvLowering::Shift, "conv1"),
            (ConvLowering::Native, "conv1"),
        ] {
            let error = lower_as(&g, &chip, |_| Some(lowering)).unwrap_err();
            let said = error.to_string();
            let begin = format!(
                "the convolution at `{layer}` cannot become {} on h13: ",
                lowering.name()
            );
            assert!(said.starts_with(&begin), "{said}");
        }
        let (out, lowered) =
            lower_as(&g, &Target::SOFTWARE, |_| Some(ConvLowering::Native)).unwrap();
        assert_eq!((convolutions(&out), lowered.len()), (2, 2));
    }
}
