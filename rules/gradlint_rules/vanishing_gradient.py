"""GL102: the gradient falls along the depth of the model, whatever the cause."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from gradlint.api import Cause, Edit, EditKind, Finding, Rule, RuleContext
from gradlint_rules._diagnosis import Diagnosis, Why, diagnose, limit_of
from gradlint_rules._figures import chain_figures
from gradlint_rules._flow_finding import extent, flow_finding
from gradlint_rules._paths import skeleton
from gradlint_rules._remedies import norm_edit
from gradlint_rules._wording import counted, decades, times


class VanishingGradient(Rule):
    """The gradient falls so far on its way back through the model that the first layers hardly learn.

    ## What it does
    Predicts for every layer on the main path how large its gradient is, relative to its weights and to the gradient
    at the output, and compares the worst with a healthy layer. The fall is attributed to the operators that cost
    most. Where a rule knows the cause by name (saturation, initialisation, a missing norm or skip), that rule
    reports it and this one becomes its consequence.

    ## Why is this bad?
    The gradient says how each weight should change. If it is ten thousand times too small, the first layers stay as
    they were drawn at random, and all that comes after them learns from a random picture of the input. Adam scales
    small gradients up and so hides the fall for a while; below about 10^-8 it can no longer.

    ## Source
    Hochreiter 1991; Schoenholz, Gilmer, Ganguli, Sohl-Dickstein 2017, "Deep information propagation".

    ## Known limits
    Judged at initialisation, with random inputs and random gradients at the output. Gates, squeeze-and-excitation,
    LayerScale and zero-initialised branches are bypassed by the path that counts, and so left alone.

    ## Use instead
    What the help line says, with its predicted effect; in general: Kaiming or Xavier weights, normalisation, skips.

    ## Options
    `decades` (default 3.5; 6 where Adam is used): how far below a healthy update the worst layer must lie.
    """

    code = "GL102"
    name = "vanishing-gradient"
    summary = "The gradient falls along the depth of the model"
    OPTIONS: ClassVar[Mapping[str, type]] = {"decades": float}
    INVALID = (
        """
import torch
from torch import nn

class Damped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(6))
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x):
        for layer in self.layers:
            x = 0.05 * torch.relu(layer(x))
        return x
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Damped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(6))

    def forward(self, x):
        for layer in self.layers:
            x = x + 0.05 * torch.relu(layer(x))
        return x
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per starved path."""
        found = False
        for diagnosis in diagnose(ctx):
            if diagnosis.starved:
                found = True
                yield self._finding(ctx, diagnosis)
        bones = skeleton(ctx.graph)
        figures = chain_figures(bones, bones.trunk, ctx.flow)
        if not found and figures.hungriest is not None:
            lack = (
                f"{decades(max(0.0, figures.starvation), signed=False)} below a healthy layer (limit {limit_of(ctx):g})"
            )
            ctx.near_miss(f"the worst-fed layer, {figures.hungriest.parameter}, lies {lack}")

    def _finding(self, ctx: RuleContext, diagnosis: Diagnosis) -> Finding:
        figures = diagnosis.figures
        edits = [norm_edit(diagnosis.bones, figures)]
        label = "this is where the gradient is lost"
        message = f"the gradient gets {times(extent(ctx, diagnosis))} smaller on its way to the first layers"
        if diagnosis.why is Why.SCALING:
            operators = {ctx.graph.nodes[name].op for name in diagnosis.blamed}
            name = operators.pop() if len(operators) == 1 else "scaling"
            lost = figures.lost("scaling")
            count = len(diagnosis.blamed)
            label = f"{counted(count, f'{name} operator')} by a constant cost {decades(lost, signed=False)}"
            message = f"constant factors make the gradient {times(lost)} smaller on its way to the first layers"
            edits.append(Edit(EditKind.REMOVE, "no scaling by constants", nodes=diagnosis.blamed))
        return flow_finding(self, ctx, diagnosis, message=message, label=label, cause=Cause.FLOW, edits=edits)
