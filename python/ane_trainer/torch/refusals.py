"""What PyTorch's kernels refuse and its tracing does not, so that it is refused here too.

A traced product of two element types has a shape, and an engine reads some row where an index is out of range.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.fx import GraphModule, Node
from torch.utils.flop_counter import flop_registry

from ..errors import InputError
from .graph import dtype_name, place_of

_aten = torch.ops.aten

# An index that passes through these is the same numbers in another shape.
_RESHAPES = {
    _aten.view,
    _aten._unsafe_view,
    _aten.reshape,
    _aten.unsqueeze,
    _aten.squeeze,
    _aten.expand,
    _aten.permute,
    _aten.transpose,
    _aten.t,
    _aten.clone,
    _aten.alias,
    _aten.detach,
}


def check_types(gm: GraphModule) -> None:
    """Raises `InputError` where operands of a product or a convolution are of different element types."""
    for node in gm.graph.nodes:
        if node.op != "call_function" or getattr(node.target, "overloadpacket", None) not in flop_registry:
            continue
        values = [n.meta.get("val") for n in node.all_input_nodes]
        types = sorted({dtype_name(v.dtype) for v in values if isinstance(v, torch.Tensor)})
        if len(types) > 1:
            raise InputError(
                f"{node.target} {place_of(node)} has operands of {' and '.join(types)}, expected one type; "
                f"convert the input to that of the weights, such as by .to(torch.float32)"
            )


class Bound(NamedTuple):
    """An input that holds indices, and what they may be."""

    input: int
    """The input's number among those of the graph."""
    low: int
    high: int
    """One more than the largest."""
    ignored: int | None
    """A value outside of these that is allowed."""
    reader: str
    """What reads by them, and where."""

    def check(self, indices: "np.ndarray[Any, Any]", name: str) -> None:
        """Raises `InputError` where one is out of range."""
        wrong = (indices < self.low) | (indices >= self.high)
        if self.ignored is not None:
            wrong &= indices != self.ignored
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            besides = "" if self.ignored is None or self.low <= self.ignored < self.high else f" or {self.ignored}"
            raise InputError(
                f"{name} holds {int(indices[at])} at {list(at)}, expected {self.low} to {self.high - 1}{besides} "
                f"for {self.reader}; correct the data, or give what is read by them more rows"
            )


def bounds(gm: GraphModule) -> list[Bound]:
    """The inputs of the graph that are indices as they are, whatever their shape; computed ones are not followed."""
    inputs = [n for n in gm.graph.nodes if n.op == "placeholder"]
    found = []
    for node in gm.graph.nodes:
        reads = _READERS.get(getattr(node.target, "overloadpacket", None))
        for index, low, high, ignored in reads(node) if reads else ():
            origin = _origin(index)
            if origin in inputs and not origin.meta["val"].dtype.is_floating_point:
                reader = f"{node.target} {place_of(node)}".strip()
                found.append(Bound(inputs.index(origin), low, high, ignored, reader))
    return found


def _origin(node: Node) -> Node:
    while getattr(node.target, "overloadpacket", None) in _RESHAPES:
        node = node.args[0]  # type: ignore[assignment]
    return node


_Read = tuple[Node, int, int, int | None]


def _argument(node: Node, position: int, default: Any) -> Any:
    return node.args[position] if len(node.args) > position else default


def _shape(node: Any) -> list[int]:
    return list(node.meta["val"].shape)


def _embedding(node: Node) -> list[_Read]:
    return [(node.args[1], 0, _shape(node.args[0])[0], None)]  # type: ignore[list-item]


def _loss(node: Node) -> list[_Read]:
    shape = _shape(node.args[0])
    classes = shape[1] if len(shape) > 1 else shape[0]
    return [(node.args[1], 0, classes, _argument(node, 4, -100))]  # type: ignore[list-item]


def _along_dim(node: Node) -> list[_Read]:
    return [(node.args[2], 0, _shape(node.args[0])[int(node.args[1])], None)]  # type: ignore[list-item,arg-type]


def _index(node: Node) -> list[_Read]:
    shape, indices = _shape(node.args[0]), list(node.args[1])  # type: ignore[arg-type]
    whole = [(i, size) for i, size in zip(indices, shape) if isinstance(i, Node)]
    # Masks count as several, and what follows them is of other dims.
    if any(i.meta["val"].dtype is torch.bool for i, _ in whole):
        return []
    return [(i, -size, size, None) for i, size in whole]


_READERS: dict[Any, Callable[[Node], list[_Read]]] = {
    _aten.embedding: _embedding,
    _aten.nll_loss_forward: _loss,
    _aten.nll_loss2d_forward: _loss,
    _aten.gather: _along_dim,
    _aten.index_select: _along_dim,
    _aten.index: _index,
}
