//! One training step of a multi-layer perceptron as a graph: forward, loss, backward, overflow flags.

use ane_ir::{Graph, TensorType, Value, autodiff::vjp};

/// The step for a batch of `batch` rows through layers of `sizes` units, `784, 32, 10` for one hidden layer.
///
/// Inputs: `x`, `t` (one-hot targets), `w` (example weights), `loss_scale`, `w0`, `b0`, … Outputs: `loss`, `logits`, and
/// for every parameter its gradient times the loss scale, `dw0`, with the largest magnitude in it, `dw0_max`.
pub(crate) fn step(batch: usize, sizes: &[usize]) -> Graph {
    build(batch, sizes).expect("the step types")
}

fn build(batch: usize, sizes: &[usize]) -> Result<Graph, Box<dyn std::error::Error>> {
    let mut g = Graph::new();
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    let x = g.input("x", TensorType::fp16([batch, first]))?;
    let t = g.input("t", TensorType::fp16([batch, last]))?;
    let w = g.input("w", TensorType::fp16([batch, 1]))?;
    let loss_scale = g.input("loss_scale", TensorType::fp16([1, 1]))?;
    let mut parameters: Vec<(String, Value)> = Vec::new();
    for (i, pair) in sizes.windows(2).enumerate() {
        let weight = g.input(&format!("w{i}"), TensorType::fp16([pair[0], pair[1]]))?;
        let bias = g.input(&format!("b{i}"), TensorType::fp16([1, pair[1]]))?;
        parameters.push((format!("w{i}"), weight));
        parameters.push((format!("b{i}"), bias));
    }
    let mut h = x;
    for (i, layer) in parameters.chunks_exact(2).enumerate() {
        if i > 0 {
            h = g.relu(h)?;
        }
        h = g.matmul(h, layer[0].1, false, false)?;
        h = g.add(h, layer[1].1)?;
    }
    let loss = cross_entropy(&mut g, h, t, w)?;
    let wrt: Vec<Value> = parameters.iter().map(|p| p.1).collect();
    let gradients = vjp(&mut g, &[loss], &[loss_scale], &wrt)?;
    g.output("loss", loss)?;
    g.output("logits", h)?;
    for ((name, _), gradient) in parameters.iter().zip(gradients) {
        let gradient = gradient.ok_or("every parameter has a gradient")?;
        let magnitude = g.abs(gradient)?;
        let max = g.reduce_max(magnitude, &[0, 1], true)?;
        g.output(&format!("d{name}"), gradient)?;
        g.output(&format!("d{name}_max"), max)?;
    }
    Ok(g)
}

/// Σ w·(lse(z − max z) − Σ (z − max z)·t) / Σ w, of shape [1, 1].
fn cross_entropy(
    g: &mut Graph,
    logits: Value,
    t: Value,
    w: Value,
) -> Result<Value, Box<dyn std::error::Error>> {
    let max = g.reduce_max(logits, &[-1], true)?;
    let max = g.stop_gradient(max)?;
    let shifted = g.sub(logits, max)?;
    let lse = g.reduce_log_sum_exp(shifted, &[-1], true)?;
    let picked = g.mul(shifted, t)?;
    let picked = g.reduce_sum(picked, &[-1], true)?;
    let losses = g.sub(lse, picked)?;
    let weighted = g.mul(losses, w)?;
    let total = g.reduce_sum(weighted, &[0, 1], true)?;
    let weight = g.reduce_sum(w, &[0, 1], true)?;
    Ok(g.real_div(total, weight)?)
}
