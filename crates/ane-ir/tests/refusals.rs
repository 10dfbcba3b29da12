//! What ops say of operands and attributes that do not fit, whole.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use ane_ir::{
    DType, Graph, TensorType, Value,
    ops::{
        TypeError,
        avg_pool::AvgPool,
        conv::Conv,
        conv_transpose::ConvTranspose,
        max_pool::MaxPool,
        scatter::Mode,
        support::window::PadType,
        upsample_bilinear::{Scale, UpsampleBilinear},
    },
};

/// What building a node of inputs of the given shapes is refused with.
fn refusal<T>(
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Value]) -> Result<T, TypeError>,
) -> String {
    let mut g = Graph::new();
    let inputs = shapes.iter().enumerate();
    let xs: Vec<Value> = inputs
        .map(|(i, shape)| g.input(&format!("x{i}"), TensorType::fp16(*shape)).unwrap())
        .collect();
    match build(&mut g, &xs) {
        Ok(_) => panic!("it is not refused:\n{g}"),
        Err(e) => e.to_string(),
    }
}

fn conv(shapes: &[&[usize]], op: Conv) -> String {
    refusal(shapes, |g, xs| {
        g.conv(xs[0], xs[1], xs.get(2).copied(), op.clone())
    })
}

#[test]
fn convolutions_say_what_does_not_fit() {
    let plain = Conv::default;
    assert_eq!(
        conv(&[&[1, 2, 4, 4], &[3, 2, 5, 2]], plain()),
        "conv: attribute `pad` must be enough for a window of 5 on spatial axis 0 of length 4, \
         found 0 before and 0 after"
    );
    assert_eq!(
        conv(
            &[&[1, 4, 4], &[6, 2, 2]],
            Conv {
                groups: 3,
                ..plain()
            }
        ),
        "conv: attribute `groups` must be a divisor of 4 input and 6 output channels, found 3"
    );
    assert_eq!(
        conv(&[&[1, 4, 4], &[6, 2, 2]], plain()),
        "conv: tensor<fp16, [1, 4, 4]> and tensor<fp16, [6, 2, 2]> do not fit: the second axis of \
         the weight must be the channels of the image divided by groups"
    );
    assert_eq!(
        conv(&[&[1, 2, 4], &[6, 2, 2], &[5]], plain()),
        "conv: operand `bias` must be tensor<fp16, [6]>, found tensor<fp16, [5]>"
    );
    assert_eq!(
        conv(&[&[0, 2, 4], &[6, 2, 2]], plain()),
        "conv: operand `x` must be of two leading and one to three spatial axes, none of length 0, \
         found tensor<fp16, [0, 2, 4]>"
    );
    assert_eq!(
        conv(
            &[&[1, 2, 4], &[6, 2, 2]],
            Conv {
                strides: Some(vec![0]),
                ..plain()
            }
        ),
        "conv: attribute `strides` must be a positive number for each of 1 spatial axes, found [0]"
    );
    assert_eq!(
        conv(
            &[&[1, 2, 4], &[6, 2, 2]],
            Conv {
                pad_type: PadType::Custom,
                ..plain()
            }
        ),
        "conv: attribute `pad` must be 2 counts, since pad_type is custom, found none"
    );
    assert_eq!(
        refusal(&[&[1, 2, 3], &[2, 1, 2]], |g, xs| {
            let op = ConvTranspose {
                strides: Some(vec![2]),
                output_shape: Some(vec![1, 1, 8]),
                ..ConvTranspose::default()
            };
            g.conv_transpose(xs[0], xs[1], None, op)
        }),
        "conv_transpose: attribute `output_shape` must be a shape from which conv with these \
         attributes makes the spatial lengths [3] of x, not [4], found [1, 1, 8]"
    );
}

#[test]
fn pools_say_what_does_not_fit() {
    let pool = |kernel: i32, pad: [i32; 2], ceil_mode| {
        refusal(&[&[1, 2, 5]], |g, xs| {
            let op = AvgPool {
                kernel_sizes: vec![kernel],
                strides: Some(vec![2]),
                pad_type: PadType::Custom,
                pad: Some(pad.to_vec()),
                ceil_mode,
                ..AvgPool::default()
            };
            g.avg_pool(xs[0], op)
        })
    };
    assert_eq!(
        pool(2, [2, 0], false),
        "avg_pool: attribute `pad` must be padding that no window of 2 on spatial axis 0 lies in \
         as a whole, found 2 before and 0 after 5 elements, with stride 2"
    );
    assert_eq!(
        pool(3, [1, 0], true),
        "avg_pool: attribute `pad` must be equal counts before and after, since ceil_mode is on, \
         found [1, 0]"
    );
    assert_eq!(
        refusal(&[&[1, 2, 5]], |g, xs| {
            let op = MaxPool {
                kernel_sizes: vec![2],
                pad_type: PadType::Same,
                ceil_mode: true,
                ..MaxPool::default()
            };
            g.max_pool(xs[0], op)
        }),
        "max_pool: attribute `ceil_mode` must be off where pad_type is same or same_lower, found \
         true"
    );
    assert_eq!(
        refusal(&[&[1, 2, 5]], |g, xs| g.max_pool(xs[0], MaxPool::default())),
        "max_pool: attribute `kernel_sizes` must be a positive number for each of 1 spatial axes, \
         found []"
    );
}

#[test]
fn norms_say_what_does_not_fit() {
    assert_eq!(
        refusal(&[&[2, 3, 4], &[4, 3]], |g, xs| {
            g.layer_norm(xs[0], Some(xs[1]), None, &[1, 2], 1e-5)
        }),
        "layer_norm: operand `gamma` must be tensor<fp16, [3, 4]>, found tensor<fp16, [4, 3]>"
    );
    assert_eq!(
        refusal(&[&[2, 3, 4], &[3], &[4]], |g, xs| {
            g.batch_norm(xs[0], [xs[1], xs[2]], None, None, 1e-5)
        }),
        "batch_norm: operand `variance` must be tensor<fp16, [3]>, found tensor<fp16, [4]>"
    );
    assert_eq!(
        refusal(&[&[3, 4]], |g, xs| g.instance_norm(xs[0], None, None, 1e-5)),
        "instance_norm: operand `x` must be of two leading and one to three spatial axes, none of \
         length 0, found tensor<fp16, [3, 4]>"
    );
}

#[test]
fn ops_with_indices_say_what_does_not_fit() {
    assert_eq!(
        refusal(&[&[4, 2], &[3]], |g, xs| g.gather(xs[0], xs[1], 0)),
        "gather: operand `indices` must be of integers, found tensor<fp16, [3]>"
    );
    assert_eq!(
        refusal(&[&[4, 2], &[3, 3]], |g, xs| {
            let ty = TensorType::new(DType::Int32, [3]);
            let indices = g.fill(&ty, 1.0)?;
            g.scatter(xs[0], indices, xs[1], 0, Mode::Add)
        }),
        "scatter: operand `updates` must be tensor<fp16, [3, 2]>, found tensor<fp16, [3, 3]>"
    );
    assert_eq!(
        refusal(&[&[4, 2]], |g, xs| g.slice_by_index(
            xs[0],
            &[3, 0],
            &[3, 2],
            &[1, 1]
        )),
        "slice_by_index: attribute `end` must be at least one element of axis 0 of [4, 2], found \
         3:3:1"
    );
    assert_eq!(
        refusal(&[&[4, 2]], |g, xs| g.slice_by_index(
            xs[0],
            &[0, 0],
            &[4, 2],
            &[1, 0]
        )),
        "slice_by_index: attribute `stride` must be a number other than 0 for each axis of [4, 2], \
         found [1, 0]"
    );
    assert_eq!(
        refusal(&[], |g, _| {
            let ty = TensorType::new(DType::Int32, [3]);
            let indices = g.fill(&ty, 1.0)?;
            g.one_hot(indices, 5, 2, DType::Fp16)
        }),
        "one_hot: attribute `axis` must be an axis of the result, which has 2, found 2"
    );
    assert_eq!(
        refusal(&[&[2, 3]], |g, xs| {
            let ty = TensorType::new(DType::Int32, [3, 1]);
            let places = g.input("places", ty).unwrap();
            g.gather_along_axis(xs[0], places, 1)
        }),
        "gather_along_axis: tensor<fp16, [2, 3]> and tensor<int32, [3, 1]> do not fit: the indices \
         must have the lengths of x on every axis but the one that is read"
    );
}

#[test]
fn elementwise_and_moving_ops_say_what_does_not_fit() {
    assert_eq!(
        refusal(&[&[4]], |g, xs| g.clip(xs[0], 1.0, f64::NAN)),
        "clip: attribute `alpha` must be less than beta, NaN, found 1"
    );
    assert_eq!(
        refusal(&[&[4, 2]], |g, xs| g.tile(xs[0], &[1, 0])),
        "tile: attribute `reps` must be a positive number for each of at least one axis of [4, 2], \
         found [1, 0]"
    );
    assert_eq!(
        refusal(&[&[1, 4, 2]], |g, xs| g
            .upsample_nearest_neighbor(xs[0], [2, 0])),
        "upsample_nearest_neighbor: attribute `scale_factor_width` must be a positive number, \
         found 0"
    );
    assert_eq!(
        refusal(&[&[1, 4, 2]], |g, xs| g.upsample_bilinear(
            xs[0],
            [2.0, 0.25],
            true
        )),
        "upsample_bilinear: attribute `scale_factor_width` must be a number that makes of 2 elements \
         1 to 2^24, found 0.25"
    );
    assert_eq!(
        refusal(&[&[4, 2]], |g, xs| g
            .upsample_bilinear(xs[0], [2.0; 2], true)),
        "upsample_bilinear: operand `x` must be of at least three axes, found tensor<fp16, [4, 2]>"
    );
    assert_eq!(
        refusal(&[&[1, 4, 2]], |g, xs| {
            let op = UpsampleBilinear {
                scale_factor_height: Scale(2.0),
                scale_factor_width: Scale(2.0),
                align_corners: true,
                half_pixel_centers: Some(true),
            };
            g.push(op, xs)
        }),
        "upsample_bilinear: attribute `half_pixel_centers` must be false, since align_corners is \
         true, found true"
    );
    assert_eq!(
        refusal(&[&[4, 2]], |g, xs| g.cumsum(xs[0], 2)),
        "cumsum: attribute `axis` must be an axis of [4, 2], found 2"
    );
    assert_eq!(
        refusal(&[&[4]], |g, xs| g.band_part(xs[0], -1, 0)),
        "band_part: operand `x` must be of at least two axes, found tensor<fp16, [4]>"
    );
    assert_eq!(
        refusal(&[&[4], &[4]], |g, xs| g.logical_and(xs[0], xs[1])),
        "logical_and: operand `x` must be bool, found tensor<fp16, [4]>"
    );
    assert_eq!(
        refusal(&[], |g, _| g.fill(&TensorType::fp16([2, 0]), 1.0)),
        "fill: attribute `shape` must be positive lengths of at least one axis, found [2, 0]"
    );
    assert_eq!(
        refusal(&[&[4]], |g, xs| g.pad(xs[0], &[1, 1, 1, 1], 0.0)),
        "pad: attribute `pad` must be two counts for each of at least one of the last axes of [4], \
         none negative, found [1, 1, 1, 1]"
    );
    assert_eq!(
        refusal(&[&[3, 4], &[2, 5]], |g, xs| g.linear(xs[0], xs[1], None)),
        "linear: tensor<fp16, [3, 4]> and tensor<fp16, [2, 5]> do not fit: the last axes must have \
         equal lengths"
    );
}
