"""One tree of exceptions: everything that goes wrong here is an `AneError`."""

from ._native import AneError, DeviceError, InputError, TargetError, UnsupportedError


class ClosedError(AneError):
    """Something is used after it was closed."""


class ForkError(AneError):
    """A process was forked after the engine was opened: threads and devices do not survive that."""


class FallbackError(AneError):
    """Something would run in PyTorch while `ane_trainer.strict()` forbids it."""


__all__ = [
    "AneError",
    "ClosedError",
    "DeviceError",
    "FallbackError",
    "ForkError",
    "InputError",
    "TargetError",
    "UnsupportedError",
]
