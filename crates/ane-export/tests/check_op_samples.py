"""Has ONNX Runtime compute what `examples/op_samples.rs` has written, has coremltools read and type it, and says where
they find something else.

python crates/ane-export/tests/check_op_samples.py DIRECTORY
"""

import sys
from pathlib import Path

import coremltools
import numpy as np
import onnx
import onnxruntime
from coremltools.converters.mil.frontend.milproto.load import load

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
         "tensor(int8)": np.int8, "tensor(uint8)": np.uint8, "tensor(int16)": np.int16, "tensor(uint16)": np.uint16}


def differs(file: Path) -> str:
    """What is wrong with one file; nothing if it computes what it should."""
    onnx.checker.check_model(onnx.load(file), full_check=True)
    with np.load(file.with_suffix(".npz")) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = {x.name: found[x.name].astype(TYPES[x.type]) for x in session.get_inputs()}
    for info, y in zip(session.get_outputs(), session.run(None, inputs)):
        expected = found[info.name]
        if y.shape != expected.shape:
            return f"{info.name} has shape {y.shape}, not {expected.shape}"
        half = "float16" in info.type
        error = np.abs(y.astype(np.float64) - expected).max() if y.size else 0.0
        if not error <= (4e-3 if half else 2e-5) * max(1.0, np.abs(expected[np.isfinite(expected)]).max(initial=0)):
            return f"{info.name} is off by {error}"
    return ""


def unread(package: Path) -> str:
    """What is wrong with a package; nothing if coremltools makes a program of it."""
    data = package / "Data/com.apple.CoreML"
    spec = coremltools.proto.Model_pb2.Model()
    spec.ParseFromString((data / "model.mlmodel").read_bytes())
    load(spec, spec.specificationVersion, str(data / "weights"))
    return ""


def main(directory: Path) -> int:
    """The number of files that are wrong."""
    wrong, right = 0, 0
    for file in sorted([*directory.glob("*.onnx"), *directory.glob("*.mlpackage")]):
        try:
            reason = differs(file) if file.suffix == ".onnx" else unread(file)
        except Exception as error:  # noqa: BLE001
            reason = str(error).splitlines()[0][:300]
        wrong, right = wrong + bool(reason), right + (not reason)
        if reason:
            print(f"{file.name}: {reason}")
    print(f"{right} right, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 1))
