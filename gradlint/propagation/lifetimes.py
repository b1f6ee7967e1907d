"""How long values are needed: a node's particles and constants are let go of behind the last operator that reads them.

Backward rules keep what they need themselves.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from gradlint.propagation.signal import Signal
from gradlint.tracing.model_graph import ModelGraph, op_of


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Which values end at which node."""

    ending: dict[fx.Node, list[fx.Node]]
    """Node → those that nobody reads after it."""
    returned: frozenset[str | None]
    """What modules return: figures of it are wanted in the end, also of constants."""

    @staticmethod
    def of(graph: ModelGraph) -> "Lifetimes":
        """Nothing ends where particles are looked at again after the backward pass (`invariances`: batch norms)."""
        nodes = list(graph.graph.nodes)
        ending: dict[fx.Node, list[fx.Node]] = {}
        if not any(node.op == "call_function" and op_of(node).op == "batch_norm" for node in nodes):
            last = {source: node for node in nodes for source in node.all_input_nodes}
            for source, node in last.items():
                ending.setdefault(node, []).append(source)
        return Lifetimes(ending, frozenset(call.output for call in graph.view.calls))

    def end(self, node: fx.Node, environment: dict[fx.Node, Any], branches: dict[fx.Node, Any]) -> None:
        """Let go of what `node` was the last to read."""
        for source in self.ending.get(node, ()):
            branches.pop(source, None)
            value = environment[source]
            if isinstance(value, Signal):
                environment[source] = value.without_particles()
            elif isinstance(value, Tensor) and source.name not in self.returned:
                environment[source] = None
