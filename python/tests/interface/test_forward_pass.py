"""`core.ane_forward_pass` gives the logits of eager PyTorch, computed by the backend."""

import numpy as np
import pytest
import torch

from ane_trainer import core


def test_logits_are_those_of_pytorch(backend, model, batch) -> None:
    x, _ = batch
    logits = core.ane_forward_pass(model, x)
    assert backend.compiles == 1
    assert isinstance(logits, np.ndarray) and logits.dtype == np.float32
    expected = model(torch.from_numpy(x)).detach().numpy()
    assert logits.shape == expected.shape == (8, 10)
    np.testing.assert_allclose(logits, expected, atol=2e-3 * np.abs(expected).max())


def test_a_tensor_gives_a_tensor(backend, model, batch) -> None:
    x, _ = batch
    logits = core.ane_forward_pass(model, torch.from_numpy(x))
    assert isinstance(logits, torch.Tensor) and not logits.requires_grad
    np.testing.assert_array_equal(logits.numpy(), core.ane_forward_pass(model, x))
    assert backend.compiles == 1


def test_the_model_is_left_in_eval_mode_and_dropout_is_off(backend, model, batch) -> None:
    x, _ = batch
    dropped = torch.nn.Sequential(model, torch.nn.Dropout(0.5))
    dropped.train()
    first, second = (core.ane_forward_pass(dropped, x) for _ in range(2))
    assert not dropped.training and not model.training
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, core.ane_forward_pass(model, x))


def test_weights_that_change_need_no_new_program(backend, model, batch) -> None:
    x, _ = batch
    before = core.ane_forward_pass(model, x)
    with torch.no_grad():
        model.fc2.bias.add_(1.0)
    np.testing.assert_allclose(core.ane_forward_pass(model, x), before + 1.0, atol=5e-3)
    assert backend.compiles == 1


@pytest.mark.parametrize(
    "arrange",
    [
        lambda x: x[::-1],
        lambda x: np.asfortranarray(x),
        lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
        lambda x: np.concatenate([x, x], axis=1)[:, ::2],
    ],
    ids=["reversed", "columns first", "read-only", "strided"],
)
@pytest.mark.filterwarnings("error")
def test_arrays_lie_in_memory_as_they_like(backend, model, batch, arrange) -> None:
    x = arrange(batch[0])
    logits = core.ane_forward_pass(model, x)
    np.testing.assert_array_equal(logits, core.ane_forward_pass(model, x.copy(order="C")))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((32, 100), np.float32), r"Expected input shape \[N, 784\].*found \[32, 100\]"),
        (np.zeros(784, np.float32), r"Expected input shape .*found \[784\]"),
        (np.zeros((2, 28, 28), np.float32), r"Expected input shape .*x\.reshape\(len\(x\), 784\)"),
        (np.zeros((0, 784), np.float32), r"Expected input shape .*at least 1, found \[0, 784\]"),
        (np.array(1, np.float32), r"Expected input shape .*found \[\]"),
        (np.zeros((2, 784), np.int32), "Expected input dtype float32, found int32"),
        (np.zeros((2, 784), np.float64), "Expected input dtype float32, found float64"),
        (np.zeros((2, 784), ">f4"), "Expected input dtype float32, found >f4"),
        (torch.zeros(2, 784, dtype=torch.half), "Expected input dtype float32, found float16"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(backend, model, x, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        core.ane_forward_pass(model, x)
    assert model.training and backend.compiles == 0


def test_a_list_is_refused_by_its_type(model) -> None:
    with pytest.raises(TypeError, match=r"Expected x as a numpy\.ndarray .*found list"):
        core.ane_forward_pass(model, [[0.0] * 784])
