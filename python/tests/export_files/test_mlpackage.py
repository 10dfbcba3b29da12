"""Exported packages as coremltools reads them, computed op by op, against PyTorch on the same weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Reals, Run

coremltools = pytest.importorskip("coremltools")
from coremltools.converters.mil.frontend.milproto.load import load  # noqa: E402

Spec = Any


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
    simple = {
        "add": torch.add,
        "cast": lambda x, dtype: x.float(),
        "linear": F.linear,
        "mul": torch.mul,
        "relu": torch.relu,
        "reduce_mean": lambda x, axes, keep_dims: x.mean(dim=[int(a) for a in axes], keepdim=bool(keep_dims)),
        "reshape": lambda x, shape: x.reshape([int(d) for d in shape]),
        "softmax": lambda x, axis: x.softmax(int(axis)),
        "sub": torch.sub,
        "transpose": lambda x, perm: x.permute([int(d) for d in perm]),
    }
    if kind == "matmul":
        a = x["x"].transpose(-1, -2) if x["transpose_x"] else x["x"]
        return a @ (x["y"].transpose(-1, -2) if x["transpose_y"] else x["y"])
    arguments = {{"y": "other", "x": "input"}.get(k, k) if kind in ("add", "mul", "sub") else k: v for k, v in x.items()}
    if kind in ("linear", "relu"):
        arguments = {{"x": "input"}.get(k, k): v for k, v in arguments.items()}
    return simple[kind](**arguments)


def predicted(program: Any, x: Reals) -> torch.Tensor:
    """The scores of a program for one example: those that a classifier takes the class from, where it is one."""
    main = program.functions["main"]
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


def test_a_package_computes_what_pytorch_does_of_rounded_weights(run: Run) -> None:
    spec, program = opened(run.export("mlpackage"))
    assert spec.specificationVersion == 7
    x = run.inputs(1)
    near(predicted(program, x).numpy(), run.logits(x, rounded=True))


def test_a_classifier_of_pictures_says_the_probability_of_each_class(run: Run) -> None:
    spec, program = opened(run.export("mlpackage", "--classifier", "--image-input", "--swift"))
    picture = spec.description.input[0].type.imageType
    assert (picture.width, picture.height, picture.colorSpace) == (28, 28, 10)
    assert spec.description.predictedFeatureName == "classLabel"
    label, probabilities = spec.description.output
    assert (label.type.WhichOneof("Type"), probabilities.name) == ("stringType", "classLabel_probs")
    pixels = np.random.default_rng(2).integers(0, 256, (1, 1, 28, 28)).astype(np.float32)
    x = (pixels / np.float32(255 * 0.3081)).reshape(1, *run.inputs(1).shape[1:])
    logits = torch.from_numpy(run.logits(x, rounded=True))
    near(predicted(program, pixels).numpy(), logits.softmax(1).numpy())
    classify = program.functions["main"].operations[-1]
    assert list(classify.inputs["classes"].val) == [str(i) for i in range(10)]
    swift = (run.folder / "model.swift").read_text()
    assert "UNTESTED" in swift and "classLabel_probs" in swift
