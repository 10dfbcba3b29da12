"""Writes fixtures.json and fixtures.safetensors: models of Keras's, and what Keras computes for them.

Weights, inputs and the cotangents of outputs are not stored: they are a function of names that both sides compute
(`drawn`, as in ane-train's make_layers.py). All arithmetic is double precision. Of a case are stored the output `y`
with training=False, the outputs' sum of products with the cotangents in training as gradients `grad.INDEX` of every
trained weight, and the moving statistics `moved.INDEX` after that. Layers that draw numbers are not in training mode.
Of tensors with more than LARGEST elements, PROJECTIONS sums with random signs are stored instead.
Needs tensorflow and safetensors:

    python make_fixtures.py [OUTPUT]
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from safetensors.numpy import save_file

LARGEST = 64
PROJECTIONS = 16
BATCH = 3
MASK = (1 << 64) - 1

Shape = tuple[int, ...]


def drawn(name: str, count: int) -> np.ndarray:
    """Numbers in [-1, 1) with 24 bits: splitmix64 from the FNV-1a hash of a name."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0


def tensor(name: str, shape: Shape) -> np.ndarray:
    """A tensor of `drawn` numbers."""
    return drawn(name, int(np.prod(shape))).reshape(shape)


def weight(name: str, shape: Shape) -> np.ndarray:
    """A weight: vectors around one half, which is also a variance; others by their size."""
    values = tensor(name, shape)
    if len(shape) == 1:
        return 0.5 + 0.25 * values
    scale = (3.0 * (shape[-1] if shape else 1) / max(1, values.size)) ** 0.5
    return np.asarray(values * scale)


def stored(name: str, value: np.ndarray) -> np.ndarray:
    """The tensor, or sums of it with random signs where it is large."""
    flat = np.asarray(value, dtype=np.float64).reshape(-1)
    if flat.size <= LARGEST:
        return flat.astype(np.float32)
    signs = (drawn(f"{name}/{i}", flat.size) < 0 for i in range(PROJECTIONS))
    return np.array([np.where(s, -flat, flat).sum() for s in signs]).astype(np.float32)


def one(shape: Shape, *layers: keras.layers.Layer) -> keras.Model:
    """Layers after another."""
    return keras.Sequential([keras.Input(shape, name="x"), *layers])


def two(shape: Shape, other: Shape, layer: keras.layers.Layer) -> keras.Model:
    """A layer of two tensors."""
    a, b = keras.Input(shape, name="a"), keras.Input(other, name="b")
    return keras.Model([a, b], layer([a, b]))


def convolved(shape: Shape, *layers: keras.layers.Layer) -> keras.Model:
    """Layers after a convolution, whose images have another layout in the graph."""
    return one(shape, L.Conv2D(4, 1, activation="tanh", name="before"), *layers)


def lenet() -> keras.Model:
    """Two convolutions and three dense layers, on small images."""
    return one(
        (16, 16, 1),
        L.Conv2D(4, 5, padding="same", activation="relu"),
        L.MaxPooling2D(),
        L.Conv2D(6, 3, activation="relu"),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(12, activation="relu"),
        L.Dense(8, activation="relu"),
        L.Dense(5, activation="softmax"),
    )


def resnet() -> keras.Model:
    """Two residual blocks with batch norm."""

    def block(x: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
        y = L.Conv2D(width, 3, strides=stride, padding="same", use_bias=False)(x)
        y = L.ReLU()(L.BatchNormalization()(y))
        y = L.BatchNormalization()(L.Conv2D(width, 3, padding="same", use_bias=False)(y))
        if stride != 1:
            x = L.BatchNormalization()(L.Conv2D(width, 1, strides=stride, use_bias=False)(x))
        return L.ReLU()(L.Add()([x, y]))

    x = keras.Input((8, 8, 3))
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding="same", use_bias=False)(x)))
    y = L.GlobalAveragePooling2D()(block(block(y, 4, 1), 8, 2))
    return keras.Model(x, L.Dense(5)(y))


def branches() -> keras.Model:
    """Two inputs, a nested model, a layer that is called twice, two named outputs."""
    a, b = keras.Input((6, 6, 2), name="image"), keras.Input((5,), name="row")
    tower = keras.Sequential(
        [L.Conv2D(3, 3, activation="relu", name="conv"), L.Flatten(name="flat"), L.Dense(5, name="out")],
        name="tower",
    )
    shared = L.Dense(4, activation="tanh", name="shared")
    x, y = shared(tower(a)), shared(b)
    z = L.Concatenate(name="both")([x, y])
    outputs = {"sum": L.Add()([x, y]), "class": L.Dense(3, activation="softmax", name="head")(z)}
    return keras.Model({"image": a, "row": b}, outputs)


def transformer() -> keras.Model:
    """Tokens, positions, and a block of causal attention."""
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = L.Embedding(11, 8, name="tokens_of")(tokens)
    a = L.MultiHeadAttention(2, 4, name="attention")(x, x, use_causal_mask=True)
    x = L.LayerNormalization()(L.Add()([x, a]))
    y = L.Dense(8)(L.Dense(16, activation="gelu")(x))
    x = L.LayerNormalization(epsilon=1e-5)(x + y)
    return keras.Model(tokens, L.Dense(11, activation="softmax")(x))


def cross_attention() -> keras.Model:
    """Queries of one sequence, keys and values of others."""
    q, v, k = keras.Input((4, 6)), keras.Input((5, 3)), keras.Input((5, 2))
    layer = L.MultiHeadAttention(2, 3, value_dim=4, use_bias=False, output_shape=7)
    return keras.Model([q, v, k], layer(query=q, value=v, key=k))


def operators() -> keras.Model:
    """What operators and functions leave in a functional model."""
    x = keras.Input((4, 4, 2), name="x")
    y = L.Conv2D(4, 3, padding="same", name="conv")(x)
    y = y * 2.0 + 1.0 - y / 4.0
    y = 1.0 - keras.ops.relu(y) * np.array([1.0, 2.0, 3.0, 4.0])
    gate = keras.ops.sigmoid(keras.ops.mean(y, axis=(1, 2), keepdims=True))
    y = (y * gate) ** 2
    rows = keras.ops.reshape(y, (-1, 16, 4))
    mixed = keras.ops.matmul(rows, keras.ops.transpose(rows, (0, 2, 1)))
    a = keras.ops.max(mixed, axis=-1)[:, 2:12:3]
    b = keras.ops.squeeze(keras.ops.expand_dims(-y[:, 1, -1], 1), 1)
    c = keras.ops.exp(-keras.ops.abs(keras.ops.mean(y, axis=(1, 2))))
    return keras.Model(x, keras.ops.concatenate([a, b, c], axis=-1))


def frozen() -> keras.Model:
    """Batch norm that is not trained keeps to its moving statistics in training."""
    norm = L.BatchNormalization(name="norm")
    model = one((4,), L.Dense(5, name="first"), norm, L.Dense(3, name="last"))
    norm.trainable = False
    model.get_layer("first").trainable = False
    return model


def adapted() -> keras.Model:
    """Normalization whose numbers are weights."""
    norm = L.Normalization()
    norm.build((None, 4))
    return one((4,), norm, L.Dense(3))


def u_net() -> keras.Model:
    """Down, up, and a connection between."""
    x = keras.Input((8, 8, 1))
    a = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    b = L.Conv2D(6, 3, padding="same", activation="swish")(L.AveragePooling2D(2)(a))
    c = L.Conv2DTranspose(4, 3, strides=2, padding="same")(b)
    y = L.Conv2D(2, 1, activation="sigmoid")(L.Concatenate()([a, c]))
    return keras.Model(x, y)


ACTIVATIONS = [
    "relu", "relu6", "leaky_relu", "softmax", "log_softmax", "sigmoid", "elu", "selu", "celu", "gelu", "glu",
    "softplus", "softsign", "soft_shrink", "sparse_plus", "silu", "squareplus", "tanh", "tanh_shrink", "hard_tanh",
    "hard_shrink", "exponential", "hard_sigmoid", "hard_silu", "log_sigmoid", "sparse_sigmoid", "mish", "linear",
]  # fmt: skip

CASES: dict[str, Callable[[], keras.Model]] = {
    "dense": lambda: one((5,), L.Dense(4)),
    "dense_of_rows": lambda: one((3, 5), L.Dense(4, use_bias=False, activation="gelu")),
    "dense_of_images": lambda: convolved((3, 2, 2), L.Dense(3)),
    "conv1d": lambda: one((9, 3), L.Conv1D(4, 3, strides=2, padding="same")),
    "conv1d_causal": lambda: one((9, 3), L.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="relu")),
    "conv2d": lambda: one((7, 6, 3), L.Conv2D(4, 3)),
    "conv2d_same": lambda: one((7, 6, 3), L.Conv2D(4, (3, 2), padding="same", use_bias=False)),
    "conv2d_same_stride": lambda: one((8, 7, 2), L.Conv2D(3, 3, strides=2, padding="same")),
    "conv2d_same_large_stride": lambda: one((8, 7, 2), L.Conv2D(3, 2, strides=3, padding="same")),
    "conv2d_dilation": lambda: one((7, 7, 2), L.Conv2D(3, 3, dilation_rate=2, padding="same")),
    "conv2d_groups": lambda: one((5, 5, 4), L.Conv2D(6, 3, groups=2)),
    "conv2d_transpose": lambda: one((4, 3, 3), L.Conv2DTranspose(4, 3, strides=2)),
    "conv2d_transpose_same": lambda: one((4, 3, 3), L.Conv2DTranspose(4, 3, strides=2, padding="same")),
    "conv2d_transpose_even": lambda: one((4, 3, 3), L.Conv2DTranspose(2, 4, strides=2, padding="same")),
    "conv2d_transpose_small": lambda: one((4, 3, 2), L.Conv2DTranspose(2, 2, strides=3)),
    "conv2d_transpose_added": lambda: one((4, 3, 2), L.Conv2DTranspose(2, 3, strides=2, output_padding=1)),
    "conv2d_transpose_same_added": lambda: one(
        (4, 3, 2), L.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=0)
    ),
    "conv1d_transpose": lambda: one((4, 2), L.Conv1DTranspose(3, 3, strides=2, padding="same")),
    "depthwise_conv2d": lambda: one((6, 6, 3), L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)),
    "depthwise_conv1d": lambda: one((6, 3), L.DepthwiseConv1D(3)),
    "separable_conv2d": lambda: one((6, 5, 3), L.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu")),
    "separable_conv1d": lambda: one((6, 3), L.SeparableConv1D(4, 3, padding="same")),
    "max_pooling2d": lambda: one((6, 5, 2), L.MaxPooling2D()),
    "max_pooling2d_same": lambda: one((7, 6, 2), L.MaxPooling2D(3, strides=2, padding="same")),
    "average_pooling2d": lambda: one((6, 5, 2), L.AveragePooling2D((3, 2))),
    "average_pooling2d_same": lambda: one((7, 6, 2), L.AveragePooling2D(3, strides=2, padding="same")),
    "max_pooling1d": lambda: one((7, 2), L.MaxPooling1D(2, padding="same")),
    "average_pooling1d": lambda: one((7, 2), L.AveragePooling1D(3, strides=1)),
    "global_pooling": lambda: convolved((4, 3, 2), L.GlobalAveragePooling2D()),
    "global_max_pooling": lambda: convolved((4, 3, 2), L.GlobalMaxPooling2D(keepdims=True), L.Conv2D(2, 1)),
    "global_pooling1d": lambda: one((4, 3), L.GlobalAveragePooling1D()),
    "global_max_pooling1d": lambda: one((4, 3), L.GlobalMaxPooling1D()),
    "batch_normalization": lambda: one((5,), L.BatchNormalization(momentum=0.8)),
    "batch_normalization_images": lambda: convolved((3, 3, 2), L.BatchNormalization()),
    "batch_normalization_rows": lambda: one((4, 3), L.BatchNormalization(scale=False, epsilon=0.1)),
    "batch_normalization_axis": lambda: one((4, 3), L.BatchNormalization(axis=1, center=False)),
    "frozen": frozen,
    "layer_normalization": lambda: one((4, 5), L.LayerNormalization()),
    "layer_normalization_images": lambda: convolved((3, 3, 2), L.LayerNormalization()),
    "layer_normalization_axes": lambda: convolved((3, 4, 2), L.LayerNormalization(axis=[1, 2, 3], center=False)),
    "group_normalization": lambda: convolved((3, 4, 2), L.GroupNormalization(2)),
    "instance_normalization": lambda: one((3, 4, 2), L.GroupNormalization(-1, scale=False)),
    "group_normalization_rows": lambda: one((6,), L.GroupNormalization(3)),
    "dropout": lambda: one((6,), L.Dropout(0.5), L.Dense(3)),
    "spatial_dropout": lambda: convolved((3, 3, 2), L.SpatialDropout2D(0.3), L.Flatten()),
    "embedding": lambda: one((5,), L.Embedding(7, 3), L.SpatialDropout1D(0.2), L.Flatten()),
    "flatten": lambda: convolved((3, 4, 2), L.Flatten(), L.Dense(2)),
    "reshape": lambda: convolved((4, 3, 2), L.Reshape((2, -1)), L.Dense(2)),
    "permute": lambda: convolved((4, 3, 2), L.Permute((2, 3, 1)), L.Conv2D(2, 2)),
    "repeat_vector": lambda: one((4,), L.RepeatVector(3), L.Conv1D(2, 2)),
    "zero_padding2d": lambda: convolved((3, 4, 2), L.ZeroPadding2D(((1, 0), (2, 3)))),
    "zero_padding1d": lambda: one((4, 2), L.ZeroPadding1D((1, 2)), L.Conv1D(2, 3)),
    "cropping2d": lambda: convolved((5, 6, 2), L.Cropping2D(((1, 0), (2, 1)))),
    "cropping1d": lambda: one((5, 2), L.Cropping1D(1), L.Conv1D(2, 2)),
    "up_sampling2d": lambda: convolved((3, 2, 2), L.UpSampling2D((2, 3))),
    "up_sampling2d_bilinear": lambda: convolved((3, 4, 2), L.UpSampling2D((2, 3), interpolation="bilinear")),
    "up_sampling1d": lambda: one((3, 2), L.UpSampling1D(3), L.Conv1D(2, 2)),
    "rescaling": lambda: one((3, 3, 2), L.Rescaling(1 / 127.5, offset=-1), L.Conv2D(2, 2)),
    "rescaling_channels": lambda: one((3, 3, 2), L.Rescaling([0.5, 2.0], offset=[0.1, 0.2]), L.Flatten(), L.Dense(2)),
    "normalization": lambda: one((4,), L.Normalization(mean=[1, 2, 3, 4], variance=[1, 4, 0.25, 9]), L.Dense(2)),
    "normalization_scalar": lambda: one((3, 3, 1), L.Normalization(axis=None, mean=0.3, variance=0.1), L.Conv2D(2, 2)),
    "normalization_adapted": adapted,
    "add": lambda: two((3, 4), (3, 4), L.Add()),
    "subtract": lambda: two((3, 4), (3, 4), L.Subtract()),
    "multiply": lambda: two((3, 4), (3, 1), L.Multiply()),
    "average": lambda: two((4,), (4,), L.Average()),
    "maximum": lambda: two((4,), (4,), L.Maximum()),
    "minimum": lambda: two((4,), (4,), L.Minimum()),
    "concatenate": lambda: two((3, 4), (3, 2), L.Concatenate()),
    "concatenate_axis": lambda: two((3, 4), (2, 4), L.Concatenate(axis=1)),
    "relu_layer": lambda: one((6,), L.Dense(6), L.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.2)),
    "leaky_relu_layer": lambda: one((6,), L.Dense(6), L.LeakyReLU()),
    "elu_layer": lambda: one((6,), L.Dense(6), L.ELU(alpha=0.7)),
    "softmax_layer": lambda: convolved((3, 3, 2), L.Softmax(axis=1)),
    "prelu": lambda: convolved((3, 2, 2), L.PReLU()),
    "prelu_shared": lambda: convolved((3, 2, 2), L.PReLU(shared_axes=[1, 2])),
    "layer_as_activation": lambda: one((5,), L.Dense(4, activation=L.LeakyReLU(negative_slope=0.1))),
    "multi_head_attention": cross_attention,
    "operators": operators,
    "mlp": lambda: one((4, 5), L.Flatten(), L.Dense(16, activation="relu"), L.Dropout(0.2), L.Dense(10)),
    "lenet": lenet,
    "resnet": resnet,
    "branches": branches,
    "transformer": transformer,
    "u_net": u_net,
} | {f"activation_{name}": (lambda name=name: one((4,), L.Dense(6, activation=name))) for name in ACTIVATIONS}


def computed(name: str, model: keras.Model) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """A case's description, and what Keras computes for it."""
    paths = []
    for i, w in enumerate(model.weights):
        paths.append([w.path, list(w.shape)])
        if "int" not in str(w.dtype):
            w.assign(weight(f"{name}/weight.{i}", tuple(w.shape)))
    for layer in model.layers:
        if isinstance(layer, L.Normalization):
            layer.finalize_state()
    inputs: list[object] = []
    named_inputs: dict[str, tf.Tensor] = {}
    for tensor_ in model.inputs:
        shape = (BATCH, *tensor_.shape[1:])
        values = tensor(f"{name}/x.{tensor_.name}", shape)
        # Indices, also where Keras takes them as real numbers.
        indices = "int" in str(tensor_.dtype) or name == "embedding"
        if indices:
            values = np.floor((values + 1.0) * 3.5)
        inputs.append([tensor_.name, list(shape[1:]), indices])
        named_inputs[tensor_.name] = tf.constant(values, dtype=tensor_.dtype)
    x: object = named_inputs
    if isinstance(model, keras.Sequential) or not isinstance(model.input, dict):
        tensors = list(named_inputs.values())
        x = tensors if len(tensors) > 1 else tensors[0]

    def named(y: object) -> dict[str, tf.Tensor]:
        if isinstance(y, dict):
            return y
        return {"output": y}

    result: dict[str, np.ndarray] = {}
    outputs = []
    for key, y in named(model(x, training=False)).items():
        outputs.append([key, list(y.shape)])
        result[f"{name}/y.{key}"] = stored(f"{name}/y.{key}", y.numpy())
    random = any("dropout" in layer.name for layer in model.layers)
    with tf.GradientTape() as tape:
        y = named(model(x, training=not random))
        total = sum(
            tf.reduce_sum(v * tf.constant(tensor(f"{name}/cotangent.{k}", tuple(v.shape)))) for k, v in y.items()
        )
    trained = model.trainable_variables
    gradients = {v.path: g for v, g in zip(trained, tape.gradient(total, trained), strict=True)}
    for i, w in enumerate(model.weights):
        if w.path in gradients:
            g = tf.convert_to_tensor(gradients[w.path]).numpy()
            result[f"{name}/grad.{i}"] = stored(f"{name}/grad.{i}", g)
        elif "moving" in w.path:
            result[f"{name}/moved.{i}"] = stored(f"{name}/moved.{i}", w.numpy())
    config = json.loads(model.to_json().replace('"float64"', '"float32"'))
    case = {"config": config, "weights": paths, "inputs": inputs, "outputs": outputs, "random": random}
    return case, result


def main() -> None:
    """Writes both files."""
    keras.config.set_floatx("float64")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    cases: dict[str, object] = {}
    tensors: dict[str, np.ndarray] = {}
    for name, build in CASES.items():
        keras.backend.clear_session()
        cases[name], values = computed(name, build())
        tensors |= values
    text = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in cases.items())
    (folder / "fixtures.json").write_text("{\n" + text + "\n}\n")
    save_file(tensors, folder / "fixtures.safetensors", metadata={"keras": keras.__version__})


if __name__ == "__main__":
    main()
