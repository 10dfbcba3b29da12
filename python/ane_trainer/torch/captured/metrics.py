"""What is measured of predictions, besides the loss."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError

Metric = Callable[[Any, Tensor], Any]
"""Takes what the model returns and the target of a batch, and gives the mean over its examples."""


def accuracy(scores: Any, target: Tensor) -> float:
    """Share of examples whose largest score, along axis 1, is that of their class."""
    if not isinstance(scores, Tensor) or scores.ndim < 2:
        raise InputError("the metric `accuracy` takes scores [B, classes, ...]; give a function as a metric")
    classes = target if target.ndim == scores.ndim - 1 else target.argmax(1)
    return float((scores.argmax(1) == classes).to(torch.float32).mean())


_KNOWN: dict[str, Metric] = {"accuracy": accuracy}


def metrics_of(given: Sequence[str] | Mapping[str, Metric] | None) -> dict[str, Metric]:
    """Metrics by name, those that are known by their name alone."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    unknown = [name for name in given if name not in _KNOWN]
    if unknown:
        raise InputError(f"no metric is called {unknown[0]!r}; there are {', '.join(_KNOWN)}, and functions by name")
    return {name: _KNOWN[name] for name in given}
