"""Whether a module can be captured, and which of its tensors are where."""

from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from .batches import check_tensor
from .forward import Forward


def check_modules(model: Any, loss: Any) -> None:
    """Raises `InputError` for what is no model in training, or has tensors that no program holds."""
    if not isinstance(model, nn.Module):
        raise InputError(f"the model is a {type(model).__name__}, expected a torch.nn.Module")
    if loss is not None and not callable(loss):
        raise InputError(f"the loss is a {type(loss).__name__}, expected a function of the model's result and the target")
    if isinstance(loss, type):
        raise InputError(f"the loss is the class {loss.__name__}; make one: {loss.__name__}()")
    if not model.training:
        raise InputError(
            "the model is in eval mode, in which nothing is dropped and no statistics move; call model.train() first"
        )
    for path, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise InputError(f"the parameter `{path}` has no shape yet; pass a batch through the model once")
        check_tensor(parameter, f"the parameter `{path}`")
    for path, buffer in model.named_buffers():
        check_tensor(buffer, f"the buffer `{path}`")


class State:
    """The tensors of model and loss by the paths of programs."""

    def __init__(self, forward: Forward) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.paths: dict[int, str] = {}
        for path, tensor in forward.named_state():
            if path in self.tensors and self.tensors[path] is not tensor:
                raise InputError(f"model and loss both have a tensor `{path}`; rename the module `loss` of the model")
            self.tensors[path] = tensor
            self.paths.setdefault(id(tensor), path)

    def signature(self, moving: set[str]) -> tuple[Any, ...]:
        """What is part of a program: which parameters ask for gradients, and the constants that were traced.

        `moving` are the buffers that a program has as its own.
        """
        asked = tuple((path, t.requires_grad, tuple(t.shape)) for path, t in self.tensors.items())
        fixed = tuple(
            (path, t.clone())
            for path, t in self.tensors.items()
            if not isinstance(t, nn.Parameter) and path not in moving
        )
        return asked, fixed


def same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two signatures are of the same program."""
    (asked, fixed), (also_asked, also_fixed) = a, b
    if asked != also_asked or len(fixed) != len(also_fixed):
        return False
    pairs = zip(fixed, also_fixed, strict=True)
    return all(p == q and torch.equal(t, u) for (p, t), (q, u) in pairs)
