"""A convolutional network with batch norm on images of one's own, in a folder for each class.

python examples/cnn_own_data.py --images my-images --epochs 6
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split


def draw(folder: Path, count: int, size: int = 32) -> None:
    random = np.random.default_rng(0)
    for index in range(count):
        y, x = np.mgrid[:size, :size] - random.uniform(10, size - 10, (2, 1, 1))
        radius, colours = random.uniform(5, 9), random.integers(0, 256, (2, 3))
        square = np.maximum(abs(x), abs(y)) < radius
        shapes = {"disc": np.hypot(x, y) < radius, "square": square, "cross": square & (abs(x * y) < 2 * radius)}
        name = list(shapes)[index % 3]
        (folder / name).mkdir(exist_ok=True)
        image = np.where(shapes[name][..., None], *colours) + random.normal(0, 8, (size, size, 3))
        np.save(folder / name / f"{index}.npy", image.clip(0, 255).astype(np.uint8))


def pixels(path: Path) -> Tensor:
    if path.suffix == ".npy":
        return torch.from_numpy(np.load(path))
    from PIL import Image

    return torch.from_numpy(np.array(Image.open(path).convert("RGB")))


def read(folder: Path) -> tuple[TensorDataset, list[str]]:
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [(path, label) for label, name in enumerate(classes) for path in sorted((folder / name).iterdir())]
    images = torch.stack([pixels(path) for path, _ in files]).permute(0, 3, 1, 2).contiguous()
    return TensorDataset(images / 127.5 - 1, torch.tensor([label for _, label in files])), classes


def block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


def main() -> float:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="the folder: .npy [H, W, 3] or what Pillow opens, of one size")
    parser.add_argument("--count", type=int, default=3000, help="images to draw where no folder is given")
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as drawn:
        if args.images is None:
            draw(Path(drawn), args.count)
        data, classes = read(args.images or Path(drawn))
    train, held = random_split(data, [0.8, 0.2])
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, len(classes))]
    model = nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 64), *head)
    compiled = torch.compile(model, backend="ane", dynamic=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(args.epochs):
        model.train()
        for x, y in DataLoader(train, batch_size=32, shuffle=True, drop_last=True):
            optimizer.zero_grad()
            F.cross_entropy(compiled(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            hits = sum(int((compiled(x).argmax(1) == y).sum()) for x, y in DataLoader(held, batch_size=100))
        print(f"epoch {epoch + 1}: {hits} of {len(held)} right ({', '.join(classes)})")
    return hits / len(held)


if __name__ == "__main__":
    main()
