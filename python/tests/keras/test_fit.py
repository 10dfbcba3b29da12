"""`ane_trainer.keras.fit` beside `model.fit`, on TensorFlow."""

from typing import Any

import keras
import numpy as np
import pytest

import ane_trainer.keras
from ane_trainer.errors import InputError, UnsupportedError

L = keras.layers


def dense() -> Any:
    return keras.Sequential([L.Input((8,)), L.Dense(16, activation="relu"), L.Dense(3, activation="softmax")])


def convolutional() -> Any:
    return keras.Sequential(
        [
            L.Input((8, 8, 1)),
            L.Conv2D(4, 3, padding="same"),
            L.BatchNormalization(),
            L.ReLU(),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(3),
        ]
    )


def examples(shape: tuple[int, ...], count: int = 48) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.random((count, *shape), dtype=np.float32), random.integers(0, 3, count)


def pair(build: Any, shape: tuple[int, ...], **compiled: Any) -> tuple[Any, Any]:
    keras.utils.set_random_seed(1)
    model = build()
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    for m in (model, other):
        m.compile(
            optimizer=keras.optimizers.get(compiled.get("optimizer", "sgd")).from_config(
                keras.optimizers.get(compiled.get("optimizer", "sgd")).get_config()
            ),
            loss=compiled["loss"],
            metrics=["accuracy"],
        )
    return model, other


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("build", "shape", "loss"),
    [
        (dense, (8,), "sparse_categorical_crossentropy"),
        (convolutional, (8, 8, 1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ],
    ids=["dense", "convolutional"],
)
def test_weights_and_history_are_those_of_keras(build: Any, shape: Any, loss: Any, optimizer: str) -> None:
    x, y = examples(shape)
    weights = np.linspace(0.5, 1.5, len(x), dtype=np.float32)
    expected, found = pair(build, shape, loss=loss, optimizer=optimizer)
    settings: dict[str, Any] = dict(
        batch_size=16, epochs=2, shuffle=False, verbose=0, validation_data=(x[:10], y[:10]), sample_weight=weights
    )
    history = expected.fit(x, y, **settings)
    ours = ane_trainer.keras.fit(found, x, y, **settings)
    assert ours.history.keys() == history.history.keys()
    for name, values in history.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=2e-2, atol=5e-3, err_msg=name)
    for w, v in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(np.asarray(w), np.asarray(v), rtol=0, atol=4e-3, err_msg=w.path)
    assert int(found.optimizer.iterations) == int(expected.optimizer.iterations)


def test_callbacks_see_weights_and_stop_the_run() -> None:
    x, y = examples((8,))
    _, model = pair(dense, (8,), loss="sparse_categorical_crossentropy")
    rates: list[float] = []
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=0, min_delta=10.0)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(float(np.asarray(model.optimizer.learning_rate)))
    )
    history = ane_trainer.keras.fit(
        model, x, y, epochs=9, verbose=0, callbacks=[stop, schedule, note], validation_split=0.25
    )
    assert len(history.history["val_loss"]) == 2
    assert rates == pytest.approx([0.1, 0.05])


def test_what_has_no_form_is_refused_by_name() -> None:
    x, y = examples((8,))
    model = dense()
    with pytest.raises(InputError, match="not compiled"):
        ane_trainer.keras.fit(model, x, y)
    model.compile(optimizer="lion", loss="sparse_categorical_crossentropy")
    with pytest.raises(UnsupportedError, match="Lion"):
        ane_trainer.keras.fit(model, x, y, verbose=0)
    model.compile(optimizer="sgd", loss="poisson")
    with pytest.raises(UnsupportedError, match="poisson"):
        ane_trainer.keras.fit(model, x, y, verbose=0)
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    with pytest.raises(InputError, match="one row per example"):
        ane_trainer.keras.fit(model, x, y[:5], verbose=0)
