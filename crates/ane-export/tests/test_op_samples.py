"""Every sample of every op as a file, by other people's readers: ONNX Runtime computes it, coremltools types it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import coremltools
import numpy as np
import onnx
import onnxruntime
import pytest
from coremltools.converters.mil.frontend.milproto.load import load

ROOT = Path(__file__).resolve().parents[3]

TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of what the example writes: files, and for each the inputs and results of its op's definition."""
    folder = tmp_path_factory.mktemp("samples")
    cargo = [os.environ.get("CARGO", "cargo"), "run", "--quiet", "--locked"]
    subprocess.run(
        [*cargo, "--package", "ane-export", "--example", "op_samples", "--", str(folder)], cwd=ROOT, check=True
    )
    return folder


def computed_otherwise(file: Path) -> str:
    """What ONNX Runtime computes otherwise than the definition; nothing if it does not."""
    onnx.checker.check_model(onnx.load(file), full_check=True)
    with np.load(file.with_suffix(".npz")) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = {x.name: found[x.name].astype(TYPES[x.type]) for x in session.get_inputs()}
    for info, y in zip(session.get_outputs(), session.run(None, inputs), strict=True):
        expected = found[info.name]
        if y.shape != expected.shape:
            return f"{info.name} has shape {y.shape}, not {expected.shape}"
        size = max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0))
        off = np.abs(y.astype(np.float64) - expected).max(initial=0)
        if not off <= (4e-3 if "float16" in info.type else 2e-5) * size:
            return f"{info.name} is off by {off}"
    return ""


def read_otherwise(package: Path) -> str:
    """Nothing: coremltools makes a program of the package, with the types that it says, or raises."""
    data = package / "Data/com.apple.CoreML"
    spec = coremltools.proto.Model_pb2.Model()
    spec.ParseFromString((data / "model.mlmodel").read_bytes())
    load(spec, spec.specificationVersion, str(data / "weights"))
    return ""


@pytest.mark.parametrize(
    ("ending", "check", "least"), [("onnx", computed_otherwise, 380), ("mlpackage", read_otherwise, 350)]
)
def test_every_file_is_what_its_op_is(samples: Path, ending: str, check: Callable[[Path], str], least: int) -> None:
    files = sorted(samples.glob(f"*.{ending}"))
    assert len(files) >= least
    wrong = {}
    for file in files:
        try:
            if reason := check(file):
                wrong[file.name] = reason
        except Exception as error:  # noqa: BLE001  (one file's failure hides none of the others)
            wrong[file.name] = f"{type(error).__name__}: {error}"
    assert not wrong
