"""PyTorch's own loss and gradients of a batch, and how far rounding to fp16 alone takes them."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ...errors import UnsupportedError
from .batches import Batch
from .forward import Forward
from .rounding import RoundsToHalf


class Gradients(NamedTuple):
    """A loss and the gradients of parameters, by path; none for a parameter that it does not depend on."""

    loss: float
    of: dict[str, Tensor | None]


class NothingDrops(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dropout of every kind keeps everything: whatever it is written as, its mask comes from one of two ops."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bernoulli_.float:
            # The mask is divided by the probability, which leaves ones.
            return args[0].fill_(args[1] if len(args) > 1 else 0.5)
        if func is torch.ops.aten.native_dropout.default:
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        return func(*args, **(kwargs or {}))


def gradients(forward: Forward, batch: Batch, rounded: float | None = None) -> Gradients:
    """Loss and gradients by PyTorch with nothing dropped; buffers, `grad` and generators stay as they are.

    With `rounded`, every result of every op is rounded to fp16, and gradients carry this scale on their way.
    Raises `UnsupportedError` for an `autograd.Function` of the user's, by its name.
    """
    asked = {
        path: tensor
        for path, tensor in forward.named_state()
        if isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad
    }
    scale = 1.0 if rounded is None else rounded
    with forward.as_captured(), torch.enable_grad(), torch.random.fork_rng(devices=[]), _emulation(rounded):
        loss, _ = forward.computed(batch)
        if rounded is None:
            refuse_functions(loss)
        if not loss.requires_grad:
            return Gradients(loss.item(), dict.fromkeys(asked))
        scaled = torch.autograd.grad(loss * scale, list(asked.values()), allow_unused=True)
    unscaled = [None if g is None else g / scale for g in scaled]
    return Gradients(loss.item(), dict(zip(asked, unscaled, strict=True)))


@contextlib.contextmanager
def _emulation(rounded: float | None) -> Iterator[None]:
    """Nothing is dropped, and where it is asked for everything rounded."""
    with contextlib.ExitStack() as modes:
        modes.enter_context(NothingDrops())  # type: ignore[no-untyped-call]
        if rounded is not None:
            modes.enter_context(RoundsToHalf())  # type: ignore[no-untyped-call]
        yield


def refuse_functions(loss: Tensor) -> None:
    """Raises `UnsupportedError` where a gradient would come from a backward of the user's own.

    `torch.export` traces what such a function computes and forgets how it is differentiated.
    """
    seen = set()
    open_nodes = [loss.grad_fn]
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            name = getattr(node, "_forward_cls", type(node)).__qualname__
            raise UnsupportedError(
                f"the loss depends on the autograd.Function `{name}`, whose own backward would be lost; write it with "
                'ops of PyTorch and detach(), or use torch.compile(..., backend="ane"), which keeps it'
            )
        open_nodes += [following for following, _ in node.next_functions]
