"""MNIST as arrays: found in a directory, in the cache that `ane-trainer data` verifies, or fetched."""

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .idx import read_idx

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class _File(NamedTuple):
    """A raw file: its name, and the length and the SHA-256 of what was published."""

    name: str
    length: int
    sha256: str


TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

FILES = (
    _File(
        TRAIN_IMAGES,
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    _File(
        TRAIN_LABELS,
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    _File(
        TEST_IMAGES,
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    _File(
        TEST_LABELS,
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
"""What `crates/ane-train/src/data/catalog/mnist.rs` says of the same files; a test compares them."""

CLASSES = 10
SIDE = 28

FETCH = ("data", "fetch", "mnist")
"""Arguments with which the program `ane-trainer` brings the files into the cache."""


def load_dataset(path: str | os.PathLike[str]) -> tuple[Images, Labels, Images, Labels]:
    """Training images, their labels, test images and their labels.

    Images are float32 `[60000, 28, 28]` and `[10000, 28, 28]` from 0 to 1, labels int64 from 0 to
    9. `path` is made where it is missing. The files lie in `path/MNIST/raw`, raw or gzip, where
    torchvision keeps them too; those that are missing there come from the cache of `ane-trainer
    data`, where they have the published content, and otherwise from elsewhere: by torchvision
    where it can be imported, by the program `ane-trainer` where it cannot.

    Raises `OSError` where the directory cannot be made or used, and `RuntimeError` where files
    cannot be had or are not what they should be.
    """
    directory = Path(os.path.abspath(path))
    if not directory.parent.is_dir():
        raise OSError(
            f"Dataset path parent must exist: there is no directory {directory.parent}; "
            "make it first, or choose another path"
        )
    raw = directory / "MNIST" / "raw"
    try:
        raw.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"Dataset path {directory} cannot be made: {error}") from error
    _fill(raw)
    torchvision = _torchvision_datasets()
    if torchvision is not None:
        return _by_torchvision(torchvision, directory)
    if _missing(raw):
        _fetch(raw)
        _fill(raw)
    return (*_split(raw, TRAIN_IMAGES, TRAIN_LABELS), *_split(raw, TEST_IMAGES, TEST_LABELS))


def cache_directory() -> Path | None:
    """Where `ane-trainer data` keeps MNIST's files, or `None` where there is no home directory."""
    named = os.environ.get("ANE_TRAINER_CACHE")
    if named:
        return Path(named) / "data" / "mnist"
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return root / "ane-trainer" / "data" / "mnist"


def _missing(raw: Path) -> list[_File]:
    return [file for file in FILES if _found(raw, file.name) is None]


def _found(raw: Path, name: str) -> Path | None:
    """The file of this name, raw or gzip."""
    places = (raw / name, raw / f"{name}.gz")
    return next((place for place in places if place.is_file()), None)


def _fill(raw: Path) -> None:
    """Copies what `raw` lacks and the cache has with the published content."""
    cache = cache_directory()
    for file in _missing(raw) if cache else ():
        assert cache is not None
        try:
            with (cache / file.name).open("rb") as opened:
                # One byte too many suffices to tell that a file is too long.
                content = opened.read(file.length + 1)
        except OSError:
            continue
        if hashlib.sha256(content).hexdigest() == file.sha256:
            # Renamed, so that whoever reads at the same time sees a whole file or none.
            partial = raw / f".{file.name}.{os.getpid()}"
            try:
                partial.write_bytes(content)
                partial.replace(raw / file.name)
            finally:
                partial.unlink(missing_ok=True)


def _torchvision_datasets() -> Any | None:
    try:
        return importlib.import_module("torchvision.datasets")
    except Exception:
        # One that was built for another PyTorch fails with other errors than ImportError.
        return None


def _by_torchvision(datasets: Any, directory: Path) -> tuple[Images, Labels, Images, Labels]:
    try:
        splits = [
            datasets.MNIST(root=str(directory), train=train, download=True)
            for train in (True, False)
        ]
    except Exception as error:
        raise RuntimeError(f"Failed to download MNIST by torchvision: {error}") from error
    train, test = splits
    return (
        _scaled(train.data.numpy()),
        train.targets.numpy().astype(np.int64),
        _scaled(test.data.numpy()),
        test.targets.numpy().astype(np.int64),
    )


def _fetch(raw: Path) -> None:
    """Has the program `ane-trainer` bring the files into the cache; it says on stderr what it does."""
    beside = os.path.dirname(sys.executable)
    program = shutil.which("ane-trainer", path=beside) or shutil.which("ane-trainer")
    missing = ", ".join(file.name for file in _missing(raw))
    instead = f"put the files into {raw}, or install torchvision"
    if program is None:
        raise RuntimeError(
            f"Failed to download MNIST: {missing} of it are neither in {raw} nor in the cache "
            f"{cache_directory()}, torchvision cannot be imported, and there is no program "
            f"ane-trainer on PATH; {instead}"
        )
    # Standard output belongs to whoever called.
    ended = subprocess.run([program, *FETCH], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if ended.returncode != 0:
        raise RuntimeError(
            f"Failed to download MNIST: `{' '.join([program, *FETCH])}` ended with exit code "
            f"{ended.returncode} and has said why on stderr; {instead}"
        )


def _split(raw: Path, images_name: str, labels_name: str) -> tuple[Images, Labels]:
    images_path, labels_path = _found(raw, images_name), _found(raw, labels_name)
    if images_path is None or labels_path is None:
        raise RuntimeError(
            f"Failed to download MNIST: {images_name} or {labels_name} is still not in {raw}"
        )
    images, labels = read_idx(images_path, rank=3), read_idx(labels_path, rank=1)
    if images.shape[1:] != (SIDE, SIDE):
        raise RuntimeError(
            f"{images_path}: expected images of {SIDE} × {SIDE} pixels, found "
            f"{images.shape[1]} × {images.shape[2]}; it belongs to another data set"
        )
    if len(images) != len(labels):
        raise RuntimeError(
            f"{images_path} has {len(images)} images and {labels_path} has {len(labels)} labels; "
            "take both from the same split"
        )
    if labels.max() >= CLASSES:
        at = int(np.argmax(labels >= CLASSES))
        raise RuntimeError(
            f"{labels_path}: expected labels below {CLASSES}, found {labels[at]} at index {at}; "
            "it belongs to another data set"
        )
    return _scaled(images), labels.astype(np.int64)


def _scaled(pixels: npt.NDArray[np.uint8]) -> Images:
    scaled: Images = np.divide(pixels, np.float32(255), dtype=np.float32)
    return scaled
