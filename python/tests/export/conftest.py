"""The exporter as a module; Keras computes with TensorFlow on the processor."""

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

SCRIPT = Path(__file__).parents[3] / "crates/ane-import/src/export/keras_exporter.py"

Json = dict[str, Any]


@pytest.fixture
def script() -> Path:
    """Where the script lies."""
    return SCRIPT


@pytest.fixture(scope="session")
def exporter() -> ModuleType:
    """The script, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("keras_exporter", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ask(exporter: ModuleType, tmp_path: Path) -> Callable[..., Json]:
    """Sends a request and gives its result."""

    def ask(**request: Any) -> Json:
        path = tmp_path / "request.json"
        path.write_text(json.dumps(request))
        code = exporter.main([str(path)])
        output = Path(request["output"])
        result = output / "result.json" if request["do"] == "export" else Path(f"{output}.result.json")
        answer: Json = json.loads(result.read_text())
        assert code == (0 if answer["ok"] else 1)
        return answer

    return ask


@pytest.fixture
def model_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a file that defines models."""

    def write(text: str) -> Path:
        path = tmp_path / "my_model.py"
        path.write_text("import keras\nfrom keras import layers as L\n\n" + text)
        return path

    return write
