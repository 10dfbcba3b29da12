"""`core.train_step` does what a step of eager PyTorch does, by programs that are compiled once."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ane_trainer import core, step_functions
from ane_trainer.torch.pair import Pair


def sgd(model: torch.nn.Module, lr: float = 0.5) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr)


OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.5),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_losses_and_weights_follow_pytorch(backend, model, batch, name: str) -> None:
    x, y = batch
    twin = copy.deepcopy(model)
    optimizer, expected = (OPTIMIZERS[name](m.parameters()) for m in (model, twin))
    loss_fn = torch.nn.CrossEntropyLoss()
    start = [parameter.detach().clone() for parameter in model.parameters()]
    for _ in range(5):
        loss = core.train_step(model, x, y, optimizer, loss_fn)
        expected.zero_grad()
        theirs = loss_fn(twin(torch.from_numpy(x)), torch.from_numpy(y))
        theirs.backward()
        expected.step()
        assert type(loss) is float
        assert loss == pytest.approx(theirs.item(), rel=5e-3)
    assert backend.compiles == 1
    for ours, theirs, before in zip(model.parameters(), twin.parameters(), start, strict=True):
        moved = (theirs - before).norm()
        assert moved > 0
        assert (ours - theirs).norm() < 0.03 * moved


def test_the_loss_is_computed_by_the_backend(backend, model, batch) -> None:
    core.train_step(model, *batch, sgd(model), torch.nn.CrossEntropyLoss())
    (graph,) = backend.graphs
    assert "cross_entropy" in graph.code


def test_loss_falls(backend, model, batch) -> None:
    x, _ = batch
    y = np.zeros(len(x), np.int64)
    optimizer, loss_fn = sgd(model, 0.05), torch.nn.CrossEntropyLoss()
    losses = [core.train_step(model, x, y, optimizer, loss_fn) for _ in range(4)]
    assert losses == sorted(losses, reverse=True) and losses[3] < losses[0]


def test_the_model_is_left_in_train_mode(backend, model, batch) -> None:
    model.eval()
    core.train_step(model, *batch, sgd(model), torch.nn.CrossEntropyLoss())
    assert model.training


def test_batch_norm_learns_its_statistics(backend, batch) -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(784), torch.nn.Linear(784, 10))
    twin = copy.deepcopy(model)
    core.train_step(model, *batch, sgd(model), torch.nn.CrossEntropyLoss())
    twin(torch.from_numpy(batch[0]))
    torch.testing.assert_close(model[0].running_mean, twin[0].running_mean, atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(model[0].running_var, twin[0].running_var, atol=1e-3, rtol=1e-2)
    assert model[0].num_batches_tracked == 1


def test_a_batch_of_one_and_tensors_are_taken(backend, model, batch) -> None:
    x, y = (torch.from_numpy(values[:1]) for values in batch)
    optimizer = sgd(model)
    first = core.train_step(model, x, y, optimizer, F.cross_entropy)
    assert core.train_step(model, x, y, optimizer, F.cross_entropy) < first
    assert backend.compiles == 1


def test_a_loss_that_is_not_finite_is_returned(backend, model, batch) -> None:
    x, y = batch
    with torch.no_grad():
        model.fc2.bias.fill_(float("nan"))
    assert np.isnan(core.train_step(model, x, y, sgd(model), torch.nn.CrossEntropyLoss()))


def labels(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


GOOD = np.zeros((4, 784), np.float32)
WIDE = np.zeros((4, 100), np.float32)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (GOOD, labels(0, 1), "Batch size mismatch: x has 4 examples and y has 2 labels"),
        (WIDE, np.zeros(5, np.float32), "Batch size mismatch"),
        (GOOD, np.array(3), "Batch size mismatch: x has 4 examples and y has 0"),
        (WIDE, np.zeros(4, np.float32), "Expected y dtype int64, found float32"),
        (GOOD, np.full(4, 77, np.int32), "Expected y dtype int64, found int32"),
        (WIDE, labels(0, 14, 0, -1), r"Expected y values in range \[0, 9\], found .* -1 to 14"),
        (GOOD, labels(0, 0, 0, 10), r"Expected y values in range \[0, 9\], found .* 0 to 10"),
        (GOOD, labels(0, 0, 0, -100), r"Expected y values in range \[0, 9\], found .* -100 to 0"),
        (WIDE, labels(0, 0, 0, 9), r"Expected input shape \[N, 784\].*found \[4, 100\]"),
        (GOOD[:0], labels(), r"Expected input shape .*found \[0, 784\]"),
        (GOOD.astype(np.float64), labels(0, 0, 0, 0), "Expected input dtype float32, found float64"),
    ],
)
def test_checks_come_in_order_and_before_anything_changes(
    backend, model, x, y, message: str
) -> None:
    model.eval()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        core.train_step(model, x, y, sgd(model), torch.nn.CrossEntropyLoss())
    assert not model.training and backend.compiles == 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_labels_are_bounded_by_the_logits_that_the_model_has_now(backend, model, batch) -> None:
    x, _ = batch
    y = np.full(len(x), 11, np.int64)
    loss_fn = torch.nn.CrossEntropyLoss()
    model.fc2 = torch.nn.Linear(16, 12)
    core.train_step(model, x, y, sgd(model), loss_fn)
    model.fc2 = torch.nn.Linear(16, 3)
    with pytest.raises(ValueError, match=r"Expected y values in range \[0, 2\]"):
        core.train_step(model, x, y, sgd(model), loss_fn)


def test_the_width_of_the_logits_is_found_without_side_effects(backend, batch) -> None:
    norm, dropout = torch.nn.BatchNorm1d(784), torch.nn.Dropout(0.5)
    model = torch.nn.Sequential(norm, dropout, torch.nn.Linear(784, 5))
    norm.eval()
    generator = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"\[0, 4\]"):
        core.train_step(model, batch[0], np.full(8, 5), sgd(model), torch.nn.CrossEntropyLoss())
    assert torch.equal(torch.get_rng_state(), generator)
    assert norm.num_batches_tracked == 0
    assert dropout.training and not norm.training


class Scaled:
    """A loss that is a method."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def loss(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.factor * F.cross_entropy(logits, y)


def test_each_model_loss_and_shape_is_compiled_once(backend, model, batch) -> None:
    x, y = batch
    optimizer = sgd(model, 1e-6)
    plain, smooth = torch.nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    scaled = Scaled(2.0)
    for count in (1, 2):
        del count
        once = core.train_step(model, x, y, optimizer, plain)
        assert core.train_step(model, x, y, optimizer, smooth) != pytest.approx(once, rel=1e-3)
        twice = core.train_step(model, x, y, optimizer, scaled.loss)
        assert twice == pytest.approx(2 * once, rel=5e-3)
        core.train_step(model, x[:3], y[:3], optimizer, plain)
        core.ane_forward_pass(model, x)
    assert backend.compiles == 5


def test_a_model_or_a_loss_that_changes_is_compiled_again(backend, model, batch) -> None:
    x, y = batch
    loss_fn = torch.nn.CrossEntropyLoss()
    first = core.train_step(model, x, y, sgd(model, 1e-6), loss_fn)
    model.relu = torch.nn.Tanh()
    second = core.train_step(model, x, y, sgd(model, 1e-6), loss_fn)
    loss_fn.label_smoothing = 0.5
    third = core.train_step(model, x, y, sgd(model, 1e-6), loss_fn)
    assert backend.compiles == 3
    expected = F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y), label_smoothing=0.5)
    assert third == pytest.approx(expected.item(), rel=5e-3)
    assert len({round(loss, 4) for loss in (first, second, third)}) == 3


@torch._dynamo.config.patch(recompile_limit=2)
def test_more_changes_than_dynamo_recompiles_are_taken(backend, model, batch) -> None:
    x, y = batch
    loss_fn = torch.nn.CrossEntropyLoss()
    for width in range(10, 14):
        model.fc2 = torch.nn.Linear(16, width)
        loss = core.train_step(model, x, y, sgd(model, 1e-6), loss_fn)
        expected = loss_fn(model(torch.from_numpy(x)), torch.from_numpy(y))
        assert loss == pytest.approx(expected.item(), rel=5e-3)
    assert backend.compiles == 4


@torch._dynamo.config.patch(recompile_limit=2)
def test_more_batch_sizes_than_dynamo_recompiles_are_taken(backend, model, batch) -> None:
    x, y = batch
    optimizer, loss_fn = sgd(model), torch.nn.CrossEntropyLoss()
    for size in range(1, 5):
        core.train_step(model, x[:size], y[:size], optimizer, loss_fn)
    assert backend.compiles == 4


def test_a_bounded_number_of_shapes_is_kept(backend, model, batch, monkeypatch) -> None:
    monkeypatch.setattr(step_functions, "MOST_KEPT", 2)
    x, _ = batch
    for size in (1, 2, 3, 2, 3, 1):
        core.ane_forward_pass(model, x[:size])
    assert backend.compiles == 4


def test_models_and_losses_are_collected_with_their_programs(backend, batch) -> None:
    before = [thing for thing in gc.get_objects() if type(thing) is Pair]
    model = torch.nn.Sequential(torch.nn.Linear(784, 10))
    loss_fn = torch.nn.CrossEntropyLoss()
    core.train_step(model, *batch, sgd(model), loss_fn)
    core.ane_forward_pass(model, batch[0])
    functions = step_functions._of(model)
    kept = [*functions.inference.values(), *functions.training[loss_fn].values()]
    pairs = [thing for thing in gc.get_objects() if type(thing) is Pair and thing not in before]
    programs = [program for pair in pairs for program in pair.programs.values()]
    things = (model, model[0].weight, loss_fn, *kept, *programs)
    gone = [weakref.ref(thing) for thing in things]
    assert len(gone) == 7
    del model, loss_fn, functions, kept, pairs, programs, things
    backend.graphs.clear()
    gc.collect()
    assert [reference() for reference in gone] == [None] * 7
