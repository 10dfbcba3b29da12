"""One tree of exceptions: everything that goes wrong here is an `AneError`."""

from ._native import AneError, DeviceError, InputError, RunError, TargetError, UnsupportedError


class ClosedError(AneError):
    """Something is used after it was closed."""


class ForkError(AneError):
    """A process was forked after the engine was opened: threads and devices do not survive that."""


class CaptureMismatchError(AneError):
    """A captured program has another loss or other gradients than PyTorch."""


class DivergenceError(AneError):
    """Training has led to where no gradient is finite."""


class FallbackError(AneError):
    """Something would run in PyTorch while `ane_trainer.strict()` forbids it."""


__all__ = [
    "AneError",
    "CaptureMismatchError",
    "ClosedError",
    "DeviceError",
    "DivergenceError",
    "FallbackError",
    "ForkError",
    "InputError",
    "RunError",
    "TargetError",
    "UnsupportedError",
]
