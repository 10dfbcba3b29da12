"""Two processes of DistributedDataParallel are one process on the joint batch."""

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))


def batch() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.randn(8, 16, generator=random), torch.randint(0, 4, (8,), generator=random)


def train(forward: nn.Module, x: Tensor, y: Tensor) -> None:
    optimizer = torch.optim.SGD(forward.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(forward(x), y).backward()
        optimizer.step()


def worker(rank: int, port: int, folder: str) -> None:
    from ane_trainer.torch import report

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    # DDP's own cuts of a graph would never reach the backend.
    torch._dynamo.config.optimize_ddp = False
    module = model()
    compiled = torch.compile(module, backend="ane", dynamic=False, options={"threads": 1})
    x, y = batch()
    half = slice(4 * rank, 4 * rank + 4)
    train(DistributedDataParallel(compiled), x[half], y[half])
    calls = sum(g.calls for g in report().graphs if g.on_engine)
    torch.save((module.state_dict(), calls), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.full
def test_two_processes_are_one_on_the_joint_batch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(worker, args=(port, str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]
    alone = model()
    train(alone, *batch())
    states = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for state, calls in states:
        assert calls >= 6
        for name, expected in alone.state_dict().items():
            torch.testing.assert_close(state[name], expected, rtol=1e-2, atol=2e-3)
    for name in states[0][0]:
        assert torch.equal(states[0][0][name], states[1][0][name])
