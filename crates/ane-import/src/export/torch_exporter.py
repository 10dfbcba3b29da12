"""Takes a PyTorch model out of Python, as the exported programs of its training and its evaluation.

The program runs in the user's Python and needs nothing there but PyTorch. Its only argument is the path of a request:

    {"source": "model.py:Net(hidden=256)", "output": "DIR", "seed": 0, "batch": 128,
     "shapes": [[1, 28, 28], [28, 28], [784], [28, 28, 1]], "classes": 10}

It seeds PyTorch, builds the model from the class, function or instance that is named after the colon, runs it once in
evaluation mode, which materialises lazy layers, and exports it in both modes at the batch of the run, as train.pt2 and
eval.pt2 in the output directory. Shapes are tried in turn, at batches of 2 and 3, until one gives scores of the classes. At
the very end it writes result.json there: {"ok": true, …}, or {"ok": false, "error": {"kind", "message", "where"}}. Nothing
is said on stdout, which belongs to the user's code.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The exporter computes nothing; an accelerator would only have to be waited for.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

Json = dict[str, Any]

OPTIMIZERS = {
    "SGD": ("momentum", "nesterov", "weight_decay"),
    "Adam": ("betas", "eps", "weight_decay"),
    "AdamW": ("betas", "eps", "weight_decay"),
}
# What no update of ours does, and PyTorch's value for without.
REFUSED = {"amsgrad": False, "maximize": False, "dampening": 0}


class ExportError(Exception):
    """Something is wrong with what the user gave; `kind` says what in one word."""

    def __init__(self, kind: str, message: str, where: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.where = where


def write_json(path: Path, value: Json) -> None:
    """Writes a file that is there as a whole or not at all."""
    beginning = path.with_name(path.name + ".part")
    beginning.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(beginning, path)


# Where a model comes from.


def parse_source(source: str) -> tuple[Path, str, tuple[list[Any], dict[str, Any]] | None]:
    """`model.py:Net(hidden=256)` as file, name and literal arguments; none for a name alone."""
    path, colon, expression = source.partition(".py:")
    said = f"write {path}.py:NAME or {path}.py:NAME(argument=1)"
    if not colon:
        raise ExportError("source", f"`{source}` names no model of the file; write {source}:NAME")
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise ExportError("source", f"`{expression}` is neither a name nor a call; {said}") from None
    file = Path(path + ".py")
    if isinstance(node, ast.Name):
        return file, node.id, None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ExportError("source", f"`{expression}` is neither a name nor a call; {said}")
    literals = f"the arguments of `{expression}` must be literals: numbers, strings, lists"
    try:
        positional = [ast.literal_eval(a) for a in node.args]
        named = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg is not None}
    except (ValueError, TypeError):
        raise ExportError("source", literals) from None
    if len(named) != len(node.keywords):
        raise ExportError("source", literals)
    return file, node.func.id, (positional, named)


def in_user_code(kind: str, what: str, path: Path, run: Callable[[], Any]) -> Any:
    """Runs code of the user's; what it raises, even an exit, becomes an error with the line that raised."""
    try:
        return run()
    except (ExportError, KeyboardInterrupt):
        raise
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if Path(f.filename).name == path.name]
        where = f"{path}:{own[-1].lineno}" if own else str(path)
        if isinstance(error, SyntaxError) and error.lineno is not None:
            where = f"{error.filename}:{error.lineno}"
        said = str(error).strip().partition("\n")[0]
        raise ExportError(kind, f"{what} raised {type(error).__name__}: {said}", where) from error


def load_module(path: Path) -> Any:
    """The module that a file is; its folder can be imported from, as when Python runs it."""
    if not path.is_file():
        raise ExportError("no_file", f"there is no file `{path}`")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ExportError("no_file", f"`{path}` is no Python file")
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    in_user_code("raised", f"`{path}`", path, lambda: loader.exec_module(module))
    return module


def missing_arguments(thing: Any) -> list[str]:
    """Arguments that have no default."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in parameters if p.kind in named and p.default is p.empty]


def named_model(module: Any, path: Path, name: str, arguments: tuple[list[Any], dict[str, Any]] | None) -> Any:
    """What a class, function or instance of a file gives."""
    import torch

    if not hasattr(module, name):
        there = sorted(
            k
            for k, v in vars(module).items()
            if isinstance(v, torch.nn.Module) or getattr(v, "__module__", None) == module.__name__
        )
        found = f"it defines {', '.join(there)}" if there else "it defines no class or function"
        raise ExportError("no_name", f"`{path}` has no `{name}`; {found}")
    thing = getattr(module, name)
    if isinstance(thing, torch.nn.Module):
        if arguments is not None:
            raise ExportError("arguments", f"`{name}` of `{path}` is a model already; leave its arguments out")
        return thing
    if not callable(thing):
        raise ExportError("not_torch", f"`{name}` of `{path}` is a {type(thing).__name__}, no model of PyTorch")
    positional, named = arguments or ([], {})
    try:
        inspect.signature(thing).bind(*positional, **named)
    except TypeError as error:
        wanted = missing_arguments(thing)
        example = ", ".join(f"{w}=…" for w in wanted) or "…"
        raise ExportError(
            "arguments", f"`{name}` cannot be called so: {error}; write {path}:{name}({example})"
        ) from None
    except ValueError:
        pass
    model = in_user_code("raised", f"`{name}`", path, lambda: thing(*positional, **named))
    if not isinstance(model, torch.nn.Module):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise ExportError("not_torch", f"`{name}` of `{path}` gives a {kind}, no model of PyTorch")
    return model


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


def scores_of(model: Any, batch: int, shape: list[int], classes: int) -> str | None:
    """Why examples of this shape give no scores; none where they do."""
    import torch

    y = model(torch.zeros(batch, *shape))
    if not isinstance(y, torch.Tensor):
        return f"gives a {type(y).__name__}"
    return None if tuple(y.shape) == (batch, classes) else f"gives {list(y.shape)}"


def find_shape(model: Any, path: Path, shapes: list[list[int]], classes: int) -> list[int]:
    """The first shape of an example that gives scores, whatever the batch is."""
    import torch

    tried = []
    first: BaseException | None = None
    model.eval()
    for shape in shapes:
        try:
            with torch.no_grad():
                why = scores_of(model, 2, shape, classes) or scores_of(model, 3, shape, classes)
        except Exception as error:
            first = first or error
            why = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        if why is None:
            return shape
        tried.append(f"[B, {', '.join(map(str, shape))}]: {why}")
    frames = traceback.extract_tb(first.__traceback__) if first is not None else []
    own = [f for f in frames if Path(f.filename).name == path.name]
    where = f"{path}:{own[-1].lineno}" if own else str(path)
    raise ExportError("shape", f"no shape of the examples gives scores [B, {classes}]; tried {'; '.join(tried)}", where)


def export(model: Any, x: Any, path: Path, file: Path, name: str) -> None:
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


def answer(request: Json) -> Json:
    """Exports a model, as the request says."""
    path, name, arguments = parse_source(request["source"])
    # It says on every import that a package of other accelerators is missing.
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    try:
        import torch
    except ImportError as error:
        raise ExportError("no_torch", f"this Python ({sys.executable}) has no PyTorch: {error}") from None
    if not hasattr(torch, "export") or not hasattr(torch.export, "save"):
        raise ExportError("old_torch", f"this Python ({sys.executable}) has torch {torch.__version__}")
    torch.manual_seed(request["seed"])
    module = load_module(path)
    model = named_model(module, path, name, arguments).cpu().float()
    check_forward(model, name)
    shape = find_shape(model, path, request["shapes"], request["classes"])
    output = Path(request["output"])
    x = torch.zeros(request["batch"], *shape)
    export(model.train(), x, path, output / "train.pt2", name)
    export(model.eval(), x, path, output / "eval.pt2", name)
    return {
        "ok": True,
        "torch": torch.__version__,
        "python": sys.executable,
        "shape": shape,
        "loss": loss_of(module, path) if request.get("loss", True) else None,
        "optimizer": optimizer_of(module, model, path) if request.get("optimizer", True) else None,
    }


def main() -> None:
    """Answers the request, whatever happens."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    result = Path(request["output"]) / "result.json"
    try:
        said = answer(request)
    except ExportError as error:
        said = {"ok": False, "error": {"kind": error.kind, "message": str(error), "where": error.where}}
    except Exception as error:
        said = {"ok": False, "error": {"kind": "internal", "message": f"{type(error).__name__}: {error}", "where": ""}}
        traceback.print_exc()
    write_json(result, said)


if __name__ == "__main__":
    main()
