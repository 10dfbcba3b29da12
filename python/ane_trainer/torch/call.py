"""One call of a forward program, and the call of its backward program: tensors in, tensors out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.fx import GraphModule

from ..errors import InputError, UnsupportedError
from . import graph, refusals

Run = Callable[[list[Any]], list[Any]]


class Token:
    """What an empty tensor stands for: a result of a forward program that stayed on the device."""

    __slots__ = ("call", "index", "meta", "program")

    def __init__(self, program: Any, call: Any, index: int, meta: torch.Tensor) -> None:
        self.program = program
        self.call = call
        self.index = index
        self.meta = meta

    def like(self) -> torch.Tensor:
        """A tensor of the same shape and type, whatever its elements."""
        return torch.empty(tuple(self.meta.shape), dtype=self.meta.dtype)

    def read(self) -> torch.Tensor:
        """The result itself, for a gradient that PyTorch computes."""
        result, array = room(self.meta)
        self.program.native.residual(self.call, self.index, array)
        return finished(result, self.meta)


def array_of(value: Any, name: str) -> "np.ndarray[Any, Any]":
    """A tensor as an array that programs read: float32, int64 or bool, in one piece.

    No copy is made where the tensor is that already.
    """
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{name} is a {type(value).__name__}, expected a tensor")
    if value.device.type != "cpu":
        raise InputError(
            f"{name} is on the device {value.device}; move it to the CPU, whose memory the engine shares"
        )
    if value.layout is not torch.strided:
        raise InputError(f"{name} has the layout {value.layout}, expected a dense tensor")
    if value.is_floating_point():
        plain = value.detach().to(torch.float32)
    elif value.dtype is torch.bool:
        plain = value
    elif value.is_complex():
        raise InputError(f"{name} is of {value.dtype}, expected real numbers, integers or truth values")
    else:
        plain = value.to(torch.int64)
    array: np.ndarray[Any, Any] = plain.contiguous().numpy()
    return array


def room(meta: torch.Tensor) -> "tuple[torch.Tensor, np.ndarray[Any, Any]]":
    """A tensor for a result of this shape and type, and the array that programs write."""
    shape = tuple(meta.shape)
    if meta.dtype.is_floating_point:
        result = torch.empty(shape, dtype=torch.float32)
    elif meta.dtype is torch.bool:
        result = torch.empty(shape, dtype=torch.bool)
    else:
        result = torch.empty(shape, dtype=torch.int64)
    return result, result.numpy()


def finished(result: torch.Tensor, meta: torch.Tensor) -> torch.Tensor:
    """A result with the element type and the strides that PyTorch says it has."""
    result = result.to(meta.dtype)
    stride = tuple(meta.stride())
    if result.stride() == stride or meta.is_contiguous():
        return result
    strided = torch.empty_strided(tuple(meta.shape), stride, dtype=meta.dtype)
    return strided.copy_(result)


def draw(shape: list[int], keep: float) -> "np.ndarray[Any, Any]":
    """A mask from PyTorch's generator, drawn as its own dropout does."""
    mask = torch.empty(shape, dtype=torch.bool).bernoulli_(keep)
    return mask.to(torch.float32).numpy()


class Forward:
    """Calls a forward program."""

    def __init__(
        self, program: Any, native: Any, gm: GraphModule, returned: int, names: list[str]
    ) -> None:
        self.program = program
        self.native = native
        self.returned = returned
        inputs = [str(n.target) for n in gm.graph.nodes if n.op == "placeholder"]
        # AOTAutograd may add inputs of its own.
        self.names = names if len(names) == len(inputs) else inputs
        self.constants = [getattr(gm, str(n.target)) for n in graph.constants(gm)]
        self.reads = native.reads()
        self.bounds = [bound for bound in refusals.bounds(gm) if bound.input in self.reads]
        self.masks = list(zip(native.masks(False), graph.draws(gm), strict=True))
        output = next(n for n in gm.graph.nodes if n.op == "output").args[0]
        nodes = output if isinstance(output, list | tuple) else [output]
        self.metas: list[Any] = [n.meta.get("val") if isinstance(n, torch.fx.Node) else None for n in nodes]
        self.results = [tuple(kind.split(" ", 1)) for kind in native.results()]
        self.states = {
            i: nodes.index(draw.saves)
            for i, (_, draw) in enumerate(self.masks)
            if draw.saves in nodes and draw.saves is not None
        }
        for kind in self.results[:returned]:
            if kind[0] == "missing":
                raise UnsupportedError(f"a result of {kind[1]} is returned, which has no Neural Engine form")

    def __call__(self, args: list[Any]) -> list[Any]:
        given = [*args, *self.constants]
        inputs: list[Any] = [None] * len(given)
        for i in self.reads:
            inputs[i] = array_of(given[i], self.name_of(i))
        for bound in self.bounds:
            bound.check(inputs[bound.input], self.name_of(bound.input))
        results: list[Any] = [None] * len(self.results)
        masks = []
        for i, ((shape, keep), _) in enumerate(self.masks):
            if i in self.states:
                results[self.states[i]] = torch.get_rng_state()
            masks.append(draw(shape, keep))
        outputs: list[Any] = [None] * len(self.results)
        for k in range(self.returned):
            if self.results[k][0] == "port":
                results[k], outputs[k] = room(self.metas[k])
        call = self.native.forward(inputs, masks, outputs)
        for k, kind in enumerate(self.results):
            if kind[0] == "input":
                results[k] = given[int(kind[1])]
            elif kind[0] == "int":
                results[k] = int(kind[1])
            elif kind[0] != "none" and k >= self.returned:
                results[k] = torch.empty(0)
                results[k]._ane = Token(self.program, call, k, self.metas[k])
            elif kind[0] == "port":
                results[k] = finished(results[k], self.metas[k])
        return results

    def name_of(self, index: int) -> str:
        """What an input is called in messages."""
        if index < len(self.names):
            return self.names[index]
        return "a constant of the graph"


class Backward:
    """Calls a backward program."""

    def __init__(self, native: Any, gm: GraphModule) -> None:
        self.native = native
        self.constants = [getattr(gm, str(n.target)) for n in graph.constants(gm)]
        self.reads = native.backward_reads()
        self.every = native.backward_inputs()
        inputs = [n for n in gm.graph.nodes if n.op == "placeholder"]
        self.masks = [
            (shape, keep, inputs.index(drawn.state) if drawn.state in inputs else None)
            for (shape, keep), drawn in zip(native.masks(True), graph.draws(gm), strict=True)
        ]
        output = next(n for n in gm.graph.nodes if n.op == "output").args[0]
        nodes = output if isinstance(output, list | tuple) else [output]
        self.metas: list[Any] = [n.meta.get("val") if isinstance(n, torch.fx.Node) else None for n in nodes]
        self.results = [tuple(kind.split(" ", 1)) for kind in native.backward_results()]

    def __call__(self, args: list[Any]) -> list[Any]:
        call = next((a._ane.call for a in args if hasattr(a, "_ane")), None)
        given = [*args, *self.constants]
        inputs: list[Any] = [None] * len(given)
        for i in self.reads if call is not None else self.every:
            inputs[i] = array_of(given[i], f"value {i} of the backward graph")
        masks = []
        for shape, keep, state in self.masks:
            if state is None:
                masks.append(draw(shape, keep))
                continue
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(args[state])
                masks.append(draw(shape, keep))
        results: list[Any] = [None] * len(self.results)
        outputs: list[Any] = [None] * len(self.results)
        for k, kind in enumerate(self.results):
            if kind[0] == "port":
                results[k], outputs[k] = room(self.metas[k])
        self.native.backward(call, inputs, masks, outputs)
        for k, kind in enumerate(self.results):
            if kind[0] == "port":
                results[k] = finished(results[k], self.metas[k])
            elif kind[0] == "input":
                results[k] = given[int(kind[1])]
            elif kind[0] == "int":
                results[k] = int(kind[1])
        return results
