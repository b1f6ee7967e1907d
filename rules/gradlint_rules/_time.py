"""Recurrences: the nodes of a time flow."""

from gradlint.api import RuleContext, TimeFlow


def nodes_of(ctx: RuleContext, time: TimeFlow) -> tuple[str, ...]:
    """Nodes of a recurrence: the fused operator, or what its cell's module runs."""
    if time.name in ctx.graph.nodes:
        return (time.name,)
    inside = [
        n.name for n in ctx.graph.nodes.values() if n.module == time.module and n.op not in ("parameter", "buffer")
    ]
    return tuple(inside)


def weights_in(ctx: RuleContext, time: TimeFlow) -> tuple[str, ...]:
    """Weights of a recurrence."""
    own = (
        name for name, p in ctx.parameters.items() if p.module == time.module or p.module.startswith(f"{time.module}.")
    )
    return tuple(name for name in own if len(ctx.parameters[name].shape) > 1)
