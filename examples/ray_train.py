"""Two workers of Ray Train, each with half of every batch on an engine of its own.

python examples/ray_train.py --epochs 3
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train.torch import TorchTrainer
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from ane_trainer import report
from ane_trainer.data import load_dataset


def train_worker(config: dict[str, Any]) -> None:
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    images, labels, test_images, test_labels = (torch.from_numpy(a) for a in load_dataset(config["data"]))
    x, y = images.flatten(1), labels

    # DistributedDataParallel would cut the graph into pieces that never reach the backend.
    torch._dynamo.config.optimize_ddp = False
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    # Compiled first, then wrapped.
    parallel = DistributedDataParallel(torch.compile(model, backend="ane", dynamic=False))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    share = config["batch"] // workers
    for _ in range(config["epochs"]):
        # The same order everywhere, since the seed is the same; each worker takes its part of a batch.
        for rows in torch.randperm(len(x)).split(config["batch"])[:-1]:
            mine = rows[rank * share : (rank + 1) * share]
            optimizer.zero_grad()
            loss = F.cross_entropy(parallel(x[mine]), y[mine])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            hits = model(test_images.flatten(1)).argmax(1) == test_labels
        calls = sum(g.calls for g in report().graphs if g.on_engine)
        metrics = {"loss": loss.item(), "accuracy": hits.float().mean().item(), "engine_calls": calls}
        with tempfile.TemporaryDirectory() as folder:
            torch.save(model.state_dict(), Path(folder) / "model.pt")
            checkpoint = ray.train.Checkpoint.from_directory(folder) if rank == 0 else None
            ray.train.report(metrics, checkpoint=checkpoint)


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("mnist"), help="directory of the data set")
    parser.add_argument("--output", type=Path, default=Path("ray-results"), help="directory of the run")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=256, help="images in a batch of both workers")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()

    # The files are brought here once, before the workers read them.
    load_dataset(args.data)
    config = {"data": str(args.data.resolve()), "epochs": args.epochs, "batch": args.batch}
    scaling = ray.train.ScalingConfig(num_workers=args.workers)
    run = ray.train.RunConfig(storage_path=str(args.output.resolve()))
    result = TorchTrainer(train_worker, train_loop_config=config, scaling_config=scaling, run_config=run).fit()
    print(f"test accuracy {result.metrics['accuracy']:.2%}; the weights are in {result.checkpoint.path}")
    return dict(result.metrics)


if __name__ == "__main__":
    main()
