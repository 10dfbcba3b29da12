"""Benchmark peer: the whole training step of a model on MNIST, in JAX, compiled by `jax.jit` with donated state.

A step takes a batch by shuffled index out of the uint8 images, normalises it, and does forward, cross entropy,
backward and an AdamW update. Images are [B, rows, columns, 1], the layout that XLA's convolutions on processors are
made for.
"""

import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from functools import partial

import numpy as np
from peer import STD, Memory, arguments, load, serve

Tensors = dict[str, "jax.Array"]

options = arguments((__doc__ or "").splitlines()[0]).parse_args()
# XLA takes as many threads as processors that it may run on, so this comes before JAX does.
if sys.platform == "linux":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

import jax
from jax import lax
from jax import numpy as jnp


class Scope:
    """A forward pass and the tensors that it names: made on the first pass, read on all others."""

    def __init__(self, tensors: Tensors | None, buffers: Tensors, random: np.random.Generator) -> None:
        self.is_first = tensors is None
        self.tensors: Tensors = {} if tensors is None else tensors
        self.buffers = dict(buffers)
        self.random = random

    def parameter(self, name: str, shape: tuple[int, ...], fan_in: int) -> jax.Array:
        """A parameter, first U(±1/sqrt(fan_in)) as PyTorch's layers have it."""
        if self.is_first:
            bound = 1 / fan_in**0.5
            self.tensors[name] = jnp.asarray(self.random.uniform(-bound, bound, shape), jnp.float32)
        return self.tensors[name]

    def dense(self, name: str, x: jax.Array, outputs: int) -> jax.Array:
        inputs = x.shape[-1]
        weight = self.parameter(f"{name}.weight", (inputs, outputs), inputs)
        return x @ weight + self.parameter(f"{name}.bias", (outputs,), inputs)

    def conv(  # noqa: PLR0913
        self, name: str, x: jax.Array, outputs: int, size: int, stride: int = 1, padding: int = 0, *, bias: bool = True
    ) -> jax.Array:
        fan_in = x.shape[-1] * size * size
        weight = self.parameter(f"{name}.weight", (size, size, x.shape[-1], outputs), fan_in)
        x = lax.conv_general_dilated(
            x, weight, (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return x + self.parameter(f"{name}.bias", (outputs,), fan_in) if bias else x

    def batch_norm(self, name: str, x: jax.Array) -> jax.Array:
        channels = x.shape[-1:]
        if self.is_first:
            self.tensors |= {f"{name}.weight": jnp.ones(channels), f"{name}.bias": jnp.zeros(channels)}
            self.buffers |= {f"{name}.running_mean": jnp.zeros(channels), f"{name}.running_var": jnp.ones(channels)}
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        count = x.size // x.shape[-1]
        for statistic, value in (("mean", mean), ("var", variance * (count / (count - 1)))):
            path = f"{name}.running_{statistic}"
            self.buffers[path] = 0.9 * self.buffers[path] + 0.1 * lax.stop_gradient(value)
        scale = self.tensors[f"{name}.weight"] * lax.rsqrt(variance + 1e-5)
        return (x - mean) * scale + self.tensors[f"{name}.bias"]


def max_pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def lenet(cx: Scope, x: jax.Array) -> jax.Array:
    x = max_pool(jax.nn.relu(cx.conv("conv1", x, 6, 5, padding=2)))
    x = max_pool(jax.nn.relu(cx.conv("conv2", x, 16, 5)))
    x = jax.nn.relu(cx.dense("fc1", x.reshape(len(x), -1), 120))
    return cx.dense("fc3", jax.nn.relu(cx.dense("fc2", x, 84)), 10)


def resnet8(cx: Scope, x: jax.Array) -> jax.Array:
    def conv_norm(name: str, x: jax.Array, outputs: int, size: int, stride: int) -> jax.Array:  # noqa: PLR0913
        x = cx.conv(name, x, outputs, size, stride, size // 2, bias=False)
        return cx.batch_norm(f"{name}.bn", x)

    x = jax.nn.relu(conv_norm("conv1", x, 16, 3, 1))
    for i, (outputs, stride) in enumerate(((16, 1), (32, 2), (64, 2))):
        y = jax.nn.relu(conv_norm(f"layer{i}.conv1", x, outputs, 3, stride))
        y = conv_norm(f"layer{i}.conv2", y, outputs, 3, 1)
        projects = stride != 1 or x.shape[-1] != outputs
        x = jax.nn.relu(y + (conv_norm(f"layer{i}.downsample", x, outputs, 1, stride) if projects else x))
    return cx.dense("fc", x.mean((1, 2)), 10)


def mlp(sizes: list[int], cx: Scope, x: jax.Array) -> jax.Array:
    x = x.reshape(len(x), -1)
    *hidden, classes = sizes[1:]
    for i, width in enumerate(hidden):
        x = jax.nn.relu(cx.dense(f"{i}", x, width))
    return cx.dense("last", x, classes)


def forward(cx: Scope, x: jax.Array) -> jax.Array:
    """The logits of the model that was asked for."""
    named = {"lenet": lenet, "resnet8": resnet8}
    name = options.model
    return named[name](cx, x) if name in named else mlp([int(size) for size in name.split("-")], cx, x)


def adamw(t: jax.Array, w: jax.Array, g: jax.Array, m: jax.Array, v: jax.Array) -> tuple[jax.Array, ...]:
    """One update with PyTorch's defaults (lr 1e-3, weight decay 0.01)."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    change = (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w * (1 - 1e-3 * 0.01) - 1e-3 * change, m, v


@partial(jax.jit, donate_argnums=0)
def step(state: tuple, pixels: jax.Array, labels: jax.Array) -> tuple[tuple, jax.Array]:
    tensors, buffers, m, v, t = state

    def loss_of(tensors: Tensors) -> tuple[jax.Array, Tensors]:
        cx = Scope(tensors, buffers, np.random.default_rng(0))
        x = pixels[..., None].astype(jnp.float32) * (1 / (255 * STD))
        scores = jax.nn.log_softmax(forward(cx, x))
        return -jnp.take_along_axis(scores, labels[:, None].astype(jnp.int32), 1).mean(), cx.buffers

    (loss, buffers), gradients = jax.value_and_grad(loss_of, has_aux=True)(tensors)
    t = t + 1
    updated = {name: adamw(t, w, gradients[name], m[name], v[name]) for name, w in tensors.items()}
    tensors, m, v = ({name: entry[i] for name, entry in updated.items()} for i in range(3))
    return (tensors, buffers, m, v, t), loss


def main() -> None:
    """Says hello and serves requests until the input ends."""
    images, classes = load(options)
    random = np.random.default_rng(options.seed)

    memory = Memory()
    first = Scope(None, {}, random)
    forward(first, jnp.zeros((2, *images.shape[1:], 1)))
    zeros = {name: jnp.zeros_like(w) for name, w in first.tensors.items()}
    copies = {name: jnp.zeros_like(w) for name, w in first.tensors.items()}
    state = (first.tensors, first.buffers, zeros, copies, jnp.zeros(()))
    order, at = random.permutation(len(images)), 0

    def run(steps: int) -> float:
        nonlocal state, order, at
        for _ in range(steps):
            if at + options.batch > len(order):
                order, at = random.permutation(len(images)), 0
            index = order[at : at + options.batch]
            at += options.batch
            state, loss = step(state, images[index], classes[index])
        return float(loss)

    serve({"jax": jax.__version__, "threads": options.threads}, run, memory, options.batch)


if __name__ == "__main__":
    main()
