"""The directory of a run of `fit`, as the command line has it."""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

from ..._native import Run, Trainer
from .exporting import export
from .history import History


class RunFiles:
    """Files that are written after every epoch."""

    def __init__(self, path: Path, config: dict[str, Any], threads: int, exported: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="ane_trainer-") as directory:
            forward, outputs, batch = exported
            files = export(forward, outputs, batch, Path(directory))
            self.run = Run(str(path), json.dumps(config), threads, [str(file) for file in files])
        self.best: tuple[float, int] | None = None
        self.steps = 0

    def epoch(
        self, trainer: Trainer, epoch: int, steps: int, logs: dict[str, float], counters: dict[str, int]
    ) -> None:
        """Metrics of an epoch, and its checkpoints."""
        self.steps += steps
        names = {"loss": "train_loss", "lr": "lr"}
        found = {names.get(n, n.replace("val_", "validation_", 1)): _number(v) for n, v in logs.items()}
        self.run.append_metrics(json.dumps({"epoch": epoch, "step": self.steps, "validation_loss": None} | found))
        score = logs.get("val_loss")
        if score is not None and math.isfinite(score) and (self.best is None or score < self.best[0]):
            self.best = (score, epoch)
            self.run.write_checkpoint(trainer, "best", epoch, self.best, counters)
        self.run.write_checkpoint(trainer, "last", epoch, self.best, counters)

    def end(self, history: History) -> None:
        """What the run came to."""
        last = {name: _number(value) for name, value in history.epochs[-1].items()}
        best = {"validation_loss": self.best[0], "epoch": self.best[1]} if self.best is not None else None
        self.run.write_result(json.dumps({"epochs": len(history.epochs), "last": last, "best": best}))


def _number(value: float) -> float | None:
    # JSON has neither infinities nor NaN.
    return value if math.isfinite(value) else None
