"""GL107: two different inputs become indistinguishable on their way through the model."""

import math
from collections.abc import Iterable

from gradlint.api import Cause, Claim, Finding, Rule, RuleContext, Severity
from gradlint_rules._figures import chain_figures
from gradlint_rules._paths import Skeleton, before_pooling, is_layer, skeleton
from gradlint_rules._remedies import norm_edit
from gradlint_rules._wording import counted, number, sites_of
from gradlint_rules.thresholds import COLLAPSE_DRIFT, COLLAPSED, COLLAPSED_FOR_ALL


class SignalCollapse(Rule):
    """Two different inputs look the same to the last layers: what distinguished them was lost on the way.

    ## What it does
    Follows the correlation between two random inputs, layer by layer, along the path that every signal takes.
    Reported when it starts below one and ends so near to one that less than a hundredth of the signal's size
    depends on the input.

    ## Why is this bad?
    A classifier that sees the same picture for every image can only learn how frequent the classes are. The loss
    falls to that and stays there. The gradients still look fine, in the last layers even large, but they point the
    same way for every sample. Neither Adam nor a larger learning rate brings back what is not there.

    ## Source
    Poole et al. 2016, "Exponential expressivity in deep neural networks through transient chaos"; Schoenholz et al.
    2017 (a plain network trains to about six times its depth scale).

    ## Known limits
    Judged at initialisation, with independent random inputs, up to the first pooling: averaging over many positions
    makes random inputs alike without any fault of the model. Batch norm pulls samples apart again and so clears it,
    unless nothing was left in float32.

    ## Use instead
    Weights with a gain that suits the activation (`nn.init.kaiming_normal_`), biases at zero, normalisation, skips.

    ## Options
    None.
    """

    code = "GL107"
    name = "signal-collapse"
    summary = "Different inputs become indistinguishable along the depth of the model"
    INVALID = (
        """
import torch
from torch import nn

class Biased(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(18))
        for layer in self.layers:
            nn.init.xavier_normal_(layer.weight)
            nn.init.normal_(layer.bias)
        self.out = nn.Linear(64, 2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Unbiased(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(12))
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.out = nn.Linear(64, 2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """At most one finding per model."""
        bones = skeleton(ctx.graph)
        path = before_pooling(bones)
        spread = {name: 1 - c for name in path for c in [_correlation(ctx, name)] if c is not None}
        if len(spread) < 2:
            return
        first, last = next(iter(spread.values())), list(spread.values())[-1]
        least = min(spread, key=lambda name: spread[name])
        if spread[least] <= COLLAPSED_FOR_ALL:  # nothing is left in float32 that a later norm could pull apart
            last = spread[least]
            spread = {name: spread[name] for name in list(spread)[: list(spread).index(least) + 1]}
        fallen = math.log10(max(first, 1e-16) / max(last, 1e-16))
        if last > COLLAPSED or fallen < COLLAPSE_DRIFT:
            ctx.near_miss(
                f"1 − correlation of two inputs is {number(last)} at the last layer (limit {number(COLLAPSED)})"
            )
            return
        yield self._finding(ctx, bones, tuple(spread), first, last)

    def _finding(self, ctx: RuleContext, bones: Skeleton, path: tuple[str, ...], first: float, last: float) -> Finding:
        layers = [name for name in path if is_layer(ctx.graph, ctx.graph.nodes[name])]
        figures = chain_figures(bones, bones.trunk, ctx.flow)
        after = ctx.what_if(norm_edit(bones, figures))
        hopeless = last <= COLLAPSED_FOR_ALL
        left = 1 - c if after is not None and (c := after.nodes[path[-1]].sample_correlation) is not None else None
        better = left is not None and left > last
        note = (
            (f"with normalisation {number(left)} of the variance would still tell two inputs apart",) if better else ()
        )
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.ERROR if hopeless else Severity.WARNING,
            message=f"after {counted(len(layers), 'layer')} two different inputs can no longer be told apart",
            sites=sites_of(ctx, layers or path[-1:], "what distinguishes two inputs fades here"),
            module=ctx.graph.nodes[path[-1]].module,
            cause=Cause.FLOW,
            predicted={
                "summary": f"1 − correlation of two inputs {number(first)} at {path[0]} → {number(last)} at {path[-1]}",
                "first": first,
                "last": last,
                "correlation": 1 - last,
                "to": path[-1],
            },
            attributed=path,
            claim=Claim("sample-correlation", path[-1], predicted=1 - last, threshold=1 - 10 * COLLAPSED),
            notes=note,
        )


def _correlation(ctx: RuleContext, name: str) -> float | None:
    flow = ctx.flow.nodes.get(name)
    return flow.sample_correlation if flow is not None and flow.known else None
