//! Windows over images: convolutions, pools, and images in another size.

use super::{Call, Done, Setting, Settings, longs};
use crate::onnx::builder::tensor;
use ane_ir::{
    DType, Literal, TensorType,
    ops::{
        avg_pool::AvgPool, conv::Conv, conv_transpose::ConvTranspose, max_pool::MaxPool,
        support::window::PadType, upsample_bilinear::UpsampleBilinear,
        upsample_nearest_neighbor::UpsampleNearestNeighbor,
    },
};

/// Strides, dilations and padding of an op over `axes` spatial axes.
fn windows(
    axes: usize,
    strides: Option<&Vec<i32>>,
    dilations: Option<&Vec<i32>>,
    pad_type: PadType,
    pad: Option<&Vec<i32>>,
) -> Settings {
    let each = |values: Option<&Vec<i32>>| {
        Setting::Ints(values.map_or_else(|| vec![1; axes], |values| longs(values)))
    };
    let mut settings = vec![("strides", each(strides))];
    if dilations.is_some() {
        settings.push(("dilations", each(dilations)));
    }
    match (pad_type, pad) {
        (PadType::Same, _) => settings.push(("auto_pad", Setting::Text("SAME_UPPER"))),
        (PadType::SameLower, _) => settings.push(("auto_pad", Setting::Text("SAME_LOWER"))),
        (PadType::Custom, Some(pad)) => settings.push(("pads", pads(pad))),
        (PadType::Custom | PadType::Valid, _) => {}
    }
    settings
}

/// Pairs of before and after here; all befores, then all afters, there.
fn pads(pairs: &[i32]) -> Setting {
    let side = |i: usize| pairs.iter().skip(i).step_by(2);
    Setting::Ints(side(0).chain(side(1)).map(|&x| i64::from(x)).collect())
}

fn number(name: &'static str, value: usize) -> (&'static str, Setting) {
    (name, Setting::Int(value as i64))
}

pub(super) fn conv(c: &mut Call<'_>, op: &Conv) -> Done {
    let axes = c.rank(0) - 2;
    let (strides, dilations) = (op.strides.as_ref(), op.dilations.as_ref());
    let mut settings = windows(axes, strides, dilations, op.pad_type, op.pad.as_ref());
    if matches!(op.pad_type, PadType::Same | PadType::SameLower) {
        // ONNX Runtime computes no padding where there are dilations.
        let dims = op.dims(c.ty(0), c.ty(1)).map_err(|_| "such windows")?;
        let before = dims.axes.iter().map(|axis| axis.before as i64);
        let after = dims.axes.iter().map(|axis| axis.after as i64);
        settings.retain(|(name, _)| *name != "auto_pad");
        settings.push(("pads", Setting::Ints(before.chain(after).collect())));
    }
    settings.push(("group", Setting::Int(i64::from(op.groups))));
    c.last("Conv", c.operands, settings)
}

/// What the transposed windows leave open at the end is `output_padding`.
pub(super) fn conv_transpose(c: &mut Call<'_>, op: &ConvTranspose) -> Done {
    let dims = op.dims(c.ty(0), c.ty(1)).map_err(|_| "such windows")?;
    let lengths = &c.result_ty().shape.dims()[2..];
    let images = &c.ty(0).shape.dims()[2..];
    let explicit = match (op.pad_type, &op.pad) {
        (PadType::Custom, Some(pad)) => Some(pad),
        _ => None,
    };
    let (mut before, mut after, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for (i, axis) in dims.axes.iter().enumerate() {
        let whole = (images[i] - 1) * axis.stride + axis.extent();
        let ahead = explicit.map_or(axis.before as i64, |pad| i64::from(pad[2 * i]));
        let cut = whole as i64 - ahead - lengths[i] as i64;
        before.push(ahead);
        match explicit {
            Some(pad) => {
                after.push(i64::from(pad[2 * i + 1]));
                open.push(i64::from(pad[2 * i + 1]) - cut);
            }
            None => {
                after.push(cut.max(0));
                open.push((-cut).max(0));
            }
        }
    }
    // A part of an image without elements of x has to end before the next window would begin.
    if open
        .iter()
        .zip(&dims.axes)
        .any(|(&o, axis)| o < 0 || o >= axis.stride.max(axis.dilation) as i64)
    {
        return Err("an output_shape beyond what output_padding reaches");
    }
    let ints = |of: fn(&ane_ir::ops::support::window::WindowAxis) -> usize| {
        Setting::Ints(dims.axes.iter().map(|axis| of(axis) as i64).collect())
    };
    let settings = vec![
        ("strides", ints(|axis| axis.stride)),
        ("dilations", ints(|axis| axis.dilation)),
        ("pads", Setting::Ints([before, after].concat())),
        ("output_padding", Setting::Ints(open)),
        number("group", dims.groups),
    ];
    c.last("ConvTranspose", c.operands, settings)
}

/// What pools of all kinds say of their windows.
fn pool(
    axes: usize,
    window: (&[i32], Option<&Vec<i32>>),
    pads: (PadType, Option<&Vec<i32>>),
    ceil: bool,
) -> Settings {
    let (sizes, strides) = window;
    let mut settings = windows(axes, strides, None, pads.0, pads.1);
    settings.push(("kernel_shape", Setting::Ints(longs(sizes))));
    settings.push(number("ceil_mode", usize::from(ceil)));
    settings
}

pub(super) fn max_pool(c: &mut Call<'_>, op: &MaxPool) -> Done {
    let window = (&op.kernel_sizes[..], op.strides.as_ref());
    let settings = pool(
        c.rank(0) - 2,
        window,
        (op.pad_type, op.pad.as_ref()),
        op.ceil_mode,
    );
    c.last("MaxPool", c.operands, settings)
}

pub(super) fn avg_pool(c: &mut Call<'_>, op: &AvgPool) -> Done {
    let window = (&op.kernel_sizes[..], op.strides.as_ref());
    let mut settings = pool(
        c.rank(0) - 2,
        window,
        (op.pad_type, op.pad.as_ref()),
        op.ceil_mode,
    );
    let counts = !op.exclude_padding_from_average;
    settings.push(number("count_include_pad", usize::from(counts)));
    c.last("AveragePool", c.operands, settings)
}

/// An image in another size, each of the last two axes by its own factor.
fn resize(c: &mut Call<'_>, height: f64, width: f64, settings: Settings) -> Done {
    let rank = c.rank(0);
    let scales: Vec<f64> = (std::iter::repeat_n(1.0, rank - 2))
        .chain([height, width])
        .collect();
    let scales = Literal::from_f64(TensorType::new(DType::Fp32, [rank]), &scales);
    let scales = c.to.constant(tensor(String::new(), &scales));
    c.last("Resize", &[c.x(0), "", &scales], settings)
}

pub(super) fn upsample_nearest_neighbor(c: &mut Call<'_>, op: &UpsampleNearestNeighbor) -> Done {
    let settings = vec![
        ("mode", Setting::Text("nearest")),
        (
            "coordinate_transformation_mode",
            Setting::Text("asymmetric"),
        ),
        ("nearest_mode", Setting::Text("floor")),
    ];
    let (height, width) = (op.scale_factor_height.0, op.scale_factor_width.0);
    resize(c, f64::from(height), f64::from(width), settings)
}

pub(super) fn upsample_bilinear(c: &mut Call<'_>, op: &UpsampleBilinear) -> Done {
    let half = op.half_pixel_centers.unwrap_or(!op.align_corners);
    let place = match (op.align_corners, half) {
        (true, _) => "align_corners",
        (false, true) => "half_pixel",
        (false, false) => "asymmetric",
    };
    let settings = vec![
        ("mode", Setting::Text("linear")),
        ("coordinate_transformation_mode", Setting::Text(place)),
    ];
    let (height, width) = (op.scale_factor_height.0, op.scale_factor_width.0);
    resize(c, f64::from(height), f64::from(width), settings)
}
