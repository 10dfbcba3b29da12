"""The backend by itself: how it is found, its options, what it refuses, and what it leaves to PyTorch."""

import os

import pytest
import torch
from torch import Tensor, nn

import ane_trainer
from ane_trainer.errors import AneError, FallbackError, ForkError, InputError
from ane_trainer.torch import is_strict, report, strict


def test_the_backend_is_found_by_name() -> None:
    assert "ane" in torch._dynamo.list_backends()


def sorts(x: Tensor) -> Tensor:
    return torch.sort(x * 2).values + 1


def test_what_has_no_form_runs_in_pytorch_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    compiled = torch.compile(sorts, backend="ane", dynamic=False)
    x = torch.randn(4, 5, requires_grad=True)
    for _ in range(2):
        torch.testing.assert_close(compiled(x), sorts(x))
        compiled(x).sum().backward()
    said = [line for line in capsys.readouterr().err.splitlines() if "ane_trainer" in line]
    assert len(said) == 1 and "aten.sort" in said[0] and "test_backend.py:" in said[0], said
    graph = next(g for g in reversed(report().graphs) if g.direction == "forward")
    assert not graph.on_engine and "aten.sort" in graph.reason


def test_integers_where_the_engine_computes_with_real_numbers_are_left_to_pytorch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    numbers = torch.arange(4)
    compiled = torch.compile(lambda i: i.sum(), backend="ane", dynamic=False)
    assert compiled(numbers).item() == 6
    said = capsys.readouterr().err
    assert "aten.sum" in said and "int32" in said and "test_backend.py:" in said, said


def test_strictness_makes_that_an_error() -> None:
    compiled = torch.compile(sorts, backend="ane", dynamic=False)
    with strict():
        assert is_strict()
        with pytest.raises(FallbackError, match="aten.sort"):
            compiled(torch.randn(4, 5))
    assert not is_strict()
    assert ane_trainer.strict is strict


def test_strictness_holds_for_graphs_that_were_left_to_pytorch_before() -> None:
    compiled = torch.compile(sorts, backend="ane", dynamic=False)
    x = torch.randn(4, 5)
    compiled(x)
    with strict(), pytest.raises(FallbackError, match="aten.sort"):
        compiled(x)
    compiled(x)


def test_strictness_tells_what_dynamo_keeps_from_the_backend() -> None:
    recurrent = nn.LSTM(3, 4)
    for function, x, reason in (
        (recurrent, torch.randn(5, 2, 3), "LSTM"),
        (lambda x: recurrent(x)[0].sum() * 2, torch.randn(5, 2, 3), "LSTM"),
        (lambda x: x * x.sum().item(), torch.randn(3), "item"),
        (lambda x: x * 2, torch.eye(2).to_sparse(), "sparse"),
    ):
        torch._dynamo.reset()
        with pytest.raises(FallbackError, match=reason), strict():
            torch.compile(function, backend="ane", dynamic=False)(x)
    compiled = torch.compile(lambda x, k: x * k, backend="ane", dynamic=False)
    with pytest.raises(FallbackError, match="recompile_limit"), strict():
        for k in range(20):
            compiled(torch.ones(2), k)


def test_options_of_other_backends_are_ignored_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Linear(3, 2)
    compiled = torch.compile(model, backend="ane", options={"max_autotune": True, "threads": 1})
    compiled(torch.randn(2, 3))
    assert "max_autotune" in capsys.readouterr().err


def test_a_chip_is_asked_for_by_options_and_an_unknown_one_is_an_error() -> None:
    model = nn.Linear(3, 2)
    x = torch.randn(2, 3)
    found = torch.compile(model, backend="ane", options={"target": "h16"})(x)
    torch.testing.assert_close(found, model(x), rtol=1e-2, atol=1e-2)
    torch._dynamo.reset()
    with pytest.raises(AneError, match="h99"):
        torch.compile(model, backend="ane", options={"target": "h99"})(x)


def test_the_report_counts_work_and_calls() -> None:
    before = len(report().graphs)
    model = nn.Linear(16, 8)
    compiled = torch.compile(model, backend="ane", dynamic=False)
    for _ in range(3):
        compiled(torch.randn(4, 16)).sum().backward()
    forward, backward = report().graphs[before:]
    assert (forward.calls, backward.calls) == (3, 3)
    assert forward.flops == 2 * 4 * 16 * 8
    line = next(line for line in str(report()).splitlines() if f"{forward.name} forward" in line)
    assert "1,024 FLOPs" in line and "3 calls, engine" in line


def test_dtypes_of_results_are_those_of_eager() -> None:
    def f(x: Tensor, i: Tensor) -> tuple[Tensor, ...]:
        return x.double() + 1, x > 0, i + 2, x.to(torch.bfloat16) * 2

    x, i = torch.randn(3, 4), torch.arange(3)
    for found, expected in zip(torch.compile(f, backend="ane")(x, i), f(x, i), strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found.float(), expected.float(), rtol=1e-2, atol=1e-2)


def test_tensors_that_lie_scattered_are_read_rightly() -> None:
    model = nn.Linear(6, 2)
    compiled = torch.compile(model, backend="ane", dynamic=False)
    x = torch.randn(6, 4).t()
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-2, atol=1e-2)
    wide = torch.randn(4, 12)[:, ::2]
    torch.testing.assert_close(compiled(wide), model(wide), rtol=1e-2, atol=1e-2)


def test_integers_beyond_int32_are_refused() -> None:
    compiled = torch.compile(lambda i: i + 1, backend="ane", dynamic=False)
    with pytest.raises(InputError, match="int32"):
        compiled(torch.tensor([1 << 40]))


def test_a_gradient_that_overflows_is_computed_again_with_less() -> None:
    weight = torch.full((1, 64), 200.0, requires_grad=True)
    other = weight.detach().clone().requires_grad_()

    def f(w: Tensor) -> Tensor:
        return (w * 100.0).tanh().sum() * 0 + (w @ w.t()).sum() * 1e-3

    f(other).backward()
    torch.compile(f, backend="ane", dynamic=False)(weight).backward()
    assert weight.grad is not None and other.grad is not None
    torch.testing.assert_close(weight.grad, other.grad, rtol=2e-2, atol=1e-3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_after_the_engine_was_opened_is_refused() -> None:
    compiled = torch.compile(nn.Linear(3, 2), backend="ane", dynamic=False)
    x = torch.randn(2, 3)
    compiled(x)
    child = os.fork()
    if child == 0:
        try:
            compiled(x)
        except ForkError:
            os._exit(7)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
