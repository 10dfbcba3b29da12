"""Exported packages as coremltools reads them, computed op by op, against PyTorch on the same weights."""

import runpy
import sys
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from coremltools.converters.mil.frontend.milproto.load import load
from exported_run import STEPS, Reals, Run, program
from safetensors.torch import load_file

Spec = Any

TRANSFORMER = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(1, 32, 7, 7)
        self.place = nn.Parameter(torch.randn(1, 16, 32) * 0.02)
        layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.norm(self.encoder(x)).mean(1))
"""


def opened(package: Path) -> tuple[Spec, Any]:
    """The specification, and the program that coremltools makes of it: `MLModel(path)` lets pass what `load` does not."""
    data = package / "Data/com.apple.CoreML"
    spec = coremltools.proto.Model_pb2.Model()
    spec.ParseFromString((data / "model.mlmodel").read_bytes())
    coremltools.models.MLModel(str(package), skip_model_load=True)
    return spec, load(spec, spec.specificationVersion, str(data / "weights"))


def windows(op: Any) -> tuple[Any, list[int]]:
    """Strides and padding of an op over images, the padding as `torch.nn.functional.pad` has it."""
    pad = [int(p) for p in op.pad.val] if op.pad_type.val == "custom" else [0, 0, 0, 0]
    return tuple(op.strides.val), [*pad[2:], *pad[:2]]


def computed(op: Any, x: dict[str, Any]) -> Any:
    """What one op makes of its operands, in fp32."""
    kind = op.op_type
    if kind == "conv":
        strides, pad = windows(op)
        dilations, groups = tuple(op.dilations.val), int(op.groups.val)
        return F.conv2d(F.pad(x["x"], pad), x["weight"], x.get("bias"), strides, 0, dilations, groups)
    if kind == "max_pool":
        strides, pad = windows(op)
        return F.max_pool2d(F.pad(x["x"], pad, value=-torch.inf), tuple(op.kernel_sizes.val), strides)
    if kind == "matmul":
        a = x["x"].transpose(-1, -2) if x["transpose_x"] else x["x"]
        return a @ (x["y"].transpose(-1, -2) if x["transpose_y"] else x["y"])
    if kind == "layer_norm":
        shape = [x["x"].shape[int(axis)] for axis in x["axes"]]
        return F.layer_norm(x["x"], shape, x["gamma"], x["beta"], float(x["epsilon"]))
    if kind == "slice_by_size":
        ends = [int(b) + int(s) for b, s in zip(x["begin"], x["size"], strict=True)]
        return x["x"][tuple(slice(int(b), end) for b, end in zip(x["begin"], ends, strict=True))]
    simple = {
        "cast": lambda x, dtype: x.float(),
        "gelu": lambda x, mode: F.gelu(x, approximate="none" if mode == "EXACT" else "tanh"),
        "linear": lambda x, weight, bias=None: F.linear(x, weight, bias),
        "relu": lambda x: torch.relu(x),
        "reduce_mean": lambda x, axes, keep_dims: x.mean(dim=[int(a) for a in axes], keepdim=bool(keep_dims)),
        "reshape": lambda x, shape: x.reshape([int(d) for d in shape]),
        "softmax": lambda x, axis: x.softmax(int(axis)),
        "transpose": lambda x, perm: x.permute([int(d) for d in perm]),
    }
    if kind in ("add", "mul", "sub"):
        return getattr(torch, kind)(x["x"], x["y"])
    return simple[kind](**x)


def predicted(read: Any, x: Reals) -> torch.Tensor:
    """The scores of a program for one example: those that a classifier takes the class from, where it is one."""
    main = read.functions["main"]
    values: dict[str, Any] = {name: torch.from_numpy(x) for name in main.inputs}

    def value(var: Any) -> Any:
        if var.name in values:
            return values[var.name]
        data = var.val
        is_weight = isinstance(data, np.ndarray | np.floating) and np.issubdtype(np.asarray(data).dtype, np.floating)
        return torch.from_numpy(np.asarray(data, np.float32)) if is_weight else data

    for op in main.operations:
        if op.op_type == "classify":
            return value(op.inputs["probabilities"])
        if op.op_type != "const":
            inputs = {name: value(var) for name, var in op.inputs.items() if not isinstance(var, list | tuple)}
            values[op.outputs[0].name] = computed(op, inputs)
    return values[main.outputs[0].name]


def near(found: Reals, expected: Reals) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 5e-3 * np.abs(expected).max()


@pytest.mark.full
def test_a_transformer_of_ones_own_is_for_one_example_and_for_any(tmp_path: Path) -> None:
    source = tmp_path / "net.py"
    source.write_text(TRANSFORMER)
    folder = tmp_path / "run"
    program("train", f"{source}:Net", "--out", str(folder), *STEPS, "--python", sys.executable)
    for kind in ("safetensors", "onnx", "mlpackage"):
        program("export", str(folder), "--format", kind)
    net = runpy.run_path(str(source))["Net"]()
    net.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        x = np.random.default_rng(count).standard_normal((count, 1, 28, 28)).astype(np.float32)
        with torch.no_grad():
            expected = net.eval()(torch.from_numpy(x)).numpy()
        found = session.run(None, {session.get_inputs()[0].name: x})[0]
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
        if count == 1:
            near(predicted(opened(folder / "model.mlpackage")[1], x).numpy(), expected)


def test_a_package_computes_what_pytorch_does_of_rounded_weights(run: Run) -> None:
    spec, read = opened(run.export("mlpackage"))
    assert spec.specificationVersion == 7
    x = run.inputs(1)
    near(predicted(read, x).numpy(), run.logits(x, rounded=True))


def test_a_classifier_of_pictures_says_the_probability_of_each_class(run: Run) -> None:
    spec, read = opened(run.export("mlpackage", "--classifier", "--image-input", "--swift"))
    picture = spec.description.input[0].type.imageType
    assert (picture.width, picture.height, picture.colorSpace) == (28, 28, 10)
    assert spec.description.predictedFeatureName == "classLabel"
    label, probabilities = spec.description.output
    assert (label.type.WhichOneof("Type"), probabilities.name) == ("stringType", "classLabel_probs")
    pixels = np.random.default_rng(2).integers(0, 256, (1, 1, 28, 28)).astype(np.float32)
    x = (pixels / np.float32(255 * 0.3081)).reshape(1, *run.inputs(1).shape[1:])
    logits = torch.from_numpy(run.logits(x, rounded=True))
    near(predicted(read, pixels).numpy(), logits.softmax(1).numpy())
    classify = read.functions["main"].operations[-1]
    assert list(classify.inputs["classes"].val) == [str(i) for i in range(10)]
    swift = (run.folder / "model.swift").read_text()
    assert "UNTESTED" in swift and "classLabel_probs" in swift
