"""PyTorch models go out of Python as exported programs, and what is wrong is said with its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Json = dict[str, Any]
Ask = Callable[..., Json]

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, hidden=8):
        super().__init__()
        print("this is stdout, which is the user's")
        self.first = nn.LazyLinear(hidden)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(hidden, 3)

    def forward(self, x):
        return self.head(self.drop(self.first(x.flatten(1)).relu()))

class Needs(Net):
    def __init__(self, width):
        super().__init__(width)

class Plane(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        batch, rows, columns = x.shape
        return self.head(x).mean(1)

class Targets(Net):
    def forward(self, x, targets):
        return super().forward(x)

class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        return g

class Own(Net):
    def forward(self, x):
        return Straight.apply(super().forward(x))

class Wide(Net):
    def forward(self, x):
        return torch.cat([super().forward(x)] * 2, dim=1)

ready = Net(5)
number = 7

def fails():
    raise RuntimeError("no luck")

def leaves():
    raise SystemExit(0)

loss = nn.CrossEntropyLoss(label_smoothing=0.1)

def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.5)
"""


@pytest.fixture
def of_file(ask: Ask, tmp_path: Path) -> Ask:
    """Asks for a name of the file above."""
    (tmp_path / "my_model.py").write_text(NET)

    def of_file(name: str, file: str = "my_model.py", **more: Any) -> Json:
        request = {
            "do": "export",
            "source": f"{tmp_path / file}:{name}",
            "output": str(tmp_path),
            "seed": 3,
            "batch": 4,
            "examples": [1, 4, 4],
            "outputs": 3,
        }
        return ask(**(request | more))

    return of_file


def test_both_modes_go_out_at_the_batch_with_lazy_layers_and_the_seeds_weights(of_file: Ask, tmp_path: Path) -> None:
    result = of_file("Net(hidden=6)")
    assert result["ok"], result
    assert result["shape"] == [1, 4, 4]
    train = torch.export.load(tmp_path / "train.pt2")
    evaluation = torch.export.load(tmp_path / "eval.pt2")
    again = train.state_dict["first.weight"].clone()
    assert again.shape == (6, 16)
    assert torch.equal(again, evaluation.state_dict["first.weight"])

    def dropouts(program: torch.export.ExportedProgram) -> list[Any]:
        return [n.args[2] for n in program.graph.nodes if "dropout" in str(n.target)]

    assert dropouts(train) == [True]
    assert dropouts(evaluation) == [False]
    of_file("Net(hidden=6)")
    assert torch.equal(again, torch.export.load(tmp_path / "train.pt2").state_dict["first.weight"])


def test_loss_and_optimizer_of_the_file_are_said_unless_they_are_not_asked_for(of_file: Ask) -> None:
    result = of_file("ready")
    assert result["loss"] == {"kind": "cross_entropy", "label_smoothing": 0.1}
    wanted = {"name": "sgd", "lr": 0.02, "momentum": 0.5, "nesterov": False, "weight_decay": 0}
    assert result["optimizer"] == wanted
    result = of_file("ready", loss=False, optimizer=False)
    assert result["loss"] is None and result["optimizer"] is None


def test_the_shape_of_examples_is_the_first_that_gives_scores_of_two_batches(of_file: Ask) -> None:
    assert of_file("Plane")["shape"] == [4, 4]
    assert of_file("Net", examples=[16])["shape"] == [16]


@pytest.mark.parametrize(
    ("name", "kind", "parts"),
    [
        ("Nothing", "no_name", ["no `Nothing`", "Net"]),
        ("Needs", "arguments", ["width", "Needs(width=…)"]),
        ("Net(hidden=number)", "source", ["literals"]),
        ("Net(**{})", "source", ["literals"]),
        ("Net(", "source", ["neither a name nor a call"]),
        ("Net(depth=2)", "arguments", ["depth"]),
        ("number", "no_model", ["int"]),
        ("optimizer(3)", "raised", ["AttributeError"]),
        ("fails", "raised", ["RuntimeError: no luck"]),
        ("leaves", "raised", ["SystemExit"]),
        ("Targets", "forward", ["targets"]),
        ("Own", "function", ["Straight"]),
        ("Wide", "shape", ["[2, 6]", "[B, 3]"]),
    ],
)
def test_what_is_wrong_with_a_name_is_said(of_file: Ask, name: str, kind: str, parts: list[str]) -> None:
    result = of_file(name)
    assert not result["ok"]
    assert result["error"]["kind"] == kind, result
    for part in parts:
        assert part in result["error"]["message"], result


def test_what_is_wrong_with_a_file_is_said_with_its_line(of_file: Ask, tmp_path: Path) -> None:
    assert of_file("Net", "none.py")["error"]["kind"] == "no_file"
    (tmp_path / "broken.py").write_text("x = 1\ny = x / 0\n")
    error = of_file("Net", "broken.py")["error"]
    assert error["kind"] == "raised" and "ZeroDivisionError" in error["message"]
    assert error["where"].endswith("broken.py:2")
    (tmp_path / "syntax.py").write_text("x = 1\ndef\n")
    assert of_file("Net", "syntax.py")["error"]["where"].endswith("syntax.py:2")
    (tmp_path / "own.py").write_text(NET + "\nloss = lambda y, t: y.sum()\n")
    assert of_file("ready", "own.py")["error"]["kind"] == "loss"
    assert of_file("ready", "own.py", loss=False)["ok"]
