"""Captured models beside PyTorch's own training of a copy: losses, weights, optimizers, files, and what is refused."""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import StraightThrough
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import ane_trainer
from ane_trainer import errors
from ane_trainer.torch.captured import eager

B = 8


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def classes(rows: int = B, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, generator=generator)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.drop, self.head = nn.Dropout(0.4), nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm(self.conv(x)))
        return self.head(self.drop(h.flatten(1)))  # type: ignore[no-any-return]


def images(rows: int = B) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(rows, 1, 6, 6, generator=generator)
    return x, (x.mean((1, 2, 3)) > 0).long()


def near(found: Tensor, expected: Tensor, bound: float) -> None:
    """Within `bound` of the largest element."""
    size = max(expected.abs().max().item(), 1e-3)
    torch.testing.assert_close(found, expected, rtol=0, atol=bound * size)


OPTIMIZERS: dict[str, Callable[[nn.Sequential], torch.optim.Optimizer]] = {
    "sgd": lambda m: torch.optim.SGD(
        [
            {"params": m[0].parameters(), "lr": 0.2, "momentum": 0.9, "nesterov": True},
            {"params": [m[2].weight], "weight_decay": 0.1},
        ],
        lr=0.1,
    ),
    "adam": lambda m: torch.optim.Adam(m.parameters(), lr=1e-2, weight_decay=0.1, betas=(0.8, 0.9)),
    "adamw": lambda m: torch.optim.AdamW(
        [{"params": m[0].parameters(), "weight_decay": 0.5}, {"params": m[2].parameters(), "lr": 5e-3}], lr=1e-2
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_and_state_of_an_optimizer_are_those_of_pytorch(name: str) -> None:
    model, x_y = mlp(), [classes(seed=s) for s in range(8)]
    other = copy.deepcopy(model)
    ours, theirs = OPTIMIZERS[name](model), OPTIMIZERS[name](other)
    for optimizer, m in ((ours, model), (theirs, other)):
        # State that PyTorch made is gone on from.
        for x, y in x_y[:2]:
            optimizer.zero_grad()
            F.cross_entropy(m(x), y).backward()
            optimizer.step()
    step = ane_trainer.capture(model, nn.CrossEntropyLoss(), x_y[0], optimizer=ours)
    for i, (x, y) in enumerate(x_y[2:]):
        for optimizer in (ours, theirs):
            # What a schedule does.
            optimizer.param_groups[0]["lr"] *= 0.9
        theirs.zero_grad()
        expected = F.cross_entropy(other(x), y)
        expected.backward()
        theirs.step()
        assert step.step(x, y) == pytest.approx(expected.item(), rel=5e-3), i
    state = step.state_dict()
    # Gradients are rounded to fp16, 5e-4 of each; Adam divides by their root of the mean of squares, so that a small one moves
    # a weight as far as a large one, and its rounding too.
    bound = 2e-3 if name == "sgd" else 1e-2
    for path, tensor in other.state_dict().items():
        near(state[path], tensor, bound)
        near(model.state_dict()[path], tensor, bound)
    found, expected_state = ours.state_dict()["state"], theirs.state_dict()["state"]
    assert found.keys() == expected_state.keys()
    for key, held in expected_state.items():
        assert {k for k, v in held.items() if v is not None} <= found[key].keys()
        for what, value in held.items():
            if value is not None:
                near(found[key][what], value, 2e-2)
    # PyTorch goes on from ours.
    F.cross_entropy(model(x), y).backward()
    ours.step()


def test_a_cnn_is_fitted_and_the_module_has_what_was_learned() -> None:
    torch.manual_seed(3)
    model, (x, y) = Cnn(), images(40)
    step = ane_trainer.capture(model, nn.CrossEntropyLoss(label_smoothing=0.1), (x[:16], y[:16]), metrics=["accuracy"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    told = []
    history = step.fit(
        TensorDataset(x, y),
        optimizer=optimizer,
        scheduler=scheduler,
        epochs=4,
        batch_size=16,
        validation=(x.numpy(), y.numpy()),
        callbacks=[lambda s, epoch, logs: told.append((epoch, model.head.bias.clone())) or epoch == 3],
        verbose=False,
    )
    assert [epoch for epoch, _ in told] == [1, 2, 3] and not told[0][1].equal(told[1][1])
    assert history["lr"] == [2e-2, 1e-2, 5e-3]
    assert history["loss"][-1] < history["loss"][0]
    assert history.names == ["loss", "lr", "val_loss", "val_accuracy"]
    drawn = []

    class Axes:
        def plot(self, numbers: range, values: list[float], label: str) -> None:
            drawn.append((list(numbers), values, label))

        def __getattr__(self, name: str) -> Any:
            return lambda *given: None

    history.plot(Axes())
    assert drawn == [([1, 2, 3], history["loss"], "loss"), ([1, 2, 3], history["val_loss"], "val_loss")]
    # Two batches of 16 rows and one of 8 an epoch, which is a program of its own and counts as any other.
    assert model.norm.num_batches_tracked.item() == 9
    assert model.training
    model.eval()
    expected = model(x)
    near(step.predict(x), expected.detach(), 5e-3)
    found = step.evaluate(DataLoader(TensorDataset(x, y), batch_size=16))
    assert found["loss"] == pytest.approx(
        F.cross_entropy(expected, y, label_smoothing=0.1).item(), abs=5e-3
    )
    assert found["accuracy"] == pytest.approx((expected.argmax(1) == y).float().mean().item(), abs=0.03)
    assert found["loss"] == pytest.approx(history["val_loss"][-1])


def test_running_statistics_follow_the_batches() -> None:
    model, batch = Cnn(), images()
    model.drop.p = 0.0
    other = copy.deepcopy(model)
    step = ane_trainer.capture(model, F.cross_entropy, batch, optimizer=torch.optim.SGD(model.parameters(), lr=0.0))
    # The mode of the capture holds, also for the first batch of another size.
    model.eval()
    for rows in (8, 8, 5):
        step.step(batch[0][:rows], batch[1][:rows])
        other(batch[0][:rows])
    step.close()
    assert not model.training
    for path, buffer in other.named_buffers():
        near(model.get_buffer(path).float(), buffer.float(), 2e-3)


class Detached(nn.Module):
    """A teacher that gets no gradient, a gate without one, a block without any, and two names of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.teacher = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.b.weight = self.a.weight
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.frozen = nn.Linear(6, 6)
        self.frozen.requires_grad_(False)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        h = self.frozen(self.a(x))
        with torch.no_grad():
            gate = torch.sigmoid(self.b(x)) * 2
        goal = self.teacher(x).detach()
        y = self.b(torch.where(keep, h, -h)) * gate * h.detach() * self.scale
        return (y - goal).square().mean()


def test_gradients_end_where_the_model_ends_them() -> None:
    torch.manual_seed(5)
    model = Detached()
    before = copy.deepcopy(model.state_dict())
    x, keep = torch.randn(B, 6), torch.rand(B, 6) > 0.5
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=0.1)
    other = copy.deepcopy(model)
    theirs = torch.optim.Adam(other.parameters(), lr=1e-2, weight_decay=0.1)
    # The model returns its loss.
    with ane_trainer.capture(model, None, (x, keep), optimizer=optimizer) as step:
        for _ in range(2):
            theirs.zero_grad()
            other(x, keep).backward()
            theirs.step()
            step.step(x, keep)
    for path, tensor in other.state_dict().items():
        near(model.state_dict()[path], tensor, 1e-2)
    for path in ("teacher.weight", "frozen.weight"):
        assert model.state_dict()[path].equal(before[path])


def test_a_function_with_a_backward_of_its_own_is_refused_by_name() -> None:
    class Model(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return StraightThrough.apply(super().forward(x))  # type: ignore[no-any-return,no-untyped-call]

    with pytest.raises(errors.UnsupportedError, match="StraightThrough"):
        ane_trainer.capture(Model(nn.Linear(6, 1)), F.mse_loss, (torch.randn(B, 6), torch.randn(B, 1)))


def test_other_gradients_than_those_of_pytorch_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = eager.gradients

    def wrong(*args: Any) -> eager.Gradients:
        found = honest(*args)
        of = {path: g * 1.15 if g is not None and path == "2.weight" else g for path, g in found.of.items()}
        return eager.Gradients(found.loss, of)

    monkeypatch.setattr("ane_trainer.torch.captured.comparison.gradients", wrong)
    with pytest.raises(errors.CaptureMismatchError, match=r"`2\.weight` has a gradient of norm .* expected one of norm"):
        ane_trainer.capture(mlp(), nn.CrossEntropyLoss(), classes())


def test_a_value_that_rounding_moves_over_a_corner_is_no_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, weights = eager.gradients, []

    def once_wrong(forward: Any, *args: Any) -> eager.Gradients:
        found = honest(forward, *args)
        weights.append(forward.model[0].weight.detach().clone())
        if not torch.equal(weights[0], weights[-1]):
            return found
        return eager.Gradients(found.loss, {path: None if g is None else g * 1.15 for path, g in found.of.items()})

    monkeypatch.setattr("ane_trainer.torch.captured.comparison.gradients", once_wrong)
    model, (x, y) = mlp(), classes()
    step = ane_trainer.capture(model, nn.CrossEntropyLoss(), (x, y))
    assert not torch.equal(weights[0], weights[-1]) and torch.equal(weights[0], model[0].weight)
    torch.testing.assert_close(step.predict(x), model.eval()(x).detach(), rtol=5e-3, atol=5e-3)


LOSSES: dict[str, tuple[Any, Callable[[Tensor, Tensor], Tensor] | nn.Module]] = {
    "weighted": (None, nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]), ignore_index=1)),
    "sum": (None, nn.CrossEntropyLoss(reduction="sum")),
    "mse": (torch.zeros(B, 3), F.mse_loss),
    "own": (torch.ones(B, 3), lambda y, t: ((y - t).abs().sum(1) + y.exp().mean(1)).mean()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_may_be_any_function(name: str) -> None:
    target, loss = LOSSES[name]
    model, (x, y) = mlp(), classes()
    y = y if target is None else target
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    step = ane_trainer.capture(model, loss, (x, y), optimizer=optimizer, target="h16" if name == "weighted" else None)
    assert ("target h16" in repr(step)) == (name == "weighted")
    assert step.step(x, y) == pytest.approx(loss(mlp()(x), y).item(), rel=3e-3)


def test_a_run_has_the_files_of_the_command_line(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model, batch = Cnn(), images(16)
    step = ane_trainer.capture(model, nn.CrossEntropyLoss(), batch, optimizer=torch.optim.Adam(model.parameters()))
    run = tmp_path / "run"
    history = step.fit(batch, epochs=2, validation=batch, run_dir=run, verbose=False)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(m["epoch"], m["step"]) for m in lines] == [(1, 1), (2, 2)]
    assert [m["train_loss"] for m in lines] == history["loss"]
    assert json.loads((run / "config.json").read_text())["optimizer"]["name"] == "adam"
    assert json.loads((run / "result.json").read_text())["epochs"] == 2
    assert {f.name for f in (run / "model").iterdir()} == {"train.pt2", "eval.pt2"}
    assert {f.name for f in (run / "checkpoints").iterdir()} >= {"last.ckpt", "last.safetensors", "best.ckpt"}
    other = Cnn()
    other.load_state_dict(load_file(run / "checkpoints" / "last.safetensors"), strict=True)
    for path, tensor in model.state_dict().items():
        assert other.state_dict()[path].equal(tensor), path
    with pytest.raises(errors.InputError, match="has a run in it already"):
        step.fit(batch, run_dir=run, verbose=False)


def test_an_interrupt_leaves_the_weights_of_the_last_step(capsys: pytest.CaptureFixture[str]) -> None:
    model, batch = mlp(), classes()
    before = copy.deepcopy(model.state_dict())
    step = ane_trainer.capture(model, nn.CrossEntropyLoss(), batch, optimizer=torch.optim.SGD(model.parameters(), lr=0.5))

    def batches() -> Any:
        yield batch
        raise KeyboardInterrupt

    class Loader:
        def __iter__(self) -> Any:
            return batches()

    with pytest.raises(KeyboardInterrupt):
        step.fit(Loader())
    assert not model[0].weight.equal(before["0.weight"])
    step.fit(batch)
    assert "epoch 1/1  loss " in capsys.readouterr().out
    # What the user puts into the module is what is trained.
    model.load_state_dict(before)
    near(step.predict(batch[0]), model(batch[0]).detach(), 3e-3)


def test_training_that_diverges_is_told() -> None:
    model, (x, y) = mlp(), classes()
    step = ane_trainer.capture(model, nn.CrossEntropyLoss(), (x, y), optimizer=torch.optim.SGD(model.parameters()))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(errors.DivergenceError, match="no gradient of this batch is finite"):
        step.step(x * torch.nan, y)
    step.close()
    assert all(tensor.equal(before[path]) for path, tensor in model.state_dict().items())


def test_what_does_not_fit_is_refused_with_the_reason() -> None:
    x, y = classes()
    loss = nn.CrossEntropyLoss()

    def refused(kind: type[Exception], match: str, *args: Any, **settings: Any) -> None:
        with pytest.raises(kind, match=match):
            ane_trainer.capture(*args, **settings)

    refused(errors.InputError, "eval mode", mlp().eval(), loss, (x, y))
    refused(errors.InputError, "is of torch.float64", mlp().double(), loss, (x.double(), y))
    refused(errors.InputError, "meta device", mlp().to("meta"), loss, (x, y))
    refused(errors.InputError, r"example_inputs\[0\] is on the meta", mlp(), loss, (x.to("meta"), y))
    refused(errors.InputError, "no shape yet", nn.Sequential(nn.LazyLinear(3)), loss, (x, y))
    refused(errors.InputError, r"\[1\] has 4 rows", mlp(), loss, (x, y[:4]))
    refused(errors.InputError, "no rows", mlp(), loss, (x[:0], y[:0]))
    refused(errors.InputError, "expected one number", mlp(), nn.CrossEntropyLoss(reduction="none"), (x, y))
    refused(errors.InputError, "class CrossEntropyLoss", mlp(), nn.CrossEntropyLoss, (x, y))
    refused(errors.InputError, "independent of every parameter", mlp().requires_grad_(False), loss, (x, y))
    refused(errors.UnsupportedError, r"aten\.sort\S*, at loss;", mlp(), lambda s, t: s.sort(0).values.sum(), (x, y))

    def optimizer_of(make: Any) -> Any:
        model = mlp()
        return {"model": model, "loss": loss, "example_inputs": (x, y), "optimizer": make(model.parameters())}

    for make, match in [
        (torch.optim.Adagrad, "Adagrad; there are SGD"),
        (lambda p: torch.optim.Adam(p, amsgrad=True), "amsgrad=True; there are"),
        (lambda p: torch.optim.SGD(p, momentum=0.9, dampening=0.5), "dampening"),
    ]:
        with pytest.raises(errors.UnsupportedError, match=match):
            ane_trainer.capture(**optimizer_of(make))
    with pytest.raises(errors.InputError, match="neither the model's nor the loss's"):
        ane_trainer.capture(mlp(), loss, (x, y), optimizer=torch.optim.SGD(mlp().parameters(), lr=0.1))

    model = mlp()
    step = ane_trainer.capture(model, loss, (x, y))
    for give, match in [
        (lambda: step.step(x, y), "no optimizer"),
        (lambda: step.fit((x, y)), "no optimizer"),
    ]:
        with pytest.raises(errors.InputError, match=match):
            give()
    step.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for give, match in [
        (lambda: step.step(x[:, :4], y), r"examples of \[4\], the example input had \[6\]"),
        (lambda: step.step(x, y.float()), "is of torch.float32, the example input was of torch.int64"),
        (lambda: step.step(x), "has 1 tensors, expected 2"),
        (lambda: step.step(x[:0], y[:0]), "no rows"),
        (lambda: step.fit([], verbose=False), "gave no batches"),
        (lambda: step.fit(3), "is a int"),
        (lambda: step.fit((x, y), epochs=0), "epochs is 0"),
        (lambda: step.fit((x, y), batch_size=0), "batch_size is 0"),
        (lambda: step.predict(x, y), "targets are left out"),
        (lambda: step.evaluate((np.array(["a"] * B), y)), "array of <U1"),
    ]:
        with pytest.raises(errors.InputError, match=match):
            give()
    step.close()
    with pytest.raises(errors.ClosedError):
        step.step(x, y)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_process_is_told_so() -> None:
    model, batch = mlp(), classes()
    step = ane_trainer.capture(model, nn.CrossEntropyLoss(), batch)
    child = os.fork()
    if child == 0:
        try:
            step.predict(batch[0])
        except errors.ForkError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
