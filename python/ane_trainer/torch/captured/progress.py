"""Lines that say how far training is, on terminals, in notebooks and in files."""

import sys
import time

_SECONDS_BETWEEN = 0.2


class Progress:
    """A line per epoch, which is written anew while the epoch runs, where that can be seen."""

    def __init__(self, epochs: int, shown: bool) -> None:
        self.epochs, self.shown = epochs, shown
        # A file would keep every version of the line.
        self.moves = shown and (sys.stdout.isatty() or "ipykernel" in sys.modules)
        self.written = 0.0
        self.width = 0

    def step(self, epoch: int, done: int, total: int | None, loss: float) -> None:
        """A step was taken."""
        now = time.monotonic()
        if self.moves and now - self.written >= _SECONDS_BETWEEN:
            self.written = now
            of = f"/{total}" if total is not None else ""
            self._write(f"epoch {epoch}/{self.epochs}  batch {done}{of}  loss {loss:.4f}", end="")

    def epoch(self, epoch: int, logs: dict[str, float], examples_per_second: float) -> None:
        """An epoch ended."""
        if self.shown:
            values = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
            self._write(f"epoch {epoch}/{self.epochs}  {values}  {examples_per_second:,.0f} examples/s", end="\n")

    def _write(self, text: str, end: str) -> None:
        begin = "\r" if self.moves else ""
        padding = " " * max(self.width - len(text), 0)
        self.width = 0 if end else len(text)
        print(f"{begin}{text}{padding}", end=end, flush=True)
