"""Whether a captured program computes what PyTorch computes, on one batch, before anything is trained.

A program rounds every value to fp16, so its gradients differ from PyTorch's. How much, depends on the model: PyTorch itself is
run a second time with every result rounded, and what a program may be off is measured by what that is off.
"""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ...errors import CaptureMismatchError
from .batches import Batch
from .eager import Gradients, gradients
from .forward import Forward

TIMES_ROUNDING = 4.0
"""A program rounds in other places than the emulation, so its error is another draw of the same size, and not below it."""
OF_ITSELF = 2e-2
"""Share of a gradient's own norm that is allowed besides: twenty times the distance of two numbers of fp16, for graphs so short
that the emulation happens to round nothing."""
OF_ALL = 2e-3
"""Share of the norm of all gradients that is allowed besides, for tensors whose true gradient is zero, such as a bias before batch
norm: what they have is rounding alone."""
LEAST_COSINE = 0.99
"""The least cosine of all gradients together, or what the emulation's error allows where that is less. A detach that is ignored
leaves the bounds above by far (15 % to 100 % of the norm, where it was measured)."""

TRIES = 4
"""Sets of weights that are compared at most. A value at the corner of a ReLU falls to either side by rounding, and takes its share
of a gradient along; 4 of 150 captures of a small model saw that, and none of them again with other weights. What is
exported otherwise than it runs differs with all of them."""
NUDGE = 0.05
"""How far the other weights are from the module's, relatively."""


@contextlib.contextmanager
def nudged(forward: Forward, number: int) -> Iterator[None]:
    """Has other weights in the user's modules, the same for the same number."""
    generator = torch.Generator().manual_seed(number)
    parameters = {id(p): p for _, p in forward.named_state() if isinstance(p, torch.nn.Parameter)}.values()
    own = [p.detach().clone() for p in parameters]
    try:
        with torch.no_grad():
            for p in parameters:
                p.mul_(1 + NUDGE * torch.randn(p.shape, generator=generator))
        yield
    finally:
        with torch.no_grad():
            for p, values in zip(parameters, own, strict=True):
                p.copy_(values)


def compare(forward: Forward, batch: Batch, found: Gradients, scale: float) -> None:
    """Raises `CaptureMismatchError`, which names the parameter, where loss or gradients are not PyTorch's."""
    exact = gradients(forward, batch)
    rounded = gradients(forward, batch, scale)
    while not _finite(rounded) and scale > 1.0:
        scale /= 2
        rounded = gradients(forward, batch, scale)
    _compare_losses(found.loss, exact.loss, rounded.loss)
    whole = _norm([g for g in exact.of.values() if g is not None])
    for path, expected in exact.of.items():
        here = found.of.get(path)
        if expected is None or not expected.any():
            if here is not None and _norm([here]) > OF_ALL * whole:
                raise _mismatch(path, f"a gradient of norm {_norm([here]):.4g}", "none")
            continue
        if here is None:
            raise _mismatch(path, "no gradient", f"one of norm {_norm([expected]):.4g}")
        here = here.reshape(expected.shape)
        of_rounding = rounded.of.get(path)
        allowed = OF_ITSELF * _norm([expected]) + OF_ALL * whole
        if of_rounding is not None:
            allowed += TIMES_ROUNDING * _finite_norm(of_rounding - expected)
        distance = _norm([here - expected])
        if not distance <= allowed:
            raise _mismatch(
                path,
                f"a gradient of norm {_norm([here]):.4g}, {distance:.4g} away",
                f"one of norm {_norm([expected]):.4g}, within {allowed:.4g}",
            )
    _compare_directions(found, exact, rounded)


def _compare_losses(found: float, expected: float, rounded: float) -> None:
    allowed = TIMES_ROUNDING * abs(rounded - expected) if math.isfinite(rounded) else math.inf
    allowed += OF_ITSELF * abs(expected) + OF_ALL
    same = math.isnan(found) and math.isnan(expected)
    if not same and found != expected and not abs(found - expected) <= allowed:
        raise _mismatch("the loss", f"{found:.6g}", f"{expected:.6g}, within {allowed:.3g}")


def _compare_directions(found: Gradients, exact: Gradients, rounded: Gradients) -> None:
    paths = [p for p, g in exact.of.items() if g is not None and found.of.get(p) is not None]
    if not paths:
        return

    def flat(of: dict[str, Tensor | None]) -> Tensor:
        return torch.cat([g.flatten() for p in paths if (g := of[p]) is not None])

    def cosine(of: dict[str, Tensor | None]) -> float:
        return float(torch.nn.functional.cosine_similarity(flat(of), flat(exact.of), dim=0))

    if not flat(exact.of).any():
        return
    of_rounding = cosine(rounded.of)
    # 1 − cos is half the square of the relative error.
    least = min(LEAST_COSINE, 1 - TIMES_ROUNDING**2 * (1 - of_rounding)) if math.isfinite(of_rounding) else -1.0
    if not cosine(found.of) >= least:
        raise _mismatch("all parameters together", f"a cosine of {cosine(found.of):.5f}", f"at least {least:.5f}")


def _finite(of: Gradients) -> bool:
    return all(bool(g.isfinite().all()) for g in of.of.values() if g is not None)


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))


def _finite_norm(tensor: Tensor) -> float:
    norm = _norm([tensor])
    return norm if math.isfinite(norm) else math.inf


def _mismatch(path: str, found: str, expected: str) -> CaptureMismatchError:
    where = path if " " in path else f"`{path}`"
    return CaptureMismatchError(
        f"the captured program does not compute what PyTorch does: {where} has {found}, expected {expected}; "
        "something in the model is exported otherwise than it runs. Use torch.compile(..., backend=\"ane\") for it"
    )
