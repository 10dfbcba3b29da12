"""Trainers that others wrote, which hand their models to `torch.compile` themselves, train on the engine."""

import subprocess
import sys
from pathlib import Path

import pytest

import ane_trainer
from ane_trainer.torch.reporting import GraphReport

# A fresh process, since a default backend counts for what is compiled after it was set, on import too.
TABM = """
import sys

import torch

backend = sys.argv[1]
if backend != "eager":
    torch.compiler.set_default_backend(backend)

from pytabkit import TabM_D_Classifier
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import ane_trainer

x, y = load_digits(return_X_y=True)
x, held_x, y, held_y = train_test_split(x, y, test_size=0.25, random_state=0)
classifier = TabM_D_Classifier(
    device="cpu",
    compile_model=backend != "eager",
    random_state=0,
    n_threads=2,
    n_epochs=10,
    d_block=128,
    tabm_k=8,
)
classifier.fit(x, y)
print(f"accuracy {classifier.score(held_x, held_y)}")
print(ane_trainer.report())
for graph in ane_trainer.report().graphs:
    print("placed", graph.direction, graph.on_engine, graph.calls)
"""


def trained(graphs: list[GraphReport]) -> int:
    """Steps of which both halves ran on the engine, where nothing ran elsewhere."""
    assert graphs and all(g.on_engine for g in graphs), [g.reason for g in graphs]
    calls = {d: sum(g.calls for g in graphs if g.direction == d) for d in ("forward", "backward")}
    assert calls["forward"] == calls["backward"]
    return calls["forward"]


@pytest.mark.full
def test_skorch_trains_on_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    import torch
    from skorch import NeuralNetClassifier
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import nn

    x, y = load_digits(return_X_y=True)
    x, held_x, y, held_y = train_test_split((x / 16).astype("float32"), y, test_size=0.25, random_state=0)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.layers(x)
            return logits

    epochs = 15

    def accuracy(**arguments: object) -> float:
        torch.manual_seed(0)
        net = NeuralNetClassifier(
            Network,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=0.01,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            verbose=0,
            **arguments,
        )
        net.fit(x, y)
        return float(net.score(held_x, held_y))

    before = len(ane_trainer.report().graphs)
    expected = accuracy()
    assert len(ane_trainer.report().graphs) == before
    found = accuracy(compile=True, compile__backend="ane")
    report = ane_trainer.report()
    with capsys.disabled():
        print(f"\nskorch: accuracy {found:.4f}, {expected:.4f} without torch.compile\n{report}")
    assert expected > 0.95 and abs(found - expected) < 0.015
    # skorch keeps a fifth for validation; model and loss are compiled apart, and both run.
    steps = epochs * -(-len(x) * 4 // 5 // 128)
    assert trained(report.graphs[before:]) == 2 * steps


@pytest.mark.full
def test_tabm_trains_on_the_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(backend: str) -> tuple[float, list[GraphReport], str]:
        done = subprocess.run([sys.executable, "-c", TABM, backend], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        accuracy = next(float(words[1]) for words in lines if words[:1] == ["accuracy"])
        placed = [words[1:] for words in lines if words[:1] == ["placed"]]
        graphs = [GraphReport("", d, 0, 0, on_engine=o == "True", calls=int(n)) for d, o, n in placed]
        return accuracy, graphs, done.stdout

    expected, graphs, _ = run("eager")
    assert not graphs
    found, graphs, said = run("ane")
    with capsys.disabled():
        print(f"\nTabM: {expected:.4f} without torch.compile, with it {said}")
    assert expected > 0.9 and abs(found - expected) < 0.02
    # Ten epochs of the four fifths of the data that are not kept for validation, 256 examples a batch.
    assert trained(graphs) == 50
