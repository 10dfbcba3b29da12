"""`ane_trainer.capture`: a model and its loss as one program, and the object that trains it."""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ...errors import ClosedError, DivergenceError, ForkError, InputError
from ..options import Options, options_of
from . import optimizers
from .batches import Batch, Batches, as_batch, check_batch
from .eager import gradients
from .forward import Forward, Loss, outputs_of
from .history import History
from .metrics import Metric, metrics_of
from .modules import State, check_modules, same
from .optimizers import Bound
from .program import Program, named
from .progress import Progress
from .run_files import RunFiles

Callback = Callable[["TrainStep", int, dict[str, float]], Any]
"""Called after every epoch with its number, from 1, and its losses and metrics; ends the training where it returns True."""

_MOST_TRIES = 20
"""The loss scale is halved from at most 2¹⁵ down to 1 before a step is given up."""


def capture(
    model: nn.Module,
    loss: Loss | None,
    example_inputs: Any,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    metrics: Sequence[str] | Mapping[str, Metric] | None = None,
    device: str | None = None,
    target: str | None = None,
    threads: int | None = None,
) -> "TrainStep":
    """Captures a model with its loss for the engine, and compares one batch's loss and gradients with PyTorch's.

    `example_inputs` is a batch as a loader yields it, such as `(x, y)`: float32, integer or bool tensors or arrays, each
    `[B, ...]`; the last one is the loss's target and the others are the model's inputs. `loss(model(x), y)` is one number.
    Where `loss` is None the model takes the whole batch and returns its loss itself, alone or beside other results.

    `metrics` are measured in evaluation: `["accuracy"]`, or functions of the model's result and the target by name. `device`,
    `target` and `threads` say what computes, as the options of `torch.compile(..., backend="ane")` do.

    What the forward pass does is fixed from here on, but for weights, buffers of batch norms and which parameters ask for
    gradients. Dropout is drawn by a generator of the engine, which `torch.manual_seed` seeds.

    Raises `UnsupportedError` for what has no form on the engine, with its place, and for an `autograd.Function` by its name;
    `InputError` for models and batches that do not fit; `CaptureMismatchError` where the program's gradients are not PyTorch's.
    """
    given = {"device": device, "target": target, "threads": threads}
    options = options_of({key: value for key, value in given.items() if value is not None}, None)
    return TrainStep(model, loss, as_batch(example_inputs, "example_inputs"), optimizer, metrics_of(metrics), options)


class TrainStep:
    """A captured model in training. Made by `capture`.

    The user's module has the newest weights whenever `fit` returns, and after `state_dict` or `close`; `step` alone leaves
    them on the engine. A batch of another number of rows is a program of its own.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss | None,
        example: Batch,
        optimizer: torch.optim.Optimizer | None,
        metrics: dict[str, Metric],
        options: Options,
    ) -> None:
        check_modules(model, loss)
        if metrics and loss is None:
            raise InputError("metrics compare what the model returns with a target; without a loss there is none")
        self._forward = Forward(model, loss)
        self._rows = check_batch(example, example, "example_inputs")
        self._example = example
        self._metrics = metrics
        self._options = options
        self._process = os.getpid()
        self._seed = int(torch.randint(1 << 31, ()).item())
        self._programs: dict[int, Program] = {}
        self._current: Program | None = None
        # What the programs were made with: traced constants, the buffers that are theirs, the optimizer's memory.
        self._signature: tuple[Any, ...] | None = None
        self._moving: set[str] = set()
        self._kept: tuple[str, ...] = ()
        self._optimizer: torch.optim.Optimizer | None = None
        self._bound: Bound | None = None
        # Settings of the optimizer that the current program has.
        self._set: tuple[Any, ...] | None = None
        # Whether the current program has learned what the module does not have yet, in so many steps.
        self._is_ahead = False
        self._counted = 0
        self._closed = False
        if optimizer is not None:
            self.optimizer = optimizer
        # What PyTorch itself cannot compute, and functions that would be lost, are told before anything is exported.
        gradients(self._forward, example)
        self._outputs = outputs_of(self._forward, example)
        self._compared(self._rows, example)

    # What a user sets.

    @property
    def model(self) -> nn.Module:
        """The user's module."""
        model: nn.Module = self._forward.model
        return model

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """PyTorch's optimizer, whose settings are read before every step. Raises `UnsupportedError` for what has no form."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        optimizers.check_optimizer(optimizer)
        if optimizer is self._optimizer:
            return
        self.sync()
        self._optimizer, self._bound = optimizer, None

    # Training.

    def fit(
        self,
        data: Any,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        scheduler: Any = None,
        epochs: int = 1,
        batch_size: int | None = None,
        shuffle: bool = True,
        validation: Any = None,
        callbacks: Iterable[Callback] = (),
        run_dir: str | os.PathLike[str] | None = None,
        verbose: bool = True,
    ) -> History:
        """Trains for so many epochs and returns their losses; the module's weights are those of the last finished step, also
        after an exception or Ctrl-C.

        `data` is a loader, a data set, or tensors or arrays `(x, y)` with one row per example; `batch_size` (the example's,
        where left out) and `shuffle` hold for all but loaders. `scheduler.step()` is called after every epoch, with the
        validation loss for a `ReduceLROnPlateau`; a scheduler that moves with every step is stepped by a loop over `step`.
        `validation` is data of the same kinds, measured after every epoch. With `run_dir` the run has the files that a run of
        the command line has: `config.json`, `metrics.jsonl`, and checkpoints `last` and, of the least validation loss, `best`.

        Raises `InputError` for data that does not fit, `DivergenceError` when no gradient is finite, `RunError` for files.
        """
        self._check()
        if optimizer is not None:
            self.optimizer = optimizer
        self._needs_optimizer()
        if epochs < 1:
            raise InputError(f"epochs is {epochs}, expected at least 1")
        size = self._rows if batch_size is None else batch_size
        batches = Batches(data, self._example, size, shuffle, "data")
        history, progress = History(), Progress(epochs, verbose)
        files = self._run_files(run_dir, epochs, size) if run_dir is not None else None
        hooks = list(callbacks)
        try:
            for epoch in range(1, epochs + 1):
                logs, steps = self._epoch(epoch, batches, validation, size, progress)
                history.epochs.append(logs)
                _schedule(scheduler, logs)
                if files is not None:
                    assert self._current is not None
                    files.epoch(self._current.trainer, epoch, steps, logs, self._counters())
                # All are told, also when one of them ends the training.
                if True in [hook(self, epoch, logs) for hook in hooks]:
                    break
        finally:
            self.sync()
        if files is not None:
            files.end(history)
        return history

    def step(self, *batch: Any) -> float:
        """One step of the optimizer on one batch, `step(x, y)` or `step((x, y))`; returns the loss before it.

        Raises as `fit` does.
        """
        self._check()
        self._needs_optimizer()
        given = batch[0] if len(batch) == 1 and isinstance(batch[0], list | tuple) else batch
        tensors = as_batch(given, "the batch")
        return self._step(tensors, check_batch(tensors, self._example, "the batch"))

    def evaluate(self, data: Any, *, batch_size: int | None = None) -> dict[str, float]:
        """Mean loss and metrics of data of the kinds that `fit` takes, by the program of evaluation: a mean over examples of
        what every batch has."""
        self._check()
        size = self._rows if batch_size is None else batch_size
        sums: dict[str, float] = {}
        count = 0
        for batch, rows in Batches(data, self._example, size, False, "data"):
            program = self._program(rows, refresh=count == 0)
            loss, result = program.evaluate(batch, self._outputs, bool(self._metrics))
            values = {"loss": loss} | {name: float(m(result, batch[-1])) for name, m in self._metrics.items()}
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value * rows
            count += rows
        return {name: total / count for name, total in sums.items()}

    def predict(self, *inputs: Any, batch_size: int | None = None) -> Any:
        """What the model returns in eval mode for its inputs, tensors or arrays with one row per example.

        Raises `UnsupportedError` for results that have no row of real numbers for every example.
        """
        self._check()
        columns = as_batch(inputs, "inputs")
        most = len(self._example) - (self._forward.loss is not None)
        if len(columns) > most:
            raise InputError(f"predict was given {len(columns)} tensors, the model takes {most}; targets are left out")
        count = check_batch(columns, self._example[: len(columns)], "inputs")
        size = min(self._rows if batch_size is None else max(batch_size, 1), count)
        parts = []
        for begin in range(0, count, size):
            part = tuple(column[begin : begin + size] for column in columns)
            program = self._program(part[0].shape[0], refresh=begin == 0)
            parts.append(program.predict(part, self._outputs))
        return pytree.tree_map(lambda *each: torch.cat(each) if isinstance(each[0], Tensor) else each[0], *parts)

    # What was learned.

    def sync(self) -> None:
        """Writes weights, running statistics, counters and the optimizer's state into the user's objects."""
        program = self._current
        if not self._is_ahead or program is None:
            return
        state = State(self._forward)
        program.download(state.tensors)
        with torch.no_grad():
            for path, step in program.native.counters:
                state.tensors[path].add_(step * self._counted)
        if self._bound is not None:
            self._bound.write_state(program.trainer.optimizer_state())
        self._is_ahead, self._counted = False, 0

    def state_dict(self) -> dict[str, Any]:
        """The module's `state_dict` with what was learned, which is written into the module as well."""
        self._check()
        self.sync()
        state: dict[str, Any] = self.model.state_dict()
        return state

    def close(self) -> None:
        """Writes what was learned into the module and gives the programs back; nothing else can be asked afterwards."""
        if not self._closed and os.getpid() == self._process:
            self.sync()
        self._closed = True
        self._programs.clear()
        self._current = None

    def __enter__(self) -> "TrainStep":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            return "TrainStep(closed)"
        assert self._current is not None
        device, target, compiles, dispatches = self._current.trainer.report()
        return (
            f"TrainStep({type(self.model).__name__} on {device}, target {target}: {compiles} compiles, "
            f"{dispatches} dispatches)"
        )

    # How it is done.

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the captured model was closed; capture it again")
        if os.getpid() != self._process:
            raise ForkError(
                "this process was forked after the model was captured, and has neither the engine's threads nor its "
                "device; capture in the process that trains"
            )

    def _needs_optimizer(self) -> None:
        if self._optimizer is None:
            raise InputError("there is no optimizer; pass optimizer=torch.optim.AdamW(model.parameters()) or another one")

    def _program(self, rows: int, refresh: bool = True) -> Program:
        """The program for batches of so many rows, with what was learned or, where `refresh` asks for it and nothing was learned
        that the module does not have, what the module has."""
        state = State(self._forward) if refresh and not self._is_ahead else None
        if state is not None:
            self._let_go_of_others(state)
        program = self._programs.get(rows)
        if program is None:
            program = self._programs[rows] = self._made(rows)
        if program is not self._current:
            if self._current is not None:
                program.trainer.continue_from(self._current.trainer)
            self._current, self._set = program, None
        if state is not None:
            program.upload(state.tensors)
            self._moving = set(program.native.buffers) | {path for path, _ in program.native.counters}
            self._signature = state.signature(self._moving)
            self._set = None
            if self._optimizer is not None:
                self._bound = Bound(self._optimizer, state.paths, program.positions)
                program.trainer.set_optimizer_state(self._bound.state())
        return program

    def _let_go_of_others(self, state: State) -> None:
        """Drops programs whose constants, or the memory of whose optimizer, are others by now."""
        kept = optimizers.kept(self._optimizer) if self._optimizer is not None else ()
        if self._signature is not None and same(self._signature, state.signature(self._moving)) and kept == self._kept:
            return
        self._programs.clear()
        self._current, self._kept = None, kept

    def _made(self, rows: int) -> Program:
        # Which rows there are does not matter to a trace.
        indices = torch.arange(rows) % self._rows
        batch = tuple(x[indices] for x in self._example)
        memory = optimizers.memory(self._optimizer) if self._optimizer is not None else None
        return Program(self._forward, batch, self._outputs, self._options, self._seed, memory)

    def _compared(self, rows: int, batch: Batch) -> Program:
        """The program for a batch, which has been compared with PyTorch on this batch or an earlier one."""
        program = self._program(rows)
        if not program.is_compared:
            # PyTorch computes with what the module has.
            self.sync()
            program = self._program(rows)
            program.compare(self._forward, batch)
        return program

    def _step(self, batch: Batch, rows: int) -> float:
        assert self._optimizer is not None
        settings = optimizers.hyperparameters(self._optimizer)
        if self._set is not None and settings != self._set and optimizers.kept(self._optimizer) != self._kept:
            self.sync()
        program = self._compared(rows, batch)
        assert self._bound is not None
        if settings != self._set:
            program.trainer.set_groups(self._bound.groups())
            self._set = settings
        tensors = named(batch)
        self._is_ahead = True
        for _ in range(_MOST_TRIES):
            loss, _, skipped = program.trainer.step(tensors, rows, 1.0)
            if not skipped:
                self._counted += 1
                self._bound.took_step()
                return loss
        raise DivergenceError(
            f"no gradient of this batch is finite, whatever it is scaled by; its loss is {loss}. Weights are those before "
            "the step; use a smaller learning rate, or look for infinities in the batch"
        )

    def _epoch(
        self, epoch: int, batches: Batches, validation: Any, size: int, progress: Progress
    ) -> tuple[dict[str, float], int]:
        """Losses and metrics of an epoch, and its steps."""
        assert self._optimizer is not None
        total, count, steps = 0.0, 0, 0
        begin = time.monotonic()
        for batch, rows in batches:
            loss = self._step(batch, rows)
            total, count, steps = total + loss * rows, count + rows, steps + 1
            progress.step(epoch, steps, batches.count(), total / count)
        speed = count / max(time.monotonic() - begin, 1e-9)
        logs = {"loss": total / count, "lr": float(self._optimizer.param_groups[0]["lr"])}
        if validation is not None:
            found = self.evaluate(validation, batch_size=size)
            logs |= {f"val_{name}": value for name, value in found.items()}
        self.sync()
        progress.epoch(epoch, logs, speed)
        return logs, steps

    def _counters(self) -> dict[str, int]:
        assert self._current is not None
        tensors = State(self._forward).tensors
        return {path: int(tensors[path]) for path, _ in self._current.native.counters}

    def _run_files(self, path: str | os.PathLike[str], epochs: int, size: int) -> RunFiles:
        assert self._optimizer is not None
        loss = getattr(self._forward.loss, "function", self._forward.loss)
        config = {
            "route": "capture",
            "model": type(self.model).__name__,
            "loss": getattr(loss, "__name__", type(loss).__name__) if loss is not None else None,
            "batch": size,
            "epochs": epochs,
            "optimizer": json.loads(optimizers.memory(self._optimizer)),
            "lr": float(self._optimizer.param_groups[0]["lr"]),
            "seed": self._seed,
            "device": self._options.device,
            "target": self._options.target,
        }
        threads = self._options.threads or os.cpu_count() or 1
        exported = self._forward, list(self._outputs.shapes), self._example
        return RunFiles(Path(path), config, threads, exported)


def _schedule(scheduler: Any, logs: dict[str, float]) -> None:
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        scheduler.step(logs.get("val_loss", logs["loss"]))
    elif scheduler is not None:
        scheduler.step()
