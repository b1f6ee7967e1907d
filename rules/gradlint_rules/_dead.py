"""Units that nothing switches on, and the parameters that they cut off from the gradient for good."""

import math
from dataclasses import dataclass

from gradlint.api import RuleContext


@dataclass(frozen=True, slots=True)
class Cut:
    """Operators all of whose units have no slope, and what lies before them."""

    dead: tuple[str, ...]
    """In execution order, the last ones before the living part of the model among them."""
    lost: tuple[str, ...]
    """Trainable parameters that the gradient would reach, were it not for them."""


def find_cut(ctx: RuleContext) -> Cut | None:
    """What dead units cut off, as far as no training wakes them: nothing that still learns feeds them."""
    dead = tuple(name for name in ctx.graph.order if _is_dead(ctx, name))
    reached = _reached(ctx, frozenset(dead)) if dead else set[str]()
    last = {name: _before(ctx, name) for name in dead if name in reached}
    if not last:
        return None
    learning = {p.name for p in ctx.parameters.values() if p.requires_grad and p.reachable}
    nodes = [node for node in ctx.graph.nodes.values() if node.op == "parameter" and node.target in learning]
    alive = {node.target for node in nodes if node.name in reached}
    lost = set[str]()
    for name, before in last.items():
        feeding = {node.target for node in nodes if node.name in before}
        if feeding & alive:
            ctx.near_miss(f"{name} is switched off in all its units, but what learns before it may wake it")
        elif not before & {operator.node for operator in ctx.flow.unknown}:
            lost |= {target for target in feeding if _predicted(ctx, target) == 0.0}
    if not lost:
        return None
    inside = set[str]().union(*last.values())
    return Cut(tuple(n for n in dead if n in inside), tuple(p for p in ctx.parameters if p in lost))


def _is_dead(ctx: RuleContext, name: str) -> bool:
    """Whether no unit has a slope, though something other than zero arrives (zeros are another rule's matter)."""
    node, flow = ctx.graph.nodes[name], ctx.flow.nodes.get(name)
    if flow is None or flow.dead != 1.0 or not node.inputs or not node.requires_grad:
        return False
    before = ctx.flow.nodes.get(node.inputs[0])
    size = before.activation_rms if before is not None else None
    return size is not None and math.isfinite(size) and size > 0


def _predicted(ctx: RuleContext, parameter: str) -> float | None:
    found = ctx.flow.parameter_flows.get(parameter)
    return found.gradient_rms if found is not None else None


def _reached(ctx: RuleContext, dead: frozenset[str]) -> set[str]:
    """Nodes that a gradient from the outputs reaches; it ends in those that are dead."""
    reached = set(ctx.graph.outputs)
    for name in reversed(ctx.graph.order):
        if name in reached and name not in dead:
            reached.update(s for s in ctx.graph.nodes[name].inputs if ctx.graph.nodes[s].requires_grad)
    return reached


def _before(ctx: RuleContext, name: str) -> set[str]:
    """The node and all that it is computed from."""
    found = {name}
    stack = [name]
    while stack:
        fresh = [source for source in ctx.graph.nodes[stack.pop()].inputs if source not in found]
        found.update(fresh)
        stack += fresh
    return found
