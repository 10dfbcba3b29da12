"""What the backend did: graphs, programs, where they run, how often."""

import dataclasses
from typing import Any

from . import sessions


@dataclasses.dataclass
class GraphReport:
    """One graph of a compiled function, for one set of sizes."""

    name: str
    direction: str
    """`forward`, `backward` or `inference`."""
    nodes: int
    flops: int
    """Of products and convolutions, by PyTorch's formulas."""
    on_engine: bool
    reason: str = ""
    """Why it runs in PyTorch."""
    calls: int = 0
    placement: dict[str, Any] = dataclasses.field(default_factory=dict)

    def described(self) -> str:
        """Which graph it is, and how large."""
        return f"{self.name} {self.direction} ({self.nodes} nodes, {self.flops:,} FLOPs)"


@dataclasses.dataclass
class Report:
    """All graphs so far, with the devices' own counts."""

    graphs: list[GraphReport]
    compiles: int
    dispatches: int

    @property
    def flops_share(self) -> float:
        """Share of the work of one call of every graph that is on the engine, by an independent count."""
        total = sum(g.flops for g in self.graphs)
        return sum(g.flops for g in self.graphs if g.on_engine) / total if total else 1.0

    def __str__(self) -> str:
        lines = [
            f"{len(self.graphs)} graphs, {self.compiles} compiles, {self.dispatches} dispatches, "
            f"{100 * self.flops_share:.1f} % of the products' work on the engine"
        ]
        for g in self.graphs:
            where = "engine" if g.on_engine else f"PyTorch: {g.reason}"
            lines.append(
                f"  {g.name} {g.direction}: {g.nodes} nodes, {g.flops:,} FLOPs, {g.calls} calls, {where}"
            )
            for op, place, reason in g.placement.get("host_nodes", []):
                lines.append(f"    on the host: {op} {place}: {reason}")
        return "\n".join(lines)


_graphs: list[GraphReport] = []


def add_graph(graph: GraphReport) -> GraphReport:
    """Takes a graph into the report."""
    _graphs.append(graph)
    return graph


def forget() -> None:
    """Begins the report anew."""
    _graphs.clear()


def report() -> Report:
    """What the backend did so far."""
    compiles, dispatches = sessions.counts()
    return Report(list(_graphs), compiles, dispatches)
