"""Takes a Keras model out of Python, and trained weights back into it.

The program runs in the user's Python and needs nothing there but Keras. Its only argument is the path of a request:

    {"do": "export", "source": "model.py:build(width=64)", "output": "DIR", "seed": 0,
     "shapes": [[28, 28, 1], [28, 28], [784]], "classes": 10}
    {"do": "save", "config": "DIR/config.json", "weights": "trained.safetensors", "output": "trained.keras"}

`export` builds a model from a Python file, by the class, function or instance that is named after the colon, or loads a
.keras file, and writes into the output directory config.json and weights.safetensors. Values of `shapes`, where given,
are tried in turn for a model that was never built, until one gives `classes` outputs. `save` builds a model from a
configuration, without code of the user's, sets its weights and saves it. Either writes result.json beside its output
at the very end: {"ok": true, …}, or {"ok": false, "error": {"kind", "message", "where", "traceback"}}. Nothing is said
on stdout, which belongs to the user's code.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import json
import os
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The exporter computes nothing; an accelerator would only have to be waited for.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Json = dict[str, Any]

DTYPES = {"int8": "I8", "uint8": "U8", "int16": "I16", "int32": "I32", "uint32": "U32", "int64": "I64", "bool": "BOOL"}


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


def parse_source(source: str) -> tuple[Path, str, list[Any], dict[str, Any]]:
    """`model.py:Net(hidden=256)` as file, name and literal arguments."""
    path, colon, expression = source.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ExportError("source", f"`{source}` names no model; write file.py:NAME or file.py:NAME(argument=1)")
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        raise ExportError("source", f"`{expression}` is neither a name nor a call; write NAME or NAME(a=1)") from None
    if isinstance(node, ast.Name):
        return Path(path), node.id, [], {}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ExportError("source", f"`{expression}` is neither a name nor a call; write NAME or NAME(a=1)")
    try:
        positional = [ast.literal_eval(a) for a in node.args]
        named = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg is not None}
    except ValueError:
        raise ExportError("source", f"the arguments of `{expression}` must be literals: numbers, strings, lists") from None
    if len(named) != len(node.keywords):
        raise ExportError("source", f"the arguments of `{expression}` must be literals: numbers, strings, lists")
    return Path(path), node.func.id, positional, named


def load_module(path: Path) -> Any:
    """The module that a file is; its folder can be imported from, as when Python runs it."""
    if not path.is_file():
        raise ExportError("no_file", f"there is no file {path}")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ExportError("no_file", f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    in_user_code("file_raised", f"{path} raised", path, functools.partial(spec.loader.exec_module, module))
    return module


def in_user_code(kind: str, what: str, path: Path, run: Callable[[], Any]) -> Any:
    """Runs code of the user's; what it raises, even an exit, becomes an error with the line that raised."""
    try:
        return run()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if Path(f.filename).name == path.name]
        where = f"{path}:{own[-1].lineno}" if own else str(path)
        if isinstance(error, SyntaxError) and error.lineno is not None:
            where = f"{error.filename}:{error.lineno}"
        raise ExportError(kind, f"{what} {type(error).__name__}: {error}", where) from error


def named_model(path: Path, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
    """What a class, function or instance of a file gives."""
    module = load_module(path)
    if not hasattr(module, name):
        there = [k for k, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__]
        found = f"it defines {', '.join(sorted(there))}" if there else "it defines no class or function"
        raise ExportError("no_name", f"{path} has no `{name}`; {found}")
    thing = getattr(module, name)
    import keras

    if isinstance(thing, keras.Model):
        return thing
    if not callable(thing):
        raise ExportError("not_keras", f"`{name}` of {path} is a {type(thing).__name__}, not a Keras model")
    try:
        inspect.signature(thing).bind(*positional, **named)
    except TypeError as error:
        raise ExportError(
            "arguments", f"`{name}` cannot be called so: {error}; write {path}:{name}(ARGUMENT=VALUE)"
        ) from None
    except ValueError:
        pass
    return in_user_code("model_raised", f"`{name}` raised", path, lambda: thing(*positional, **named))


def load(source: str, seed: int | None) -> Any:
    """The model that a request names."""
    try:
        import keras
    except ImportError as error:
        raise ExportError(
            "no_keras", f"this Python ({sys.executable}) has no Keras: {error}; name one that has it by --python"
        ) from None
    if seed is not None:
        keras.utils.set_random_seed(seed)
    if source.endswith(".keras"):
        if not Path(source).is_file():
            raise ExportError("no_file", f"there is no file {source}")
        try:
            return keras.saving.load_model(source, safe_mode=True)
        except Exception as first:
            # A loss or an optimizer of one's own is no reason to refuse the model.
            try:
                return keras.saving.load_model(source, safe_mode=True, compile=False)
            except Exception:
                raise ExportError("not_loaded", f"Keras does not load {source}: {first}") from first
    model = named_model(*parse_source(source))
    if not isinstance(model, keras.Model):
        raise ExportError("not_keras", f"`{source}` gives a {type(model).__module__}.{type(model).__name__}")
    return model


def build(model: Any, shapes: list[list[int]], classes: int | None) -> None:
    """Builds a model that has not seen data, with the first shape that it takes and that gives the classes."""
    if model.built and model.weights:
        return
    tried = []
    for shape in shapes:
        try:
            spec = model.compute_output_shape((None, *shape))
        except Exception as error:
            tried.append(f"{shape}: {type(error).__name__}")
            continue
        if classes is None or tuple(spec) == (None, classes):
            model.build((None, *shape))
            return
        tried.append(f"{shape}: gives {tuple(spec)}")
    said = f"; tried {'; '.join(tried)}" if tried else ""
    raise ExportError("not_built", f"the model was never built{said}; give its first layer an Input with a shape")


# What a model is.


def elements(variable: Any) -> tuple[str, bytes]:
    """Type and little-endian bytes of a variable; real numbers are written as fp32."""
    import keras

    array = keras.ops.convert_to_numpy(variable)
    name = DTYPES.get(array.dtype.name)
    if name is None:
        return "F32", array.astype("<f4").tobytes()
    return name, array.astype(array.dtype.newbyteorder("<")).tobytes()


def weight_name(index: int, variable: Any) -> str:
    """A weight by its index in model.weights, since paths have numbers that differ from run to run."""
    return f"{index}.{variable.path.replace('/', '.')}"


def write_weights(path: Path, model: Any) -> list[Json]:
    """Writes safetensors: the length of a header, the header, and the elements."""
    header: Json = {}
    described: list[Json] = []
    blobs: list[bytes] = []
    end = 0
    for i, variable in enumerate(model.weights):
        dtype, blob = elements(variable)
        name, shape = weight_name(i, variable), list(variable.shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(blob)]}
        described.append({"name": name, "shape": shape, "trainable": bool(variable.trainable)})
        end += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    beginning = path.with_name(path.name + ".part")
    with beginning.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for blob in blobs:
            file.write(blob)
    os.replace(beginning, path)
    return described


def compiled(model: Any) -> tuple[Json | None, str | None]:
    """Optimizer, loss and metrics of model.compile, or why they cannot be said."""
    if not getattr(model, "compiled", False):
        return None, None
    try:
        config = model.get_compile_config()
        # The configuration of some losses, such as Huber, lacks what they were given.
        settings = getattr(model.loss, "_fn_kwargs", {})
        if isinstance(config["loss"], dict) and isinstance(config["loss"].get("config"), dict):
            for key, value in settings.items():
                if isinstance(value, (int, float, str)):
                    config["loss"]["config"].setdefault(key, value)
        # What cannot be written is found out here rather than in the middle of a file.
        return json.loads(json.dumps(config)), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def export(request: Json) -> Json:
    """Writes a model's configuration and weights."""
    model = load(request["source"], request.get("seed"))
    import keras

    build(model, request.get("shapes") or [], request.get("classes"))
    output = Path(request["output"])
    output.mkdir(parents=True, exist_ok=True)
    try:
        text = model.to_json()
    except Exception as error:
        raise ExportError(
            "no_config",
            f"the model says nothing of its layers ({type(error).__name__}: {error}); build it as Sequential or with the functional API",
        ) from error
    config = output / "config.json"
    config.with_name("config.json.part").write_text(text, encoding="utf-8")
    os.replace(config.with_name("config.json.part"), config)
    weights = write_weights(output / "weights.safetensors", model)
    settings, unsaid = compiled(model)
    return {
        "ok": True,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "python": sys.executable,
        "weights": weights,
        "compile": settings,
        "compile_error": unsaid,
    }


# Back into Keras.


def read_weights(path: Path) -> dict[str, tuple[Json, bytes]]:
    """Descriptions and bytes by name; offsets are checked before anything is read by them."""
    try:
        whole = path.read_bytes()
        (length,) = struct.unpack("<Q", whole[:8])
        header = json.loads(whole[8 : 8 + length])
        data = whole[8 + length :]
        found = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            if not 0 <= start <= end <= len(data):
                raise ValueError(f"`{name}` lies outside of the file")
            found[name] = (entry, data[start:end])
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ExportError("weights", f"{path} cannot be read as safetensors: {error}") from error


def set_weights(model: Any, path: Path) -> None:
    """Sets every weight of a model, by the index that its name begins with."""
    import keras

    by_index = {}
    for name, found in read_weights(path).items():
        index = name.partition(".")[0]
        if index.isdecimal():
            by_index[int(index)] = (name, *found)
    values = []
    for i, variable in enumerate(model.weights):
        wanted = weight_name(i, variable)
        if i not in by_index:
            # What counts is not computed with, and no program of ours has it.
            if "int" in str(variable.dtype):
                continue
            raise ExportError("weights", f"{path} has no weight {i}, which is `{wanted}`")
        name, entry, blob = by_index[i]
        shape = list(variable.shape)
        if entry["shape"] != shape:
            raise ExportError("weights", f"`{name}` of {path} is {entry['shape']}, the model's `{wanted}` {shape}")
        array = keras.ops.convert_to_numpy(variable)
        if entry["dtype"] == "F32":
            array = array.astype("<f4")
        elif DTYPES.get(array.dtype.name) != entry["dtype"]:
            raise ExportError("weights", f"`{name}` of {path} is {entry['dtype']}, the model's is {array.dtype}")
        flat = array.reshape(-1).copy()
        if flat.nbytes != len(blob):
            raise ExportError("weights", f"`{name}` of {path} has {len(blob)} bytes, its shape {flat.nbytes}")
        if blob:
            memoryview(flat).cast("B")[:] = blob
        values.append((variable, flat.reshape(shape)))
    # All or none: a model with some of its weights is worse than an error.
    for variable, value in values:
        variable.assign(value)


def save(request: Json) -> Json:
    """Builds a model from its configuration, sets its weights and saves it as .keras."""
    try:
        import keras
    except ImportError as error:
        raise ExportError(
            "no_keras", f"this Python ({sys.executable}) has no Keras: {error}; name one that has it by --python"
        ) from None
    output = Path(request["output"])
    if output.suffix != ".keras":
        raise ExportError("source", f"{output} must end with .keras")
    try:
        config = json.loads(Path(request["config"]).read_text(encoding="utf-8"))
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:
        raise ExportError("not_loaded", f"Keras builds no model of {request['config']}: {error}") from error
    set_weights(model, Path(request["weights"]))
    beginning = output.with_name(output.stem + ".part.keras")
    model.save(beginning)
    os.replace(beginning, output)
    return {"ok": True, "keras": keras.__version__}


def main(arguments: list[str]) -> int:
    """Does what a request asks and writes how it went."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    output = Path(request["output"])
    result = output / "result.json" if request["do"] == "export" else output.with_name(output.name + ".result.json")
    result.parent.mkdir(parents=True, exist_ok=True)
    result.unlink(missing_ok=True)
    try:
        answer = {"export": export, "save": save}[request["do"]](request)
    except ExportError as error:
        answer = {"ok": False, "error": {"kind": error.kind, "message": str(error), "where": error.where}}
        if error.__cause__ is not None:
            answer["error"]["traceback"] = "".join(traceback.format_exception(error.__cause__))
    except Exception as error:
        answer = {"ok": False, "error": {"kind": "bug", "message": f"{type(error).__name__}: {error}", "where": ""}}
        answer["error"]["traceback"] = traceback.format_exc()
    write_json(result, answer)
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
