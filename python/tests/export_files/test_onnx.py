"""Exported models in ONNX Runtime, against PyTorch on the same weights."""

import json

import numpy as np
import onnx
import onnxruntime
from exported_run import Reals, Run


def session(run: Run, *flags: str) -> onnxruntime.InferenceSession:
    """The exported file, which the checker has nothing to say of."""
    file = run.export("onnx", *flags)
    onnx.checker.check_model(onnx.load(file), full_check=True)
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def near(found: Reals, expected: Reals, share: float) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= share * np.abs(expected).max()


def test_onnx_runtime_computes_what_pytorch_does_for_any_number_of_examples(run: Run) -> None:
    opened = session(run)
    assert opened.get_inputs()[0].shape[0] == "batch"
    for count in (1, 5):
        x = run.inputs(count)
        near(opened.run(["logits"], {"x": x})[0], run.logits(x), 1e-4)


def test_raw_pixels_are_scaled_inside(run: Run) -> None:
    opened = session(run, "--with-preprocessing")
    metadata = opened.get_modelmeta().custom_metadata_map
    scaling = json.loads(metadata["description"])["input"]["scaling"]
    pixels = np.random.default_rng(1).integers(0, 256, (3, 1, 28, 28)).astype(np.float32)
    x = (pixels / np.float32(255) - np.float32(scaling["mean"][0])) / np.float32(scaling["std"][0])
    x = x.reshape(3, *run.inputs(1).shape[1:])
    near(opened.run(None, {"x": pixels})[0], run.logits(x), 1e-4)
    assert json.loads(metadata["class_names"]) == [str(i) for i in range(10)]


def test_numpy_has_the_arrays_of_the_state_dict(run: Run) -> None:
    from safetensors.numpy import load_file

    expected = load_file(run.folder / "model.safetensors")
    with np.load(run.export("numpy")) as found:
        assert set(found.files) == set(expected)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        assert all(found[name].dtype == np.float32 for name in expected)
