"""GL107: two different inputs become indistinguishable on their way through the model."""

from collections.abc import Iterable

from gradlint.api import Cause, Claim, Edit, Finding, Remedy, Rule, RuleContext
from gradlint_rules._collapse import Separation, separation
from gradlint_rules._figures import chain_figures
from gradlint_rules._outlook import counted_outlook, cures, optimisers, severity_of
from gradlint_rules._paths import Skeleton, is_layer, skeleton
from gradlint_rules._remedies import norm_edit
from gradlint_rules._wording import counted, number, sites_of
from gradlint_rules.thresholds import COLLAPSED, SATURATING_RUN


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
        found = separation(ctx, bones)
        if found is None:
            return
        if not found.has_collapsed:
            left = number(found.last)
            ctx.near_miss(f"1 − correlation of two inputs is {left} at the last layer (limit {number(COLLAPSED)})")
            return
        yield self._finding(ctx, bones, found)

    def _finding(self, ctx: RuleContext, bones: Skeleton, found: Separation) -> Finding:
        path, last = found.nodes, found.last
        layers = [name for name in path if is_layer(ctx.graph, ctx.graph.nodes[name])]
        figures = chain_figures(bones, bones.trunk, ctx.flow)
        bounded = [loss.node for loss in figures.of("saturating") if loss.node in path]
        is_bounded = len(bounded) >= SATURATING_RUN and bool(layers)
        faded = f"1 − correlation of two inputs {number(found.first)} at {path[0]} → {number(last)} at {path[-1]}"
        what = f"{counted(len(bounded), 'bounded function')} in a row" if is_bounded else counted(len(layers), "layer")
        return Finding(
            code=self.code,
            name=self.name,
            severity=severity_of(ctx),
            message=f"after {what} two different inputs can no longer be told apart",
            sites=sites_of(
                ctx, (bounded if is_bounded else layers) or path[-1:], "what distinguishes two inputs fades here"
            ),
            module=ctx.graph.nodes[path[-1]].module,
            cause=Cause.SATURATION if is_bounded else Cause.FLOW,
            predicted={
                "summary": faded,
                "first": found.first,
                "last": last,
                "correlation": 1 - last,
                "to": path[-1],
            },
            attributed=path,
            claim=Claim("sample-correlation", path[-1], predicted=1 - last, threshold=1 - 10 * COLLAPSED),
            remedies=_remedies(ctx, bones),
            notes=_with_norm(ctx, norm_edit(bones, figures), path[-1], last),
        )


def _remedies(ctx: RuleContext, bones: Skeleton) -> tuple[Remedy, ...]:
    """What is predicted to make training easier."""
    outlook = counted_outlook(ctx)
    return cures(ctx, bones, outlook, optimisers(ctx)[0]) if outlook is not None else ()


def _with_norm(ctx: RuleContext, norm: Edit, node: str, last: float) -> tuple[str, ...]:
    """What normalisation would leave."""
    after = ctx.what_if(norm)
    left = after.nodes[node].sample_separation if after is not None else None
    if left is None or left <= last:
        return ()
    return (f"with normalisation {number(left)} of the variance would still tell two inputs apart",)
