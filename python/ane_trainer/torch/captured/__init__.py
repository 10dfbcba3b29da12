"""Models captured whole, with their loss: forward pass, loss and gradients are one program, trained by `TrainStep.fit`."""

from .history import History
from .train_step import TrainStep, capture

__all__ = ["History", "TrainStep", "capture"]
