"""Functions that hold a model, and its loss, compiled once for each and kept as long as both live.

The loss is inside the compiled function, so that it runs where the model runs. Dynamo's guards
notice a model that has changed since and compile it again.
"""

import itertools
import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any

from .pytorch import torch
from torch.utils.weak import WeakIdKeyDictionary

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""A loss of logits and targets, such as `torch.nn.CrossEntropyLoss()`."""

Compiled = Callable[..., torch.Tensor]

BACKEND: str | Callable[..., Any] = "ane"
"""What `torch.compile` compiles with."""

MOST_KEPT = 32
"""Most shapes of batches whose functions are kept for one model and loss."""


class _Functions:
    """The compiled functions of one model, by the shapes of batches."""

    def __init__(self) -> None:
        self.inference: dict[Any, Compiled] = {}
        # By loss; by the object of a method, since a method is new each time it is looked up.
        self.training = WeakIdKeyDictionary(ref_type=weakref.ref)


_functions_of = WeakIdKeyDictionary(ref_type=weakref.ref)
_serial = itertools.count()


def loss_of(
    model: torch.nn.Module, loss_fn: LossFunction, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """`loss_fn(model(x), y)` by one compiled function, for `backward` to be called on."""
    try:
        by_loss = _of(model).training
        owner = getattr(loss_fn, "__self__", loss_fn)
        if owner not in by_loss:
            by_loss[owner] = {}
        kept = by_loss[owner]
    except TypeError:
        # No weak reference to this loss can be had, so nothing may be kept for it.
        kept = {}
    key = (*_signature(x), *_signature(y))
    return _call(kept, key, _loss, model, loss_fn, x, y)


def logits_of(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """`model(x)` by one compiled function, without gradients."""
    with torch.no_grad():
        return _call(_of(model).inference, _signature(x), _logits, model, x)


def _of(model: torch.nn.Module) -> _Functions:
    if model not in _functions_of:
        _functions_of[model] = _Functions()
    functions: _Functions = _functions_of[model]
    return functions


def _call(kept: dict[Any, Compiled], key: Any, body: Any, *arguments: Any) -> torch.Tensor:
    """Calls the kept function of `key`, which is compiled from `body` where there is none."""
    # Dynamo takes seconds to import, which help and refusals do not need.
    from torch._dynamo.exc import FailOnRecompileLimitHit

    function = kept.get(key)
    if function is not None:
        try:
            return function(*arguments)
        except FailOnRecompileLimitHit:
            # The model has changed more often than Dynamo compiles one function.
            del kept[key]
    while len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    function = kept[key] = _compile(body)
    return function(*arguments)


def _compile(body: FunctionType) -> Compiled:
    """`body`, compiled on its first call.

    Dynamo counts recompiles by code object, so each function has one of its own. A model is an
    argument, since a closure would keep it alive.
    """
    from torch._C._dynamo.eval_frame import reset_code

    code = body.__code__.replace(co_name=f"{body.__name__}_{next(_serial)}")
    own = FunctionType(code, body.__globals__, code.co_name)
    # What Dynamo has compiled keeps the code that it is kept by; nobody else ever lets go of it.
    weakref.finalize(own, reset_code, code).atexit = False
    compiled: Compiled = torch.compile(own, backend=BACKEND, dynamic=False, fullgraph=True)
    return compiled


def _loss(
    model: torch.nn.Module, loss_fn: LossFunction, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    return loss_fn(model(x), y)


def _logits(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(x)
    return logits


def _signature(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype
