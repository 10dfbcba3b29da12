"""Runs of a few steps, exported in every format, and their networks in PyTorch."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

Reals = npt.NDArray[np.float32]

MODELS = ["mlp", "lenet", "resnet8"]
STEPS = ["--epochs", "1", "--max-steps", "3", "--batch", "64", "--device", "software"]


class LeNet(nn.Module):
    """Two convolutions, three linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x))).flatten(1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


class Block(nn.Module):
    """Two convolutions with batch norm and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet8(nn.Module):
    """Three blocks of 16, 32 and 64 channels, for grey images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2))
        self.layer3 = nn.Sequential(Block(32, 64, 2))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3)))


def mlp() -> nn.Module:
    """The default network."""
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


@dataclass
class Run:
    """A run directory with its exported files."""

    folder: Path
    model: str

    def export(self, kind: str, *flags: str) -> Path:
        """The file of this kind, written anew."""
        endings = {"numpy": "npz"}
        program("export", str(self.folder), "--format", kind, "--force", *flags)
        return self.folder / f"model.{endings.get(kind, kind)}"

    def inputs(self, count: int) -> Reals:
        """Examples as the model takes them."""
        shape = (784,) if self.model == "mlp" else (1, 28, 28)
        return np.random.default_rng(count).standard_normal((count, *shape)).astype(np.float32)

    def logits(self, x: Reals, rounded: bool = False) -> Reals:
        """What PyTorch makes of the weights in fp32, or of the parameters rounded to fp16."""
        net = {"mlp": mlp, "lenet": LeNet, "resnet8": ResNet8}[self.model]()
        weights = load_file(self.folder / "model.safetensors")
        if rounded:
            weights = {name: w if "running" in name else w.half().float() for name, w in weights.items()}
        # The program counts no batches.
        missing = net.load_state_dict(weights, strict=False)
        assert not missing.unexpected_keys
        assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
        with torch.no_grad():
            logits: Reals = net.eval()(torch.from_numpy(x)).numpy()
        return logits


def program(*arguments: str) -> str:
    """What the program prints."""
    done = subprocess.run([sys.executable, "-m", "ane_trainer.program", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
