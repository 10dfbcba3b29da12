"""How many logits a model gives for one example, found without computing anything."""

import weakref
from typing import Any

from .pytorch import torch
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakIdKeyDictionary

_width_of = WeakIdKeyDictionary(ref_type=weakref.ref)


def logits_width(model: torch.nn.Module, features: int) -> int | None:
    """Values of `model`'s output for an example of `features` values, or `None` where it has none.

    The forward pass runs on tensors that have shapes alone, so neither buffers nor the generator
    of random numbers change. What was found is kept until the model's modules or shapes change.
    """
    structure = _structure(model)
    if model not in _width_of or _width_of[model][0] != structure:
        _width_of[model] = structure, _probe(model, features)
    width: int | None = _width_of[model][1]
    return width


def _structure(model: torch.nn.Module) -> Any:
    modules = tuple((id(module), type(module)) for module in model.modules())
    shapes = tuple(None if is_lazy(p) else p.shape for p in model.parameters())
    return modules, shapes


def _probe(model: torch.nn.Module, features: int) -> int | None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    if any(is_lazy(parameter) for parameter in model.parameters()):
        return None
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            output = model(torch.empty(1, features))
    except Exception:
        # What is wrong is said by the step itself, of the real batch.
        return None
    finally:
        for module, training in modes:
            module.training = training
    shaped = isinstance(output, torch.Tensor) and output.ndim > 0
    return output.shape[-1] if shaped else None
