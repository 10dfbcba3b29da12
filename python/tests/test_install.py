"""Installing the package from a checkout, as its users do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.full
def test_a_checkout_installs_into_a_fresh_environment(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "."], cwd=ROOT, check=True)
    program = """
import sys, ane_trainer, ane_trainer._native
from importlib.metadata import entry_points
assert "torch" not in sys.modules and "keras" not in sys.modules
print([entry.name for entry in entry_points(group="torch_dynamo_backends")])
"""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", program], cwd=tmp_path, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ane" in done.stdout
    program = python.with_name("ane-trainer")
    done = subprocess.run([program, "devices"], cwd=tmp_path, env=alone, capture_output=True, text=True)
    assert done.returncode == 0 and "software" in done.stdout, done
