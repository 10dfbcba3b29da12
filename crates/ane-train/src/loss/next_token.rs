//! Cross-entropy of the next token over a vocabulary, from the factors of its scores.

use crate::model::Head;
use ane_ir::{Graph, Shape, TypeError, Value, ops::split::Split};

/// Most tokens that are scored by one product: a chip has axes of up to 16,384, and half of that leaves room for what is made
/// of them.
const CHUNK: usize = 8_192;

/// −ln softmax(hidden · weightᵀ) at the target of every position: [B · T, 1], for targets [B, T] of int32.
///
/// The score of a target is a product of rows, hidden · weight\[target\], so nothing is compared with an index and no index
/// becomes a number of the engine. A large vocabulary is scored chunk by chunk. With smoothing ε the target has a share of
/// 1 − ε, and every token ε / vocabulary.
///
/// # Errors
/// When the targets are not integers of the positions.
pub fn next_token(
    g: &mut Graph,
    head: &Head,
    targets: Value,
    label_smoothing: f64,
) -> Result<Value, TypeError> {
    let hidden = head.rows(g)?;
    let positions = g.ty(hidden).shape.dims()[0];
    let chunks = chunks(g, head.weight)?;
    let (largest, log_sum) = log_sum_exp(g, hidden, &chunks)?;
    let targets = g.reshape(targets, &Shape::new(&[positions]))?;
    let rows = g.gather(head.weight, targets, 0)?;
    let mut score = row_product(g, hidden, rows)?;
    if label_smoothing != 0.0 {
        let mean = mean_row(g, &chunks, head.vocabulary(g))?;
        let of_all = row_product(g, hidden, mean)?;
        let dtype = g.ty(score).dtype;
        let shares = [1.0 - label_smoothing, label_smoothing];
        let [of_target, of_every] = shares.map(|share| g.scalar(dtype, share));
        let (kept, moved) = (g.mul(score, of_target?)?, g.mul(of_all, of_every?)?);
        score = g.add(kept, moved)?;
    }
    // The two large numbers first: they are near each other, and fp16 has few digits.
    let behind = g.sub(largest, score)?;
    g.add(behind, log_sum)
}

/// The rows of a matrix in as few chunks as there may be, of equal sizes but for the last.
fn chunks(g: &mut Graph, weight: Value) -> Result<Vec<Value>, TypeError> {
    let rows = g.ty(weight).shape.dims()[0];
    let count = rows.div_ceil(CHUNK);
    if count <= 1 {
        return Ok(vec![weight]);
    }
    let size = rows.div_ceil(count);
    let starts = (0..rows).step_by(size);
    let sizes = starts.map(|at| i32::try_from(size.min(rows - at)).unwrap_or(i32::MAX));
    let split = Split {
        num_splits: None,
        split_sizes: Some(sizes.collect()),
        axis: 0,
    };
    Ok(g.push_multi(split, &[weight])?.to_vec())
}

/// The largest score of every row, a constant to differentiation, and ln Σ e^(score − largest): each [N, 1].
fn log_sum_exp(
    g: &mut Graph,
    hidden: Value,
    chunks: &[Value],
) -> Result<(Value, Value), TypeError> {
    let mut parts = Vec::new();
    for &weight in chunks {
        let scores = g.matmul(hidden, weight, false, true)?;
        let largest = g.reduce_max(scores, &[-1], true)?;
        let largest = g.stop_gradient(largest)?;
        let below = g.sub(scores, largest)?;
        parts.push((largest, g.reduce_log_sum_exp(below, &[-1], true)?));
    }
    let mut largest = parts[0].0;
    if let [(_, alone)] = parts[..] {
        return Ok((largest, alone));
    }
    for &(of_chunk, _) in &parts[1..] {
        largest = g.maximum(largest, of_chunk)?;
    }
    let largest = g.stop_gradient(largest)?;
    let mut together = Vec::new();
    for (of_chunk, log_sum) in parts {
        let lower = g.sub(of_chunk, largest)?;
        together.push(g.add(log_sum, lower)?);
    }
    let together = g.concat(&together, -1)?;
    let log_sum = g.reduce_log_sum_exp(together, &[-1], true)?;
    Ok((largest, log_sum))
}

/// The mean of all rows [1, width].
fn mean_row(g: &mut Graph, chunks: &[Value], rows: usize) -> Result<Value, TypeError> {
    let mut mean = None;
    for &chunk in chunks {
        let share = g.ty(chunk).shape.dims()[0] as f64 / rows as f64;
        let of_chunk = g.reduce_mean(chunk, &[0], true)?;
        let share = g.scalar(g.ty(of_chunk).dtype, share)?;
        let of_chunk = g.mul(of_chunk, share)?;
        mean = Some(match mean {
            Some(so_far) => g.add(so_far, of_chunk)?,
            None => of_chunk,
        });
    }
    Ok(mean.unwrap_or(chunks[0]))
}

/// Σ x · y over the last axis.
fn row_product(g: &mut Graph, x: Value, y: Value) -> Result<Value, TypeError> {
    let product = g.mul(x, y)?;
    g.reduce_sum(product, &[-1], true)
}
