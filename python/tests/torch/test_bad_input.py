"""What does not fit: it works as in eager, or it is an error of ours that says what, where and what to do."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from ane_trainer import report, strict
from ane_trainer.errors import FallbackError, InputError


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, backend="ane", dynamic=False)


def near(found: Tensor, expected: Tensor) -> None:
    assert found.dtype == expected.dtype and found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2, equal_nan=True)


def same_as_eager(function: Callable[..., Any], make: Callable[[], tuple[Tensor, ...]]) -> None:
    """Results, and what has become of the arguments, are those of eager."""
    torch.manual_seed(0)
    given = make()
    torch.manual_seed(0)
    others = make()
    found, expected = compiled(function)(*given), function(*others)
    found, expected = ((r,) if isinstance(r, Tensor) else r for r in (found, expected))
    for a, b in zip((*found, *given), (*expected, *others), strict=True):
        near(a, b)


# Where PyTorch finds no GPU, only tensors without memory are on another device than the CPU.
def test_tensors_elsewhere_than_on_the_cpu_are_refused_by_the_users_name() -> None:
    with pytest.raises(InputError, match=r"^x is on the device meta; move it to the CPU"):
        compiled(lambda x: x * 2)(torch.empty(2, 3, device="meta"))
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1, device="meta"))
    with pytest.raises(InputError, match=r"^model\.1\.weight is on the device meta"):
        compiled(lambda x: model[1](x))(torch.empty(2, 2, device="meta"))
    with pytest.raises(InputError, match=r"^weight is on the device meta"):
        compiled(nn.Linear(3, 2, device="meta"))(torch.empty(2, 3, device="meta"))


def test_a_product_of_two_element_types_is_refused_with_its_place() -> None:
    for x in (torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.float64)):
        model = nn.Sequential(nn.Linear(3, 2))
        kind = str(x.dtype).removeprefix("torch.")
        with pytest.raises(RuntimeError, match="dtype"):
            model(x)
        before = len(report().graphs)
        with pytest.raises(InputError, match=rf"addmm.default \(0\).* float32 and {kind}.*\.to\(torch\.float32\)"):
            compiled(model)(x)
        assert len(report().graphs) == before


def test_doubles_and_halves_keep_their_type() -> None:
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        model = nn.Linear(3, 2).to(dtype)
        x = torch.randn(4, 3, dtype=dtype, requires_grad=True)
        found = compiled(model)(x)
        found.sum().backward()
        near(found, model(x))
        assert x.grad is not None and x.grad.dtype == dtype
        assert model.weight.grad is not None and model.weight.grad.dtype == dtype


def test_integers_and_truth_values_become_what_eager_makes_of_them() -> None:
    same_as_eager(lambda i: (torch.sigmoid(i), i.sqrt(), i.float().mean()), lambda: (torch.arange(4),))
    same_as_eager(lambda b: (b * 2, ~b, b.sum()), lambda: (torch.tensor([True, False]),))


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_refused_with_its_place(label: int) -> None:
    logits, labels = torch.randn(2, 3, requires_grad=True), torch.tensor([0, label])
    with pytest.raises(IndexError, match="out of bounds"):
        F.cross_entropy(logits, labels)
    with pytest.raises(InputError, match=rf"^y holds {label} at \[1\], expected 0 to 2 or -100 for aten.nll_loss"):
        compiled(lambda x, y: F.cross_entropy(x, y))(logits, labels)


def test_the_label_that_is_ignored_is_none_of_the_classes() -> None:
    logits = torch.randn(4, 3)
    same_as_eager(F.cross_entropy, lambda: (logits, torch.tensor([0, -100, 2, 1])))
    ignoring = lambda x, y: F.cross_entropy(x, y, ignore_index=9)  # noqa: E731
    same_as_eager(ignoring, lambda: (logits, torch.tensor([0, 9, 2, 1])))
    with pytest.raises(InputError, match="holds -100 .* 0 to 2 or 9"):
        compiled(ignoring)(logits, torch.tensor([0, -100, 2, 1]))


def test_indices_out_of_range_are_refused_whatever_reads_by_them() -> None:
    table = nn.Embedding(4, 2)
    readers = (
        ("embedding", table, 0, 3),
        ("embedding", lambda i: table(i.view(-1)), 0, 3),
        ("gather", lambda i: table.weight.gather(0, i.view(-1, 1).expand(-1, 2)), 0, 3),
        ("index_select", lambda i: table.weight.index_select(0, i), 0, 3),
        ("index", lambda i: table.weight[i], -4, 3),
    )
    for name, read, low, high in readers:
        torch._dynamo.reset()
        function = compiled(read)
        for bad in (low - 1, high + 1):
            with pytest.raises((IndexError, RuntimeError), match="index"):
                read(torch.tensor([0, bad]))
            with pytest.raises(InputError, match=rf"holds {bad} at \[1\], expected {low} to {high} for aten\.{name}"):
                function(torch.tensor([0, bad]))
        good = torch.tensor([high, low])
        near(function(good), read(good))


def test_tensors_without_elements_are_left_to_pytorch_with_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Linear(3, 2)
    x = torch.randn(0, 3, requires_grad=True)
    loss = compiled(lambda x: model(x).sum())(x)
    loss.backward()
    assert loss == 0 and model.weight.grad is not None and not model.weight.grad.any()
    assert "x of shape [0, 3] has no elements" in capsys.readouterr().err
    same_as_eager(lambda x: x.sum() + x.mean(), lambda: (torch.empty(0, 3),))
    same_as_eager(torch.matmul, lambda: (torch.empty(2, 0), torch.empty(0, 3)))
    torch._dynamo.reset()
    with strict(), pytest.raises(FallbackError, match="has no elements"):
        compiled(model)(x)


def of_one_memory() -> tuple[Tensor, Tensor]:
    memory = torch.arange(6.0)
    return memory[:4], memory[2:]


def twice() -> tuple[Tensor, Tensor]:
    x = torch.arange(6.0)
    return x, x


@pytest.mark.parametrize("make", [of_one_memory, twice])
def test_arguments_that_share_memory_are_written_as_in_eager(make: Callable[[], tuple[Tensor, Tensor]]) -> None:
    same_as_eager(lambda x, y: (x.mul_(2), x + y), make)


def test_elements_that_are_one_in_memory_are_read_as_in_eager() -> None:
    model = nn.Linear(3, 2)
    same_as_eager(model, lambda: (torch.randn(1, 3).expand(4, 3),))
    same_as_eager(model, lambda: (torch.randn(3, 4).t(),))
    same_as_eager(lambda x: x.flip(0) * 2, lambda: (torch.randn(4, 6)[::2, 1::3],))


def test_gradients_may_be_asked_for_in_one_call_and_not_in_another() -> None:
    function = compiled(lambda x: (x * 3).sum())
    x = torch.randn(3)
    assert not function(x).requires_grad
    x.requires_grad_()
    function(x).backward()
    assert x.grad is not None
    near(x.grad, torch.full((3,), 3.0))
    plain = function(torch.randn(3))
    assert not plain.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad"):
        plain.backward()


def test_a_layer_that_is_frozen_later_gets_no_gradient_any_more() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    function, x = compiled(model), torch.randn(2, 3)
    function(x).sum().backward()
    model.zero_grad()
    model[0].requires_grad_(False)
    function(x).sum().backward()
    assert model[0].weight.grad is None and model[1].weight.grad is not None


def test_a_second_backward_without_retaining_is_refused() -> None:
    loss = compiled(nn.Linear(3, 2))(torch.randn(2, 3)).square().sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_an_input_that_is_changed_before_the_backward_is_refused() -> None:
    weight, x = torch.randn(3, requires_grad=True), torch.randn(3)
    loss = compiled(lambda w, x: (w * x).sum())(weight, x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_infinities_stay_what_they_are() -> None:
    same_as_eager(lambda x: x * 2, lambda: (torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0]),))


class Rows(Dataset[Tensor]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        return torch.full((3,), float(index))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_that_only_read_may_be_forked_after_the_first_call() -> None:
    model = nn.Linear(3, 2)
    function = compiled(model)
    function(torch.ones(4, 3))
    for x in DataLoader(Rows(), batch_size=4, num_workers=1):
        near(function(x), model(x))


def test_threads_may_call_one_function() -> None:
    model = nn.Linear(3, 2)
    function, x = compiled(model), torch.randn(2, 3)
    function(x).sum().backward()
    assert model.weight.grad is not None
    one = model.weight.grad.clone()
    model.zero_grad()
    failures: list[BaseException] = []

    def call() -> None:
        try:
            function(x).sum().backward()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    near(model.weight.grad, 4 * one)
