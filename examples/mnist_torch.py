"""MNIST by an ordinary PyTorch loop: the one line that is changed is the call of torch.compile.

python examples/mnist_torch.py --epochs 3
"""

import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F

from ane_trainer.data import load_dataset


def main() -> float:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist", help="directory of the data set")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--examples", type=int, default=60_000, help="training examples")
    parser.add_argument("--eager", action="store_true", help="leave everything to PyTorch")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    images, labels, test_images, test_labels = load_dataset(args.data)
    x = torch.from_numpy(images).reshape(-1, 784)[: args.examples]
    y = torch.from_numpy(labels)[: args.examples]

    model = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(x), y)

    if not args.eager:
        loss_of = torch.compile(loss_of, backend="ane", dynamic=False)

    for epoch in range(args.epochs):
        total, begin = 0.0, time.perf_counter()
        batches = torch.randperm(len(x)).split(128)
        batches = [b for b in batches if len(b) == 128]
        for rows in batches:
            optimizer.zero_grad()
            loss = loss_of(x[rows], y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds = time.perf_counter() - begin
        rate = 128 * len(batches) / seconds
        print(f"epoch {epoch + 1}: loss {total / len(batches):.4f}, {rate:,.0f} images/s")

    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(test_images).reshape(-1, 784))
    accuracy = (logits.argmax(1) == torch.from_numpy(test_labels)).float().mean().item()
    print(f"test accuracy {100 * accuracy:.2f} %")
    return accuracy


if __name__ == "__main__":
    main()
