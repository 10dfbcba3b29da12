"""Optimizers of PyTorch as updates of ours: settings, groups, and state in and out."""

import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InputError, UnsupportedError

State = list[tuple[str, str, NDArray[np.float32]]]
"""What an optimizer keeps: PyTorch's name of it, path of the parameter, elements."""

Group = tuple[str, float, int, list[int]]
"""Settings as JSON, learning rate, updates made before, positions of the parameters."""

SUPPORTED = "SGD (momentum, nesterov, weight_decay), Adam and AdamW (betas, eps, weight_decay) of torch.optim"

# Settings that have no form, and their value for without. Those that only say how PyTorch computes are ignored.
_REFUSED = {"amsgrad": False, "maximize": False, "dampening": 0, "differentiable": False}


def check_optimizer(optimizer: Any) -> None:
    """Raises `UnsupportedError` for an optimizer or a setting that has no form here, with the list of what has."""
    name = type(optimizer).__name__
    if type(optimizer) not in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        raise UnsupportedError(f"the optimizer is a {name}; there are {SUPPORTED}")
    for i, group in enumerate(optimizer.param_groups):
        for setting, without in _REFUSED.items():
            if group.get(setting, without) != without:
                raise UnsupportedError(
                    f"group {i} of the optimizer {name} has {setting}={group[setting]}; there are {SUPPORTED}"
                )


def _settings(optimizer: Any, group: dict[str, Any]) -> dict[str, Any]:
    decay = float(group["weight_decay"])
    if isinstance(optimizer, torch.optim.SGD):
        momentum, nesterov = float(group["momentum"]), bool(group["nesterov"])
        return {"name": "sgd", "momentum": momentum, "nesterov": nesterov, "weight_decay": decay}
    # Adam of newer versions may decay as AdamW does.
    decoupled = isinstance(optimizer, torch.optim.AdamW) or bool(group.get("decoupled_weight_decay", False))
    betas = [float(beta) for beta in group["betas"]]
    return {"name": "adamw" if decoupled else "adam", "betas": betas, "eps": float(group["eps"]), "weight_decay": decay}


def memory(optimizer: Any) -> str:
    """Settings, as JSON, of an update that keeps all that any group needs."""
    each = [_settings(optimizer, group) for group in optimizer.param_groups]
    return json.dumps(max(each, key=lambda settings: settings.get("momentum", 0.0) != 0.0))


def kept(optimizer: Any) -> tuple[str, ...]:
    """PyTorch's names of all that is kept for some parameter."""
    return max((_kept_of(optimizer, group) for group in optimizer.param_groups), key=len)


def _kept_of(optimizer: Any, group: dict[str, Any]) -> tuple[str, ...]:
    if not isinstance(optimizer, torch.optim.SGD):
        return ("exp_avg", "exp_avg_sq")
    return ("momentum_buffer",) if group["momentum"] else ()


def hyperparameters(optimizer: Any) -> tuple[Any, ...]:
    """What decides the next update besides gradients and state: equal as long as no group has to be set anew."""
    return tuple(
        (json.dumps(_settings(optimizer, group)), float(group["lr"]), len(group["params"]))
        for group in optimizer.param_groups
    )


class Bound:
    """An optimizer beside the parameters of a program, by path: `paths` has one for every tensor, and `positions` for every
    path that is trained."""

    def __init__(self, optimizer: Any, paths: dict[int, str], positions: dict[str, int]) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.members: list[list[tuple[Tensor, str]]] = []
        for i, group in enumerate(optimizer.param_groups):
            members = []
            for parameter in group["params"]:
                path = paths.get(id(parameter))
                if path is None:
                    raise InputError(
                        f"group {i} of the optimizer has a parameter {list(parameter.shape)} that is neither the model's "
                        "nor the loss's; make the optimizer of the parameters of the model that was captured"
                    )
                if path in positions:
                    members.append((parameter, path))
            self.members.append(members)
        if not any(self.members):
            raise InputError("no parameter of the optimizer gets a gradient; it would train nothing")
        self.positions = positions
        self.updates = {p: self._steps(t) for members in self.members for t, p in members}

    def _steps(self, parameter: Tensor) -> int:
        return int(self.optimizer.state.get(parameter, {}).get("step", 0))

    def took_step(self) -> None:
        """An update was made of every parameter."""
        for path in self.updates:
            self.updates[path] += 1
        # Schedulers ask whether the optimizer has made a step.
        self.optimizer._opt_called = True

    def groups(self) -> list[Group]:
        """Groups for a program, split where parameters were updated unequally often."""
        groups: list[Group] = []
        for group, members in zip(self.optimizer.param_groups, self.members, strict=True):
            settings = json.dumps(_settings(self.optimizer, group))
            by_updates: dict[int, list[int]] = {}
            for _, path in members:
                by_updates.setdefault(self.updates[path], []).append(self.positions[path])
            groups += [(settings, float(group["lr"]), n, at) for n, at in by_updates.items()]
        return groups

    def state(self) -> State:
        """What PyTorch's optimizer keeps."""
        found: State = []
        for group, members in zip(self.optimizer.param_groups, self.members, strict=True):
            for parameter, path in members:
                held = self.optimizer.state.get(parameter, {})
                for name in _kept_of(self.optimizer, group):
                    tensor = held.get(name)
                    if isinstance(tensor, Tensor):
                        plain = tensor.detach().to(torch.float32).contiguous().flatten()
                        found.append((name, path, plain.numpy()))
        return found

    def write_state(self, state: State) -> None:
        """Has PyTorch's optimizer keep what a program kept."""
        found = {(name, path): values for name, path, values in state}
        for group, members in zip(self.optimizer.param_groups, self.members, strict=True):
            for parameter, path in members:
                names = _kept_of(self.optimizer, group)
                if not names or not self.updates[path]:
                    continue
                held = self.optimizer.state[parameter]
                for name in names:
                    values = torch.from_numpy(found[name, path]).reshape(parameter.shape)
                    held[name] = values.to(parameter.dtype).clone(memory_format=torch.preserve_format)
                if not isinstance(self.optimizer, torch.optim.SGD):
                    held["step"] = torch.tensor(float(self.updates[path]))
