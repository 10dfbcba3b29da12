"""Programs of both modes, as `torch.export` writes them."""

import logging
import warnings
from pathlib import Path

import torch

from ...errors import UnsupportedError
from .batches import Batch
from .forward import Forward


def export(forward: Forward, outputs: list[int], batch: Batch, directory: Path) -> tuple[Path, Path]:
    """Writes the undecomposed programs of training, which gives the loss alone, and of evaluation.

    Raises `UnsupportedError` where PyTorch cannot export the model.
    """
    files = directory / "train.pt2", directory / "eval.pt2"
    with forward.as_captured():
        _save(Forward(forward.model, forward.loss, []), batch, files[0])
    with forward.evaluating():
        _save(Forward(forward.model, forward.loss, outputs), batch, files[1])
    return files


def _save(traced: Forward, batch: Batch, file: Path) -> None:
    # It says on every import that a package of other accelerators is missing.
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(torch.export.export(traced, batch), file)
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise UnsupportedError(
            f"torch.export of {type(traced.model).__name__} failed: {type(error).__name__}: {said}; "
            "what the forward pass does must not depend on the elements of tensors"
        ) from error
