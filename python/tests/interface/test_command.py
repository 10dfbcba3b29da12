"""`python -m ane_trainer`: lines of losses on stdout, all else on stderr, and exit codes."""

import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ane_trainer import cli
from ane_trainer.models import build_model

LINE = re.compile(r"Epoch (\d+): Loss (\d+\.\d{4})")


@pytest.fixture
def arguments(tmp_path: Path) -> Namespace:
    return Namespace(
        dataset=str(tmp_path / "mnist"),
        epochs=2,
        output=str(tmp_path / "model.pt"),
        batch_size=4,
        learning_rate=0.1,
    )


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, ...]:
    """What `cli.load_dataset` gives: ten images to train with, on the engine in software."""
    monkeypatch.setenv("ANE_TRAINER_DEVICE", "software")
    monkeypatch.delenv("ANE_TRAINER_TARGET", raising=False)
    generator = np.random.default_rng(3)
    images = generator.random((10, 28, 28), dtype=np.float32)
    labels = generator.integers(0, 10, 10, dtype=np.int64)
    arrays = (images, labels, images[:2], labels[:2])
    monkeypatch.setattr(cli, "load_dataset", lambda path: arrays)
    return arrays


def no_data(path: str) -> Any:
    raise AssertionError("the data set is loaded")


def test_a_run_prints_losses_and_saves_what_pytorch_would_have(
    backend: Any,
    arguments: Namespace,
    arrays: tuple[np.ndarray, ...],
    capfd: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(11)
    assert cli.main(arguments) == 0
    out, err = capfd.readouterr()
    found = [LINE.fullmatch(line) for line in out.splitlines()]
    assert [match and match[1] for match in found] == ["1", "2"] and "Epoch" not in err
    assert "10 images, batches of 4, device software, target software" in err
    assert "100.0 %" in err

    torch.manual_seed(11)
    twin = build_model(784, 128, 10)
    optimizer, loss_fn = torch.optim.SGD(twin.parameters(), lr=0.1), torch.nn.CrossEntropyLoss()
    images, labels = (torch.from_numpy(values) for values in arrays[:2])
    for match in found:
        losses = []
        for start in (0, 4, 8):
            batch = slice(start, start + 4)
            optimizer.zero_grad()
            loss = loss_fn(twin(images[batch].flatten(1)), labels[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        # The last batch has two images and counts as much as the others.
        assert match and float(match[2]) == pytest.approx(sum(losses) / 3, rel=5e-3)
    assert backend.compiles == 2

    saved = torch.load(arguments.output, weights_only=True)
    loaded = build_model(784, 128, 10)
    loaded.load_state_dict(saved, strict=True)
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(saved[name], value, atol=2e-3, rtol=1e-2)


def test_names_are_looked_up_when_they_are_used(
    arguments: Namespace,
    arrays: tuple[np.ndarray, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sizes, shapes = [], []

    def model(*given: int) -> torch.nn.Module:
        sizes.append(given)
        return torch.nn.Linear(784, 10)

    def step(model: Any, x: Any, y: Any, optimizer: Any, loss_fn: Any) -> float:
        print("a note of the backend")
        shapes.append((x.shape, y.shape))
        return 1.0

    monkeypatch.setattr(cli, "build_model", model)
    monkeypatch.setattr(cli, "train_step", step)
    assert cli.main(arguments) == 0
    out, err = capsys.readouterr()
    assert out == "Epoch 1: Loss 1.0000\nEpoch 2: Loss 1.0000\n" and "a note" in err
    assert sizes == [(784, 128, 10)]
    assert shapes == [((4, 784), (4,)), ((4, 784), (4,)), ((2, 784), (2,))] * 2


def test_a_mac_whose_engine_is_not_used_is_told_so(
    arguments: Namespace,
    arrays: tuple[np.ndarray, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "train_step", lambda *given: 1.0)
    for apple in (True, False):
        monkeypatch.setattr(cli, "is_apple_silicon", lambda: apple)
        assert cli.main(arguments) == 0
        assert ("ane-trainer doctor" in capsys.readouterr().err) is apple


def test_a_device_that_there_is_not_ends_with_one(
    arguments: Namespace,
    arrays: tuple[np.ndarray, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ANE_TRAINER_DEVICE", "abacus")
    assert cli.main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and "abacus" in err and not Path(arguments.output).exists()


def test_an_output_without_a_directory_is_refused_before_data_is_loaded(
    arguments: Namespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "load_dataset", no_data)
    parent = Path(arguments.output).parent / "missing"
    arguments.output = str(parent / "model.pt")
    assert cli.main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and f"there is no directory {parent}" in err
    arguments.output = str(parent.parent)
    assert cli.main(arguments) == 1
    assert "is a directory" in capsys.readouterr().err


@pytest.mark.parametrize("failure", [OSError("disk"), RuntimeError("Failed to download MNIST")])
def test_data_that_cannot_be_had_ends_with_one(
    arguments: Namespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
) -> None:
    def fail(path: str) -> Any:
        raise failure

    monkeypatch.setattr(cli, "load_dataset", fail)
    assert cli.main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and str(failure) in err and not Path(arguments.output).exists()


def test_a_data_set_whose_parent_is_missing_ends_with_one(
    arguments: Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments.dataset = str(Path(arguments.dataset) / "below" / "mnist")
    assert cli.main(arguments) == 1
    assert "Dataset path parent must exist" in capsys.readouterr().err


def test_a_step_that_fails_ends_with_one_and_saves_nothing(
    arguments: Namespace,
    arrays: tuple[np.ndarray, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*given: Any) -> float:
        raise ValueError("Batch size mismatch")

    monkeypatch.setattr(cli, "train_step", fail)
    assert cli.main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and "Batch size mismatch" in err and not Path(arguments.output).exists()


def test_weights_that_cannot_be_saved_end_with_one(
    arguments: Namespace,
    arrays: tuple[np.ndarray, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*given: Any) -> None:
        raise RuntimeError("no space left")

    monkeypatch.setattr(cli, "train_step", lambda *given: 1.0)
    monkeypatch.setattr(torch, "save", fail)
    assert cli.main(arguments) == 1
    assert "no space left" in capsys.readouterr().err


BASE = ["--dataset", "d", "--epochs", "3", "--output", "o.pt"]


def test_flags_have_the_defaults_and_the_types_of_the_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Namespace] = []

    def main(arguments: Namespace) -> int:
        given.append(arguments)
        return 42

    monkeypatch.setattr(cli, "main", main)
    for more in ([], ["--batch-size", "16", "--learning-rate", "0.05"]):
        monkeypatch.setattr(sys, "argv", ["ane_trainer", *BASE, *more])
        assert cli.main_cli() == 42
    common = {"dataset": "d", "epochs": 3, "output": "o.pt"}
    assert [vars(arguments) for arguments in given] == [
        common | {"batch_size": 32, "learning_rate": 0.01},
        common | {"batch_size": 16, "learning_rate": 0.05},
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (BASE[2:], "--dataset"),
        ([*BASE[:2], *BASE[4:]], "--epochs"),
        (BASE[:4], "--output"),
        ([*BASE, "--epochs", "abc"], "--epochs"),
        ([*BASE, "--epochs", "0"], "expected at least 1, found 0"),
        ([*BASE, "--batch-size", "1.5"], "--batch-size"),
        ([*BASE, "--batch-size", "-4"], "expected at least 1, found -4"),
        ([*BASE, "--learning-rate", "fast"], "--learning-rate"),
        ([*BASE, "--learning-rate", "0"], "expected a number above 0, found 0"),
        ([*BASE, "--learning-rate", "nan"], "expected a number above 0, found nan"),
        ([*BASE, "--seed", "1"], "--seed"),
    ],
)
def test_misuse_ends_with_two(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(cli, "main", lambda arguments: 0)
    monkeypatch.setattr(sys, "argv", ["ane_trainer", *flags])
    with pytest.raises(SystemExit) as ended:
        cli.main_cli()
    out, err = capsys.readouterr()
    assert ended.value.code == 2 and out == "" and message in err


def test_help_names_every_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ane_trainer", "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.main_cli()
    out = capsys.readouterr().out
    assert ended.value.code == 0
    for flag in ("--dataset", "--epochs", "--output", "--batch-size", "--learning-rate"):
        assert flag in out


def test_ctrl_c_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", main)
    monkeypatch.setattr(sys, "argv", ["ane_trainer", *BASE])
    assert cli.main_cli() == 130
    assert "nothing was saved" in capsys.readouterr().err


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_the_module_runs_as_a_command_on_files_in_place(
    tmp_path: Path, tiny: dict[str, bytes], put: Callable[..., None]
) -> None:
    put(tmp_path / "mnist" / "MNIST" / "raw", tiny)
    output = tmp_path / "model.pt"
    flags = ["--dataset", str(tmp_path / "mnist"), "--epochs", "2", "--output", str(output)]
    ended = python("-m", "ane_trainer", *flags, "--batch-size", "3", "--learning-rate", "0.05")
    assert ended.returncode == 0, ended.stderr
    found = [LINE.fullmatch(line) for line in ended.stdout.splitlines()]
    assert [match and match[1] for match in found] == ["1", "2"]
    saved = torch.load(output, weights_only=True)
    build_model(784, 128, 10).load_state_dict(saved, strict=True)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import ane_trainer, ane_trainer.data, ane_trainer.utils
for name in ("models", "core", "cli"):
    try:
        __import__(f"ane_trainer.{name}")
    except ImportError as error:
        assert "pip install torch" in str(error), error
    else:
        raise AssertionError(name)
from ane_trainer.__main__ import run
assert run() == 1
"""


def test_without_pytorch_the_package_is_imported_and_the_rest_says_what_is_missing() -> None:
    ended = python("-c", WITHOUT_TORCH)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("error: this part of ane_trainer needs PyTorch")


def test_importing_the_package_loads_no_framework() -> None:
    loaded = "import sys, ane_trainer; print({'torch', 'keras', 'tensorflow'} & set(sys.modules))"
    assert python("-c", loaded).stdout == "set()\n"
