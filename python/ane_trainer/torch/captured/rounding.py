"""What fp16 does to a program, emulated in PyTorch: every result of every op is rounded, forward and backward."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map


def _rounded(x: Any) -> Any:
    if isinstance(x, torch.Tensor) and x.dtype is torch.float32:
        return x.to(torch.float16).to(torch.float32)
    return x


class RoundsToHalf(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Rounds what ops make to fp16, and what they are given; each op itself computes in fp32."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = func.name()
        if name.split(".")[0].endswith("_") or "view" in name or "detach" in name:
            # What is written into a tensor of the user's keeps its digits.
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map(_rounded, args), tree_map(_rounded, kwargs or {})
        return tree_map(_rounded, func(*args, **kwargs))
