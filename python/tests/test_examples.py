"""The examples run as they are."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> float:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    main = runpy.run_path(str(EXAMPLES / name))["main"]
    return float(main())


def test_nanogpt_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "nanogpt_torch.py", "--steps", "40") < 3.4


@pytest.mark.full
@pytest.mark.parametrize(("name", "least"), [("mnist_torch.py", 0.97), ("mnist_keras.py", 0.97)])
def test_mnist_is_learnt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, least: float) -> None:
    assert run(monkeypatch, name, "--data", str(tmp_path), "--epochs", "2") > least
