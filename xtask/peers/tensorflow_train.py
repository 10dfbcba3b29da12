"""Benchmark peer: the whole training step of a model on MNIST, in TensorFlow's graph mode (Keras layers, `tf.function`).

A step takes a batch by shuffled index out of the uint8 images, normalises it, and does forward, cross entropy,
backward and an AdamW update. Images are [B, rows, columns, 1], the layout that TensorFlow's convolutions are made for.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from peer import STD, Memory, arguments, load, serve


def lenet(x: keras.KerasTensor) -> keras.KerasTensor:
    for channels, padding in ((6, "same"), (16, "valid")):
        x = layers.MaxPool2D(2)(layers.Conv2D(channels, 5, padding=padding, activation="relu")(x))
    x = layers.Flatten()(x)
    for width in (120, 84):
        x = layers.Dense(width, activation="relu")(x)
    return layers.Dense(10)(x)


def block(x: keras.KerasTensor, outputs: int, stride: int) -> keras.KerasTensor:
    def convolution(x: keras.KerasTensor, size: int, stride: int) -> keras.KerasTensor:
        x = layers.Conv2D(outputs, size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    y = layers.ReLU()(convolution(x, 3, stride))
    y = convolution(y, 3, 1)
    shortcut = x if stride == 1 and x.shape[-1] == outputs else convolution(x, 1, stride)
    return layers.ReLU()(y + shortcut)


def resnet8(x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        x = block(x, outputs, stride)
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def mlp(name: str, x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.Flatten()(x)
    *hidden, classes = [int(size) for size in name.split("-")[1:]]
    for width in hidden:
        x = layers.Dense(width, activation="relu")(x)
    return layers.Dense(classes)(x)


def build(name: str, rows: int, columns: int) -> keras.Model:
    """The model called `name`, or made of these widths."""
    x = keras.Input((rows, columns, 1))
    named = {"lenet": lenet, "resnet8": resnet8}
    y = named[name](x) if name in named else mlp(name, x)
    return keras.Model(x, y)


def main() -> None:
    """Says hello and serves requests until the input ends."""
    options = arguments((__doc__ or "").splitlines()[0]).parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(options.seed)
    images, classes = load(options)
    random = np.random.default_rng(options.seed)

    memory = Memory()
    model = build(options.model, images.shape[1], images.shape[2])
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=0.01)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        x = tf.cast(pixels[..., None], tf.float32) * (1 / (255 * STD))
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    order, at = random.permutation(len(images)), 0

    def run(steps: int) -> float:
        nonlocal order, at
        for _ in range(steps):
            if at + options.batch > len(order):
                order, at = random.permutation(len(images)), 0
            index = order[at : at + options.batch]
            at += options.batch
            loss = step(images[index], classes[index])
        return float(loss)

    serve({"tensorflow": tf.__version__, "threads": options.threads}, run, memory, options.batch)


if __name__ == "__main__":
    main()
