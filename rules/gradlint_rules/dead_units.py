"""GL105: layers whose units no input switches on, so that nothing before them ever learns."""

import math
from collections.abc import Iterable

from gradlint.api import Cause, Claim, Finding, Remedy, Rule, RuleContext, Severity
from gradlint_rules._dead import Cut, find_cut
from gradlint_rules._paths import skeleton, weights_of
from gradlint_rules._wording import counted, signed_number, sites_of


class DeadUnits(Rule):
    """No unit of a layer is ever switched on: it gives the same for every input, and no gradient passes it.

    ## What it does
    Looks for activations all of whose units have a slope of exactly zero for every predicted input, such as a ReLU
    behind biases that are far below zero. Reported where they stand between parameters and every output, so that
    these parameters get a gradient of zero, and where nothing that still learns could wake them.

    ## Why is this bad?
    A ReLU is flat below zero. If its input lies there for every sample, its output is constant, the gradient ends
    at it, and so neither the biases that keep it there nor any weight before it ever changes. The model can only
    learn from what comes after.

    ## Source
    Lu, Shin, Su, Karniadakis 2020, "Dying ReLU and initialization: theory and numerical examples".

    ## Known limits
    Judged at initialisation, with inputs of mean 0 and variance 1. Single dead units are left alone, and so are
    branches beside a path that learns: that may wake them. Zeros in front of an activation are GL301's matter.

    ## Use instead
    Biases that start at zero (`nn.init.zeros_`), or activations that are nowhere flat (`nn.LeakyReLU`, `nn.GELU`).

    ## Options
    None.
    """

    code = "GL105"
    name = "dead-units"
    summary = "Units that no input switches on, and that cut off all that comes before them"
    INVALID = (
        """
import torch
from torch import nn

class Dead(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(16, 32)
        self.two = nn.Linear(32, 2)
        nn.init.normal_(self.one.weight, std=0.01)
        nn.init.constant_(self.one.bias, -1.0)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Rare(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(16, 32)
        self.two = nn.Linear(32, 2)
        nn.init.constant_(self.one.bias, -0.5)
        nn.init.zeros_(self.two.weight)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))
""",
        """
import torch
from torch import nn

class ClosedBranch(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(16, 32)
        self.branch = nn.Linear(32, 32)
        self.two = nn.Linear(32, 2)
        nn.init.constant_(self.branch.bias, -30.0)

    def forward(self, x):
        x = self.one(x)
        return self.two(x + torch.relu(self.branch(x)))
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """At most one finding per model."""
        cut = find_cut(ctx)
        if cut is not None:
            yield self._finding(ctx, cut)

    def _finding(self, ctx: RuleContext, cut: Cut) -> Finding:
        last = cut.dead[-1]
        operators = " and ".join(dict.fromkeys(ctx.graph.nodes[name].op for name in cut.dead))
        before = ctx.flow.nodes[ctx.graph.nodes[last].inputs[0]]
        level = signed_number(before.mean) if before.mean is not None else "a value"
        on_trunk = any(name in skeleton(ctx.graph).trunk for name in cut.dead)
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.ERROR if on_trunk else Severity.WARNING,
            message=f"no input switches on any unit of {operators}: what comes before never learns",
            sites=sites_of(ctx, cut.dead, f"its input lies at {level}{_spread(before.mean, before.q)}: no slope there"),
            module=ctx.graph.nodes[last].module,
            cause=Cause.INITIALISATION,
            predicted={
                "summary": f"no gradient at {counted(len(cut.lost), 'parameter')} ({cut.lost[0]} …), "
                "however long it trains",
                "parameters": len(cut.lost),
                "to": cut.lost[0],
            },
            remedies=_remedies(ctx, cut),
            attributed=cut.dead,
            claim=Claim("no-gradient", cut.lost[0], subjects=cut.lost, predicted=1.0, threshold=1.0),
        )


def _spread(mean: float | None, square: float | None) -> str:
    """How far the inputs of the units scatter around their mean."""
    if mean is None or square is None or not math.isfinite(square):
        return ""
    return f" ± {math.sqrt(max(0.0, square - mean * mean)):.1f}"


def _remedies(ctx: RuleContext, cut: Cut) -> tuple[Remedy, ...]:
    """Zero biases, where some are below zero on purpose; an activation without a flat side."""
    weighty = {w for node in ctx.graph.nodes.values() for w in weights_of(ctx.graph, node)}
    layers = {w.rpartition(".")[0] for w in weighty}
    low = [p for name in cut.lost for p in [ctx.parameters[name]] if p.module in layers and name not in weighty]
    shifted = [p for p in low if p.law.mean < -2 * p.law.std]
    other = Remedy("nn.LeakyReLU or nn.GELU instead", "gives a slope on both sides")
    if not shifted:
        return (other,)
    starts = f"{shifted[0].name} starts at {signed_number(shifted[0].law.mean)}"
    return (Remedy("nn.init.zeros_ for the biases", f"gives about half of the units a slope ({starts})"), other)
