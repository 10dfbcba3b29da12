"""The network of the command `python -m ane_trainer`: two linear layers with a ReLU between them."""

from .pytorch import torch


class SimpleNN(torch.nn.Module):
    """`fc2(relu(fc1(x)))`, initialised as PyTorch initialises linear layers."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.fc1 = torch.nn.Linear(input_size, hidden_size)
        self.relu = torch.nn.ReLU()
        self.fc2 = torch.nn.Linear(hidden_size, output_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[N, output_size]` of float32 examples `[N, input_size]`."""
        hidden: torch.Tensor = self.relu(self.fc1(x))
        logits: torch.Tensor = self.fc2(hidden)
        return logits


def build_model(input_size: int, hidden_size: int, output_size: int) -> SimpleNN:
    """A new `SimpleNN` with weights from PyTorch's generator.

    Raises `ValueError` where a size is below 1.
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "output_size": output_size}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"Expected {name} of at least 1, found {size}")
    return SimpleNN(input_size, hidden_size, output_size)
