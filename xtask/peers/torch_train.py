"""Benchmark peer: the whole training step of a model on MNIST, in eager PyTorch or by a backend of `torch.compile`.

A step takes a batch by shuffled index out of the uint8 images, normalises it, and does forward, cross entropy,
backward and a fused AdamW update. `--gather none` leaves out the first two: the images are floats already, and a batch
is a view of them. A backend gets forward pass and loss as one function.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from peer import STD, Memory, arguments, load, read_idx, serve
from torch import Tensor, nn
from torch.nn import functional
from torch_models import build

SHIM_NAMES = ("mkl_fix", "fakeintel")


def read_images(path: Path) -> Tensor:
    """The images of an IDX file, one flat row each."""
    return torch.from_numpy(read_idx(path)).flatten(1)


def read_labels(path: Path) -> Tensor:
    """The labels of an IDX file, as the integers that cross entropy wants."""
    return torch.from_numpy(read_idx(path)).long()


def normalise(pixels: Tensor) -> Tensor:
    """x / 255 / STD, folded into one product: not centred, as our program has it."""
    return pixels.float().mul_(1 / (255 * STD))


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

    def __init__(
        self,
        model: nn.Module,
        loss_of: Callable[[Tensor, Tensor], Tensor],
        batches: Iterator[tuple[Tensor, Tensor]],
    ) -> None:
        self.loss_of = loss_of
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        self.batches = batches

    def step(self) -> Tensor:
        """One training step, from batch to new parameters; gives its loss."""
        loss = self.loss_of(*next(self.batches))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def run(self, steps: int) -> float:
        """Trains for that many steps; gives the loss of the last."""
        for _ in range(steps):
            loss = self.step()
        return loss.item()


def loss_function(model: nn.Module, dtype: str, backend: str | None) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross entropy of the model's scores, as the command line wants it computed."""

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        if dtype == "fp32":
            return functional.cross_entropy(model(images), labels)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images)
        return functional.cross_entropy(logits.float(), labels)

    if backend is None:
        return loss_of
    compiled: Callable[[Tensor, Tensor], Tensor] = torch.compile(loss_of, backend=backend, dynamic=False)
    return compiled


def main() -> None:
    """Says hello and serves requests until the input ends."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32", help="bf16 is autocast")
    parser.add_argument("--backend", help="of torch.compile; eager without it")
    parser.add_argument("--gather", choices=("step", "none"), default="step")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images, classes = load(options)
    labels = torch.from_numpy(classes).long()
    pixels = torch.from_numpy(images)
    pixels = pixels.flatten(1) if "-" in options.model else pixels.unsqueeze(1)

    memory = Memory()
    model = build(options.model, (1, images.shape[1], images.shape[2]), 10)
    supply = gathered if options.gather == "step" else prepared
    loss_of = loss_function(model, options.dtype, options.backend)
    trainer = Trainer(model, loss_of, supply(pixels, labels, options.batch))
    preload = os.environ.get("LD_PRELOAD", "")
    hello = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "mkl_fix": any(name in preload for name in SHIM_NAMES),
    }
    serve(hello, trainer.run, memory, options.batch)


if __name__ == "__main__":
    main()
