"""The backend `ane` of `torch.compile`.

AOTAutograd traces the forward and the backward graph of a function; both are imported and become programs of the engine.
What the forward program leaves for the backward one stays on the device: PyTorch keeps empty tensors in its place, and when
the last of a call's is gone, its buffers are free again.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._dynamo.backends.common import aot_autograd
from torch.fx import GraphModule

from .decompositions import table
from .graph import names_of_inputs
from .options import options_of
from .pair import Pair
from .tracing import tracing


def ane(
    gm: GraphModule,
    example_inputs: list[torch.Tensor],
    *,
    options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:
    """Compiles a graph of Dynamo's: `torch.compile(model, backend="ane")`."""
    pair = Pair(options_of(options, mode), names_of_inputs(gm))
    compiler = aot_autograd(
        fw_compiler=pair.forward,
        bw_compiler=pair.backward,
        inference_compiler=pair.inference,
        decompositions=table(),
        partition_fn=_partition(),
    )
    with tracing():
        return compiler(gm, example_inputs)


def _partition() -> Callable[..., Any]:
    from functorch.compile import min_cut_rematerialization_partition

    return min_cut_rematerialization_partition  # type: ignore[no-any-return]
