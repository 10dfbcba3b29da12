"""What the tests of the interface share: a backend that is counted, a small batch, small files."""

import gzip
import hashlib
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.backends.registry import lookup_backend

from ane_trainer import data, models, step_functions
from ane_trainer.torch import strict

Arrays = tuple[np.ndarray, np.ndarray]


class Backend:
    """The backend `ane`, which counts what it is asked to compile."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: Any, **options: Any) -> Any:
        self.graphs.append(graph)
        return lookup_backend("ane")(graph, inputs, **options)

    @property
    def compiles(self) -> int:
        return len(self.graphs)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """The backend on the engine in software, which may leave nothing to PyTorch."""
    monkeypatch.setenv("ANE_TRAINER_DEVICE", "software")
    monkeypatch.delenv("ANE_TRAINER_TARGET", raising=False)
    counted = Backend()
    monkeypatch.setattr(step_functions, "BACKEND", counted)
    with strict():
        yield counted


@pytest.fixture
def model() -> models.SimpleNN:
    torch.manual_seed(0)
    return models.build_model(784, 16, 10)


@pytest.fixture
def batch() -> Arrays:
    generator = np.random.default_rng(0)
    x = generator.random((8, 784), dtype=np.float32)
    return x, generator.integers(0, 10, 8, dtype=np.int64)


def idx(values: np.ndarray) -> bytes:
    """`values`, unsigned bytes, as an IDX file."""
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


@pytest.fixture
def tiny() -> dict[str, bytes]:
    """Four files with six images to train with and three to test with, under MNIST's names."""
    generator = np.random.default_rng(1)
    files = {}
    for images, labels, count in (
        (data.TRAIN_IMAGES, data.TRAIN_LABELS, 6),
        (data.TEST_IMAGES, data.TEST_LABELS, 3),
    ):
        files[images] = idx(generator.integers(0, 256, (count, 28, 28)))
        files[labels] = idx(generator.integers(0, 10, count))
    return files


@pytest.fixture
def published(tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the tiny files for those that were published."""
    files = tuple(
        data._File(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in tiny.items()
    )
    monkeypatch.setattr(data, "FILES", files)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No torchvision, no program `ane-trainer`, and the empty cache that is returned."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setattr("sys.executable", str(empty / "python"))
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setenv("ANE_TRAINER_CACHE", str(tmp_path / "cache"))
    cache = tmp_path / "cache" / "data" / "mnist"
    cache.mkdir(parents=True)
    return cache


@pytest.fixture
def put() -> Callable[..., None]:
    """Writes files into a directory, as gzip where that is asked for."""

    def write(directory: Path, files: dict[str, bytes], packed: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = directory / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)

    return write
