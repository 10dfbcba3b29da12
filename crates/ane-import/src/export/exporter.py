"""Takes a model out of the user's Python, and trained weights back into it.

The program runs in the user's Python and needs nothing there but PyTorch or Keras, whichever the model is of. Its only
argument is the path of a request:

    {"do": "export", "source": "model.py:Net(hidden=256)", "output": "DIR", "result": "DIR/result.json", "seed": 0,
     "batch": 128, "examples": [1, 28, 28], "outputs": 10, "loss": true, "optimizer": true}
    {"do": "save", "config": "DIR/config.json", "weights": "trained.safetensors", "output": "trained.keras",
     "result": "result.json"}

`export` builds the model that a class, function or instance of a Python file is or gives, or loads a .keras file, for
examples of these channels, rows and columns; `torch_exporter` and `keras_exporter` say which files they write of it.
`save` is Keras's alone. At the very end the result is written: {"ok": true, …}, or {"ok": false, "error": {"kind",
"message", "where"}}. Nothing is said on stdout, which belongs to the user's code.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

# An exporter computes nothing; an accelerator would only have to be waited for.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_exporter
import model_source
import torch_exporter
from model_source import ExportError, Json

# A model of Keras on PyTorch is a module of PyTorch as well.
FRAMEWORKS: dict[str, ModuleType] = {"keras": keras_exporter, "torch": torch_exporter}


def framework_of(thing: Any) -> ModuleType | None:
    """The exporter of the framework that something is a model of."""
    return next((f for name, f in FRAMEWORKS.items() if name in sys.modules and f.is_model(thing)), None)


def seed(number: int) -> None:
    """Seeds the frameworks that are there."""
    for name, framework in FRAMEWORKS.items():
        if name in sys.modules:
            framework.seed(number)


def export(request: Json) -> Json:
    """Exports the model that a request names."""
    Path(request["output"]).mkdir(parents=True, exist_ok=True)
    source = request["source"]
    if source.endswith(".keras"):
        model, unsaid = keras_exporter.load(Path(source))
        return keras_exporter.export(model, request, unsaid)
    path, name, arguments = model_source.parse_source(source)
    # A model that the file itself builds is seeded by what is imported before it.
    for package in sorted(model_source.imports(path) & set(model_source.FRAMEWORKS)):
        try:
            importlib.import_module({"tensorflow": "keras"}.get(package, package))
        except ImportError:
            # The file may do without, and says so otherwise.
            continue
    seed(request["seed"])
    module = model_source.load_module(path)
    seed(request["seed"])
    model = model_source.named_model(module, path, name, arguments, lambda thing: framework_of(thing) is not None)
    framework = framework_of(model)
    if framework is torch_exporter:
        return torch_exporter.export(model, module, path, name, request)
    return keras_exporter.export(model, request)


def main(arguments: list[str]) -> int:
    """Does what a request asks and writes how it went."""
    # The user's modules may have the names of these.
    for name in (module.__name__ for module in (keras_exporter, model_source, torch_exporter)):
        sys.modules.pop(name, None)
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        answer = {"export": export, "save": keras_exporter.save}[request["do"]](request)
    except ExportError as error:
        answer = {"ok": False, "error": {"kind": error.kind, "message": str(error), "where": error.where}}
    except Exception as error:
        answer = {"ok": False, "error": {"kind": "internal", "message": f"{type(error).__name__}: {error}", "where": ""}}
        traceback.print_exc()
    model_source.write_whole(Path(request["result"]), json.dumps(answer, indent=1).encode())
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
