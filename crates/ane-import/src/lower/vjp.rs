//! Gradients that PyTorch has as ops, from ours.

use super::Cx;
use crate::error::ImportError;
use ane_ir::{Graph, Value, autodiff};

impl Cx<'_> {
    /// Cotangents of `xs` for those of what `forward` makes of them, as differentiation of that gives them. What of
    /// `forward` its gradient has no use for is not computed.
    pub(crate) fn vjp(
        &mut self,
        xs: &[Value],
        cotangents: &[Value],
        wrt: &[usize],
        forward: impl FnOnce(&mut Graph, &[Value]) -> Result<Vec<Value>, ImportError>,
    ) -> Result<Vec<Option<Value>>, ImportError> {
        let mut part = Graph::new();
        let mut port = |g: &mut Graph, prefix: &str, i: usize, v: Value| {
            let ty = self.frame.graph().ty(v).clone();
            g.input(&format!("{prefix}{i}"), ty)
        };
        let inner: Vec<Value> = xs
            .iter()
            .enumerate()
            .map(|(i, &x)| port(&mut part, "x", i, x))
            .collect::<Result<_, _>>()?;
        let seeds: Vec<Value> = cotangents
            .iter()
            .enumerate()
            .map(|(i, &ct)| port(&mut part, "ct", i, ct))
            .collect::<Result<_, _>>()?;
        let ys = forward(&mut part, &inner)?;
        let asked: Vec<Value> = wrt.iter().map(|&i| inner[i]).collect();
        let gradients = autodiff::vjp(&mut part, &ys, &seeds, &asked)?;
        let mut names = Vec::new();
        for (i, gradient) in gradients.iter().enumerate() {
            if let Some(v) = *gradient {
                names.push((format!("g{i}"), v));
            }
        }
        let outputs: Vec<(&str, Value)> = names.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let inputs: Vec<(String, Value)> = part
            .inputs()
            .iter()
            .map(|&v| (part.port(v).to_owned(), v))
            .collect();
        let inputs: Vec<(&str, Value)> = inputs.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        let needed = part.extract(&inputs, &outputs)?;
        let given: Vec<Value> = xs.iter().chain(cotangents).copied().collect();
        let mut results = self.g().inline(&needed, &given)?.into_iter();
        Ok(gradients
            .iter()
            .map(|g| g.and_then(|_| results.next()))
            .collect())
    }
}
