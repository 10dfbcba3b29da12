"""Where a model comes from: a Python file and a name in it, such as `model.py:Net(hidden=256)`."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Arguments = tuple[list[Any], dict[str, Any]]

FRAMEWORKS = ("torch", "keras", "tensorflow")
"""Packages without which no model is built."""


class ExportError(Exception):
    """Something is wrong with what the user gave; `kind` says what in one word."""

    def __init__(self, kind: str, message: str, where: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.where = where


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there as a whole or not at all."""
    beginning = path.with_name(path.name + ".part")
    beginning.write_bytes(content)
    os.replace(beginning, path)


def parse_source(source: str) -> tuple[Path, str, Arguments | None]:
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


def place_of(error: BaseException, path: Path) -> str:
    """The line of the user's file that raised, where one of them did."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).name == path.name]
    return f"{path}:{own[-1].lineno}" if own else str(path)


def first_line(error: BaseException) -> str:
    """What an error says, without what it adds in further lines."""
    return str(error).strip().partition("\n")[0]


def missing(error: ImportError) -> ExportError | None:
    """The error of a Python that lacks a framework, if that is what is lacking."""
    package = (error.name or "").partition(".")[0]
    if package not in FRAMEWORKS:
        return None
    return ExportError("no_framework", f"this Python ({sys.executable}) has no {package}: {first_line(error)}")


def in_user_code(kind: str, what: str, path: Path, run: Callable[[], Any]) -> Any:
    """Runs code of the user's; what it raises, even an exit, becomes an error with the line that raised."""
    try:
        return run()
    except (ExportError, KeyboardInterrupt):
        raise
    except BaseException as error:
        lacking = missing(error) if isinstance(error, ImportError) else None
        if lacking is not None:
            raise lacking from error
        said = f"{what} raised {type(error).__name__}: {first_line(error)}"
        raise ExportError(kind, said, place_of(error, path)) from error


def imports(path: Path) -> set[str]:
    """Packages that a file imports, wherever in it; none of one that is no Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


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


def named_model(
    module: Any, path: Path, name: str, arguments: Arguments | None, is_model: Callable[[Any], bool]
) -> Any:
    """What a class, function or instance of a file gives."""
    if not hasattr(module, name):
        own = {k: v for k, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__ or is_model(v)}
        found = f"it defines {', '.join(sorted(own))}" if own else "it defines no class or function"
        raise ExportError("no_name", f"`{path}` has no `{name}`; {found}")
    thing = getattr(module, name)
    if is_model(thing):
        if arguments is not None:
            raise ExportError("arguments", f"`{name}` of `{path}` is a model already; leave its arguments out")
        return thing
    if not callable(thing):
        raise ExportError("no_model", f"`{name}` of `{path}` is a {type(thing).__name__}, no model of PyTorch or Keras")
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
    if not is_model(model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise ExportError("no_model", f"`{name}` of `{path}` gives a {kind}, no model of PyTorch or Keras")
    return model
