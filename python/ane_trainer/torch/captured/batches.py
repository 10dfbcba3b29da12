"""What users give as data, as batches of tensors that are known to fit."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ...errors import InputError

Batch = tuple[Tensor, ...]


def check_tensor(x: Tensor, name: str) -> None:
    """Raises `InputError` for a tensor whose elements are not in memory as they stand."""
    if x.device.type == "meta":
        raise InputError(f"{name} is on the meta device and has no elements; give it some, as by .to_empty and loading")
    if x.device.type != "cpu":
        raise InputError(f"{name} is on {x.device}; move it to the CPU, whose memory the engine shares: .cpu()")
    if x.layout is not torch.strided:
        raise InputError(f"{name} has the layout {x.layout}, expected a dense tensor")
    if x.is_floating_point() and x.dtype is not torch.float32:
        raise InputError(f"{name} is of {x.dtype}, expected torch.float32; the engine rounds it to fp16 itself: .float()")
    if x.is_complex() or x.is_quantized:
        raise InputError(f"{name} is of {x.dtype}, expected real numbers, integers or truth values")


def as_batch(given: Any, name: str) -> Batch:
    """The tensors of one batch, in order.

    Arrays of NumPy become tensors, and their float64, which NumPy makes everywhere, float32.
    """
    items = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not items:
        raise InputError(f"{name} is empty, expected the tensors of a batch")
    return tuple(_as_tensor(item, f"{name}[{i}]") for i, item in enumerate(items))


def _as_tensor(item: Any, name: str) -> Tensor:
    if isinstance(item, np.ndarray | np.generic):
        if item.dtype.kind not in "fiub":
            raise InputError(f"{name} is an array of {item.dtype}, expected numbers or truth values")
        array = np.ascontiguousarray(item, dtype=np.float32 if item.dtype == np.float64 else None)
        item = torch.from_numpy(array.reshape(item.shape))
    if not isinstance(item, Tensor):
        raise InputError(
            f"{name} is a {type(item).__name__}, expected a tensor or an array with the batch as its first axis"
        )
    return item


def check_batch(batch: Batch, like: Batch, name: str) -> int:
    """How many rows a batch has that fits another one; raises `InputError` where it does not fit."""
    if len(batch) != len(like):
        raise InputError(f"{name} has {len(batch)} tensors, expected {len(like)}, as in the example inputs")
    rows = 0
    for i, (x, expected) in enumerate(zip(batch, like, strict=True)):
        where = f"{name}[{i}]"
        check_tensor(x, where)
        if x.dtype is not expected.dtype:
            raise InputError(f"{where} is of {x.dtype}, the example input was of {expected.dtype}; convert it")
        if x.ndim == 0:
            raise InputError(f"{where} is a single number, expected the batch as its first axis")
        if x.shape[1:] != expected.shape[1:]:
            raise InputError(
                f"{where} has examples of {list(x.shape[1:])}, the example input had {list(expected.shape[1:])}; "
                "pad them, or capture the model for this shape"
            )
        if i and x.shape[0] != rows:
            raise InputError(f"{where} has {x.shape[0]} rows, {name}[0] has {rows}")
        rows = x.shape[0]
    if rows == 0:
        raise InputError(f"{name} has no rows, expected at least one example")
    return rows


class Batches:
    """Batches in the order of an epoch, anew for every epoch."""

    def __init__(self, data: Any, like: Batch, batch_size: int, shuffle: bool, name: str) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, expected at least 1")
        self.like, self.name = like, name
        self.size, self.shuffle = batch_size, shuffle
        self.columns: Batch | None = None
        self.source: Iterable[Any] | None = None
        if isinstance(data, Dataset):
            iterable = isinstance(data, IterableDataset)
            if not iterable and len(data) == 0:  # type: ignore[arg-type]
                raise InputError(f"{name} is a data set without examples")
            self.source = DataLoader(data, batch_size=batch_size, shuffle=shuffle and not iterable)
        elif isinstance(data, Tensor | np.ndarray) or _is_columns(data):
            self.columns = as_batch(data, name)
            self.rows = check_batch(self.columns, like, name)
        elif hasattr(data, "__iter__"):
            self.source = data
        else:
            raise InputError(
                f"{name} is a {type(data).__name__}, expected a loader, a data set, or arrays or tensors with one row "
                "per example"
            )

    def count(self) -> int | None:
        """Batches of an epoch, where that is known."""
        if self.columns is not None:
            return -(-self.rows // self.size)
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return None

    def __iter__(self) -> Iterator[tuple[Batch, int]]:
        """Batches, each with its number of rows."""
        found = False
        for number, given in enumerate(self._given()):
            name = f"batch {number} of {self.name}"
            batch = as_batch(given, name)
            found = True
            yield batch, check_batch(batch, self.like, name)
        if not found:
            raise InputError(
                f"{self.name} gave no batches; a loader must have some, and a generator has them for one epoch only"
            )

    def _given(self) -> Iterator[Any]:
        if self.columns is None:
            assert self.source is not None
            yield from self.source
            return
        order = torch.randperm(self.rows) if self.shuffle else torch.arange(self.rows)
        for begin in range(0, self.rows, self.size):
            rows = order[begin : begin + self.size]
            yield tuple(column[rows] for column in self.columns)


def _is_columns(data: Any) -> bool:
    return isinstance(data, Sequence) and bool(data) and all(isinstance(x, Tensor | np.ndarray) for x in data)
