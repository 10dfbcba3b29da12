"""One convolution of a network in PyTorch, or one of its gradients, as a benchmark peer.

    python torch_conv.py --layer 16x28x28-32k3s2p1g1 --pass weight --batch 64 --threads 2

A layer is written as channels, height and width of the image, channels made, length of the window, stride, padding and
groups. Passes are `forward`, `input` and `weight`: the result, and what the gradients of image and weights cost alone.
Everything is fp32 and in memory; no element is zero.
"""

import argparse
import re
from collections.abc import Callable

import torch
from peer import Memory, serve

PASSES = ("forward", "input", "weight")


def numbers(layer: str) -> list[int]:
    """The eight numbers of a layer."""
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)-(\d+)k(\d+)s(\d+)p(\d+)g(\d+)", layer)
    if found is None:
        raise argparse.ArgumentTypeError(f"a layer is like 16x28x28-32k3s2p1g1, not {layer}")
    return [int(number) for number in found.groups()]


def build(layer: list[int], which: str, batch: int) -> Callable[[], object]:
    """A function that computes the pass once."""
    channels, height, width, made, kernel, stride, pad, groups = layer
    x = torch.rand(batch, channels, height, width) + 1
    w = torch.rand(made, channels // groups, kernel, kernel) + 1
    strides, pads = [stride, stride], [pad, pad]
    y = torch.nn.functional.conv2d(x, w, None, strides, pads, 1, groups)
    if which == "forward":
        return lambda: torch.nn.functional.conv2d(x, w, None, strides, pads, 1, groups)
    ct = torch.rand_like(y) + 1
    wanted = [which == "input", which == "weight", False]
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(ct, x, w, None, strides, pads, [1, 1], False, [0, 0], groups, wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description="One convolution in PyTorch.")
    parser.add_argument("--layer", type=numbers, required=True)
    parser.add_argument("--pass", dest="which", choices=PASSES, default="forward")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    once = build(options.layer, options.which, options.batch)

    def run(steps: int) -> float:
        with torch.no_grad():
            for _ in range(steps):
                once()
        return float("nan")

    hello = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    serve(hello, run, Memory(), options.batch)


if __name__ == "__main__":
    main()
