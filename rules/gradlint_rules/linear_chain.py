"""GL501: linear maps with nothing between them."""

from collections.abc import Iterable

from gradlint.api import Claim, Finding, OpNode, Remedy, Rule, RuleContext, Severity
from gradlint_rules._factorisations import excuse_for
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
            excuse = excuse_for(ctx, first, node, pair)
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
            remedies=(
                Remedy(f"an activation such as nn.ReLU after {names[0]}", "gives two layers that do more than one"),
            ),
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
