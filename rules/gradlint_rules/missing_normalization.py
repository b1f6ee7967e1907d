"""GL401: a deep path whose moments drift, with no normalisation to hold them."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from gradlint.api import Cause, Finding, Rule, RuleContext
from gradlint_rules._diagnosis import Diagnosis, Why, diagnose
from gradlint_rules._flow_finding import extent, flow_finding
from gradlint_rules._remedies import norm_edit
from gradlint_rules._wording import number, times


class MissingNormalization(Rule):
    """Nothing in a deep model holds its activations at scale: they drift from layer to layer, and the gradient with
    them.

    ## What it does
    Where a path without any normalisation (fused or written by hand) is predicted to lose or multiply its gradient,
    better initial weights do not cure it and the same model with normalisation is predicted to be healthy, the
    missing normalisation is reported. A residual stream is the usual case: every block adds its variance to it.

    ## Why is this bad?
    If each block makes its input a little larger, thirty blocks make it a thousand times larger: the logits start
    in the hundreds, the loss with them, and the gradients of the first layers are as much too large. Normalisation
    takes the scale out at every block.

    ## Source
    Ioffe, Szegedy 2015, "Batch normalization"; De, Smith 2020, "Batch normalization biases residual blocks towards
    the identity function"; Zhang, Dauphin, Ma 2019, "Fixup initialization".

    ## Known limits
    Fixup, ReZero, LayerScale, SELU and orthogonal nets hold their scale without normalisation and are left alone:
    what counts is the predicted drift, not the absence of a layer.

    ## Use instead
    `nn.BatchNorm2d` or `nn.GroupNorm` after convolutions, `nn.LayerNorm` in front of the branches of a residual
    stream; or a zero-initialised last layer in each branch.

    ## Options
    `decades` (default 3.5; 6 where Adam is used): how far below a healthy update the worst layer must lie.
    """

    code = "GL401"
    name = "missing-normalization"
    summary = "A deep path whose moments drift, without normalisation"
    OPTIONS: ClassVar[Mapping[str, type]] = {"decades": float}
    INVALID = (
        """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(64, 64)
        self.down = nn.Linear(64, 64)
        for layer in (self.up, self.down):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x):
        return x + self.down(torch.relu(self.up(x)))

class Stream(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(16, 64)
        self.blocks = nn.Sequential(*[Block() for _ in range(24)])
        self.out = nn.Linear(64, 8)

    def forward(self, x):
        return self.out(self.blocks(self.inp(x)))
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(64)
        self.up = nn.Linear(64, 64)
        self.down = nn.Linear(64, 64)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))

class Stream(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(16, 64)
        self.blocks = nn.Sequential(*[Block() for _ in range(24)])
        self.norm = nn.LayerNorm(64)
        self.out = nn.Linear(64, 8)

    def forward(self, x):
        return self.out(self.norm(self.blocks(self.inp(x))))
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per path that a norm would cure."""
        for diagnosis in diagnose(ctx):
            if diagnosis.why is Why.NORMALISATION:
                yield self._finding(ctx, diagnosis)

    def _finding(self, ctx: RuleContext, diagnosis: Diagnosis) -> Finding:
        bones, figures = diagnosis.bones, diagnosis.figures
        first, last = (ctx.flow.nodes[name].activation_rms for name in (figures.nodes[0], figures.nodes[-1]))
        change = "smaller" if diagnosis.starved else "larger"
        return flow_finding(
            self,
            ctx,
            diagnosis,
            message=(
                f"nothing normalises the activations: they drift from {number(first)} to {number(last)}, "
                f"and gradients get {times(extent(ctx, diagnosis))} {change}"
            ),
            label="what this adds is never brought back to scale"
            if figures.of("residual")
            else "no normalisation after this",
            cause=Cause.STRUCTURE,
            edits=(norm_edit(bones, figures),),
            pointed=_adding(diagnosis),
            extra={"activation_first": first or 0.0, "activation_last": last or 0.0},
        )


def _adding(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The layers whose results the path adds up; none where nothing is added."""
    bones = diagnosis.bones
    layers = []
    for loss in diagnosis.figures.of("residual"):
        for source in bones.before[loss.node]:
            if bones.graph.nodes[source].op in ("linear", "conv1d", "conv2d", "conv3d"):
                layers.append(source)
    return tuple(layers)
