"""Which zero weights stay at zero: training followed in thought, one wave of waking at a time."""

from gradlint.api import RuleContext
from gradlint_rules._paths import Skeleton, weights_of

_PRODUCTS = frozenset({"mul", "matmul", "bmm", "mm", "einsum", "scaled_dot_product_attention", "bilinear"})
_ZERO_AT_ZERO = frozenset({"relu", "relu6", "threshold", "abs"})
"""Functions whose slope torch takes to be zero at zero."""


def asleep(ctx: RuleContext, bones: Skeleton) -> tuple[str, ...]:
    """Layers with zero weights that no amount of training moves, in execution order.

    A zero layer wakes when a signal reaches it and a gradient reaches its output; both may come through layers that
    have woken before. Zero scales (one dimension or less) wake by the same rule.
    """
    graph = bones.graph
    zero = {name: p for name, p in ctx.parameters.items() if p.law.minimum == 0 == p.law.maximum and p.requires_grad}
    layers = {}
    for name in bones.order:
        weights = weights_of(graph, graph.nodes[name])
        if weights and weights[0] in zero:
            layers[name] = weights[0]
    if not layers:
        return ()
    awake: set[str] = set()
    while True:
        signal = _signals(ctx, bones, zero.keys() - awake)
        gradient = _gradients(bones, zero.keys() - awake, signal)
        woken = {
            target
            for node in graph.nodes.values()
            for target in _zero_operands(bones, node.name, zero.keys() - awake)
            if node.name in gradient and all(s in signal for s in bones.before.get(node.name, ()))
        }
        if not woken:
            return tuple(name for name, weight in layers.items() if weight not in awake)
        awake |= woken


def _zero_operands(bones: Skeleton, name: str, zeros: set[str]) -> list[str]:
    """Sleeping parameters that multiply the signal at a node."""
    node = bones.graph.nodes[name]
    if name not in bones.before:
        return []
    weights = [w for w in weights_of(bones.graph, node) if w in zeros]
    if node.op == "mul":
        weights += [t for s in node.inputs for t in _targets(bones, s) if t in zeros]
    return weights


def _targets(bones: Skeleton, name: str, steps: int = 6) -> list[str]:
    node = bones.graph.nodes[name]
    if node.op == "parameter":
        return [node.target]
    if name in bones.before or steps == 0 or len(node.inputs) != 1:
        return []
    return _targets(bones, node.inputs[0], steps - 1)


def _has_bias(ctx: RuleContext, bones: Skeleton, name: str, zeros: set[str]) -> bool:
    node = bones.graph.nodes[name]
    own = set(weights_of(bones.graph, node))
    return any(t not in own and t not in zeros and t in ctx.parameters for s in node.inputs for t in _targets(bones, s))


def _signals(ctx: RuleContext, bones: Skeleton, zeros: set[str]) -> set[str]:
    """Nodes whose values are not identically zero."""
    alive: set[str] = set()
    for name in bones.order:
        node = bones.graph.nodes[name]
        flow = ctx.flow.nodes.get(name)
        if flow is not None and flow.activation_rms:
            alive.add(name)
            continue
        sources = bones.before[name]
        fed = [s in alive for s in sources] or [True]
        if _zero_operands(bones, name, zeros):
            if _has_bias(ctx, bones, name, zeros):
                alive.add(name)
        elif (all(fed) if node.op in _PRODUCTS else any(fed)) or _has_bias(ctx, bones, name, zeros):
            alive.add(name)
    return alive


def _gradients(bones: Skeleton, zeros: set[str], signal: set[str]) -> set[str]:
    """Nodes that a gradient reaches."""
    reached = set(bones.outputs)
    for name in reversed(bones.order):
        for user in bones.after[name]:
            node = bones.graph.nodes[user]
            if user not in reached or _zero_operands(bones, user, zeros):
                continue
            if node.op in _ZERO_AT_ZERO and name not in signal:
                continue
            if node.op in _PRODUCTS and any(s != name and s not in signal for s in bones.before[user]):
                continue
            reached.add(name)
    return reached
