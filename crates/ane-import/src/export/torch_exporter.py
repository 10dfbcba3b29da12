"""PyTorch's part of the exporter: a model as the exported programs of its training and its evaluation.

A model is run once in evaluation mode, which materialises lazy layers, and exported in both modes at the batch of the run,
as train.pt2 and eval.pt2 in the output directory. Shapes of examples are tried in turn, at batches of 2 and 3, until one
gives scores of the classes.
"""

from __future__ import annotations

import inspect
import logging
import math
import sys
from pathlib import Path
from typing import Any

from model_source import ExportError, Json, first_line, in_user_code, place_of

OPTIMIZERS = {
    "SGD": ("momentum", "nesterov", "weight_decay"),
    "Adam": ("betas", "eps", "weight_decay"),
    "AdamW": ("betas", "eps", "weight_decay"),
}
# What no update of ours does, and PyTorch's value for without.
REFUSED = {"amsgrad": False, "maximize": False, "dampening": 0}


def is_model(thing: Any) -> bool:
    """Whether something is a model of PyTorch, which is imported."""
    import torch

    return isinstance(thing, torch.nn.Module)


def seed(number: int) -> None:
    """Seeds PyTorch, which is imported."""
    import torch

    torch.manual_seed(number)


# What a model takes.


def check_forward(model: Any, name: str) -> None:
    """Refuses a forward pass that wants more than examples."""
    parameters = [p for p in inspect.signature(model.forward).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for parameter in parameters[1:]:
        if parameter.name in ("targets", "labels") or parameter.default is parameter.empty:
            raise ExportError(
                "forward",
                f"the forward pass of `{name}` takes `{parameter.name}` besides the examples; give it a forward pass "
                "that takes the examples alone and returns scores of the classes",
            )


def scores_of(model: Any, batch: int, shape: list[int], outputs: int) -> str | None:
    """Why examples of this shape give no scores; none where they do."""
    import torch

    y = model(torch.zeros(batch, *shape))
    if not isinstance(y, torch.Tensor):
        return f"gives a {type(y).__name__}"
    return None if tuple(y.shape) == (batch, outputs) else f"gives {list(y.shape)}"


def shapes_of(examples: list[int]) -> list[list[int]]:
    """Shapes in which a model may take examples, of the channels, rows and columns of images or of another shape."""
    if len(examples) != 3:
        return [examples] if len(examples) == 1 else [examples, [math.prod(examples)]]
    channels, rows, columns = examples
    plane = [[rows, columns]] if channels == 1 else []
    return [examples, *plane, [channels * rows * columns], [rows, columns, channels]]


def find_shape(model: Any, path: Path, shapes: list[list[int]], outputs: int) -> list[int]:
    """The first shape of an example that gives scores, whatever the batch is."""
    import torch

    tried = []
    first: BaseException | None = None
    model.eval()
    for shape in shapes:
        try:
            with torch.no_grad():
                why = scores_of(model, 2, shape, outputs) or scores_of(model, 3, shape, outputs)
        except Exception as error:
            first = first or error
            why = f"{type(error).__name__}: {first_line(error)}"
        if why is None:
            return shape
        tried.append(f"[B, {', '.join(map(str, shape))}]: {why}")
    where = place_of(first, path) if first is not None else str(path)
    raise ExportError("shape", f"no shape of the examples gives [B, {outputs}]; tried {'; '.join(tried)}", where)


def save_program(model: Any, x: Any, path: Path, file: Path, name: str) -> None:
    """Saves the exported program of the mode that the model is in."""
    import torch

    functions: list[str] = []
    function = torch.autograd.Function
    inherited = next(c.__dict__["apply"] for c in function.__mro__ if "apply" in c.__dict__)
    is_own = "apply" in function.__dict__

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        functions.append(cls.__qualname__)
        return inherited.__get__(None, cls)(*args, **kwargs)

    setattr(function, "apply", classmethod(apply))
    try:
        program = in_user_code("export", f"torch.export of `{name}`", path, lambda: torch.export.export(model, (x,)))
    finally:
        if is_own:
            setattr(function, "apply", inherited)
        else:
            delattr(function, "apply")
    if functions:
        raise ExportError(
            "function",
            f"`{name}` uses the autograd.Function `{functions[0]}`, whose own backward would be lost; write it with ops "
            "of PyTorch and detach()",
        )
    torch.export.save(program, file)


# What the file says of its training.


def loss_of(module: Any, path: Path) -> Json | None:
    """The file's `loss`: a loss of torch.nn or torch.nn.functional without settings that are not known here."""
    import torch
    import torch.nn.functional as F

    loss = getattr(module, "loss", None)
    if loss is None:
        return None
    functions: dict[Any, Json] = {
        F.cross_entropy: {"kind": "cross_entropy", "label_smoothing": 0.0},
        F.mse_loss: {"kind": "mse"},
        F.l1_loss: {"kind": "l1"},
    }
    if inspect.isclass(loss) and issubclass(loss, torch.nn.Module):
        loss = loss()
    plain = getattr(loss, "reduction", "mean") == "mean" and getattr(loss, "weight", None) is None
    if isinstance(loss, torch.nn.CrossEntropyLoss) and plain and loss.ignore_index == -100:
        return {"kind": "cross_entropy", "label_smoothing": float(loss.label_smoothing)}
    if isinstance(loss, torch.nn.MSELoss) and plain:
        return {"kind": "mse"}
    if isinstance(loss, torch.nn.L1Loss) and plain:
        return {"kind": "l1"}
    if isinstance(loss, torch.nn.HuberLoss) and plain:
        return {"kind": "huber", "delta": float(loss.delta)}
    if callable(loss) and loss in functions:
        return functions[loss]
    raise ExportError(
        "loss",
        f"the `loss` of `{path}` is none that is known here: CrossEntropyLoss with label smoothing, MSELoss, L1Loss or "
        "HuberLoss, by the mean; pass --loss, or take it out of the file",
    )


def optimizer_of(module: Any, model: Any, path: Path) -> Json | None:
    """What the file's `optimizer(model)` gives, as settings."""
    import torch

    make = getattr(module, "optimizer", None)
    if make is None:
        return None
    made = in_user_code("raised", "`optimizer`", path, lambda: make(model)) if callable(make) else make
    name = type(made).__name__
    known = isinstance(made, torch.optim.Optimizer) and type(made).__module__.startswith("torch.optim")
    if not known or name not in OPTIMIZERS:
        raise ExportError(
            "optimizer", f"the `optimizer` of `{path}` is a {name}, expected a function of the model that gives SGD, Adam or AdamW of torch.optim"
        )
    if len(made.param_groups) != 1:
        raise ExportError(
            "optimizer", f"the `optimizer` of `{path}` has {len(made.param_groups)} groups of parameters, expected one; use --no-decay and --group-lr"
        )
    group = made.param_groups[0]
    for setting, without in REFUSED.items():
        if group.get(setting, without) != without:
            raise ExportError("optimizer", f"the `optimizer` of `{path}` has {setting}, which no update here does")
    settings = {key: group[key] for key in OPTIMIZERS[name]}
    # Adam of newer versions may decay as AdamW does.
    is_adamw = name == "AdamW" or bool(group.get("decoupled_weight_decay", False))
    return {"name": "adamw" if is_adamw else name.lower(), "lr": float(group["lr"]), **settings}


def export(model: Any, module: Any, path: Path, name: str, request: Json) -> Json:
    """Exports a model, as the request says."""
    import torch

    # It says at every export that a package of other accelerators is missing.
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    if not hasattr(torch, "export") or not hasattr(torch.export, "save"):
        raise ExportError("old_torch", f"this Python ({sys.executable}) has torch {torch.__version__}")
    model = model.cpu().float()
    check_forward(model, name)
    shape = find_shape(model, path, shapes_of(request["examples"]), request["outputs"])
    output = Path(request["output"])
    x = torch.zeros(request["batch"], *shape)
    save_program(model.train(), x, path, output / "train.pt2", name)
    save_program(model.eval(), x, path, output / "eval.pt2", name)
    return {
        "ok": True,
        "framework": "torch",
        "version": torch.__version__,
        "shape": shape,
        "loss": loss_of(module, path) if request.get("loss", True) else None,
        "optimizer": optimizer_of(module, model, path) if request.get("optimizer", True) else None,
    }
