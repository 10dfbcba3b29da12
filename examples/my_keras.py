"""A model of one's own for `ane-trainer train examples/my_keras.py:build --dataset mnist`."""

import keras
from keras import layers


def build(hidden: int = 128) -> keras.Model:
    """Probabilities [B, 10] of images [B, 28, 28, 1]: two convolutions with batch norm, and two dense layers."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(hidden, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
