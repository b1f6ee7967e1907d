"""Drop what was recorded but leads nowhere and depends on buffers only (counters of steps, caches)."""

import dataclasses
from itertools import accumulate

from torch import fx

from gradlint.core.graph import ModuleCall, OpNode


def without_idle_buffers(
    graph: fx.Graph, nodes: dict[str, OpNode], calls: list[ModuleCall]
) -> tuple[dict[str, OpNode], list[ModuleCall]]:
    """Erase dead nodes that depend on neither input nor parameter from `graph`.

    Returns:
        The remaining descriptions, and the calls with their node indices adapted.
    """
    idle: set[str] = set()
    for name, node in nodes.items():
        if node.op in ("buffer", "constant") or (node.inputs and all(i in idle for i in node.inputs)):
            idle.add(name)
    outputs = {call.output for call in calls}
    gone: set[str] = set()
    for node in reversed(list(graph.nodes)):
        if node.name in idle and not node.users and node.name not in outputs:
            graph.erase_node(node)
            gone.add(node.name)
    if not gone:
        return nodes, calls
    before = [0, *accumulate(name not in gone for name in nodes)]
    moved = [dataclasses.replace(call, first=before[call.first], last=before[call.last]) for call in calls]
    return {name: node for name, node in nodes.items() if name not in gone}, moved
