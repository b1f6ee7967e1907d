"""Why two linear maps in a row may be meant."""

from gradlint.api import OpNode, RuleContext


def excuse_for(ctx: RuleContext, first: OpNode, second: OpNode, pair: tuple[str, str]) -> str:
    """Why two maps in a row may be meant; empty where nothing speaks for it."""
    one, two = (ctx.parameters[name] for name in pair)
    entering, middle, leaving = _ends(first, one.shape)[0], _ends(first, one.shape)[1], _ends(second, two.shape)[1]
    kernels = (one.shape[2:], two.shape[2:])
    excuses = {
        "the weights are shared": pair[0] == pair[1] or any(_uses(ctx, name) > 1 for name in pair),
        "one of them is frozen": not (one.requires_grad and two.requires_grad),
        f"a factorisation through {middle} channels": middle < min(entering, leaving),
        "a separable convolution": _grouped(ctx, first, one.shape) or _grouped(ctx, second, two.shape),
        "a convolution factorised along its axes": _at_right_angles(*kernels),
        "a transposed convolution that only enlarges": "transpose" in first.op
        and _only_enlarges(ctx, first, one.shape),
        "they belong to different blocks": first.module.rpartition(".")[0] != second.module.rpartition(".")[0],
    }
    return next((excuse for excuse, applies in excuses.items() if applies), "")


def _ends(node: OpNode, shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels in and out."""
    return (shape[0], shape[1]) if "transpose" in node.op else (shape[1], shape[0])


def _uses(ctx: RuleContext, parameter: str) -> int:
    nodes = [n.name for n in ctx.graph.nodes.values() if n.op == "parameter" and n.target == parameter]
    return sum(len(ctx.graph.users[name]) for name in nodes)


def _grouped(ctx: RuleContext, node: OpNode, shape: tuple[int, ...]) -> bool:
    shown = node.shape if "transpose" in node.op else ctx.graph.nodes[node.inputs[0]].shape
    axis = -(len(shape) - 1)
    return "conv" in node.op and shown is not None and len(shown) >= -axis and shown[axis] != shape[1]


def _at_right_angles(one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    return len(one) == len(two) > 1 and 1 in one and 1 in two and one != two and max(one) > 1 and max(two) > 1


def _only_enlarges(ctx: RuleContext, node: OpNode, shape: tuple[int, ...]) -> bool:
    before, behind = ctx.graph.nodes[node.inputs[0]].shape, node.shape
    if before is None or behind is None:
        return True
    kernel = shape[2:]
    strides = [b // max(1, a) for a, b in zip(before[-len(kernel) :], behind[-len(kernel) :], strict=True)]
    return all(k <= s for k, s in zip(kernel, strides, strict=True))
