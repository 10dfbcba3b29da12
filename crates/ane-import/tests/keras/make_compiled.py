"""Writes compiled.json: what model.compile is given, as Keras writes it, and its learning rates.

    python make_compiled.py [OUTPUT]
"""

import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
from keras import layers, losses, metrics, optimizers
from keras.optimizers import schedules

STEPS = [0, 1, 5, 10, 11, 55, 99, 100, 110, 250]

CASES: dict[str, dict[str, object]] = {
    "names": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    "cosine": {
        "optimizer": optimizers.SGD(
            schedules.CosineDecay(0.1, 100, alpha=0.05, warmup_target=0.3, warmup_steps=10),
            momentum=0.9,
            nesterov=True,
            global_clipnorm=1.0,
        ),
        "loss": losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        "metrics": [metrics.TopKCategoricalAccuracy(5), metrics.AUC()],
    },
    "cosine_alone": {"optimizer": optimizers.Adam(schedules.CosineDecay(0.1, 100)), "loss": "mae"},
    "piecewise": {
        "optimizer": optimizers.AdamW(schedules.PiecewiseConstantDecay([10, 100], [1.0, 0.1, 0.01])),
        "loss": losses.MeanSquaredError(),
        "metrics": ["mse", metrics.MeanAbsoluteError()],
    },
    "exponential": {
        "optimizer": optimizers.Adam(
            schedules.ExponentialDecay(0.1, 50, 0.9), weight_decay=0.01, gradient_accumulation_steps=2
        ),
        "loss": losses.BinaryCrossentropy(),
        "weighted_metrics": ["accuracy"],
    },
    "staircase": {"optimizer": optimizers.SGD(schedules.ExponentialDecay(0.1, 50, 0.5, staircase=True)), "loss": "huber"},
    "polynomial": {
        "optimizer": optimizers.SGD(schedules.PolynomialDecay(0.1, 100, 0.01, power=2.0), weight_decay=0.001),
        "loss": {"output": "mse"},
        "loss_weights": {"output": 2.0},
    },
    "rmsprop": {"optimizer": "rmsprop", "loss": "mse"},
    "clipvalue": {"optimizer": optimizers.Adam(clipvalue=1.0), "loss": "mse"},
    "amsgrad": {"optimizer": optimizers.Adam(amsgrad=True), "loss": "mse"},
    "restarts": {"optimizer": optimizers.Adam(schedules.CosineDecayRestarts(0.1, 100)), "loss": "mse"},
    "kl": {"optimizer": "adam", "loss": losses.KLDivergence()},
    "summed": {"optimizer": "adam", "loss": losses.MeanSquaredError(reduction="sum")},
    "ignored": {"optimizer": "adam", "loss": losses.SparseCategoricalCrossentropy(ignore_class=0)},
}


def main() -> None:
    """Writes the file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    lines = []
    for name, settings in CASES.items():
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="output")])
        model.compile(**settings)
        config = model.get_compile_config()
        rate = model.optimizer._learning_rate
        rates = [[s, float(rate(s) if callable(rate) else rate)] for s in STEPS]
        case = json.dumps({"config": config, "rates": rates}, separators=(",", ":"))
        lines.append(f"{json.dumps(name)}: {case}")
    (folder / "compiled.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
