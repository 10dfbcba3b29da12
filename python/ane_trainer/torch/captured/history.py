"""What training came to, epoch by epoch."""

import dataclasses
from typing import Any

from ...errors import UnsupportedError


@dataclasses.dataclass
class History:
    """Losses and metrics of every epoch: `loss` and `lr`, and of the validation data `val_loss` and `val_NAME`."""

    epochs: list[dict[str, float]] = dataclasses.field(default_factory=list)

    def __getitem__(self, name: str) -> list[float]:
        """The values of one name, by epoch. Raises `KeyError` for a name that no epoch has."""
        if not any(name in logs for logs in self.epochs):
            raise KeyError(name)
        return [logs.get(name, float("nan")) for logs in self.epochs]

    @property
    def names(self) -> list[str]:
        """What there is, in order."""
        return list(dict.fromkeys(name for logs in self.epochs for name in logs))

    def plot(self, axes: Any = None) -> Any:
        """Draws the losses by epoch and returns the axes; raises `UnsupportedError` without matplotlib."""
        if axes is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise UnsupportedError(f"curves need matplotlib: pip install matplotlib ({error})") from error
            _, axes = pyplot.subplots()
        numbers = range(1, len(self.epochs) + 1)
        for name in ("loss", "val_loss"):
            if name in self.names:
                axes.plot(numbers, self[name], label=name)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.legend()
        return axes
