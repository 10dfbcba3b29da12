"""Keras models on the engine: `ane_trainer.keras.fit(model, x, y, …)` in the place of `model.fit(x, y, …)`.

The optimizer, its learning rate or schedule, the loss and the metrics are those of `model.compile(…)`. Forward pass, loss
and gradients are one program of the engine, the update follows in fp32, and the weights are written back into the model
after every epoch.
"""

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._native import Model, Trainer
from .errors import InputError, UnsupportedError

Arrays = NDArray[Any] | Sequence[NDArray[Any]] | Mapping[str, NDArray[Any]]

_trainers: "weakref.WeakKeyDictionary[Any, tuple[Any, Model, Trainer]]" = weakref.WeakKeyDictionary()


def fit(
    model: Any,
    x: Arrays,
    y: NDArray[Any],
    *,
    batch_size: int = 32,
    epochs: int = 1,
    verbose: int | str = "auto",
    callbacks: Sequence[Any] | None = None,
    validation_split: float = 0.0,
    validation_data: tuple[Any, ...] | None = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: NDArray[Any] | None = None,
    initial_epoch: int = 0,
    device: str = "auto",
    target: str | None = None,
    threads: int | None = None,
) -> Any:
    """Trains a compiled Keras model as `model.fit` does and returns its `History`.

    `x` is an array, or several by position or by name of their inputs; `device`, `target` and `threads` say what computes.
    The optimizer's moments are kept between calls with the same settings.

    Raises `UnsupportedError` for what has no form here, by name, and `InputError` for arrays that do not fit.
    """
    import keras

    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise InputError("the model is not compiled; call model.compile(optimizer=…, loss=…) first")
    data = _Data.of(x, y, class_weight, sample_weight)
    if not model.built:
        model(data.head(1))
    held_out: _Data | None = None
    if validation_data is not None:
        held_out = _Data.of(validation_data[0], validation_data[1], None, *validation_data[2:3])
    elif validation_split:
        data, held_out = data.split(validation_split)
    trainer, native = _trainer(model, data, batch_size, device, target, threads)
    metrics = native.metrics
    steps = -(-data.count // batch_size)
    shown = 1 if verbose == "auto" else int(verbose)
    hooks = keras.callbacks.CallbackList(
        callbacks, add_history=True, add_progbar=shown != 0, verbose=shown, epochs=epochs, steps=steps, model=model
    )
    model.stop_training = False
    hooks.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(initial_epoch, epochs):
        # A callback may have replaced the weights.
        _upload(model, native, trainer)
        hooks.on_epoch_begin(epoch)
        order = np.random.permutation(data.count) if shuffle else np.arange(data.count)
        tally = _Tally(metrics)
        for step, rows in enumerate(_batches(order, batch_size)):
            hooks.on_train_batch_begin(step)
            tensors, weights = data.batch(native, rows)
            # A weighted loss is divided by the number of examples and not by their weights.
            loss, found, _ = trainer.step(tensors, len(rows), _rate(optimizer), weights, float(len(rows)))
            optimizer.iterations.assign_add(1)
            tally.add(loss, len(rows), found)
            logs = tally.values()
            hooks.on_train_batch_end(step, logs)
            if model.stop_training:
                break
        _download(model, native, trainer)
        if held_out is not None:
            found_logs = _evaluate(trainer, native, held_out, batch_size, metrics)
            logs = logs | {f"val_{name}": value for name, value in found_logs.items()}
        hooks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    hooks.on_train_end(logs)
    return model.history


class _Data:
    """Examples: inputs, targets, and what each weighs."""

    def __init__(self, inputs: Any, targets: NDArray[Any], weights: NDArray[np.float32] | None) -> None:
        self.inputs, self.targets, self.weights = inputs, targets, weights
        self.count = len(targets)

    @classmethod
    def of(
        cls,
        x: Any,
        y: Any,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
    ) -> "_Data":
        targets = np.asarray(y)
        if isinstance(x, Mapping):
            inputs: Any = {name: np.asarray(value) for name, value in x.items()}
            each = list(inputs.values())
        elif isinstance(x, list | tuple):
            inputs = each = [np.asarray(value) for value in x]
        elif hasattr(x, "__array__"):
            inputs = np.asarray(x)
            each = [inputs]
        else:
            raise InputError(
                f"x is a {type(x).__name__}; give arrays, such as numpy.concatenate of the batches of a data set"
            )
        for value in each:
            if value.ndim == 0 or len(value) != len(targets):
                raise InputError(f"x has {value.shape} and y {targets.shape}: both have one row per example")
        if len(targets) == 0:
            raise InputError("there are no examples")
        weights = None
        if sample_weight is not None:
            weights = np.ascontiguousarray(sample_weight, dtype=np.float32)
            if weights.shape != (len(targets),):
                raise InputError(f"sample_weight is {weights.shape}, expected ({len(targets)},)")
        if class_weight is not None:
            classes = targets.argmax(-1) if targets.ndim > 1 and targets.shape[-1] > 1 else targets.reshape(-1)
            by_class = np.array([class_weight.get(int(c), 1.0) for c in classes], dtype=np.float32)
            weights = by_class if weights is None else weights * by_class
        return cls(inputs, targets, weights)

    def rows(self, rows: Any) -> "_Data":
        take = {name: v[rows] for name, v in self.inputs.items()} if isinstance(self.inputs, dict) else (
            [v[rows] for v in self.inputs] if isinstance(self.inputs, list) else self.inputs[rows]
        )
        return _Data(take, self.targets[rows], None if self.weights is None else self.weights[rows])

    def head(self, count: int) -> Any:
        return self.rows(slice(0, count)).inputs

    def split(self, share: float) -> "tuple[_Data, _Data]":
        """The last examples apart, before they are shuffled, as Keras does."""
        at = int(self.count * (1 - share))
        if not 0 < at < self.count:
            raise InputError(f"validation_split={share} leaves nothing of {self.count} examples to one side")
        return self.rows(slice(0, at)), self.rows(slice(at, None))

    def batch(self, native: Model, rows: Any) -> tuple[list[tuple[str, Any]], NDArray[np.float32] | None]:
        """Tensors of some examples by the names of a program."""
        part = self.rows(rows)
        names = native.inputs
        if isinstance(part.inputs, dict):
            missing = [name for name, _, _ in names if name not in part.inputs]
            if missing:
                raise InputError(f"x has no {missing[0]!r}; the inputs are {[n for n, _, _ in names]}")
            values = [part.inputs[name] for name, _, _ in names]
        else:
            values = part.inputs if isinstance(part.inputs, list) else [part.inputs]
        if len(values) != len(names):
            raise InputError(f"x has {len(values)} arrays, the model {len(names)} inputs")
        tensors = []
        for (name, shape, dtype), value in zip(names, values, strict=True):
            if list(value.shape[1:]) != list(shape) and value[0].size != np.prod(shape, dtype=int):
                raise InputError(f"`{name}` has examples of {list(value.shape[1:])}, the model takes {list(shape)}")
            tensors.append((name, _plain(value, real=dtype.startswith("fp"))))
        tensors.append(("target", _plain(part.targets, real=not native.sparse)))
        return tensors, part.weights


def _plain(value: NDArray[Any], real: bool) -> NDArray[Any]:
    return np.ascontiguousarray(value, dtype=np.float32 if real else np.int64)


def _batches(order: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]


class _Tally:
    """Means over the examples of an epoch so far."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.loss = self.count = 0.0
        self.sums = [[0.0, 0.0] for _ in names]

    def add(self, loss: float, examples: int, found: Sequence[tuple[float, float]]) -> None:
        self.loss += loss * examples
        self.count += examples
        for sums, (total, count) in zip(self.sums, found, strict=True):
            sums[0] += total
            sums[1] += count

    def values(self) -> dict[str, float]:
        of_metrics = {n: s / c if c else float("nan") for n, (s, c) in zip(self.names, self.sums, strict=True)}
        return {"loss": self.loss / self.count} | of_metrics


def _evaluate(
    trainer: Trainer, native: Model, data: _Data, batch_size: int, names: list[str]
) -> dict[str, float]:
    tally = _Tally(names)
    for rows in _batches(np.arange(data.count), batch_size):
        tensors, weights = data.batch(native, rows)
        loss, found, _ = trainer.evaluate(tensors, len(rows), weights)
        if weights is not None:
            # The program's mean is over weights, Keras's over examples.
            loss *= float(weights.sum()) / len(rows)
        tally.add(loss, len(rows), found)
    return tally.values()


def _rate(optimizer: Any) -> float:
    """The learning rate of the next step, of a schedule or as a callback has set it."""
    return float(np.asarray(optimizer.learning_rate))


def _trainer(
    model: Any, data: _Data, batch_size: int, device: str, target: str | None, threads: int | None
) -> tuple[Trainer, Model]:
    config, compiled = model.to_json(), json.dumps(model.get_compile_config(), default=str)
    # What changes from step to step is no other program, nor other moments.
    settled = json.loads(compiled)
    settled.get("optimizer", {}).get("config", {}).pop("learning_rate", None)
    trained = tuple(w.trainable for w in model.weights)
    key = (config, json.dumps(settled), batch_size, device, target, threads, trained)
    held = _trainers.get(model)
    if held is not None and held[0] == key:
        return held[2], held[1]
    shapes = [list(shape[1:]) for shape in _input_shapes(model, data)]
    native = Model.from_keras(config, compiled, batch_size, shapes)
    trainer = Trainer(native, int(np.random.randint(1 << 31)), device, target, threads)
    _trainers[model] = (key, native, trainer)
    return trainer, native


def _input_shapes(model: Any, data: _Data) -> list[Any]:
    head = data.head(1)
    values = list(head.values()) if isinstance(head, dict) else head if isinstance(head, list) else [head]
    return [tuple(v.shape) for v in values]


def _upload(model: Any, native: Model, trainer: Trainer) -> None:
    held: dict[str, list[NDArray[np.float32]]] = {"parameter": [], "buffer": []}
    by_path = {path: w for (path, _), w in zip(native.weights, model.weights, strict=True)}
    for kind, paths in (("parameter", native.parameters), ("buffer", native.buffers)):
        for path in paths:
            held[kind].append(np.ascontiguousarray(np.asarray(by_path[path]), dtype=np.float32))
    trainer.set_weights(held["parameter"], held["buffer"])


def _download(model: Any, native: Model, trainer: Trainer) -> None:
    found = {path: values for path, _, values in trainer.weights()}
    for (path, _), weight in zip(native.weights, model.weights, strict=True):
        if path in found:
            weight.assign(found[path].reshape(weight.shape))
