"""`python -m ane_trainer`: trains a network of two layers on MNIST and saves its weights.

Standard output has one line for each epoch and nothing else.
"""

import argparse
import contextlib
import math
import os
import sys

from .core import FEATURES, train_step
from .data import CLASSES, load_dataset
from .models import build_model
from .pytorch import torch
from .torch import default_options, report, sessions
from .utils import is_apple_silicon

HIDDEN = 128
"""Width of the layer between pixels and logits."""

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C has ended."""


def main_cli() -> int:
    """Trains as the command line says; the exit code is that of `main`, or 2 where it is misused."""
    parser = argparse.ArgumentParser(
        prog="python -m ane_trainer",
        description="Train a 784-128-10 network on MNIST on Apple's Neural Engine.",
    )
    parser.add_argument(
        "--dataset", required=True, metavar="DIR", help="where MNIST's files are, or shall be kept"
    )
    parser.add_argument(
        "--epochs", required=True, type=_count, metavar="N", help="passes over the training images"
    )
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="where the state_dict is saved"
    )
    parser.add_argument(
        "--batch-size",
        type=_count,
        default=32,
        metavar="N",
        help="images in one step (default: %(default)s)",
    )
    parser.add_argument(
        "--learning-rate",
        type=_rate,
        default=0.01,
        metavar="RATE",
        help="learning rate of SGD (default: %(default)s)",
    )
    try:
        return main(parser.parse_args())
    except KeyboardInterrupt:
        print("interrupted: nothing was saved", file=sys.stderr)
        return INTERRUPTED


def main(args: argparse.Namespace) -> int:
    """Trains; returns 0, or 1 where something failed, which stderr then tells.

    `args` has `dataset`, `epochs`, `output`, `batch_size` and `learning_rate`. The images are
    taken in their order, and an epoch's loss is the mean of its batches' losses.
    """
    parent = os.path.dirname(os.path.abspath(args.output))
    if not os.path.isdir(parent):
        return _failed("Output", f"there is no directory {parent}; make it first")
    if os.path.isdir(args.output):
        return _failed("Output", f"{args.output} is a directory; name a file")
    stdout = sys.stdout
    # What the backend and torchvision print must not get between the lines of losses.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            images, labels, _, _ = load_dataset(args.dataset)
        except (OSError, RuntimeError) as error:
            return _failed("Data set", error)

        try:
            print(f"{len(images)} images, batches of {args.batch_size}, {_engine()}")
            examples = images.reshape(len(images), FEATURES)
            model = build_model(FEATURES, HIDDEN, CLASSES)
            optimizer = torch.optim.SGD(model.parameters(), lr=args.learning_rate)
            loss_fn = torch.nn.CrossEntropyLoss()
            for epoch in range(1, args.epochs + 1):
                losses = []
                for start in range(0, len(examples), args.batch_size):
                    batch = slice(start, start + args.batch_size)
                    step = train_step(model, examples[batch], labels[batch], optimizer, loss_fn)
                    losses.append(step)
                mean = math.fsum(losses) / len(losses)
                print(f"Epoch {epoch}: Loss {mean:.4f}", file=stdout, flush=True)
            print(report())
        except Exception as error:
            return _failed("Training", error)

    try:
        torch.save(model.state_dict(), args.output)
    except (OSError, RuntimeError) as error:
        return _failed("Output", error)
    return 0


def _engine() -> str:
    """What will compute; opens it."""
    session = sessions.session(default_options())
    if session.device == "software" and is_apple_silicon():
        print("the Neural Engine of this Mac is not used: `ane-trainer doctor` says what it lacks")
    return f"device {session.device}, target {session.target}"


def _failed(what: str, reason: object) -> int:
    print(f"error: {what}: {reason}", file=sys.stderr)
    return 1


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {text}")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return number
