"""Gradients through the backend against eager fp32, beside an emulation of rounding to fp16."""

import pytest
import torch
from models import MODELS, Fixture
from torch.nn.attention import SDPBackend, sdpa_kernel

from ane_trainer.torch import report, strict
from ane_trainer.torch.captured.rounding import RoundsToHalf

SCALE = 2.0**10
"""Gradients of the emulation carry it, as those of the engine carry a power of two of their own."""


def gradients(fixture: Fixture, seed: int, how: str, target: str | None) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    model, (x, y) = fixture.model().train(), fixture.batch()

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return fixture.loss(model(x), y)

    torch.manual_seed(seed + 1)
    with sdpa_kernel(SDPBackend.MATH):
        if how == "eager":
            loss_of(x, y).backward()
        elif how == "rounded":
            with RoundsToHalf():
                (loss_of(x, y) * SCALE).backward()
            for p in model.parameters():
                if p.grad is not None:
                    p.grad /= SCALE
        else:
            options = {"target": target} if target else None
            compiled = torch.compile(
                loss_of, backend="ane", fullgraph=True, dynamic=False, options=options
            )
            compiled(x, y).backward()
    return {
        name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None
    } | {name: b.clone().float() for name, b in model.named_buffers()}


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    size = expected.norm().item()
    return (found - expected).norm().item() / size if size else found.norm().item()


def check(name: str, target: str | None) -> None:
    torch._dynamo.reset()
    before = len(report().graphs)
    fixture = MODELS[name]
    exact = gradients(fixture, 3, "eager", None)
    rounded = gradients(fixture, 3, "rounded", None)
    with strict():
        found = gradients(fixture, 3, "ane", target)
    graphs = report().graphs[before:]
    assert [g.direction for g in graphs] == ["forward", "backward"]
    assert all(g.on_engine for g in graphs)
    assert found.keys() == exact.keys()
    everything = [torch.cat([g[k].flatten() for k in exact]) for g in (exact, rounded, found)]
    of_rounding, cosine = (
        torch.nn.functional.cosine_similarity(everything[0], other, dim=0)
        for other in everything[1:]
    )
    assert cosine >= min(0.999, of_rounding), f"cosine {cosine}, of rounding {of_rounding}"
    ratio = error(everything[2], everything[0]) / error(everything[1], everything[0])
    assert ratio <= 2.0, f"{ratio} times the error of rounding"
    # A tensor whose true gradient is zero, such as a bias before batch norm, has nothing to be relative to.
    floor = 2e-3 * everything[0].norm().item()
    for key in exact:
        far, of_rounding = ((g[key] - exact[key]).norm().item() for g in (found, rounded))
        assert far <= 4 * of_rounding + floor, key


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_as_near_as_rounding_allows(name: str) -> None:
    check(name, None)


@pytest.mark.parametrize("name", ["mlp", "lenet", "cnn", "autoencoder", "unet"])
def test_gradients_of_a_chip(name: str) -> None:
    check(name, "h16")
