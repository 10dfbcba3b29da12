"""The exporter as a module; Keras computes with TensorFlow on the processor."""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

SCRIPT = Path(__file__).parents[3] / "crates/ane-import/src/export/exporter.py"

Json = dict[str, Any]


@pytest.fixture
def script() -> Path:
    """Where the script lies."""
    return SCRIPT


@pytest.fixture(scope="session")
def exporter() -> ModuleType:
    """The script, which is no part of the package and finds what it is made of beside itself."""
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        return importlib.import_module(SCRIPT.stem)
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture
def ask(exporter: ModuleType, tmp_path: Path) -> Callable[..., Json]:
    """Sends a request and gives its result."""

    def ask(**request: Any) -> Json:
        path, result = tmp_path / "request.json", tmp_path / "result.json"
        path.write_text(json.dumps(request | {"result": str(result)}))
        code = exporter.main([str(path)])
        answer: Json = json.loads(result.read_text())
        assert code == (0 if answer["ok"] else 1)
        return answer

    return ask
