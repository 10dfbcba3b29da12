//! Attention: every position takes a mean of the values of others, weighted by how well its query meets their keys.

use crate::model::{Builder, LayerError, ModelError};
use ane_ir::{Literal, Shape, TensorType, Value};

/// What is added to a score that must not count. The largest fp16 would do as well; half of it cannot overflow when a score
/// is added, and its exponential is 0.
pub const HIDDEN: f64 = -30_000.0;

/// How many heads look, at how many heads of keys and values, and how wide each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Heads of queries.
    pub queries: usize,
    /// Heads of keys and values, each seen by as many heads of queries: fewer than those in grouped-query attention.
    pub keys: usize,
    /// Numbers of a head.
    pub width: usize,
}

impl Heads {
    /// Heads of an attention of this width.
    ///
    /// # Errors
    /// When queries do not divide the width, or keys not the queries.
    pub fn of(
        layer: &'static str,
        width: usize,
        queries: usize,
        keys: usize,
    ) -> Result<Self, LayerError> {
        let error = |heads, what, whole| LayerError::Heads {
            layer,
            heads,
            what,
            whole,
        };
        if queries == 0 || !width.is_multiple_of(queries) {
            return Err(error(queries, "heads", format!("a width of {width}")));
        }
        if keys == 0 || !queries.is_multiple_of(keys) {
            let whole = format!("{queries} heads of queries");
            return Err(error(keys, "heads of keys and values", whole));
        }
        Ok(Self {
            queries,
            keys,
            width: width / queries,
        })
    }
}

/// x [B, T, heads · width] by head: [B, heads, T, width].
///
/// # Errors
/// When x has another shape.
pub fn split_heads(cx: &mut Builder, x: Value, heads: usize) -> Result<Value, ModelError> {
    let [batch, positions, width] = three(cx.shape(x));
    let g = cx.graph();
    let by_head = Shape::new(&[batch, positions, heads, width / heads]);
    let x = g.reshape(x, &by_head)?;
    Ok(g.transpose(x, &[0, 2, 1, 3])?)
}

/// x [B, heads, T, width] with the heads side by side: [B, T, heads · width].
///
/// # Errors
/// When x has another rank.
pub fn merge_heads(cx: &mut Builder, x: Value) -> Result<Value, ModelError> {
    let dims = cx.shape(x).dims();
    let (batch, positions, width) = (dims[0], dims[2], dims[1] * dims[3]);
    let g = cx.graph();
    let x = g.transpose(x, &[0, 2, 1, 3])?;
    Ok(g.reshape(x, &Shape::new(&[batch, positions, width]))?)
}

/// softmax(q · kᵀ / √width + mask) · v.
///
/// q is [B, queries, T, width], k and v are [B, keys, S, width]; the result is as q. A mask is added to the scores, and
/// broadcast to [B, queries, T, S].
///
/// # Errors
/// When the shapes are others.
pub fn attend(
    cx: &mut Builder,
    heads: Heads,
    [q, k, v]: [Value; 3],
    mask: Option<Value>,
) -> Result<Value, ModelError> {
    let shape = cx.shape(q).clone();
    let [batch, seen] = [shape.dims()[0], cx.shape(k).dims()[2]];
    let positions = shape.dims()[2];
    let group = heads.queries / heads.keys;
    // The queries are scaled, not the scores: a score is the largest number here, and fp16 ends at 65,504.
    let scale = cx.scalar(1.0 / (heads.width as f64).sqrt())?;
    let g = cx.graph();
    let mut q = g.mul(q, scale)?;
    // Queries that share keys are rows of one product.
    let folded = Shape::new(&[batch, heads.keys, group * positions, heads.width]);
    if group > 1 {
        q = g.reshape(q, &folded)?;
    }
    let mut scores = g.matmul(q, k, false, true)?;
    let by_query = Shape::new(&[batch, heads.queries, positions, seen]);
    if group > 1 {
        scores = g.reshape(scores, &by_query)?;
    }
    if let Some(mask) = mask {
        scores = g.add(scores, mask)?;
    }
    let mut shares = g.softmax(scores, -1)?;
    if group > 1 {
        let rows = Shape::new(&[batch, heads.keys, group * positions, seen]);
        shares = g.reshape(shares, &rows)?;
    }
    let y = g.matmul(shares, v, false, false)?;
    Ok(if group > 1 { g.reshape(y, &shape)? } else { y })
}

/// What hides later positions from earlier ones: [1, 1, T, T], 0 where position i may see j ≤ i.
///
/// # Errors
/// Never; kept for uniformity of builder code.
pub fn causal_mask(cx: &mut Builder, positions: usize) -> Result<Value, ModelError> {
    let hidden = |i: usize, j: usize| if j > i { HIDDEN } else { 0.0 };
    let of_row = |i| (0..positions).map(move |j| hidden(i, j));
    let elements: Vec<f64> = (0..positions).flat_map(of_row).collect();
    let ty = TensorType::new(cx.dtype(), [1, 1, positions, positions]);
    Ok(cx.graph().constant(Literal::from_f64(ty, &elements))?)
}

/// Batch, positions and width of a sequence; of another rank, whatever an op will refuse.
pub(super) fn three(x: &Shape) -> [usize; 3] {
    x.dims().try_into().unwrap_or([1, 1, x.numel()])
}
