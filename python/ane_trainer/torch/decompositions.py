"""Which ops AOTAutograd takes apart before a graph gets here."""

import functools
from collections.abc import Callable
from typing import Any

from torch._decomp import core_aten_decompositions

# Taken apart, these lose what makes them cheap or exact here: their own gradients, or a form that the engine has.
_WHOLE = {
    "native_layer_norm_backward",
    "native_group_norm_backward",
    "_softmax_backward_data",
    "_log_softmax_backward_data",
    "gelu_backward",
    "threshold_backward",
    "nll_loss_forward",
    "nll_loss_backward",
    "nll_loss2d_forward",
    "nll_loss2d_backward",
    "embedding_dense_backward",
    "native_batch_norm_backward",
    "silu",
    "silu_backward",
    "tanh_backward",
    "sigmoid_backward",
    "native_dropout_backward",
    "slice_backward",
    "select_backward",
    "leaky_relu",
    "elu",
    "hardtanh",
    "hardswish",
    "hardswish_backward",
    "mish",
    "mish_backward",
    "softplus",
    "upsample_nearest2d",
    "upsample_nearest2d_backward",
    "upsample_bilinear2d",
    "upsample_bilinear2d_backward",
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool2d_backward",
}


@functools.cache
def table() -> dict[Any, Callable[..., Any]]:
    """PyTorch's decompositions to its core ops, but for ops that have lowerings as they are."""
    core: Any = core_aten_decompositions()
    return {
        op: decomposition
        for op, decomposition in core.items()
        if _name(op) not in _WHOLE and "scaled_dot_product" not in str(op)
    }


def _name(op: Any) -> str:
    parts = str(op).split(".")
    return parts[1] if len(parts) > 1 else parts[0]
