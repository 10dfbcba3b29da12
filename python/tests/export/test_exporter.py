"""Whose a model is, is found by what a name gives."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]

BOTH = """
import keras
import torch

def of_torch():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))

def of_keras():
    return keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])

ready = of_torch()
"""


@pytest.fixture
def of_file(ask: Callable[..., Json], tmp_path: Path) -> Callable[[str, str], Json]:
    """Asks for a name of a file with this text."""

    def of_file(text: str, name: str) -> Json:
        path = tmp_path / "my_model.py"
        path.write_text(text)
        settings = {"do": "export", "seed": 3, "batch": 4, "examples": [1, 2, 2], "outputs": 3}
        return ask(**settings, source=f"{path}:{name}", output=str(tmp_path / "out"))

    return of_file


def test_one_file_may_have_models_of_both_frameworks(of_file: Callable[[str, str], Json], tmp_path: Path) -> None:
    of_torch, of_keras = of_file(BOTH, "of_torch"), of_file(BOTH, "of_keras")
    assert (of_torch["framework"], of_torch["shape"]) == ("torch", [1, 2, 2])
    assert (of_keras["framework"], of_keras["shape"]) == ("keras", [2, 2, 1])
    assert of_file(BOTH, "int")["error"]["kind"] == "no_name"


def test_a_model_that_a_file_builds_itself_is_seeded(of_file: Callable[[str, str], Json], tmp_path: Path) -> None:
    import torch

    def weights() -> torch.Tensor:
        assert of_file(BOTH, "ready")["ok"]
        found: torch.Tensor = torch.export.load(tmp_path / "out/train.pt2").state_dict["1.weight"].clone()
        return found

    first = weights()
    torch.manual_seed(8)
    assert torch.equal(first, weights())


def test_a_python_without_the_framework_is_named(script: Path, tmp_path: Path) -> None:
    path, result = tmp_path / "my_model.py", tmp_path / "result.json"
    path.write_text("import keras.layers\n")
    request = tmp_path / "request.json"
    said = {"do": "export", "source": f"{path}:build", "output": str(tmp_path), "result": str(result), "seed": 0}
    request.write_text(json.dumps(said))
    # Without the packages of the environment.
    subprocess.run([sys.executable, "-S", str(script), str(request)], check=False, env={"PYTHONPATH": ""})
    error = json.loads(result.read_text())["error"]
    assert (error["kind"], error["where"]) == ("no_framework", ""), error
    assert sys.executable in error["message"] and "has no keras" in error["message"]
