"""Weight files and ops against coremltools, Apple's own implementation of both."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.converters.mil.mil.ops.defs  # noqa: F401  (registers the ops)
import numpy as np
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry
from coremltools.libmilstoragepython import _BlobStorageReader, _BlobStorageWriter

ROOT = Path(__file__).resolve().parents[3]

# The op set that the printer asks for.
OPSET = ct.target.iOS18

# Our name of a dtype, numpy's, the part of the names of coremltools' methods, and the type that these methods want.
DTYPES = [
    ("fp16", np.float16, "fp16", np.uint16),
    ("fp32", np.float32, "float", np.float32),
    ("int8", np.int8, "int8", np.int8),
    ("uint8", np.uint8, "uint8", np.uint8),
    ("int16", np.int16, "int16", np.int16),
    ("uint16", np.uint16, "uint16", np.uint16),
    ("int32", np.int32, "int32", np.int32),
]


def formats(*arguments: str | Path, tensors: list[dict[str, Any]] | None = None) -> Any:
    """Runs the example that gives this crate's formats as JSON."""
    cargo = [os.environ.get("CARGO", "cargo"), "run", "--quiet", "--locked"]
    run = subprocess.run(
        [*cargo, "--package", "ane-mil", "--example", "formats", "--", *map(str, arguments)],
        cwd=ROOT,
        input=json.dumps(tensors or []),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def samples() -> list[tuple[str, np.ndarray]]:
    """Arrays of every dtype in lengths around the alignment of 64 bytes, with every pattern of bits possible."""
    generator = np.random.default_rng(0)
    arrays = []
    for name, dtype, _, _ in DTYPES:
        size = np.dtype(dtype).itemsize
        for elements in (1, 64 // size - 1, 64 // size, 64 // size + 1, 1000):
            arrays.append((name, np.frombuffer(generator.bytes(elements * size), dtype)))
    return arrays


def test_coremltools_reads_the_files_of_blob_writer(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    arrays = samples()
    offsets = formats("pack", path, tensors=[{"dtype": name, "hex": array.tobytes().hex()} for name, array in arrays])
    reader = _BlobStorageReader(str(path))
    methods = {name: (getattr(reader, f"read_{method}_data"), raw) for name, _, method, raw in DTYPES}
    for offset, (name, array) in zip(offsets, arrays, strict=True):
        read, raw = methods[name]
        assert np.array(read(offset), raw).tobytes() == array.tobytes(), f"{name} at {offset}"


def test_blob_reader_reads_the_files_of_coremltools(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    arrays = samples()
    writer = _BlobStorageWriter(str(path))
    methods = {name: (getattr(writer, f"write_{method}_data"), raw) for name, _, method, raw in DTYPES}
    records = []
    for name, array in arrays:
        write, raw = methods[name]
        records.append({"dtype": name, "elements": array.size, "offset": write(array.view(raw))})
    del writer, methods, write
    for found, (name, array) in zip(formats("unpack", path, tensors=records), arrays, strict=True):
        assert found == array.tobytes().hex(), name


def test_every_op_is_one_of_coremltools_with_the_same_names() -> None:
    ops = formats("ops")
    faults = []
    for op in ops:
        name = op["name"]
        versions = SSAOpRegistry.core_ops.get(name)
        if not versions:
            faults.append(f"{name}: coremltools has no such op")
            continue
        theirs = versions[max(version for version in versions if version <= OPSET)].input_spec.input_types
        ours = [*(o["name"] for o in op["operands"]), *op["attributes"]]
        faults += [f"{name}: it has no `{argument}`" for argument in ours if argument not in theirs]
        required = [argument for argument, kind in theirs.items() if not kind.optional]
        faults += [f"{name}: it requires `{argument}`" for argument in required if argument not in ours]
        optional = [o["name"] for o in op["operands"] if o["arity"] == "optional"]
        faults += [f"{name}: `{argument}` is not optional" for argument in optional if argument in required]
    assert ops, "the table is empty"
    assert not faults, "\n".join(faults)
