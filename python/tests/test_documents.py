"""What the documents show is run as it is shown."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from documents import ROOT, Block, blocks

from ane_trainer.torch import strict

PYTHON = [block for document in ("README.md", "docs/python.md") for block in blocks(document, "python")]


def cases(given: list[Block], long: str) -> list[object]:
    """Parameters for blocks; those that hold a word of what takes long are for full runs."""
    return [
        pytest.param(b, id=f"{b.document}:{b.line}", marks=[pytest.mark.full] if long in b.text else [])
        for b in given
    ]


@pytest.mark.parametrize("block", cases(PYTHON, "load_dataset"))
def test_a_program_runs_as_pasted(block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    torch._dynamo.reset()
    with strict():
        exec(compile(block.text, f"{block.document}:{block.line}", "exec"), {"__name__": "__main__"})


@pytest.mark.full
@pytest.mark.parametrize("block", cases(blocks("docs/python.md", "sh"), "\0"))
def test_a_command_runs_as_pasted(block: Block, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-e", "-c", block.text], cwd=tmp_path, env=dict(os.environ, PATH=path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    accuracies = re.findall(r"^test: accuracy ([\d.]+) %", done.stdout, re.MULTILINE)
    assert len(accuracies) == block.text.count("ane-trainer train")
    assert all(float(accuracy) >= 98 for accuracy in accuracies), done.stdout
    if "-m ane_trainer" in block.text:
        assert done.stdout.startswith("Epoch 1: Loss "), done.stdout


def test_there_is_something_of_every_kind_to_run() -> None:
    assert {block.document for block in PYTHON} == {"README.md", "docs/python.md"}
    assert blocks("docs/python.md", "sh")
