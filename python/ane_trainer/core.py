"""One training step and one forward pass of a classifier of 28 × 28 images, as programs of the engine.

Examples are float32 `[N, 784]` and labels int64 `[N]`, as NumPy arrays or as tensors of PyTorch.
"""

import logging
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from .logits_width import logits_width
from .pytorch import torch
from .step_functions import LossFunction, logits_of, loss_of
from .utils import is_apple_silicon

FEATURES = 784
"""Values of one example: 28 × 28 pixels."""

_log = logging.getLogger(__name__)


@overload
def ane_forward_pass(
    model: torch.nn.Module, x: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]: ...
@overload
def ane_forward_pass(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor: ...
def ane_forward_pass(model: torch.nn.Module, x: Any) -> Any:
    """The logits of `x`, float32 `[N, classes]`, of the kind that `x` is; leaves `model` in eval mode.

    Raises `ValueError` where `x` is not float32 `[N, 784]`.
    """
    _check_input(x)
    _log_engine()
    model.eval()
    logits = logits_of(model, _tensor(x)).detach().to(torch.float32)
    return logits if isinstance(x, torch.Tensor) else logits.numpy()


def train_step(
    model: torch.nn.Module,
    x: npt.NDArray[np.float32] | torch.Tensor,
    y: npt.NDArray[np.int64] | torch.Tensor,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
) -> float:
    """Moves the weights of `model` by one step of `optimizer`; returns the loss before it.

    `loss_fn` takes logits and labels, as `torch.nn.CrossEntropyLoss()` does. The model is left in
    train mode. A loss that is not finite is returned as it is.

    Raises `ValueError`, before anything has changed, where the sizes of the batches differ, where
    `y` is not int64 or names a class that the logits do not have, and where `x` is not float32
    `[N, 784]`.
    """
    _check_batch(model, x, y)
    _check_input(x)
    _log_engine()
    model.train()
    optimizer.zero_grad()
    loss = loss_of(model, loss_fn, _tensor(x), _tensor(y))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def _check_batch(model: torch.nn.Module, x: Any, y: Any) -> None:
    _check_kind("x", x)
    _check_kind("y", y)
    examples, labels = (values.shape[0] if values.ndim else 0 for values in (x, y))
    if examples != labels:
        raise ValueError(
            f"Batch size mismatch: x has {examples} examples and y has {labels} labels; "
            "both must come from one batch"
        )
    if _dtype(y) != "int64":
        raise ValueError(
            f"Expected y dtype int64, found {_dtype(y)}; labels are the numbers of classes"
        )
    if labels == 0:
        return
    lowest, highest = int(y.min()), int(y.max())
    classes = logits_width(model, FEATURES)
    if lowest < 0 or (classes is not None and highest >= classes):
        most = "classes - 1" if classes is None else classes - 1
        raise ValueError(
            f"Expected y values in range [0, {most}], found values from {lowest} to {highest}; "
            "the model gives one logit for each class"
        )


def _check_input(x: Any) -> None:
    _check_kind("x", x)
    if x.ndim != 2 or x.shape[1] != FEATURES or x.shape[0] == 0:
        raise ValueError(
            f"Expected input shape [N, {FEATURES}] with N of at least 1, found {list(x.shape)}; "
            f"images [N, 28, 28] become that by x.reshape(len(x), {FEATURES})"
        )
    if _dtype(x) != "float32":
        raise ValueError(
            f"Expected input dtype float32, found {_dtype(x)}; "
            "pixels are divided by 255 and converted to float32"
        )


def _check_kind(name: str, values: Any) -> None:
    if not isinstance(values, np.ndarray | torch.Tensor):
        raise TypeError(
            f"Expected {name} as a numpy.ndarray or a torch.Tensor, found {type(values).__name__}"
        )


def _dtype(values: Any) -> str:
    """The name of a dtype, which NumPy and PyTorch share; another byte order has another name."""
    return str(values.dtype).removeprefix("torch.")


def _tensor(values: Any) -> torch.Tensor:
    """`values` as a tensor, in the same memory where PyTorch can have it there."""
    if isinstance(values, torch.Tensor):
        return values
    # PyTorch takes no memory that is read-only or that is walked backwards.
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _log_engine() -> None:
    if _log.isEnabledFor(logging.DEBUG):
        engine = "this Mac's Neural Engine" if is_apple_silicon() else "the software engine"
        _log.debug("expecting %s to compute", engine)
