//! Normalisations and their gradients.

use super::{BatchNorm, Cx, Lowered, Lowering, argument, int, one, shape_of};
use crate::{aten::Node, error::ImportError};
use ane_ir::{DType, Graph, TypeError, Value};
use ane_train::nn::reciprocal_root;

pub(super) fn lowering(op: &str) -> Option<Lowering> {
    Some(match op {
        "native_layer_norm" => native_layer_norm,
        "layer_norm" => |cx, node| Ok(vec![native_layer_norm(cx, node)?[0]]),
        "native_layer_norm_backward" => layer_norm_backward,
        "native_group_norm" => native_group_norm,
        "group_norm" => group_norm,
        "native_group_norm_backward" => group_norm_backward,
        "rms_norm" | "_fused_rms_norm" => rms_norm,
        "batch_norm" => module_batch_norm,
        "_native_batch_norm_legit_functional" => batch_norm,
        "_native_batch_norm_legit" | "_native_batch_norm_legit_no_training" => batch_norm,
        "native_batch_norm_backward" => batch_norm_backward,
        _ => return None,
    })
}

fn epsilon(node: &Node) -> Result<f64, ImportError> {
    Ok(Cx::number(node, "eps")?.unwrap_or(1e-5))
}

/// The last axes of x that are normalised, and their number.
fn last_axes(cx: &mut Cx<'_>, node: &Node) -> Result<Vec<i32>, ImportError> {
    let rank = cx.dims(node, "input")?.len();
    let shape = Cx::ints(node, "normalized_shape")?;
    let count = shape.map_or(1, |s| s.len()).min(rank);
    Ok((rank - count..rank).map(int).collect())
}

/// Mean and 1/√(variance + eps) over axes, as results that gradients may ask for.
fn moments(g: &mut Graph, x: Value, axes: &[i32], eps: f64) -> Result<[Value; 2], TypeError> {
    let mean = g.reduce_mean(x, axes, true)?;
    let distance = g.sub(x, mean)?;
    let square = g.mul(distance, distance)?;
    let variance = g.reduce_mean(square, axes, true)?;
    Ok([mean, reciprocal_root(g, variance, eps)?])
}

/// x normalised, mean, and 1/√(variance + eps). What of the last two nobody reads is not computed.
fn native_layer_norm(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "input")?;
    let axes = last_axes(cx, node)?;
    let weight = cx.optional_tensor(node, "weight")?;
    let bias = cx.optional_tensor(node, "bias")?;
    let eps = epsilon(node)?;
    let y = cx.g().layer_norm(x, weight, bias, &axes, eps)?;
    let [mean, root] = moments(cx.g(), x, &axes, eps)?;
    Ok(vec![Some(y), Some(mean), Some(root)])
}

/// The cotangent of x for that of the normalised x̂ = (x − mean)·root, where mean and root were computed of x:
/// root·(ct − mean(ct) − x̂·mean(ct·x̂)).
fn through_statistics(
    g: &mut Graph,
    [ct, normal, root]: [Value; 3],
    mean: impl Fn(&mut Graph, Value) -> Result<Value, TypeError>,
) -> Result<Value, TypeError> {
    let mean_ct = mean(g, ct)?;
    let product = g.mul(ct, normal)?;
    let mean_product = mean(g, product)?;
    let along = g.mul(normal, mean_product)?;
    let rest = g.sub(ct, mean_ct)?;
    let rest = g.sub(rest, along)?;
    g.mul(rest, root)
}

/// Which of the gradients of x, weight and bias are asked for.
fn asked(node: &Node) -> Result<[bool; 3], ImportError> {
    let mask = Cx::bools(node, "output_mask")?;
    let three = mask.try_into();
    three.map_err(|_| argument(node, "output_mask", "three truth values"))
}

/// Gradients of x, weight and bias. The statistics that the forward pass saved are what says its eps.
fn layer_norm_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_out")?;
    let x = cx.real_tensor(node, "input")?;
    let axes = last_axes(cx, node)?;
    let (mean, root) = (cx.real_tensor(node, "mean")?, cx.real_tensor(node, "rstd")?);
    let [for_x, for_weight, for_bias] = asked(node)?;
    let weight = cx.optional_tensor(node, "weight")?;
    let shape = cx.shape(x).dims()[cx.shape(x).rank() - axes.len()..].to_vec();
    let rows: Vec<i32> = (0..cx.shape(x).rank() - axes.len()).map(int).collect();
    let distance = cx.g().sub(x, mean)?;
    let normal = cx.g().mul(distance, root)?;
    let mut results = vec![None; 3];
    if for_x {
        let ct = match weight {
            Some(weight) => cx.g().mul(ct, weight)?,
            None => ct,
        };
        let of_x = through_statistics(cx.g(), [ct, normal, root], |g, x| {
            g.reduce_mean(x, &axes, true)
        })?;
        results[0] = Some(of_x);
    }
    for (slot, asked) in [(1, for_weight), (2, for_bias)] {
        if asked {
            let mut sum = if slot == 1 {
                cx.g().mul(ct, normal)?
            } else {
                ct
            };
            if !rows.is_empty() {
                sum = cx.g().reduce_sum(sum, &rows, true)?;
            }
            results[slot] = Some(cx.reshape(sum, &shape)?);
        }
    }
    Ok(results)
}

/// A vector [C] along the channels of images of this rank.
fn along_channels(g: &mut Graph, x: Value, rank: usize) -> Result<Value, TypeError> {
    let mut dims = vec![1; rank];
    dims[1] = g.ty(x).shape.numel();
    g.reshape(x, &shape_of(&dims))
}

/// Each of `groups` blocks of channels normalised, then weight and bias per channel.
fn grouped(
    g: &mut Graph,
    x: Value,
    groups: usize,
    eps: f64,
    [weight, bias]: [Option<Value>; 2],
) -> Result<Value, TypeError> {
    let shape = g.ty(x).shape.clone();
    let batch = shape.dims()[0];
    let rows = shape_of(&[batch, groups, shape.numel() / (batch * groups).max(1)]);
    let y = g.reshape(x, &rows)?;
    let y = g.layer_norm(y, None, None, &[2], eps)?;
    let mut y = g.reshape(y, &shape)?;
    if let Some(weight) = weight {
        let weight = along_channels(g, weight, shape.rank())?;
        y = g.mul(y, weight)?;
    }
    if let Some(bias) = bias {
        let bias = along_channels(g, bias, shape.rank())?;
        y = g.add(y, bias)?;
    }
    Ok(y)
}

fn groups(node: &Node) -> Result<usize, ImportError> {
    let name = if node.arg("group").is_some() {
        "group"
    } else {
        "num_groups"
    };
    let groups = Cx::int(node, name)?.and_then(|g| usize::try_from(g).ok());
    groups
        .filter(|&g| g > 0)
        .ok_or_else(|| argument(node, name, "a number of groups"))
}

fn group_norm(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "input")?;
    let affine = [
        cx.optional_tensor(node, "weight")?,
        cx.optional_tensor(node, "bias")?,
    ];
    let (groups, eps) = (groups(node)?, epsilon(node)?);
    one(grouped(cx.g(), x, groups, eps, affine)?)
}

fn native_group_norm(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "input")?;
    let y = group_norm(cx, node)?[0];
    let (groups, eps) = (groups(node)?, epsilon(node)?);
    let shape = cx.shape(x);
    let batch = shape.dims()[0];
    let rows = cx.reshape(x, &[batch, groups, shape.numel() / (batch * groups).max(1)])?;
    let [mean, root] = moments(cx.g(), rows, &[2], eps)?;
    let mean = cx.reshape(mean, &[batch, groups])?;
    let root = cx.reshape(root, &[batch, groups])?;
    Ok(vec![y, Some(mean), Some(root)])
}

/// As [`layer_norm_backward`], of blocks of channels.
fn group_norm_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_out")?;
    let x = cx.real_tensor(node, "input")?;
    let (mean, root) = (cx.real_tensor(node, "mean")?, cx.real_tensor(node, "rstd")?);
    let [for_x, for_weight, for_bias] = asked(node)?;
    let groups = groups(node)?;
    let dims = cx.shape(x).dims().to_vec();
    let (batch, channels) = (dims[0], dims[1]);
    let rows = [
        batch,
        groups,
        dims.iter().product::<usize>() / (batch * groups),
    ];
    let mean = cx.reshape(mean, &[batch, groups, 1])?;
    let root = cx.reshape(root, &[batch, groups, 1])?;
    let in_rows = cx.reshape(x, &rows)?;
    let distance = cx.g().sub(in_rows, mean)?;
    let normal = cx.g().mul(distance, root)?;
    let mut results = vec![None; 3];
    if for_x {
        let mut ct = ct;
        if let Some(weight) = cx.optional_tensor(node, "weight")? {
            let weight = along_channels(cx.g(), weight, dims.len())?;
            ct = cx.g().mul(ct, weight)?;
        }
        let ct = cx.reshape(ct, &rows)?;
        let of_x = through_statistics(cx.g(), [ct, normal, root], |g, x| {
            g.reduce_mean(x, &[2], true)
        })?;
        results[0] = Some(cx.reshape(of_x, &dims)?);
    }
    let normal = cx.reshape(normal, &dims)?;
    let others: Vec<i32> = (0..dims.len()).filter(|&a| a != 1).map(int).collect();
    for (slot, asked) in [(1, for_weight), (2, for_bias)] {
        if asked {
            let each = if slot == 1 {
                cx.g().mul(ct, normal)?
            } else {
                ct
            };
            let sum = cx.g().reduce_sum(each, &others, true)?;
            results[slot] = Some(cx.reshape(sum, &[channels])?);
        }
    }
    Ok(results)
}

/// x/√(mean of squares + eps), times the weight.
fn rms_norm(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "input")?;
    let axes = last_axes(cx, node)?;
    // PyTorch's default is the distance from 1 to the next number of the input's type, fp32 in a user's program.
    let eps = Cx::number(node, "eps")?.unwrap_or(f64::from(f32::EPSILON));
    let square = cx.g().mul(x, x)?;
    let mean = cx.g().reduce_mean(square, &axes, true)?;
    let root = reciprocal_root(cx.g(), mean, eps)?;
    let mut y = cx.g().mul(x, root)?;
    if let Some(weight) = cx.optional_tensor(node, "weight")? {
        y = cx.g().mul(y, weight)?;
    }
    Ok(vec![Some(y), Some(root)])
}

/// Mean over everything but the channels, [1, C, 1, …]: per image first, since a sum over all would leave fp16.
fn mean_of_channels(g: &mut Graph, x: Value) -> Result<Value, TypeError> {
    let rank = g.ty(x).shape.rank();
    let spatial: Vec<i32> = (2..rank).map(int).collect();
    let per_image = if spatial.is_empty() {
        x
    } else {
        g.reduce_mean(x, &spatial, true)?
    };
    g.reduce_mean(per_image, &[0], true)
}

/// x normalised by mean and 1/√(variance + eps) [1, C, 1, …], times weight plus bias.
fn normalised(
    cx: &mut Cx<'_>,
    node: &Node,
    x: Value,
    [mean, root]: [Value; 2],
) -> Result<Value, ImportError> {
    let rank = cx.shape(x).rank();
    let mut scale = root;
    if let Some(weight) = cx.optional_tensor(node, "weight")? {
        let weight = along_channels(cx.g(), weight, rank)?;
        scale = cx.g().mul(scale, weight)?;
    }
    let distance = cx.g().sub(x, mean)?;
    let mut y = cx.g().mul(distance, scale)?;
    if let Some(bias) = cx.optional_tensor(node, "bias")? {
        let bias = along_channels(cx.g(), bias, rank)?;
        y = cx.g().add(y, bias)?;
    }
    Ok(y)
}

/// Running statistics as a program reads them, [1, C, 1, …]: the root is taken in fp32, where a variance neither
/// overflows nor vanishes.
fn running(cx: &mut Cx<'_>, node: &Node, rank: usize) -> Result<[Value; 2], ImportError> {
    let mean = cx.real_tensor(node, "running_mean")?;
    let variance = cx.wide_tensor(node, "running_var")?;
    let root = cx.g().rsqrt(variance, epsilon(node)?)?;
    let root = cx.cast(root, DType::Fp16)?;
    Ok([
        along_channels(cx.g(), mean, rank)?,
        along_channels(cx.g(), root, rank)?,
    ])
}

/// (1 − momentum)·running + momentum·batch, in fp32: in fp16 small steps would vanish.
fn updated(
    cx: &mut Cx<'_>,
    node: &Node,
    name: &str,
    batch: Value,
    factor: f64,
) -> Result<Value, ImportError> {
    let momentum = Cx::number(node, "momentum")?.unwrap_or(0.1);
    let running = cx.wide_tensor(node, name)?;
    let batch = cx.cast(batch, DType::Fp32)?;
    let keep = cx.scalar_like(running, 1.0 - momentum)?;
    let share = cx.scalar_like(running, momentum * factor)?;
    let kept = cx.g().mul(running, keep)?;
    let new = cx.g().mul(batch, share)?;
    Ok(cx.g().add(kept, new)?)
}

/// `nn.BatchNorm` as `torch.export` leaves it: it changes its running statistics without saying so.
fn module_batch_norm(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let running = [
        cx.input_of(node, "running_mean"),
        cx.input_of(node, "running_var"),
    ];
    let trains = Cx::bool(node, "training")?.unwrap_or(false);
    if let [Some(mean), Some(variance)] = running {
        let norm = BatchNorm {
            x: cx.real_tensor(node, "input")?,
            affine: [
                cx.optional_tensor(node, "weight")?,
                cx.optional_tensor(node, "bias")?,
            ],
            running: [mean, variance],
            momentum: Cx::number(node, "momentum")?.unwrap_or(0.1),
            eps: epsilon(node)?,
            trains,
        };
        if let Some(y) = cx.framed_batch_norm(&norm)? {
            return one(y);
        }
    }
    if trains && node.arg("running_mean").is_some() {
        return Err(cx.unsupported(node, "running statistics that change"));
    }
    Ok(vec![batch_norm(cx, node)?[0]])
}

fn batch_norm(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let x = cx.real_tensor(node, "input")?;
    let shape = cx.shape(x);
    let channels = shape.dims()[1];
    let has_statistics = node.arg("running_mean").is_some();
    let trains =
        Cx::bool(node, "training")?.unwrap_or(node.op() != "_native_batch_norm_legit_no_training");
    if !trains {
        let statistics = running(cx, node, shape.rank())?;
        let y = normalised(cx, node, x, statistics)?;
        return Ok(vec![Some(y), None, None, None, None]);
    }
    if node.op() == "_native_batch_norm_legit" && has_statistics {
        return Err(cx.unsupported(node, "statistics that are updated in place"));
    }
    let mean = mean_of_channels(cx.g(), x)?;
    let distance = cx.g().sub(x, mean)?;
    let square = cx.g().mul(distance, distance)?;
    let variance = mean_of_channels(cx.g(), square)?;
    let root = reciprocal_root(cx.g(), variance, epsilon(node)?)?;
    let y = normalised(cx, node, x, [mean, root])?;
    let mean = cx.reshape(mean, &[channels])?;
    let variance = cx.reshape(variance, &[channels])?;
    let root = cx.reshape(root, &[channels])?;
    let mut results = vec![Some(y), Some(mean), Some(root), None, None];
    if has_statistics {
        // PyTorch's running variance is the unbiased one.
        let n = (shape.numel() / channels) as f64;
        results[3] = Some(updated(cx, node, "running_mean", mean, 1.0)?);
        results[4] = Some(updated(cx, node, "running_var", variance, n / (n - 1.0))?);
    }
    Ok(results)
}

/// Gradients of x, weight and bias; that of x is weight·root·ct where statistics were constants.
fn batch_norm_backward(cx: &mut Cx<'_>, node: &Node) -> Lowered {
    let ct = cx.real_tensor(node, "grad_out")?;
    let x = cx.real_tensor(node, "input")?;
    let shape = cx.shape(x);
    let (rank, channels) = (shape.rank(), shape.dims()[1]);
    let [for_x, for_weight, for_bias] = asked(node)?;
    let trains = Cx::bool(node, "train")?.unwrap_or(true);
    let [mean, root] = if trains {
        let mean = cx.real_tensor(node, "save_mean")?;
        let root = cx.real_tensor(node, "save_invstd")?;
        [
            along_channels(cx.g(), mean, rank)?,
            along_channels(cx.g(), root, rank)?,
        ]
    } else {
        running(cx, node, rank)?
    };
    let distance = cx.g().sub(x, mean)?;
    let normal = cx.g().mul(distance, root)?;
    let mut results = vec![None; 3];
    if for_x {
        let mut scale = root;
        if let Some(weight) = cx.optional_tensor(node, "weight")? {
            let weight = along_channels(cx.g(), weight, rank)?;
            scale = cx.g().mul(scale, weight)?;
        }
        results[0] = Some(if trains {
            through_statistics(cx.g(), [ct, normal, scale], mean_of_channels)?
        } else {
            cx.g().mul(ct, scale)?
        });
    }
    let n = shape.numel() / channels;
    // A number of values that fp16 does not hold is multiplied by in two steps.
    let factors = if n > 1 << 15 {
        vec![256.0, n as f64 / 256.0]
    } else {
        vec![n as f64]
    };
    for (slot, asked) in [(1, for_weight), (2, for_bias)] {
        if asked {
            let each = if slot == 1 {
                cx.g().mul(ct, normal)?
            } else {
                ct
            };
            let mut sum = mean_of_channels(cx.g(), each)?;
            for &factor in &factors {
                let factor = cx.scalar_like(sum, factor)?;
                sum = cx.g().mul(sum, factor)?;
            }
            results[slot] = Some(cx.reshape(sum, &[channels])?);
        }
    }
    Ok(results)
}
