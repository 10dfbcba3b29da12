"""Writes small models of PyTorch as `.pt2` files, and what they compute in double precision.

    python make_exported.py [DIR]

Each model is exported twice, in training and in evaluation mode, with dropout of which every element is kept by the test.
`digits.pt2` is for MNIST, in training mode, at any batch. `NAME.json` of the others has the examples, the logits of both modes, the gradients of Σ logits·cotangent by path, and the running
statistics after the step.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH = 3


class Mlp(nn.Module):
    """Linear layers, one of them frozen, in-place ops, and a buffer that is a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 4)
        self.unused = nn.Linear(2, 2)
        self.first.bias.requires_grad_(False)
        self.register_buffer("offset", torch.linspace(-1.0, 1.0, 8))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        y = self.first(x.flatten(1))
        y += self.offset
        y = F.relu_(self.norm(y))
        with torch.no_grad():
            stopped = self.head(y) * 0.5
        logits: Tensor = self.head(y) + stopped + y.detach()[:, :4]
        return logits


class Cnn(nn.Module):
    """Convolutions with batch norm, pools and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.down = nn.Conv2d(4, 4, 3, stride=2, groups=2)
        self.bn2 = nn.BatchNorm2d(4, affine=False, momentum=0.3)
        self.drop = nn.Dropout(0.25)
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        x = F.relu(self.bn(self.conv(x)), inplace=True)
        x = F.max_pool2d(x, 2, stride=1)
        x = torch.tanh(self.bn2(self.down(x)))
        x = F.adaptive_avg_pool2d(x, 1)
        logits: Tensor = self.head(self.drop(x.flatten(1)))
        return logits


class Transformer(nn.Module):
    """A causal block over the rows of an image, with a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 8)
        self.position = nn.Parameter(torch.zeros(4, 8))
        self.ln = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)
        self.head.weight = nn.Parameter(self.embed.weight.detach().T.contiguous())
        self.again = nn.Linear(8, 4)
        self.again.weight = self.head.weight

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        x = x.squeeze(1)
        batch, rows, _ = x.shape
        h = self.embed(x) + self.position
        q, k, v = self.qkv(self.ln(h)).chunk(3, dim=-1)
        q, k, v = (t.view(batch, rows, 2, 4).transpose(1, 2) for t in (q, k, v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.out(a.transpose(1, 2).reshape(batch, rows, 8))
        h = F.gelu(h).mean(dim=1)
        logits: Tensor = self.head(h) + self.again(h)
        return logits


class Digits(nn.Module):
    """A small classifier of MNIST with batch norm and dropout, for runs of the whole program."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 4, stride=4, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(4 * 7 * 7, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.head(self.drop(F.relu(self.bn(self.conv(x))).flatten(1)))
        return logits


def export(model: nn.Module, x: Tensor, path: Path, dynamic: bool) -> None:
    """Saves the exported program."""
    shapes = ({0: torch.export.Dim("batch", min=2, max=64)},) if dynamic else None
    program = torch.export.export(model, (x,), dynamic_shapes=shapes)
    graphs = [m for m in program.graph_module.modules() if isinstance(m, torch.fx.GraphModule)]
    for node in (node for graph in graphs for node in graph.graph.nodes):
        # Where this machine keeps its files is nobody's business.
        trace = node.meta.get("stack_trace") or ""
        node.meta["stack_trace"] = re.sub(r'File "[^"]*?(site-packages/|)([^"/]*)"', r'File "\1\2"', trace)
    torch.export.save(program, path)


def make(make_model: Callable[[], nn.Module], directory: Path) -> None:
    """Writes the files of a model."""
    torch.manual_seed(7)
    model = make_model()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    name = type(model).__name__.lower()
    x = torch.randn(BATCH, 1, 4, 4)
    export(model.train(), x, directory / f"{name}.train.pt2", isinstance(model, Transformer))
    export(model.eval(), x, directory / f"{name}.eval.pt2", isinstance(model, Transformer))
    double = model.double()
    said: dict[str, Any] = {"x": x.flatten().tolist()}
    said["eval"] = double.eval()(x.double()).flatten().tolist()
    double.train()
    for module in double.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    y = double(x.double())
    cotangent = torch.linspace(-1.0, 1.0, y.numel(), dtype=torch.float64).reshape(y.shape)
    (y * cotangent).sum().backward()
    said["train"] = y.flatten().tolist()
    said["gradients"] = {
        path: p.grad.flatten().tolist() for path, p in double.named_parameters() if p.grad is not None
    }
    said["buffers"] = {
        path: b.flatten().tolist() for path, b in double.named_buffers() if path.endswith(("mean", "var"))
    }
    said["keys"] = sorted(model.state_dict())
    (directory / f"{name}.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for each in (Mlp, Cnn, Transformer):
        make(each, to)
    torch.manual_seed(7)
    export(Digits().train(), torch.randn(4, 1, 28, 28), to / "digits.pt2", dynamic=True)
