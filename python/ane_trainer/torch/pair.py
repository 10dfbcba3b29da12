"""The forward and backward graph of one compiled function."""

import itertools
import sys
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch._guards import TracingContext
from torch.fx import GraphModule

from ..errors import FallbackError, TargetError, UnsupportedError
from . import graph, refusals, sessions
from .call import Backward, Forward, Token
from .options import Options
from .reporting import GraphReport, add_graph
from .strictness import is_strict

_numbers = itertools.count()

Boxed = Callable[[list[Any]], list[Any]]


class Pair:
    """Compiles the two graphs of a function when they are first called with a set of sizes."""

    def __init__(self, options: Options, names: list[str]) -> None:
        self.options = options
        self.names = names
        self.name = f"graph {next(_numbers)}"
        self.lock = threading.Lock()
        self.forward_graph: GraphModule | None = None
        self.backward_graph: GraphModule | None = None
        self.returned = 0
        self.programs: dict[Any, Program] = {}

    def forward(self, gm: GraphModule, _: list[Any]) -> Boxed:
        """The forward graph of a function that gradients are asked of."""
        self.forward_graph = gm
        self.returned = _returned(gm)
        return boxed(lambda args: self.run_forward(gm, args, self.returned, "forward"))

    def inference(self, gm: GraphModule, _: list[Any]) -> Boxed:
        """The graph of a function without gradients."""
        everything = len(_results(gm))
        return boxed(lambda args: self.run_forward(gm, args, everything, "inference"))

    def backward(self, gm: GraphModule, _: list[Any]) -> Boxed:
        """The backward graph: its inputs are what the forward graph returned after its results, and cotangents."""
        self.backward_graph = gm
        return boxed(self.run_backward)

    def run_forward(
        self, gm: GraphModule, args: list[Any], returned: int, direction: str
    ) -> list[Any]:
        sessions.check_process()
        key = (direction, sizes(args))
        with self.lock:
            program = self.programs.get(key)
            if program is None:
                program = Program(self, gm, args, returned, direction)
                self.programs[key] = program
        return program(args)

    def run_backward(self, args: list[Any]) -> list[Any]:
        sessions.check_process()
        tokens = (a._ane for a in args if hasattr(a, "_ane"))
        token = next((t for t in tokens if isinstance(t, Token)), None)
        if token is not None:
            program: Program = token.program
            return program.backward(args)
        # Everything that the gradient needs was an input, or the forward graph ran in PyTorch.
        with self.lock:
            program = self.programs.get(("backward", sizes(args))) or self._without_tokens(args)
        return program.backward(args)

    def _without_tokens(self, args: list[Any]) -> "Program":
        """The program whose inputs are of the sizes of those that the backward graph was given."""
        for key, program in self.programs.items():
            if key[0] == "forward" and program.fits(args):
                self.programs["backward", sizes(args)] = program
                return program
        raise UnsupportedError(f"{self.name}: a gradient is asked for of a call that was not made here")

    def links(self) -> list[int | None]:
        """For every input of the backward graph, the result of the forward graph that it is; none for a cotangent.

        AOTAutograd's partition calls both alike.
        """
        assert self.forward_graph is not None and self.backward_graph is not None
        results = _results(self.forward_graph)
        places = {
            n.name: k
            for k, n in enumerate(results)
            if k >= self.returned and isinstance(n, torch.fx.Node)
        }
        inputs = [n for n in self.backward_graph.graph.nodes if n.op == "placeholder"]
        return [places.get(n.name) for n in inputs]


def boxed(run: Boxed) -> Boxed:
    """A function in AOTAutograd's convention: it empties the list of its arguments."""

    def call(args: list[Any]) -> list[Any]:
        held = list(args)
        args.clear()
        return run(held)

    call._boxed_call = True  # type: ignore[attr-defined]
    return call


def sizes(args: list[Any]) -> Any:
    """What a program is made for: shapes and types of tensors, and numbers."""
    return tuple(
        (tuple(a.shape), a.dtype) if isinstance(a, torch.Tensor) else a for a in args
    )


def run_in_pytorch(gm: GraphModule, args: list[Any]) -> list[Any]:
    """The graph as PyTorch runs it, node by node."""
    results = torch.fx.Interpreter(gm).run(*args)
    return list(results) if isinstance(results, list | tuple) else [results]


def _results(gm: GraphModule) -> list[Any]:
    output = next(n for n in gm.graph.nodes if n.op == "output").args[0]
    return list(output) if isinstance(output, list | tuple) else [output]


def _returned(gm: GraphModule) -> int:
    """How many results of the forward graph are the function's own; what follows is for the backward graph."""
    context = TracingContext.try_get()
    metadata = getattr(context, "fw_metadata", None)
    returned = getattr(metadata, "num_forward_returns", None)
    return int(returned) if returned is not None else len(_results(gm))


class Program:
    """The forward program for one set of sizes, with the backward program that goes with it.

    Both are compiled before the first call wherever the backward graph is known by then, so that a graph without a form
    on the engine leaves both to PyTorch.
    """

    def __init__(
        self, pair: Pair, gm: GraphModule, args: list[Any], returned: int, direction: str
    ) -> None:
        self.pair = pair
        self.gm = concrete(gm, args)
        refusals.check_types(self.gm)
        self.native: Any = None
        self.backward_gm: GraphModule | None = None
        self.run_back: Backward | None = None
        self.shapes = [tuple(a.shape) if isinstance(a, torch.Tensor) else a for a in args]
        self.report = add_graph(_described(pair.name, direction, self.gm))
        self.backward_report: GraphReport | None = None
        try:
            _check_sizes(self.gm, pair.names)
            text = graph.to_json(self.gm, f"{pair.name} {direction}")
            native = sessions.session(pair.options).compile(text)
            self.run = Forward(self, native, self.gm, returned, pair.names)
            self.native = native
            self.report.placement = native.placement()["forward"]
            back = pair.backward_graph
            if direction == "forward" and back is not None and not graph.is_symbolic(back):
                self._compile_backward(back)
        except (UnsupportedError, TargetError) as error:
            self.native = None
            self.backward_gm = None
            fall_back(self.report, error)

    def __call__(self, args: list[Any]) -> list[Any]:
        if self.native is None:
            forbid_if_strict(self.report)
            self.report.calls += 1
            return run_in_pytorch(self.gm, args)
        self.report.calls += 1
        return self.run(args)

    def fits(self, args: list[Any]) -> bool:
        """Whether inputs that the backward graph was given have the sizes of this program."""
        results = _results(self.gm)
        inputs = [n for n in self.gm.graph.nodes if n.op == "placeholder"]
        for link, given in zip(self.pair.links(), args, strict=True):
            node = results[link] if link is not None else None
            if node in inputs and isinstance(given, torch.Tensor):
                if self.shapes[inputs.index(node)] != tuple(given.shape):
                    return False
        return True

    def backward(self, args: list[Any]) -> list[Any]:
        """Gradients, for arguments among which tokens stand for what stayed on the device."""
        gm = self.pair.backward_graph
        assert gm is not None
        if self.native is None:
            if self.backward_report is None:
                self.backward_report = add_graph(_described(self.pair.name, "backward", gm))
                self.backward_report.on_engine = False
                self.backward_report.reason = self.report.reason
            self.backward_report.calls += 1
            return run_in_pytorch(gm, args)
        if self.backward_gm is None:
            shaped = [a._ane.like() if hasattr(a, "_ane") else a for a in args]
            try:
                self._compile_backward(concrete(gm, shaped))
            except (UnsupportedError, TargetError) as error:
                assert self.backward_report is not None
                self.backward_gm = gm
                fall_back(self.backward_report, error)
        assert self.backward_report is not None
        self.backward_report.calls += 1
        if self.run_back is None:
            forbid_if_strict(self.backward_report)
            held = [a._ane.read() if hasattr(a, "_ane") else a for a in args]
            return run_in_pytorch(gm, held)
        return self.run_back(args)

    def _compile_backward(self, gm: GraphModule) -> None:
        entry = _described(self.pair.name, "backward", gm)
        self.backward_report = add_graph(entry)
        ports: list[str | None] = []
        left = self.native.results()
        tokens = set()
        for i, link in enumerate(self.pair.links()):
            kind = left[link] if link is not None else ""
            if link is None:
                ports.append(None)
            elif kind == "none":
                # A state of the generator, which programs have no use for.
                ports.append(f"state_{i}")
            elif kind.startswith("input "):
                ports.append(f"in_{kind.removeprefix('input ')}")
            else:
                ports.append(f"out_{link}")
                tokens.add(i)
        ports += [f"constant_{i}" for i in range(len(graph.constants(gm)))]
        text = graph.to_json(gm, f"{self.pair.name} backward")
        self.native.set_backward(text, ports)
        run = Backward(self.native, gm)
        for i in run.reads:
            if i in tokens:
                link = self.pair.links()[i]
                raise UnsupportedError(
                    f"the backward graph needs {left[link or 0]}, which has no Neural Engine form"
                )
        entry.placement = self.native.placement()["backward"]
        self.run_back = run
        self.backward_gm = gm


def concrete(gm: GraphModule, args: list[Any]) -> GraphModule:
    """The graph for the sizes of these arguments, where its own are open."""
    if not graph.is_symbolic(gm):
        return gm
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(gm, tracing_mode="fake")(*args)


def _check_sizes(gm: GraphModule, names: list[str]) -> None:
    inputs = [n for n in gm.graph.nodes if n.op == "placeholder"]
    for i, node in enumerate(inputs):
        value = node.meta.get("val")
        if node.users and isinstance(value, torch.Tensor) and value.numel() == 0:
            name = names[i] if len(names) == len(inputs) else node.name
            shape = list(value.shape)
            raise UnsupportedError(f"{name} of shape {shape} has no elements, and the engine computes nothing from nothing")


def _described(name: str, direction: str, gm: GraphModule) -> GraphReport:
    calls = sum(1 for n in gm.graph.nodes if n.op == "call_function")
    return GraphReport(name, direction, calls, graph.flops(gm), on_engine=True)


def fall_back(entry: GraphReport, error: Exception) -> None:
    """Has a graph run in PyTorch, with one printed reason; an error where that is forbidden."""
    entry.on_engine = False
    entry.reason = str(error)
    forbid_if_strict(entry, error)
    print(f"ane_trainer: {entry.described()} runs in PyTorch: {error}", file=sys.stderr)


def forbid_if_strict(entry: GraphReport, cause: Exception | None = None) -> None:
    """Raises `FallbackError` for a graph that runs in PyTorch, where that is forbidden."""
    if is_strict():
        raise FallbackError(f"{entry.described()} cannot run on the engine: {entry.reason}") from cause
