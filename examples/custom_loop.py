"""A loop of one's own: accumulated gradients, clipping, a learning rate by hand, validation without gradients.

python examples/custom_loop.py --steps 400
"""

import argparse
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ane_trainer.data import load_dataset


def learning_rate(step: int, steps: int, peak: float = 2e-3) -> float:
    """A linear warm-up over the first tenth, then a cosine down to zero."""
    warm = max(steps // 10, 1)
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def main() -> float:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist", help="directory of the data set")
    parser.add_argument("--steps", type=int, default=400, help="updates of the weights")
    parser.add_argument("--parts", type=int, default=4, help="batches that make one update")
    parser.add_argument("--batch", type=int, default=64, help="images in a batch")
    args = parser.parse_args()

    torch.manual_seed(0)
    images, labels, test_images, test_labels = load_dataset(args.data)
    x, y = torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels)
    held_x, held_y = torch.from_numpy(test_images).unsqueeze(1), torch.from_numpy(test_labels)

    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.GELU(), nn.Dropout(0.2), nn.Linear(256, 10)
    )
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)

    # Model, loss and hits in one function: all of it runs on the engine.
    @torch.compile(backend="ane", dynamic=False)
    def judge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(x)
        return F.cross_entropy(logits, y), (logits.argmax(1) == y).sum()

    @torch.no_grad()
    def validate() -> tuple[float, float]:
        model.eval()
        loss, hits = 0.0, 0
        for rows in torch.arange(len(held_x)).split(500):
            one, right = judge(held_x[rows], held_y[rows])
            loss, hits = loss + one.item() * len(rows), hits + int(right)
        model.train()
        return loss / len(held_x), hits / len(held_x)

    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args.steps)
        optimizer.zero_grad()
        total = 0.0
        for _ in range(args.parts):
            rows = torch.randint(len(x), (args.batch,))
            loss, _ = judge(x[rows], y[rows])
            (loss / args.parts).backward()
            total += loss.item() / args.parts
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        if (step + 1) % 100 == 0 or step + 1 == args.steps:
            held_loss, accuracy = validate()
            print(f"step {step + 1}: loss {total:.3f}, norm {norm:.2f}, validation {held_loss:.3f}, {accuracy:.2%}")
    return accuracy


if __name__ == "__main__":
    main()
