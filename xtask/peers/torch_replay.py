"""Replays a training run in fp32 PyTorch: the same first parameters, batches and learning rates, with AdamW.

Prints one JSON line: the mean training losses over the last steps and, where test data is given, the test accuracy. Every
parameter decays, biases too, as is PyTorch's custom. An index of -1 in the order is padding: it has weight 0, and the
loss of a step is the mean over the other examples.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch_train import normalise, read_images, read_labels
from torch_models import mlp


def load_model(path: Path) -> nn.Sequential:
    """The MLP whose parameters are in the file, under the names that nn.Sequential gives them."""
    parameters = load_file(path)
    weights = [parameters[f"{2 * layer}.weight"] for layer in range(len(parameters) // 2)]
    model = mlp([weights[0].shape[1], *(weight.shape[0] for weight in weights)])
    model.load_state_dict(parameters)
    return model


def perturb(model: nn.Module, size: float) -> None:
    """Multiplies every parameter by 1 + size · n, n normal: the same run but for what rounding could have done."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1 + size * torch.randn(parameter.shape, generator=random)


def load_order(path: Path, images: int) -> Tensor:
    """The image index of every place of every batch, checked against the number of images."""
    order = np.load(path)
    if order.ndim != 2 or order.dtype != np.int64:
        raise ValueError(f"{path}: wanted int64 [steps, batch], found {order.dtype} {list(order.shape)}")
    if order.min() < -1 or order.max() >= images:
        raise ValueError(f"{path}: an index is below -1 or not below {images}")
    if (order == -1).all(axis=1).any():
        raise ValueError(f"{path}: a batch is nothing but padding")
    return torch.from_numpy(order)


def replay(model: nn.Sequential, order: Tensor, rates: list[float], options: argparse.Namespace) -> list[float]:
    """Trains over all batches in turn; gives the loss of each step, taken before its update."""
    pixels, labels = read_images(options.images), read_labels(options.labels)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        betas=tuple(options.betas),
        eps=options.eps,
        weight_decay=options.weight_decay,
        fused=True,
    )
    losses: list[Tensor] = []
    for places, rate in zip(order, rates, strict=True):
        weights = (places >= 0).float()
        index = places.clamp(min=0)
        logits = model(normalise(pixels.index_select(0, index)))
        each = functional.cross_entropy(
            logits, labels.index_select(0, index), reduction="none", label_smoothing=options.label_smoothing
        )
        loss = (weights * each).sum() / weights.sum()
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
    return torch.stack(losses).tolist()


def accuracy(model: nn.Sequential, images: Path, labels: Path) -> float:
    """The share of images whose largest logit is at their label."""
    with torch.no_grad():
        guesses = model(normalise(read_images(images))).argmax(1)
    return float((guesses == read_labels(labels)).double().mean())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--init", type=Path, required=True, help="safetensors: 0.weight, 0.bias, 2.weight ...")
    parser.add_argument("--order", type=Path, required=True, help="int64 [steps, batch] indices; -1 is padding")
    parser.add_argument("--lrs", type=Path, required=True, help="float64 [steps] learning rates")
    parser.add_argument("--images", type=Path, required=True, help="training images, raw IDX")
    parser.add_argument("--labels", type=Path, required=True, help="training labels, raw IDX")
    parser.add_argument("--test-images", type=Path, help="raw IDX")
    parser.add_argument("--test-labels", type=Path, help="raw IDX")
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--betas", type=float, nargs=2, default=(0.9, 0.999))
    parser.add_argument("--eps", type=float, default=1e-8)
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--perturb", type=float, default=0.0, help="relative size of normal noise on the first parameters")
    parser.add_argument(
        "--report-last", type=int, nargs="+", default=[100], metavar="N", help="steps that a mean loss is over"
    )
    options = parser.parse_args()
    if min(options.report_last) < 1:
        parser.error("--report-last must be 1 or more")
    if (options.test_images is None) != (options.test_labels is None):
        parser.error("--test-images and --test-labels go together")
    return options


def main() -> None:
    """Loads, replays, reports."""
    options = arguments()
    model = load_model(options.init)
    perturb(model, options.perturb)
    order = load_order(options.order, len(read_labels(options.labels)))
    rates = np.load(options.lrs).tolist()
    if len(rates) != len(order):
        raise SystemExit(f"{len(rates)} learning rates for {len(order)} steps")
    losses = replay(model, order, rates, options)
    last = [losses[-steps:] for steps in options.report_last]
    report = {
        "steps": len(losses),
        "mean_over": [len(some) for some in last],
        "train_loss": [sum(some) / len(some) for some in last],
    }
    if options.test_images is not None:
        report["test_accuracy"] = accuracy(model, options.test_images, options.test_labels)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
