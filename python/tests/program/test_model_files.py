"""Models of PyTorch and Keras through the program: trained from a file, exported, and loaded by their framework again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ane_trainer.data import TEST_IMAGES, TEST_LABELS, cache_directory
from ane_trainer.idx import read_idx

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
STEPS = ["--epochs", "1", "--max-steps", "12", "--batch", "64", "--device", "software", "--python", sys.executable]

Reals = npt.NDArray[np.float32]


def program(*arguments: str) -> str:
    """What the program prints."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-m", "ane_trainer.program", *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained(model: str, run: Path, kind: str, *flags: str) -> tuple[Path, float, float]:
    """A file of a run of a few steps, and the loss and the accuracy that the program finds on the test set."""
    program("train", f"{EXAMPLES / model}", *STEPS, "--out", str(run), *flags)
    assert f"model.{kind}" in program("export", str(run), "--format", kind, "--python", sys.executable)
    found = json.loads(program("eval", str(run), "--json"))
    return run / f"model.{kind}", found["loss"], found["accuracy"]


def held_out(scaling: dict[str, Any]) -> tuple[Reals, npt.NDArray[np.int64]]:
    """Images [10000, 28, 28] as the run saw them, and their classes."""
    cache = cache_directory()
    assert cache is not None
    pixels = read_idx(cache / TEST_IMAGES, rank=3).astype(np.float32)
    labels = read_idx(cache / TEST_LABELS, rank=1).astype(np.int64)
    return (pixels / np.float32(255) - np.float32(scaling["mean"])) / np.float32(scaling["std"]), labels


def agree(logits: Reals, labels: npt.NDArray[np.int64], loss: float, accuracy: float) -> None:
    """Scores are those of a run whose loss and accuracy are known, as far as fp16 tells."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    assert abs(losses.mean() - loss) < 1e-3 * loss
    assert abs((logits.argmax(1) == labels).mean() - accuracy) <= 1e-3


def logits_of(run: Path, folder: Path) -> Reals:
    """What the program predicts for the first thousand images: a logit per class."""
    cache = cache_directory()
    assert cache is not None
    np.save(folder / "images.npy", read_idx(cache / TEST_IMAGES, rank=3)[:1000])
    lines = program("predict", str(run), str(folder / "images.npy"), "--logits", "--format", "csv").splitlines()
    of_classes = [i for i, name in enumerate(lines[0].split(",")) if name.startswith("logit_")]
    return np.array([[float(line.split(",")[i]) for i in of_classes] for line in lines[1:]], dtype=np.float32)


@pytest.mark.full
def test_a_model_of_pytorch_comes_back_strictly(tmp_path: Path) -> None:
    import runpy

    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    file, loss, accuracy = trained("my_model.py:Net", tmp_path / "run", "safetensors")
    net = runpy.run_path(str(EXAMPLES / "my_model.py"))["Net"]()
    net.load_state_dict(load_file(file), strict=True)
    with safe_open(file, "numpy") as opened:
        images, labels = held_out(json.loads(opened.metadata()["input_scaling"]))
    with torch.no_grad():
        logits = net.eval()(torch.from_numpy(images)[:, None]).numpy()
    agree(logits, labels, loss, accuracy)
    predicted = logits_of(tmp_path / "run", tmp_path)
    assert np.abs(predicted - logits[:1000]).max() < 1e-3 * np.abs(logits[:1000]).max()


@pytest.mark.full
def test_a_model_of_keras_is_loaded_and_predicts_what_the_run_does(tmp_path: Path) -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    from safetensors import safe_open

    file, loss, accuracy = trained("my_keras.py:build", tmp_path / "run", "keras")
    model = keras.models.load_model(file)
    program("export", str(tmp_path / "run"), "--format", "safetensors")
    with safe_open(tmp_path / "run" / "model.safetensors", "numpy") as opened:
        images, labels = held_out(json.loads(opened.metadata()["input_scaling"]))
    probabilities = model.predict(images[..., None], verbose=0, batch_size=500)
    agree(np.log(np.maximum(probabilities, 1e-30)), labels, loss, accuracy)
