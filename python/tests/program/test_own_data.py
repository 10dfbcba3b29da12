"""Tables through the program, against scikit-learn on the same rows."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

Reals = npt.NDArray[np.float64]
FOLDS = 5
SEEDS = 10
EPOCHS = 30
WIDTH = 64


def write(path: Path, x: Reals, y: npt.NDArray[np.int64]) -> Path:
    """A CSV of features f0, f1, … and a label."""
    names = ",".join([*(f"f{i}" for i in range(x.shape[1])), "label"])
    rows = "\n".join(",".join([*map(repr, row.tolist()), str(label)]) for row, label in zip(x, y, strict=True))
    path.write_text(f"{names}\n{rows}\n")
    return path


def accuracy(folder: Path, fold: int, seed: int, shape: tuple[int, int]) -> float:
    """What a run comes to that five lines describe."""
    settings = folder / f"{fold}.toml"
    settings.write_text(
        f'data = {{ path = "{fold}.csv", test = "{fold}-test.csv", final = true }}\n'
        f'model.name = "{shape[0]}-{WIDTH}-{shape[1]}"\n'
        f"training = {{ epochs = {EPOCHS}, batch = 64 }}\n"
        'optimizer = { name = "adam", lr = 1e-3, schedule = "constant" }\n'
        'device.name = "software"\n'
    )
    run = folder / f"run-{fold}-{seed}"
    arguments = ["train", "--config", str(settings), "--seed", str(seed), "--out", str(run)]
    done = subprocess.run([sys.executable, "-m", "ane_trainer.program", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: float = json.loads((run / "result.json").read_text())["accuracy"]
    return found


@pytest.mark.full
@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_a_table_is_learned_as_well_as_scikit_learn_does(name: str, tmp_path: Path) -> None:
    from sklearn import datasets
    from sklearn.model_selection import StratifiedKFold
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    os.environ.pop("ANE_TRAINER_ISA", None)
    data = getattr(datasets, f"load_{name}")()
    x, y = np.asarray(data.data, dtype=np.float64), np.asarray(data.target, dtype=np.int64)
    ours, theirs = np.zeros((SEEDS, FOLDS)), np.zeros((SEEDS, FOLDS))
    for fold, (train, test) in enumerate(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y)):
        write(tmp_path / f"{fold}.csv", x[train], y[train])
        write(tmp_path / f"{fold}-test.csv", x[test], y[test])
        scaler = StandardScaler().fit(x[train])
        for seed in range(SEEDS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                peer = MLPClassifier(
                    hidden_layer_sizes=(WIDTH,),
                    alpha=0,
                    max_iter=EPOCHS,
                    n_iter_no_change=1_000,
                    batch_size=64,
                    random_state=seed,
                ).fit(scaler.transform(x[train]), y[train])
            theirs[seed, fold] = peer.score(scaler.transform(x[test]), y[test])
            ours[seed, fold] = accuracy(tmp_path, fold, seed, (x.shape[1], len(set(y))))
    by_seed = ours.mean(1), theirs.mean(1)
    error = np.sqrt(sum(scores.var(ddof=1) / SEEDS for scores in by_seed))
    difference = abs(ours.mean() - theirs.mean())
    assert difference <= 0.01, (ours.mean(), theirs.mean())
    # Where all seeds agree the standard error is nothing, and one example of the folds is still no difference.
    assert difference <= max(2 * error, 1 / len(y)), (ours.mean(), theirs.mean(), error)
