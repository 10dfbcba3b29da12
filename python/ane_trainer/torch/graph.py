"""A graph that PyTorch traced, as the native importer reads it: JSON of ATen calls with named arguments."""

import json
import operator
import re
from typing import Any, NamedTuple

import torch
from torch.fx import GraphModule, Node

from ..errors import UnsupportedError

_DTYPES = {
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float32: "float32",
    torch.float64: "float64",
    torch.int8: "int8",
    torch.uint8: "uint8",
    torch.int16: "int16",
    torch.int32: "int32",
    torch.int64: "int64",
    torch.bool: "bool",
}


def dtype_name(dtype: torch.dtype) -> str:
    """PyTorch's own name of an element type, without its module."""
    return _DTYPES.get(dtype, str(dtype).removeprefix("torch."))


def is_symbolic(gm: GraphModule) -> bool:
    """Whether sizes of the graph are open: it is traced again for the sizes of a call."""
    for node in gm.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            return True
        if isinstance(value, torch.Tensor) and any(
            not isinstance(size, int) for size in value.shape
        ):
            return True
    return False


def constants(gm: GraphModule) -> list[Node]:
    """Tensors that the graph holds itself; they follow its inputs."""
    return [node for node in gm.graph.nodes if node.op == "get_attr"]


class Draw(NamedTuple):
    """A mask that a graph draws."""

    node: Node
    """Where."""
    saves: Node | None
    """The result that the generator's state before it becomes, where gradients draw the same again."""
    state: Node | None
    """The input that the generator's state is taken from."""


def draws(gm: GraphModule) -> list[Draw]:
    """The masks of the graph in the order in which they are drawn."""
    found = []
    for node in gm.graph.nodes:
        if node.op != "call_function":
            continue
        if _op_of(node) is not torch.ops.aten.native_dropout.default or _train_of(node) is False:
            continue
        name = getattr(node.target, "__name__", "")
        saves = next((u for u in node.users if u.args[1] == 0), None)
        found.append(
            Draw(
                node,
                saves if name == _SAVING else None,
                node.args[0] if name == _REPEATING else None,
            )
        )
    return found


_SAVING = "run_and_save_rng_state"
_REPEATING = "run_with_rng_state"


def _op_of(node: Node) -> Any:
    """The op that a node calls, where it calls it with the generator's state in a certain way, too."""
    name = getattr(node.target, "__name__", "")
    if name == _SAVING:
        return node.args[0]
    if name == _REPEATING:
        return node.args[1]
    return node.target


def _args_of(node: Node) -> tuple[Any, ...]:
    name = getattr(node.target, "__name__", "")
    return node.args[{_SAVING: 1, _REPEATING: 2}.get(name, 0) :]


def _train_of(node: Node) -> Any:
    args = _args_of(node)
    return args[2] if len(args) > 2 else node.kwargs.get("train")


def to_json(gm: GraphModule, name: str) -> str:
    """The graph as text.

    Raises `UnsupportedError` where it calls something that is no ATen op.
    """
    return json.dumps(_Writer(gm, name).graph())


def flops(gm: GraphModule) -> int:
    """Multiplications and additions of the graph's matrix products and convolutions, by PyTorch's own formulas."""
    from torch.utils.flop_counter import flop_registry

    total = 0
    for node in gm.graph.nodes:
        packet = getattr(node.target, "overloadpacket", None)
        formula = flop_registry.get(packet)
        if node.op != "call_function" or formula is None:
            continue
        args = torch.fx.node.map_arg(node.args, lambda n: n.meta["val"])
        kwargs = torch.fx.node.map_arg(node.kwargs, lambda n: n.meta["val"])
        total += int(formula(*args, **kwargs, out_val=node.meta["val"]))
    return total


def source_of(node: Node) -> str:
    """The line of the user's program that a node comes from, `train.py:41`; empty where PyTorch does not know."""
    trace = node.meta.get("stack_trace") or ""
    for line in reversed(trace.splitlines()):
        line = line.strip()
        if line.startswith('File "') and ", line " in line:
            path, rest = line[len('File "') :].split('"', 1)
            number = rest.removeprefix(", line ").split(",")[0]
            return f"{path.rsplit('/', 1)[-1]}:{number}"
    return ""


def module_of(node: Node) -> str:
    """The path of the module that a node comes from, `encoder.layers.0`; empty where PyTorch does not know."""
    stack = node.meta.get("nn_module_stack") or node.meta.get("fwd_nn_module_stack") or {}
    path = ""
    for entry in stack.values():
        path = entry[0] if isinstance(entry, tuple) else str(entry)
    path = path.replace("L['self']", "").replace("L['fn']", "").replace("L__self___", "").replace("_modules", "")
    parts = path.replace("['", ".").replace("']", "").replace("[", ".").replace("]", "")
    return ".".join(part for part in parts.split(".") if part)


def place_of(node: Node) -> str:
    """Where a node comes from, in words: `(encoder.0) at train.py:41`; empty where PyTorch does not know."""
    module, source = module_of(node), source_of(node)
    return " ".join(part for part in (module and f"({module})", source and f"at {source}") if part)


def names_of_inputs(gm: GraphModule) -> list[str]:
    """What the user calls the inputs of a graph of Dynamo's: `x`, `model.0.weight`, `batch['mask']`."""
    names = []
    for node in gm.graph.nodes:
        if node.op == "placeholder":
            source = getattr(node.meta.get("grapharg"), "source", None)
            name = re.sub(r"^[LG]\['(\w+)'\]", r"\1", str(getattr(source, "name", node.name)))
            name = re.sub(r"\._(?:modules|parameters|buffers)\['([^']*)'\]", r".\1", name)
            # A module that was compiled itself is Dynamo's `fn`, a function's own is `self`.
            names.append(re.sub(r"^(?:fn|self)\.", "", name))
    return names


class _Writer:
    def __init__(self, gm: GraphModule, name: str) -> None:
        self.gm = gm
        self.name = name
        self.elements: dict[Node, dict[int, str]] = {}

    def graph(self) -> dict[str, Any]:
        nodes = list(self.gm.graph.nodes)
        for node in nodes:
            if node.op == "call_function" and node.target is operator.getitem:
                self.elements.setdefault(node.args[0], {})[int(node.args[1])] = node.name
        for draw in draws(self.gm):
            if draw.saves is not None:
                # The op's own results are the second of what the node gives.
                inner = next((u for u in draw.node.users if u.args[1] == 1), None)
                self.elements[draw.node] = self.elements.get(inner, {}) if inner else {}
        inputs = [self.tensor(n) for n in nodes if n.op == "placeholder"]
        inputs += [self.tensor(n) for n in constants(self.gm)]
        calls = [
            self.call(n)
            for n in nodes
            if n.op == "call_function" and n.target is not operator.getitem
        ]
        output = next(n for n in nodes if n.op == "output").args[0]
        results = output if isinstance(output, list | tuple) else [output]
        # The generator's states do not pass through programs.
        states = {d.saves for d in draws(self.gm)}
        results = [None if r in states and r is not None else r for r in results]
        return {
            "name": self.name,
            "inputs": inputs,
            "nodes": calls,
            "outputs": [self.argument(r) for r in results],
        }

    def tensor(self, node: Node) -> dict[str, Any] | None:
        value = node.meta.get("val")
        if value is None and node.op == "get_attr":
            value = getattr(self.gm, str(node.target))
        return _tensor(node.name, value)

    def call(self, node: Node) -> dict[str, Any]:
        op = _op_of(node)
        if not isinstance(op, torch._ops.OpOverload):
            name = getattr(op, "__name__", str(op))
            where = f" at {source_of(node)}" if source_of(node) else ""
            raise UnsupportedError(
                f"there is no Neural Engine form of {name}{where}; write the model without it, "
                "or leave this part outside of the compiled function"
            )
        schema = op._schema
        args = []
        for i, value in enumerate(_args_of(node)):
            args.append((schema.arguments[i].name, self.argument(value)))
        for key, value in node.kwargs.items():
            args.append((key, self.argument(value)))
        return {
            "target": str(op),
            "args": args,
            "outputs": self.outputs(node),
            "module": module_of(node),
            "source": source_of(node),
        }

    def outputs(self, node: Node) -> list[dict[str, Any] | None]:
        value: Any = node.meta.get("val")
        if getattr(node.target, "__name__", "") == _SAVING:
            value = value[1]
        if isinstance(value, list | tuple):
            names = self.elements.get(node, {})
            return [
                _tensor(names[i], element) if i in names else None
                for i, element in enumerate(value)
            ]
        return [_tensor(node.name, value)]

    def argument(self, value: Any) -> Any:
        if value is None:
            return "none"
        if isinstance(value, Node):
            if isinstance(value.meta.get("val"), int):
                return {"int": value.meta["val"]}
            return {"tensor": value.name}
        if isinstance(value, bool):
            return {"bool": value}
        if isinstance(value, int):
            return {"int": value}
        if isinstance(value, float):
            return {"float": repr(value)}
        if isinstance(value, torch.dtype):
            name = dtype_name(value)
            return {"dtype": name if name in _DTYPES.values() else "other"}
        if isinstance(value, list | tuple):
            return {"list": [self.argument(v) for v in value]}
        return {"str": str(value)}


def _tensor(name: str, value: Any) -> dict[str, Any] | None:
    if not isinstance(value, torch.Tensor):
        return None
    return {
        "name": name,
        "dtype": dtype_name(value.dtype),
        "shape": [int(size) for size in value.shape],
    }
