"""The examples run as they are, and nothing of them is left to PyTorch."""

import json
import os
import runpy
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ane_trainer import report
from ane_trainer.data import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from ane_trainer.torch import strict

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    with strict():
        yield


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A directory of a data set whose images, in MNIST's form, have a bright patch where their label says."""
    random = np.random.default_rng(0)
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for images_name, labels_name, count in ((TRAIN_IMAGES, TRAIN_LABELS, 512), (TEST_IMAGES, TEST_LABELS, 100)):
        labels = random.integers(0, 10, count).astype(np.uint8)
        images = random.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 8, 4:24] = 200
        (folder / images_name).write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape) + images.tobytes())
        (folder / labels_name).write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", count) + labels.tobytes())
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> float:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    main = runpy.run_path(str(EXAMPLES / name))["main"]
    return float(main())


def test_an_example_is_shorter_than_eighty_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert lengths and {name: n for name, n in lengths.items() if n >= 80} == {}


def test_nanogpt_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "nanogpt_torch.py", "--steps", "40") < 3.4


def test_a_loop_of_ones_own_learns(monkeypatch: pytest.MonkeyPatch, digits: Path) -> None:
    before = len(report().graphs)
    assert run(monkeypatch, "custom_loop.py", "--data", str(digits), "--steps", "12", "--parts", "2") > 0.9
    calls = {g.direction: g.calls for g in report().graphs[before:]}
    assert calls == {"forward": 24, "backward": 24, "inference": 1}


def test_a_convolutional_network_trains_on_images_in_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(report().graphs)
    assert 0 <= run(monkeypatch, "cnn_own_data.py", "--count", "80", "--epochs", "2") <= 1
    calls = {g.direction: g.calls for g in report().graphs[before:]}
    assert calls == {"forward": 4, "backward": 4, "inference": 2}


@pytest.mark.full
@pytest.mark.parametrize(("name", "least"), [("mnist_torch.py", 0.97), ("mnist_keras.py", 0.98)])
def test_mnist_is_learnt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, least: float) -> None:
    assert run(monkeypatch, name, "--data", str(tmp_path)) > least


@pytest.mark.full
def test_mnist_is_learnt_by_a_loop_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, "custom_loop.py", "--data", str(tmp_path)) > 0.93


@pytest.mark.full
def test_drawn_shapes_are_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "cnn_own_data.py", "--epochs", "8") > 0.85


@pytest.mark.full
def test_files_of_images_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for name, red in (("blue", 0), ("red", 255)):
        (tmp_path / name).mkdir()
        for index in range(60):
            pixels = random.integers(0, 80, (16, 24, 3)) + np.array([red, 0, 255 - red]) // 2
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name / f"{index}.png")
    assert run(monkeypatch, "cnn_own_data.py", "--images", str(tmp_path)) > 0.9


@pytest.mark.full
def test_two_workers_of_ray_train_together(digits: Path) -> None:
    # Ray stops what it started when the process ends that started it.
    script = "import json, runpy, sys; del sys.argv[0]; print(json.dumps(runpy.run_path(sys.argv[0])['main']()))"
    arguments = ["--data", digits, "--output", digits / "run", "--batch", "64", "--epochs", "4"]
    done = subprocess.run(
        [sys.executable, "-c", script, EXAMPLES / "ray_train.py", *arguments],
        env=dict(os.environ, RAY_USAGE_STATS_ENABLED="0"),
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout.splitlines()[-1])
    assert metrics["accuracy"] > 0.9
    # Seven batches an epoch, forward and backward.
    assert metrics["engine_calls"] == 4 * 7 * 2
    saved = list((digits / "run").rglob("model.pt"))
    assert len(saved) == 4 and torch.load(saved[0])["2.weight"].shape == (10, 256)
