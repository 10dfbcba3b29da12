"""The forward pass of a batch through model and loss, as one module: what is exported, and what PyTorch itself computes."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ...errors import InputError, UnsupportedError
from .batches import Batch

Loss = Callable[[Any, Tensor], Tensor]


class Forward(nn.Module):
    """Takes a batch and returns its loss, and after it those leaves of the model's result that `outputs` names; the whole
    result where it names none.

    With a loss the batch is the model's inputs and the target; without one the model returns the loss itself, alone or with
    other results.
    """

    def __init__(self, model: nn.Module, loss: Loss | None, outputs: list[int] | None = None) -> None:
        super().__init__()
        self.model = model
        self.loss = loss if loss is None or isinstance(loss, nn.Module) else LossFunction(loss)
        self.outputs = outputs
        self.modes = [(part, part.training) for part in self.modules()]

    @contextlib.contextmanager
    def as_captured(self) -> Iterator[None]:
        """Every part of model and loss in the mode that it was made with, whatever the user has set since."""
        with _keeping_modes(self):
            for part, training in self.modes:
                part.training = training
            yield

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Everything in eval mode for a while."""
        with _keeping_modes(self):
            self.eval()
            yield

    def forward(self, *batch: Tensor) -> tuple[Any, ...]:
        """The loss and the outputs."""
        loss, result = self._both(batch)
        if self.outputs is None:
            return loss, result
        leaves = pytree.tree_leaves(result)
        return (loss, *(leaves[i] for i in self.outputs))

    def computed(self, batch: Batch) -> tuple[Tensor, Any]:
        """The loss and the result by PyTorch, which changes no buffer."""
        buffers = {path: b.clone() for path, b in self.named_buffers()}
        loss, result = torch.func.functional_call(self, buffers, batch)
        return loss, result

    def _both(self, batch: Batch) -> tuple[Tensor, Any]:
        if self.loss is not None:
            *inputs, target = batch
            result = self.model(*inputs)
            return _scalar(self.loss(result, target), "the loss"), result
        result = self.model(*batch)
        numbers = [x for x in pytree.tree_leaves(result) if isinstance(x, Tensor) and x.ndim == 0]
        if len(numbers) != 1:
            raise InputError(
                f"without a loss the model must return one number to minimise, it returned {len(numbers)}; "
                "pass capture(model, loss, example_inputs)"
            )
        return _scalar(numbers[0], "the loss that the model returns"), result

    def named_state(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers by the paths that programs have them by: the model's, and the loss's behind `loss.`."""
        for tensors in (self.named_parameters, self.named_buffers):
            for path, tensor in tensors(remove_duplicate=False):
                yield path.removeprefix("model."), tensor


class LossFunction(nn.Module):
    """A loss that is no module, as one, so that its ops have a place in the graph."""

    def __init__(self, function: Loss) -> None:
        super().__init__()
        self.function = function

    def forward(self, result: Any, target: Tensor) -> Tensor:
        """The loss."""
        return self.function(result, target)


def _scalar(loss: Any, name: str) -> Tensor:
    if not isinstance(loss, Tensor):
        raise InputError(f"{name} is a {type(loss).__name__}, expected a tensor with one number")
    if loss.numel() != 1:
        raise InputError(f"{name} is {list(loss.shape)}, expected one number; reduce it by its mean or its sum")
    if not loss.is_floating_point():
        raise InputError(f"{name} is of {loss.dtype}, expected real numbers")
    return loss


@contextlib.contextmanager
def _keeping_modes(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


class Outputs:
    """What the model returns of a batch: a structure of leaves, some of which have a row per example."""

    def __init__(self, result: Any, rows: int) -> None:
        leaves, self.spec = pytree.tree_flatten(result)
        self.leaves = leaves
        self.shapes: dict[int, tuple[int, ...]] = {
            i: tuple(leaf.shape[1:])
            for i, leaf in enumerate(leaves)
            if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.ndim and leaf.shape[0] == rows
        }

    def of(self, arrays: list[Any], rows: int) -> Any:
        """The structure with these elements, flat arrays by leaf.

        Raises `UnsupportedError` where the model returns something without a row of real numbers for every example.
        """
        kept = dict(zip(self.shapes, arrays, strict=True))
        leaves = []
        for i, leaf in enumerate(self.leaves):
            if i in kept:
                leaves.append(torch.from_numpy(kept[i]).reshape(rows, *self.shapes[i]))
            elif isinstance(leaf, Tensor):
                raise UnsupportedError(
                    f"result {i} of the model is {list(leaf.shape)} of {leaf.dtype}, which is no row of real numbers for "
                    "every example and is not predicted; return it from training only"
                )
            else:
                leaves.append(leaf)
        return pytree.tree_unflatten(leaves, self.spec)


def outputs_of(forward: Forward, batch: Batch) -> Outputs:
    """What the model returns in evaluation, by PyTorch."""
    with forward.evaluating(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        _, result = forward.computed(batch)
    return Outputs(result, batch[0].shape[0])
