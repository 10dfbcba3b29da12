"""Training of neural networks on Apple's Neural Engine, from PyTorch and Keras.

`torch.compile(model, backend="ane")` needs no import of this package. `ane_trainer.capture` makes one program of a PyTorch
model and its loss, `ane_trainer.keras.fit` trains Keras models, and `ane_trainer.report()` says what ran where. PyTorch and Keras
are imported when something here first needs them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .torch import Report, report, strict
    from .torch.captured import History, TrainStep, capture

__all__ = ["History", "Report", "TrainStep", "capture", "report", "strict"]

# A type checker that saw this function would take every name for one of this module.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            from . import torch
            from .torch import captured

            return getattr(torch, name, None) or getattr(captured, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
