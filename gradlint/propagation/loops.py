"""Recurrences written as a Python loop: a module called again and again on what it gave before."""

from itertools import pairwise

from gradlint.core.flow import NodeFlow, TimeFlow
from gradlint.core.graph import GraphView, ModuleCall
from gradlint.propagation.transfer.recurrence import decades_per_step

STEPS = 5
"""Fewer calls are shared layers, not a recurrence."""


def loop_times(view: GraphView, nodes: dict[str, NodeFlow], parametrised: frozenset[str]) -> list[TimeFlow]:
    """Gradient per call of each module with parameters that is called in a chain, outermost modules first."""
    calls: dict[str, list[ModuleCall]] = {}
    for call in view.calls:
        if call.output is not None:
            calls.setdefault(call.module, []).append(call)
    owners = {p.rsplit(".", i)[0] for p in parametrised for i in range(p.count(".") + 1)} | parametrised
    found: list[TimeFlow] = []
    for path in sorted(calls, key=lambda p: (p.count("."), p)):
        steps = calls[path]
        nested = any(t.module and path.startswith(f"{t.module}.") for t in found)
        if len(steps) < STEPS or path not in owners or nested or not _chained(view, steps):
            continue
        gradients = tuple(_gradient(view, nodes, c.output) for c in steps if c.output is not None)
        last = steps[-1].output or path
        found.append(TimeFlow(last, path, len(steps), gradients, (), decades_per_step(gradients), "loop"))
    return found


def _results(view: GraphView, output: str) -> set[str]:
    """All that a call gives, where it gives several (an output and a state)."""
    node = view.nodes[output]
    if node.op != "unpack":
        return {output}
    return {name for name in view.users[node.inputs[0]] if view.nodes[name].op == "unpack"}


def _gradient(view: GraphView, nodes: dict[str, NodeFlow], output: str) -> float:
    """What arrives at a call, at the result that gets most."""
    return max((nodes[name].gradient_rms or 0.0 for name in _results(view, output) if name in nodes), default=0.0)


def _chained(view: GraphView, steps: list[ModuleCall]) -> bool:
    """Whether each call reads what the one before gave."""
    return all(_reaches(view, a.output, b) for a, b in pairwise(steps))


def _reaches(view: GraphView, source: str | None, call: ModuleCall) -> bool:
    """Whether an input of `call` depends on the node `source`."""
    if source is None:
        return False
    sources = _results(view, source)
    floor = min(view.index[name] for name in sources)
    queue, seen = list(call.inputs), set(call.inputs)
    while queue:
        name = queue.pop()
        if name in sources:
            return True
        for parent in view.nodes[name].inputs:
            if parent not in seen and view.index[parent] >= floor:
                seen.add(parent)
                queue.append(parent)
    return False
