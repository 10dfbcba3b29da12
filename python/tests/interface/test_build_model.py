"""`models.build_model` gives PyTorch's own layers with PyTorch's own initialisation."""

import pytest
import torch

from ane_trainer.models import SimpleNN, build_model


def test_layers_have_the_names_and_the_weights_of_pytorch() -> None:
    torch.manual_seed(7)
    model = build_model(input_size=784, hidden_size=128, output_size=10)
    torch.manual_seed(7)
    first, second = torch.nn.Linear(784, 128), torch.nn.Linear(128, 10)
    assert isinstance(model, SimpleNN)
    assert [name for name, _ in model.named_children()] == ["fc1", "relu", "fc2"]
    assert torch.equal(model.fc1.weight, first.weight) and torch.equal(model.fc1.bias, first.bias)
    assert torch.equal(model.fc2.weight, second.weight) and torch.equal(model.fc2.bias, second.bias)
    x = torch.randn(3, 784)
    assert torch.equal(model(x), second(torch.relu(first(x))))


def test_the_hidden_layer_is_a_module_that_hooks_can_see() -> None:
    model = build_model(10, 5, 2)
    seen = []
    model.relu.register_forward_hook(lambda module, inputs, output: seen.append(output))
    model(torch.randn(4, 10))
    assert seen[0].shape == (4, 5) and bool((seen[0] >= 0).all())


@pytest.mark.parametrize("given", [(), (784,), (784, 128)])
def test_every_size_is_required(given: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match="required positional argument"):
        build_model(*given)


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected hidden_size of at least 1, found 0"):
        build_model(784, 0, 10)
