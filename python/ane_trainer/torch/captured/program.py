"""The program of a captured model for batches of one size."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..._native import Model, Trainer
from ...errors import CaptureMismatchError
from ..call import array_of
from ..options import Options
from .batches import Batch
from .comparison import TRIES, compare, nudged
from .eager import Gradients
from .exporting import export
from .forward import Forward, Outputs
from .modules import State

Named = list[tuple[str, Any]]


def named(batch: Sequence[Tensor]) -> Named:
    """A batch as programs take it."""
    return [(f"input_{i}", array_of(x, f"input {i}")) for i, x in enumerate(batch)]


class Program:
    """A model and its loss for batches of `rows` rows, with weights and what an optimizer keeps.

    `memory` is settings of an optimizer that keeps all that will be needed, as JSON; without it nothing is kept.
    """

    def __init__(
        self, forward: Forward, batch: Batch, outputs: Outputs, options: Options, seed: int, memory: str | None
    ) -> None:
        self.rows = batch[0].shape[0]
        with tempfile.TemporaryDirectory(prefix="ane_trainer-") as directory:
            files = export(forward, list(outputs.shapes), batch, Path(directory))
            self.native = Model.from_torch(type(forward.model).__name__, *map(str, files))
        self.trainer = Trainer(self.native, seed, options.device, options.target, options.threads, memory)
        self.positions = {
            path: i for i, path in enumerate(self.native.parameters) if path in set(self.native.trained)
        }
        self.is_compared = False

    def upload(self, tensors: dict[str, Tensor]) -> None:
        """Takes weights and running statistics from the user's modules."""
        self.trainer.set_weights(
            [_plain(tensors[path]) for path in self.native.parameters],
            [_plain(tensors[path]) for path in self.native.buffers],
        )

    def download(self, tensors: dict[str, Tensor]) -> None:
        """Writes weights and running statistics into the user's modules."""
        with torch.no_grad():
            for path, _, values in self.trainer.weights():
                to = tensors[path]
                to.copy_(torch.from_numpy(values).reshape(to.shape))

    def compare(self, forward: Forward, batch: Batch) -> None:
        """Raises `CaptureMismatchError` where a batch has other gradients than PyTorch's, with the module's weights and others."""
        mismatch = self._mismatch(forward, batch)
        number = 0
        while mismatch is not None and number < TRIES - 1:
            number += 1
            with nudged(forward, number):
                self.upload(State(forward).tensors)
                if self._mismatch(forward, batch) is None:
                    mismatch = None
            self.upload(State(forward).tensors)
        if mismatch is not None:
            raise mismatch
        self.is_compared = True

    def _mismatch(self, forward: Forward, batch: Batch) -> CaptureMismatchError | None:
        """What is wrong with the gradients of a batch, with the weights that the modules have now."""
        loss, scale, found = self.trainer.probe(named(batch), self.rows)
        paths = self.native.parameters
        gradients: dict[str, Tensor | None] = {paths[i]: torch.from_numpy(values) for i, values in found}
        # A tied parameter has one gradient, by the first of its names.
        gradients |= {other: gradients.get(path) for other, path in self.native.tied}
        try:
            compare(forward, batch, Gradients(loss, gradients), scale)
        except CaptureMismatchError as mismatch:
            return mismatch
        return None

    def predict(self, batch: Batch, outputs: Outputs) -> Any:
        """What the model returns in evaluation."""
        found = self.trainer.predict(named(batch), self.rows)
        return outputs.of([values for _, values in found], self.rows)

    def evaluate(self, batch: Batch, outputs: Outputs, wants_result: bool) -> tuple[float, Any]:
        """Loss, and where it is asked for what the model returns, in evaluation."""
        loss, _, found = self.trainer.evaluate(named(batch), self.rows)
        return loss, outputs.of([values for _, values in found], self.rows) if wants_result else None


def _plain(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().to(torch.float32).contiguous().numpy().reshape(-1)
