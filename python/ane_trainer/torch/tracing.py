"""What holds while AOTAutograd traces a function for the engine."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch._C import DispatchKey
from torch.nn.attention import SDPBackend, sdpa_kernel

_lock = threading.RLock()

# PyTorch's own Python versions of these are reads by index, which an engine has no form for. The op itself has one.
_WHOLE = ("upsample_nearest2d", "upsample_bilinear2d")


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Attention is traced as products and softmax, interpolation as the op that it is.

    The fused attention kernels of processors have backward ops of their own, which nothing else has.
    """
    with _lock, sdpa_kernel(SDPBackend.MATH), _without_python_kernels():
        yield


@contextlib.contextmanager
def _without_python_kernels() -> Iterator[None]:
    taken: list[tuple[Any, Any, Any]] = []
    for name in _WHOLE:
        packet = getattr(torch.ops.aten, name)
        for overload in ("vec", "default"):
            op = getattr(packet, overload)
            for key in (DispatchKey.Autograd, DispatchKey.CompositeImplicitAutograd):
                kernel = op.py_kernels.pop(key, None)
                if kernel is not None:
                    taken.append((op, key, kernel))
            op._dispatch_cache.clear()
    try:
        yield
    finally:
        for op, key, kernel in taken:
            op.py_kernels[key] = kernel
            op._dispatch_cache.clear()
