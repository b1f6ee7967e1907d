"""GL108: the model as a whole needs far more steps than a healthy one."""

import math
from collections.abc import Iterable

from gradlint.api import Cause, Finding, Outlook, Rule, RuleContext
from gradlint_rules._outlook import HANDICAPS, counted_outlook, cures, effort_claim, handicaps, optimisers, severity_of
from gradlint_rules._paths import Skeleton, is_layer, skeleton
from gradlint_rules._wording import number, sites_of, times


class HardToTrain(Rule):
    """The first steps of training are predicted to be wasted: the model needs far more of them than a healthy one.

    ## What it does
    Predicts what a step of training would do to the model's answers, before any is made. Three things waste steps:
    they move all answers alike instead of telling inputs apart (slowness); they scramble what was learned before
    (scrambling); the gradient does not reach the first time steps (forgetting). Together they make the *effort*, in
    decades. Where a rule knows the cause by name, that rule reports it and this one becomes its consequence.

    ## Why is this bad?
    The largest learning rate that does not diverge is set by what all answers share. If only a thousandth of each step
    tells inputs apart, that rate is a thousand times too small for what you want to learn. Random networks with that
    much effort were trained with many learning rates: docs/truth.md shows what became of them.

    ## Source
    Jacot, Gabriel, Hongler 2018 (tangent kernel); Xiao, Pennington, Schoenholz 2020, "Disentangling trainability and
    generalization in deep neural networks"; Balduzzi et al. 2017, "The shattered gradients problem".

    ## Known limits
    Judged at initialisation, with independent random inputs; needs two samples or more. Where weights are normalised,
    scrambling counts only in deep models without skips that normalise each sample by itself: with batch norm they can
    be harder than is said here. Nothing is said where an operator on the way is not known.

    ## Use instead
    What the help line says, with its predicted effect; in general: Kaiming or Xavier weights, normalisation, skips.

    ## Options
    None.
    """

    code = "GL108"
    name = "hard-to-train"
    summary = "The first steps of training are predicted to be wasted"
    INVALID = (
        """
import torch
from torch import nn

class Wild(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(32, 64)
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(14))
        self.head = nn.Linear(64, 4)
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=0.4)

    def forward(self, x):
        x = self.inner(x)
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(x)
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Tame(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(32, 64)
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(14))
        self.head = nn.Linear(64, 4)
        for layer in self.layers:
            nn.init.xavier_normal_(layer.weight)

    def forward(self, x):
        x = self.inner(x)
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(x)
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """At most one finding per model."""
        found, bones = counted_outlook(ctx), skeleton(ctx.graph)
        if found is None:
            return
        if not handicaps(ctx):
            efforts = (f"{found.effort(o):.1f} with {_NAMES[o]} (limit {HANDICAPS[o]:g})" for o in optimisers(ctx))
            ctx.near_miss(f"predicted effort in decades: {', '.join(efforts)}")
            return
        layers = tuple(name for name in bones.order if is_layer(ctx.graph, ctx.graph.nodes[name]))
        if layers:
            yield self._finding(ctx, bones, found, layers)

    def _finding(self, ctx: RuleContext, bones: Skeleton, found: Outlook, layers: tuple[str, ...]) -> Finding:
        wanted = optimisers(ctx)
        efforts = {f"effort_{o}": found.effort(o) for o in wanted}
        least = min(wanted, key=lambda o: found.effort(o) - HANDICAPS[o])
        message, label = _words(found)
        return Finding(
            code=self.code,
            name=self.name,
            severity=severity_of(ctx),
            message=message,
            sites=sites_of(ctx, layers, label),
            cause=Cause.OUTLOOK,
            predicted={
                "summary": "effort in decades: "
                + ", ".join(
                    f"{found.effort(o):.1f} with {_NAMES[o]} (healthy: below {HANDICAPS[o]:g})" for o in wanted
                ),
                "slowness": found.slowness,
                "scrambling": found.scrambling,
                "forgetting": found.forgetting,
                **efforts,
            },
            remedies=cures(ctx, bones, found, least),
            attributed=layers,
            claim=effort_claim(found, least),
        )


_NAMES = {"sgd": "SGD", "adam": "Adam"}


def _words(found: Outlook) -> tuple[str, str]:
    """Message and label: what wastes most."""
    worst = max(found.shares, key=lambda name: found.shares[name])
    if worst == "scrambling":
        percent = number(10**found.scrambling)
        return (
            f"a step that moves the weights by 1 % changes what tells inputs apart by {percent} %",
            "all that is learned here is soon scrambled",
        )
    if worst == "forgetting":
        return (
            f"the first time step gets a gradient {times(found.forgetting)} smaller than the last",
            "the early steps are forgotten",
        )
    if math.isinf(found.slowness):
        return "no training step tells inputs apart", "all answers move alike"
    part = f"one part in {times(found.slowness).removesuffix(' times')}"
    return f"of each training step only {part} tells inputs apart", "the rest moves all answers alike"
