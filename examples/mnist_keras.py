"""MNIST by Keras: `model.fit` becomes `ane_trainer.keras.fit`, all else stays.

python examples/mnist_keras.py --epochs 5
"""

import argparse
import math

import keras
import numpy as np

import ane_trainer.keras
from ane_trainer.data import load_dataset


def main() -> float:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist", help="directory of the data set")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--examples", type=int, default=60_000, help="training examples")
    args = parser.parse_args()

    keras.utils.set_random_seed(0)
    images, labels, test_images, test_labels = load_dataset(args.data)

    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    # 90 % of the examples are trained on, in batches of 128.
    steps = args.epochs * math.ceil(0.9 * len(images[: args.examples]) / 128)
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps))
    model.compile(optimizer=adam, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    ane_trainer.keras.fit(
        model,
        images[: args.examples],
        labels[: args.examples],
        batch_size=128,
        epochs=args.epochs,
        validation_split=0.1,
        verbose=2,
    )
    probabilities = model.predict(test_images, verbose=0)
    accuracy = float(np.mean(probabilities.argmax(1) == test_labels))
    print(f"test accuracy {100 * accuracy:.2f} %")
    return accuracy


if __name__ == "__main__":
    main()
