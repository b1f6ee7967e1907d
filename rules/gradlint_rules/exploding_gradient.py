"""GL201: gains above one, compounded over depth or time."""

from collections.abc import Iterable

from gradlint.api import Cause, Claim, Edit, EditKind, Finding, Rule, RuleContext, Severity, TimeFlow
from gradlint_rules._diagnosis import Diagnosis, Why, diagnose, finds_its_rate
from gradlint_rules._flow_finding import extent, flow_finding
from gradlint_rules._remedies import norm_edit
from gradlint_rules._time import nodes_of, orthogonal_remedy, weights_in
from gradlint_rules._wording import change, counted, decades, sites_of, times
from gradlint_rules.thresholds import DIVERGES, EXPLODED


class ExplodingGradient(Rule):
    """The gradient grows on its way back, layer by layer or step by step, until one update throws the weights away.

    ## What it does
    Predicts for every layer on the main path how large its gradient is, relative to its weights and to the gradient
    at the output; for recurrences, by how much a step of time multiplies it. Reported from three decades above a
    healthy layer. Where a rule knows the cause by name (initialisation, a missing norm or skip), that rule reports
    it instead.

    ## Why is this bad?
    A gain of 2 per layer is a gain of a million over twenty layers. The first update is then a million times too
    large: the loss jumps, becomes NaN, or the learning rate has to be so small that the rest of the model stands
    still.

    ## Source
    Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks"; Philipp, Song,
    Carbonell 2018, "The exploding gradient problem demystified".

    ## Known limits
    Judged at initialisation. Gradient clipping tames single steps but not the growth itself. Where weights are
    normalised and no missing skip or norm explains the growth, it is reported from six decades on only: such weights
    find their own rate, and well-known residual and inception networks begin like that.

    ## Use instead
    Weights of gain one (`nn.init.kaiming_normal_`, `nn.init.orthogonal_`), normalisation, no constant factors above
    one; in recurrences the identity or an orthogonal matrix, or an LSTM or GRU, and gradient clipping.

    ## Options
    None.
    """

    code = "GL201"
    name = "exploding-gradient"
    summary = "The gradient grows along depth or time"
    INVALID = (
        """
import torch
from torch import nn

class Amplifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(6))
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x):
        for layer in self.layers:
            x = 8 * torch.relu(layer(x))
        return x
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(6))
        self.norms = nn.ModuleList(nn.LayerNorm(64) for _ in range(6))

    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms):
            x = norm(8 * torch.relu(layer(x)))
        return x
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per exploding path, one per exploding recurrence."""
        for diagnosis in diagnose(ctx):
            if not diagnosis.starved and not finds_its_rate(ctx, diagnosis):
                yield self._along_depth(ctx, diagnosis)
        for time in ctx.flow.times:
            grown = time.gain * (time.steps - 1)
            if grown >= EXPLODED:
                yield self._along_time(ctx, time, grown)
            elif grown > 0:
                ctx.near_miss(
                    f"{time.module}: {decades(grown)} of gradient over {time.steps} steps (limit {EXPLODED:g})"
                )

    def _along_depth(self, ctx: RuleContext, diagnosis: Diagnosis) -> Finding:
        figures = diagnosis.figures
        edits = [norm_edit(diagnosis.bones, figures)]
        label = "this is where the gradient grows"
        message = f"the gradient gets {times(extent(ctx, diagnosis))} larger on its way to the first layers"
        if diagnosis.why is Why.SCALING:
            won, count = -figures.lost("scaling"), len(diagnosis.blamed)
            label = f"{counted(count, 'factor')} above one, {decades(won, signed=False)} together"
            message = f"constant factors make the gradient {times(won)} larger on its way to the first layers"
            edits.append(Edit(EditKind.REMOVE, "no scaling by constants", nodes=diagnosis.blamed))
        return flow_finding(self, ctx, diagnosis, message=message, label=label, cause=Cause.FLOW, edits=edits)

    def _along_time(self, ctx: RuleContext, time: TimeFlow, grown: float) -> Finding:
        nodes = nodes_of(ctx, time)
        factor = 10**time.gain
        loudest = max(weights_in(ctx, time), key=lambda name: change(ctx, name), default="")
        rise = change(ctx, loudest) if loudest else None
        claim = Claim("growth", loudest, predicted=rise, threshold=min(rise, grown) / 2) if rise is not None else None
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.ERROR if grown >= DIVERGES else Severity.WARNING,
            message=f"each of {time.steps} time steps multiplies the gradient by {factor:.2f}",
            sites=sites_of(
                ctx, nodes, f"the gradient grows by {decades(grown, signed=False)} from the last step to the first"
            ),
            module=time.module,
            cause=Cause.FLOW,
            predicted={
                "summary": f"∂L/∂h at the first of {time.steps} steps is 10^{grown:.1f} times that at the last",
                "growth": grown,
                "gain_per_step": time.gain,
                "steps": time.steps,
            },
            remedies=orthogonal_remedy(ctx, time),
            attributed=nodes,
            claim=claim,
        )
