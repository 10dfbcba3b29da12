"""Functions that tell a right importer of graphs from one that is right for plain models only.

Each is compared with eager: results, gradients, which parameters have one, and buffers.
"""

import copy
import gc

import pytest
import torch
from models import StraightThrough
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ane_trainer.torch import report
from ane_trainer.torch.pair import Program


class Two(nn.Module):
    """Two layers of the same input, for functions that treat them differently."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(64, 10), nn.Linear(64, 10)


class Detached(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(x) * torch.sigmoid(h.detach()) + h


class NoGradBlock(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        with torch.no_grad():
            gate = torch.sigmoid(h) * 2
        return self.b(x) * gate + h


class CustomFunction(Two):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(x) * StraightThrough.apply(self.a(x))  # type: ignore[no-any-return]


class ViewsAndParameters(Two):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = self.a(x)
        return h + self.b(x), h.view(-1), x.flatten(), self.a.weight


class InPlaceInput(Two):
    def forward(self, x: Tensor) -> Tensor:
        x.mul_(0.5)
        return self.a(x) + self.b(x)


class Unused(Two):
    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


class Frozen(Two):
    def __init__(self) -> None:
        super().__init__()
        self.a.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)).repeat(1, 7)[:, :64])


class Checkpointed(Two):
    def forward(self, x: Tensor) -> Tensor:
        inner = checkpoint(
            lambda t: F.dropout(torch.relu(self.b(t)), 0.5, True), x, use_reentrant=False
        )
        return self.a(x) + inner


class MovingAverage(Two):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(10))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        self.mean.mul_(0.9).add_(h.detach().mean(0), alpha=0.1)
        self.calls += 1
        return h + self.mean + self.b(x)


class Indexed(Two):
    def forward(self, x: Tensor) -> Tensor:
        rows = torch.tensor([3, 0, 3])
        return self.a(x)[rows] * self.b(x)[:3]


class GraphBreak(Two):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        torch._dynamo.graph_break()
        return h + self.b(x)


TRAPS = [
    Detached,
    NoGradBlock,
    CustomFunction,
    ViewsAndParameters,
    InPlaceInput,
    Unused,
    Frozen,
    Checkpointed,
    MovingAverage,
    Indexed,
    GraphBreak,
]


def total(results: Tensor | tuple[Tensor, ...]) -> Tensor:
    each = results if isinstance(results, tuple) else (results,)
    return torch.stack([r.float().square().mean() for r in each if r.requires_grad]).sum()


def near(found: Tensor, expected: Tensor) -> None:
    size = expected.abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(found, expected, rtol=0, atol=max(2e-2 * size, 1e-5))


@pytest.mark.parametrize("trap", TRAPS, ids=lambda t: t.__name__)
def test_a_function_is_what_eager_makes_of_it(trap: type[Two]) -> None:
    torch.manual_seed(0)
    model = trap().train()
    before = len(report().graphs)
    other = copy.deepcopy(model)
    compiled = torch.compile(other, backend="ane", dynamic=False)
    x = torch.randn(6, 64)
    for _ in range(2):
        given, same = x.clone(), x.clone()
        torch.manual_seed(7)
        expected = model(given)
        model.zero_grad()
        total(expected).backward()
        torch.manual_seed(7)
        found = compiled(same)
        other.zero_grad()
        total(found).backward()
        near(same, given)
        pairs = zip(
            found if isinstance(found, tuple) else (found,),
            expected if isinstance(expected, tuple) else (expected,),
            strict=True,
        )
        for a, b in pairs:
            near(a, b)
            assert a.stride() == b.stride() and a.dtype == b.dtype
        for p, q in zip(other.parameters(), model.parameters(), strict=True):
            assert (p.grad is None) == (q.grad is None)
            if p.grad is not None and q.grad is not None:
                near(p.grad, q.grad)
        for p, q in zip(other.buffers(), model.buffers(), strict=True):
            near(p, q)
    graphs = report().graphs[before:]
    assert graphs and all(g.on_engine for g in graphs), [g.reason for g in graphs]


def test_two_forwards_may_precede_a_backward_and_all_buffers_return() -> None:
    torch.manual_seed(0)
    before = len(report().graphs)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
    compiled = torch.compile(model, backend="ane", dynamic=False)
    x, y = torch.randn(4, 8), torch.randn(4, 8)
    expected = []
    for value in (x, y):
        model.zero_grad()
        model(value).sum().backward()
        expected.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for order in ((0, 1), (1, 0)):
        results = [compiled(x).sum(), compiled(y).sum()]
        for i in order:
            model.zero_grad()
            results[i].backward()
            for p, g in zip(model.parameters(), expected[i], strict=True):
                assert p.grad is not None
                near(p.grad, g)
    del results
    gc.collect()
    for _ in range(5):
        compiled(x)
    held = [o for o in gc.get_objects() if type(o) is Program]
    held = [o for o in held if o.report in report().graphs[before:]]
    # Two calls were alive at a time, and what they held was used again.
    assert [o.native.placement()["buffer_sets"] for o in held] == [2]


def test_a_graph_may_be_kept_for_a_second_backward() -> None:
    model = nn.Linear(8, 2)
    compiled = torch.compile(model, backend="ane", dynamic=False)
    loss = torch.tanh(compiled(torch.randn(4, 8))).sum()
    loss.backward(retain_graph=True)
    assert model.weight.grad is not None
    first = model.weight.grad.clone()
    model.zero_grad()
    loss.backward()
    near(model.weight.grad, first)


def test_a_gradient_of_a_gradient_is_refused() -> None:
    compiled = torch.compile(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), backend="ane")
    x = torch.randn(2, 4, requires_grad=True)
    (g,) = torch.autograd.grad(compiled(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        g.sum().backward()


def test_sizes_that_change_are_programs_of_their_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    compiled = torch.compile(model, backend="ane")
    for batch in (6, 6, 5, 4, 3, 7, 8, 9, 10, 11, 12, 2):
        x = torch.randn(batch, 8)
        model.zero_grad()
        model(x).square().sum().backward()
        assert model[0].weight.grad is not None
        expected = model[0].weight.grad.clone()
        model.zero_grad()
        compiled(x).square().sum().backward()
        near(model[0].weight.grad, expected)


def test_weights_changed_behind_autograd_are_used() -> None:
    model = nn.Linear(4, 3)
    compiled = torch.compile(model, backend="ane", dynamic=False)
    x = torch.randn(2, 4)
    compiled(x)
    model.weight.data.mul_(2)
    near(compiled(x), model(x))


def test_evaluation_and_training_are_different_programs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten())
    compiled = torch.compile(model, backend="ane", dynamic=False)
    x = torch.randn(4, 1, 8, 8)
    compiled(x).sum().backward()
    model.eval()
    expected = model(x)
    near(compiled(x), expected)
    with torch.no_grad():
        near(compiled(x), expected)
    with torch.inference_mode():
        near(compiled(x), expected)
