"""Keras's part of the exporter: a model as its configuration and weights, and back as a .keras file.

A model goes out as config.json and weights.safetensors in the output directory; the weights are named by their index in
`model.weights`. One that was never built is built with the first shape of examples that it takes and that gives scores of
the classes. It comes back from a configuration, without code of the user's.
"""

from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path
from typing import Any

from model_source import ExportError, Json, first_line, missing, write_whole

DTYPES = {"int8": "I8", "uint8": "U8", "int16": "I16", "int32": "I32", "uint32": "U32", "int64": "I64", "bool": "BOOL"}


def is_model(thing: Any) -> bool:
    """Whether something is a model of Keras, which is imported."""
    import keras

    return isinstance(thing, keras.Model)


def seed(number: int) -> None:
    """Seeds Keras, which is imported."""
    import keras

    keras.utils.set_random_seed(number)


def keras_of_this_python() -> Any:
    """Keras, where there is one."""
    try:
        import keras
    except ImportError as error:
        raise missing(error) or ExportError("no_framework", f"Keras cannot be imported: {error}") from None
    return keras


def load(path: Path) -> tuple[Any, str | None]:
    """The model of a .keras file, of which no code is run, and why nothing is known of how it was compiled."""
    keras = keras_of_this_python()
    if not path.is_file():
        raise ExportError("no_file", f"there is no file `{path}`")
    try:
        return keras.saving.load_model(path, safe_mode=True), None
    except Exception as first:
        # A loss or an optimizer of one's own is no reason to refuse the model.
        try:
            return keras.saving.load_model(path, safe_mode=True, compile=False), first_line(first)
        except Exception:
            raise ExportError("not_loaded", f"Keras does not load `{path}`: {first_line(first)}") from first


def shapes_of(examples: list[int]) -> list[list[int]]:
    """Shapes in which a model may take examples, of the channels, rows and columns of images or of another shape."""
    if len(examples) != 3:
        return [examples] if len(examples) == 1 else [examples, [math.prod(examples)]]
    channels, rows, columns = examples
    plane = [[rows, columns]] if channels == 1 else []
    return [[rows, columns, channels], *plane, [rows * columns * channels], examples]


def build(model: Any, examples: list[int], outputs: int) -> None:
    """Builds a model that has not seen data, with the first shape that it takes and that gives the classes."""
    if model.built and model.weights:
        return
    tried = []
    for shape in shapes_of(examples):
        try:
            gives = tuple(model.compute_output_shape((None, *shape)))
        except Exception as error:
            tried.append(f"{shape}: {type(error).__name__}")
            continue
        if gives == (None, outputs):
            model.build((None, *shape))
            return
        tried.append(f"{shape}: gives {gives}")
    raise ExportError(
        "not_built",
        f"the model was never built; give its first layer an Input with a shape; tried {'; '.join(tried)}",
    )


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


def write_weights(path: Path, model: Any) -> None:
    """Writes safetensors: the length of a header, the header, and the elements."""
    header: Json = {}
    blobs: list[bytes] = []
    end = 0
    for i, variable in enumerate(model.weights):
        dtype, blob = elements(variable)
        name, shape = weight_name(i, variable), list(variable.shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(blob)]}
        end += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    write_whole(path, b"".join([struct.pack("<Q", len(text)), text, *blobs]))


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


def export(model: Any, request: Json, unsaid: str | None = None) -> Json:
    """Writes a model's configuration and weights; `unsaid` is why it is not known how it was compiled."""
    import keras

    build(model, request["examples"], request["outputs"])
    output = Path(request["output"])
    try:
        text = model.to_json()
    except Exception as error:
        raise ExportError(
            "no_config",
            f"the model says nothing of its layers ({type(error).__name__}: {error}); build it as Sequential or with the functional API",
        ) from error
    write_whole(output / "config.json", text.encode())
    write_weights(output / "weights.safetensors", model)
    settings, why = compiled(model)
    shape = model.input_shape
    is_known = isinstance(shape, tuple) and None not in shape[1:]
    return {
        "ok": True,
        "framework": "keras",
        "version": keras.__version__,
        "shape": list(shape[1:]) if is_known else None,
        "compile": settings,
        "compile_error": unsaid or why,
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
    keras = keras_of_this_python()
    output = Path(request["output"])
    try:
        config = json.loads(Path(request["config"]).read_text(encoding="utf-8"))
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:
        raise ExportError("not_loaded", f"Keras builds no model of {request['config']}: {error}") from error
    set_weights(model, Path(request["weights"]))
    beginning = output.with_name(output.stem + ".part.keras")
    model.save(beginning)
    os.replace(beginning, output)
    return {"ok": True, "framework": "keras", "version": keras.__version__}
