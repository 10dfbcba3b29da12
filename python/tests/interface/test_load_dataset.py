"""`data.load_dataset` finds MNIST in a directory, in the cache, by torchvision or by `ane-trainer`."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from ane_trainer import data
from ane_trainer.data import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, load_dataset

Put = Callable[..., None]
ROOT = Path(__file__).parents[3]


def expected(tiny: dict[str, bytes]) -> tuple[np.ndarray, ...]:
    """What the tiny files hold, by other means than the reader's."""
    pixels = [np.array(list(tiny[name][16:])) for name in (TRAIN_IMAGES, TEST_IMAGES)]
    labels = [np.array(list(tiny[name][8:])) for name in (TRAIN_LABELS, TEST_LABELS)]
    images = [values.reshape(-1, 28, 28) / 255 for values in pixels]
    return images[0], labels[0], images[1], labels[1]


def assert_is_tiny(found: tuple[np.ndarray, ...], tiny: dict[str, bytes]) -> None:
    assert [values.dtype for values in found] == [np.float32, np.int64, np.float32, np.int64]
    for values, content in zip(found, expected(tiny), strict=True):
        assert values.shape == content.shape
        np.testing.assert_allclose(values, content, rtol=1e-7)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


class Torchvision(ModuleType):
    """What of torchvision.datasets is used: it fails, or reads what lies in MNIST/raw."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__("torchvision.datasets")
        self.failure = failure
        self.calls: list[tuple[str, bool, bool]] = []

    def MNIST(self, root: str, train: bool, download: bool) -> Any:
        self.calls.append((root, train, download))
        if self.failure:
            raise self.failure
        names = (TRAIN_IMAGES, TRAIN_LABELS) if train else (TEST_IMAGES, TEST_LABELS)
        images, labels = ((Path(root) / "MNIST" / "raw" / name).read_bytes() for name in names)
        split = ModuleType("split")
        split.data = torch.tensor(list(images[16:]), dtype=torch.uint8).reshape(-1, 28, 28)
        split.targets = torch.tensor(list(labels[8:]), dtype=torch.int64)
        return split


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Torchvision]:
    def install(failure: Exception | None = None) -> Torchvision:
        module = Torchvision(failure)
        monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.datasets", module)
        return module

    return install


def program(directory: Path, script: str) -> Path:
    """An executable `ane-trainer`."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "ane-trainer"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gzip"])
def test_files_in_place_are_read(
    alone: Path, tmp_path: Path, tiny: dict[str, bytes], put: Put, packed: bool
) -> None:
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    put(raw, tiny, packed)
    before = contents(raw)
    assert_is_tiny(load_dataset(str(tmp_path / "mnist")), tiny)
    assert_is_tiny(load_dataset(tmp_path / "mnist"), tiny)
    assert contents(raw) == before


def test_the_cache_fills_a_new_directory_once(
    alone: Path, tmp_path: Path, tiny: dict[str, bytes], put: Put, published: None
) -> None:
    put(alone, tiny)
    assert_is_tiny(load_dataset(tmp_path / "mnist"), tiny)
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    assert contents(raw) == tiny
    for path in alone.iterdir():
        path.unlink()
    assert_is_tiny(load_dataset(tmp_path / "mnist"), tiny)


def test_the_cache_fills_gaps_and_changes_nothing_else(
    alone: Path, tmp_path: Path, tiny: dict[str, bytes], put: Put, published: None
) -> None:
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    put(alone, tiny)
    own = tiny[TEST_LABELS][:8] + bytes([9, 8, 7])
    put(raw, {TEST_LABELS: own}, packed=True)
    _, _, _, labels = load_dataset(tmp_path / "mnist")
    assert labels.tolist() == [9, 8, 7]
    assert sorted(contents(raw)) == sorted([*set(tiny) - {TEST_LABELS}, f"{TEST_LABELS}.gz"])


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"!", lambda c: c[:-1] + b"!"])
def test_a_damaged_file_of_the_cache_is_not_taken(
    alone: Path, tmp_path: Path, tiny: dict[str, bytes], put: Put, published: None, change: Any
) -> None:
    put(alone, tiny | {TRAIN_LABELS: change(tiny[TRAIN_LABELS])})
    message = f"Failed to download MNIST: {TRAIN_LABELS} of it are neither in .*no program"
    with pytest.raises(RuntimeError, match=message):
        load_dataset(tmp_path / "mnist")
    assert not (tmp_path / "mnist" / "MNIST" / "raw" / TRAIN_LABELS).exists()


def test_without_torchvision_the_program_fetches(
    alone: Path,
    tmp_path: Path,
    tiny: dict[str, bytes],
    put: Put,
    published: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    put(tmp_path / "there", tiny)
    script = f'echo "$@"; echo fetching >&2; /bin/cp {tmp_path}/there/* {alone}/'
    program(Path(sys.executable).parent, script)
    assert_is_tiny(load_dataset(tmp_path / "mnist"), tiny)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "fetching\n")


def test_a_program_that_fails_is_named_with_its_exit_code(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "elsewhere", '[ "$*" = "data fetch mnist" ] && exit 3')
    monkeypatch.setenv("PATH", str(path.parent))
    message = f"Failed to download MNIST: `{path} data fetch mnist` ended with exit code 3"
    with pytest.raises(RuntimeError, match=message):
        load_dataset(tmp_path / "mnist")


def test_a_program_that_brings_nothing_is_noticed(alone: Path, tmp_path: Path) -> None:
    program(Path(sys.executable).parent, "exit 0")
    with pytest.raises(RuntimeError, match=f"Failed to download MNIST: {TRAIN_IMAGES} or"):
        load_dataset(tmp_path / "mnist")


def test_torchvision_gets_a_directory_that_the_cache_has_filled(
    alone: Path,
    tmp_path: Path,
    tiny: dict[str, bytes],
    put: Put,
    published: None,
    torchvision: Callable[..., Torchvision],
) -> None:
    put(alone, tiny)
    module = torchvision()
    assert_is_tiny(load_dataset(tmp_path / "mnist"), tiny)
    root = str(tmp_path / "mnist")
    assert module.calls == [(root, True, True), (root, False, True)]


@pytest.mark.parametrize("filled", [False, True])
def test_torchvisions_exception_is_a_failed_download(
    alone: Path,
    tmp_path: Path,
    tiny: dict[str, bytes],
    put: Put,
    torchvision: Callable[..., Torchvision],
    filled: bool,
) -> None:
    if filled:
        put(tmp_path / "mnist" / "MNIST" / "raw", tiny)
    failure = ValueError("no route")
    torchvision(failure)
    with pytest.raises(RuntimeError, match="Failed to download MNIST .*: no route") as caught:
        load_dataset(tmp_path / "mnist")
    assert caught.value.__cause__ is failure


def test_a_torchvision_that_cannot_be_imported_is_none(
    alone: Path, tmp_path: Path, tiny: dict[str, bytes], put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> ModuleType:
        raise RuntimeError("operator torchvision::nms does not exist")

    put(tmp_path / "mnist" / "MNIST" / "raw", tiny)
    monkeypatch.setattr(importlib, "import_module", fail)
    assert_is_tiny(load_dataset(tmp_path / "mnist"), tiny)


def test_the_parent_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    message = f"Dataset path parent must exist: there is no directory {missing}"
    with pytest.raises(OSError, match=message):
        load_dataset(missing / "mnist")
    assert not missing.exists()


def test_a_file_in_the_place_of_the_directory_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "mnist").write_text("")
    with pytest.raises(OSError, match=r"Dataset path .*mnist cannot be made: "):
        load_dataset(tmp_path / "mnist")


def test_a_relative_path_is_taken_from_here(
    alone: Path, tmp_path: Path, tiny: dict[str, bytes], put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "mnist" / "MNIST" / "raw", tiny)
    monkeypatch.chdir(tmp_path)
    assert_is_tiny(load_dataset("mnist"), tiny)


LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 6])
IMAGES = bytes([0, 0, 8, 3]) + (6).to_bytes(4, "big") + (28).to_bytes(4, "big") * 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (TRAIN_IMAGES, b"", "expected a header of 16 bytes, found 0"),
        (TRAIN_IMAGES, b"\0\0", "expected a header of 16 bytes, found 2"),
        (TRAIN_IMAGES, LABELS + bytes(6), "expected the magic number 0x00000803, found 0x00000801"),
        (TRAIN_IMAGES, b"<html>", "expected the magic number 0x00000803, found 0x3c68746d"),
        (TRAIN_IMAGES, IMAGES[:12], "expected a header of 16 bytes, found 12"),
        (TRAIN_IMAGES, IMAGES + bytes(6), r"expected 4704 bytes .*\[6, 28, 28\], found 6;"),
        (TRAIN_IMAGES, IMAGES + bytes(4705), "expected 4704 bytes .*found more"),
        (TRAIN_IMAGES, IMAGES[:4] + b"\xff" * 12, "expected sizes with a product from 1 to"),
        (TRAIN_IMAGES, IMAGES[:4] + bytes(12), r"expected sizes .*found \[0, 0, 0\]"),
        (TRAIN_IMAGES, b"\x1f\x8bjunk", "the gzip stream is damaged"),
        (
            TRAIN_IMAGES,
            IMAGES[:8] + (14).to_bytes(4, "big") + (56).to_bytes(4, "big") + bytes(4704),
            "expected images of 28 × 28 pixels, found 14 × 56",
        ),
        (TRAIN_LABELS, LABELS + bytes([1, 2, 10, 3, 4, 5]), "labels below 10, found 10 at index 2"),
        (TRAIN_LABELS, LABELS[:7] + b"\5" + bytes(5), "has 5 labels; take both from"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(
    alone: Path,
    tmp_path: Path,
    tiny: dict[str, bytes],
    put: Put,
    name: str,
    content: bytes,
    message: str,
) -> None:
    put(tmp_path / "mnist" / "MNIST" / "raw", tiny | {name: content})
    with pytest.raises(RuntimeError, match=rf"{name}\b.*{message}"):
        load_dataset(tmp_path / "mnist")


def test_a_gzip_stream_that_ends_early_is_damaged(
    alone: Path, tmp_path: Path, tiny: dict[str, bytes], put: Put
) -> None:
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    put(raw, tiny, packed=True)
    path = raw / f"{TEST_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RuntimeError, match=f"{path}: the gzip stream is damaged"):
        load_dataset(tmp_path / "mnist")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ANE_TRAINER_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c/data/mnist"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/ane-trainer/data/mnist"),
        ({"ANE_TRAINER_CACHE": "", "XDG_CACHE_HOME": "x"}, "/h/.cache/ane-trainer/data/mnist"),
        ({}, "/h/.cache/ane-trainer/data/mnist"),
    ],
)
def test_the_cache_is_where_the_program_has_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("ANE_TRAINER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/h"} | variables).items():
        monkeypatch.setenv(name, value)
    assert data.cache_directory() == Path(expected)


def test_fingerprints_are_those_of_the_catalog() -> None:
    catalog = (ROOT / "crates/ane-train/src/data/catalog/mnist.rs").read_text()
    names = dict(re.findall(r'const (\w+): &str = "(.*)";', catalog))
    found = re.findall(
        r"name: (\w+),\s*fingerprint: Fingerprint::pinned\(\s*([\d_]+),\s*\"(\w+)\"", catalog
    )
    assert [(names[name], int(length), sha256) for name, length, sha256 in found] == list(data.FILES)


@pytest.mark.full
def test_the_published_files_have_the_published_sizes(tmp_path: Path) -> None:
    images, labels, test_images, test_labels = load_dataset(tmp_path / "mnist")
    assert images.shape == (60000, 28, 28) and labels.shape == (60000,)
    assert test_images.shape == (10000, 28, 28) and test_labels.shape == (10000,)
    assert images.dtype == np.float32 and labels.dtype == np.int64
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert np.bincount(labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
    ]
    assert images.mean() == pytest.approx(0.1307, abs=1e-4)
