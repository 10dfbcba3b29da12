"""Benchmark peer: the whole training step of an MLP on MNIST, in eager PyTorch.

A driver starts this program, reads one hello line, and then sends one JSON request per line on standard input. Each
request is answered by one JSON line on standard output, so that several peers can be measured in turn:

    {"op": "run", "steps": 200}  ->  {"images_per_second": 41234.5, "loss": 2.30}

A step takes a batch by shuffled index out of the uint8 images, normalises it, and does forward, cross entropy,
backward and a fused AdamW update. `--gather none` leaves out the first two: the images are floats already, and a batch
is a view of them. Nothing is warmed up in secret: a driver discards its first run. The loss is that of the last step.
The program ends at the end of its input.
"""

import argparse
import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

STD = 0.3081
SHIM_NAMES = ("mkl_fix", "fakeintel")


def read_idx(path: Path) -> Tensor:
    """The unsigned bytes of a raw (not compressed) IDX file, in the shape that its header gives."""
    raw = path.read_bytes()
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    rank = raw[3]
    shape = struct.unpack_from(f">{rank}I", raw, 4)
    values = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)
    return torch.from_numpy(values.copy())


def read_images(path: Path) -> Tensor:
    """The images of an IDX file, one flat row each."""
    return read_idx(path).flatten(1)


def read_labels(path: Path) -> Tensor:
    """The labels of an IDX file, as the integers that cross entropy wants."""
    return read_idx(path).long()


def normalise(pixels: Tensor) -> Tensor:
    """x / 255 / STD, folded into one product: not centred, as our program has it."""
    return pixels.float().mul_(1 / (255 * STD))


def mlp(sizes: list[int]) -> nn.Sequential:
    """Linear layers of the given sizes with ReLU between them; parameters are called 0.weight, 0.bias, 2.weight ..."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def gathered(pixels: Tensor, labels: Tensor, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Full batches for ever, gathered and normalised one at a time, in a new order for each epoch."""
    while True:
        order = torch.randperm(len(pixels))
        for start in range(0, len(order) - batch + 1, batch):
            index = order[start : start + batch]
            yield normalise(pixels.index_select(0, index)), labels.index_select(0, index)


def prepared(pixels: Tensor, labels: Tensor, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Full batches for ever, as views of images that were shuffled and normalised beforehand."""
    order = torch.randperm(len(pixels))
    images, targets = normalise(pixels[order]), labels[order]
    while True:
        for start in range(0, len(images) - batch + 1, batch):
            yield images[start : start + batch], targets[start : start + batch]


class Trainer:
    """A model, its optimizer and an endless supply of batches."""

    def __init__(self, sizes: list[int], batches: Iterator[tuple[Tensor, Tensor]], *, bf16: bool) -> None:
        self.model = mlp(sizes)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=True)
        self.batches = batches
        self.bf16 = bf16

    def step(self) -> Tensor:
        """One training step, from batch to new parameters; gives its loss."""
        images, labels = next(self.batches)
        if self.bf16:
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.model(images)
            loss = functional.cross_entropy(logits.float(), labels)
        else:
            loss = functional.cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def run(self, steps: int, batch: int) -> dict[str, float]:
        """Trains for that many steps against the clock."""
        start = time.perf_counter()
        for _ in range(steps):
            loss = self.step()
        final = loss.item()
        seconds = time.perf_counter() - start
        return {"images_per_second": steps * batch / seconds, "loss": final}


def answer(trainer: Trainer, batch: int, line: str) -> dict[str, float | str]:
    """The reply to one request; a request that cannot be served is told why."""
    try:
        request = json.loads(line)
    except json.JSONDecodeError as error:
        return {"error": f"not JSON: {error}"}
    if not isinstance(request, dict) or request.get("op") != "run":
        return {"error": 'a request is {"op": "run", "steps": N}'}
    steps = request.get("steps")
    if type(steps) is not int or steps < 1:
        return {"error": "steps must be a whole number from 1 up"}
    return {**trainer.run(steps, batch)}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", default="784-512-512-10", help="layer sizes, joined by dashes")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32", help="bf16 is autocast")
    parser.add_argument("--gather", choices=("step", "none"), default="step")
    parser.add_argument("--images", type=Path, required=True, help="raw IDX file")
    parser.add_argument("--labels", type=Path, required=True, help="raw IDX file")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Says hello and serves requests until the input ends."""
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    sizes = [int(size) for size in options.shape.split("-")]

    pixels, labels = read_images(options.images), read_labels(options.labels)
    if pixels.shape[1] != sizes[0] or len(labels) != len(pixels) or options.batch > len(pixels):
        sys.exit(f"{len(labels)} labels for images {tuple(pixels.shape)} do not suit {options.shape}:{options.batch}")

    supply = gathered if options.gather == "step" else prepared
    trainer = Trainer(sizes, supply(pixels, labels, options.batch), bf16=options.dtype == "bf16")
    preload = os.environ.get("LD_PRELOAD", "")
    hello = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "mkl_fix": any(name in preload for name in SHIM_NAMES),
    }
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(answer(trainer, options.batch, line)), flush=True)


if __name__ == "__main__":
    main()
