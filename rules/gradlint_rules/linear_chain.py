"""GL501: linear maps with nothing between them."""

from collections.abc import Iterable

from gradlint.api import Claim, Finding, OpNode, Remedy, Rule, RuleContext, Severity
from gradlint_rules._operators import MAPS, NOTHING_BETWEEN
from gradlint_rules._paths import weights_of
from gradlint_rules._wording import sites_of


class LinearChain(Rule):
    """Two linear layers (or convolutions) in a row with no activation between them: together they are one linear
    map.

    ## What it does
    Follows the output of each linear layer or convolution. Where it goes into the next one with nothing but
    dropout, padding or reshapes on the way, the second layer is reported.

    ## Why is this bad?
    A linear map of a linear map is a linear map. The two layers have the parameters and the cost of two, and can do
    no more than one; usually an activation was forgotten.

    ## Source
    Cybenko 1989; Saxe, McClelland, Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", on what such chains do instead.

    ## Known limits
    Left alone: factorisations through a bottleneck that is narrower than both ends (LoRA, low rank, auto-encoders),
    grouped and separable convolutions, one-dimensional kernels at right angles, transposed convolutions that only
    enlarge, frozen or shared weights, a map whose result is also used elsewhere, and layers that belong to
    different blocks of the model (one block's last, the next one's first).

    ## Use instead
    An activation between the two, or one layer in their place.

    ## Options
    None.
    """

    code = "GL501"
    name = "linear-chain"
    summary = "Linear layers with no activation between them are one linear layer"
    INVALID = (
        """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.net(x)
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(32, 4), nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.net(x)
""",
        """
import torch
from torch import nn

class Separable(nn.Module):
    def __init__(self):
        super().__init__()
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 16, 1)

    def forward(self, x):
        return self.point(self.depth(x))
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per pair of maps that meet."""
        outputs = set(ctx.graph.outputs)
        seen: set[tuple[str, str]] = set()
        for node in ctx.graph.nodes.values():
            first = _map_before(ctx, node, outputs)
            if first is None:
                continue
            pair = (weights_of(ctx.graph, first)[0], weights_of(ctx.graph, node)[0])
            if pair in seen:
                continue
            seen.add(pair)
            excuse = _excuse(ctx, first, node, pair)
            if excuse:
                ctx.near_miss(f"{pair[0]} and {pair[1]} meet without an activation: {excuse}")
            else:
                yield self._finding(ctx, first, node, pair)

    def _finding(self, ctx: RuleContext, first: OpNode, second: OpNode, pair: tuple[str, str]) -> Finding:
        spare = ctx.parameters[pair[0]].numel
        names = [part.rpartition(".")[0] or part for part in pair]
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.WARNING,
            message=f"{names[0]} and {names[1]} follow each other with no activation between them: one linear map",
            sites=sites_of(ctx, [second.name], f"takes the output of {names[0]} as it is"),
            module=second.module,
            predicted={
                "summary": f"{names[1]}({names[0]}(x)) is linear in x: the {spare} weights of {names[0]} add nothing",
                "from": pair[0],
                "to": pair[1],
                "elements": spare,
            },
            remedies=(Remedy(f"an activation such as nn.ReLU after {names[0]}", "two layers that do more than one"),),
            attributed=(first.name, second.name),
            claim=Claim("affine-product", second.name, first.name, predicted=1.0, threshold=1.0),
        )


def _map_before(ctx: RuleContext, node: OpNode, outputs: set[str]) -> OpNode | None:
    """The linear map whose output this linear map reads, with nothing of substance between and no other reader."""
    if node.op not in MAPS or not weights_of(ctx.graph, node):
        return None
    name = node.inputs[0]
    while True:
        source = ctx.graph.nodes[name]
        if len(ctx.graph.users[name]) != 1 or name in outputs or not source.inputs:
            return None
        if source.op in MAPS:
            return source if weights_of(ctx.graph, source) else None
        if source.op not in NOTHING_BETWEEN:
            return None
        name = source.inputs[0]


def _excuse(ctx: RuleContext, first: OpNode, second: OpNode, pair: tuple[str, str]) -> str:
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
