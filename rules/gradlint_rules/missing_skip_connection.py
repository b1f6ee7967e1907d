"""GL103: a long path that nothing shortens, and that pays for it."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from gradlint.api import Cause, Finding, Rule, RuleContext
from gradlint_rules._diagnosis import Diagnosis, Why, diagnose, unskipped
from gradlint_rules._flow_finding import extent, flow_finding
from gradlint_rules._paths import is_layer, skeleton
from gradlint_rules._remedies import skip_edit
from gradlint_rules._wording import counted, times
from gradlint_rules.thresholds import UNSKIPPED


class MissingSkipConnection(Rule):
    """Every gradient has to pass many layers one after the other, it pays for each of them, and a skip would spare
    it.

    ## What it does
    Counts the layers on the shortest way from the output to the input (a residual, dense or gated path is a shorter
    way). Where there are a dozen or more, the predicted gradient falls or grows out of bounds, better initial
    weights do not cure it, and the same model with skip connections is predicted to be healthy, the missing skip is
    reported.

    ## Why is this bad?
    What one layer does to the gradient, fifty layers do fifty times over. A skip connection gives the gradient a
    way around each block, so that depth stops being a product and becomes a sum.

    ## Source
    He, Zhang, Ren, Sun 2016, "Deep residual learning for image recognition"; Srivastava, Greff, Schmidhuber 2015,
    "Highway networks"; Yang et al. 2019, "A mean field theory of batch normalization" (plain nets with batch norm
    explode); Dong, Cordonnier, Loukas 2021, "Attention is not all you need" (attention without skips loses rank).

    ## Known limits
    Deep plain nets whose gradients are predicted to arrive (SELU, orthogonal or Kaiming weights, moderate depth)
    are left alone.

    ## Use instead
    `x = x + block(x)` around every block of two or three layers, with the norm inside the branch.

    ## Options
    `decades` (default 3.5; 6 where Adam is used): how far below a healthy update the worst layer must lie.
    """

    code = "GL103"
    name = "missing-skip-connection"
    summary = "A long path that no residual, dense or gated path shortens, and that pays for it"
    OPTIONS: ClassVar[Mapping[str, type]] = {"decades": float}
    INVALID = (
        """
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        layers = []
        for _ in range(50):
            layers += [nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean(dim=(2, 3)))
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)

    def forward(self, x):
        return x + torch.relu(self.norm(self.conv(x)))

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.body = nn.Sequential(*[Block() for _ in range(50)])
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.norm(self.body(self.stem(x))).mean(dim=(2, 3)))
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per path that a skip would cure."""
        found = [diagnosis for diagnosis in diagnose(ctx) if diagnosis.why is Why.SKIP]
        for diagnosis in found:
            yield self._finding(ctx, diagnosis)
        length = unskipped(skeleton(ctx.graph))
        if not diagnose(ctx) and length >= UNSKIPPED:
            ctx.near_miss(
                f"the shortest way through the model passes {counted(length, 'layer')}, but the gradient arrives"
            )

    def _finding(self, ctx: RuleContext, diagnosis: Diagnosis) -> Finding:
        bones, figures = diagnosis.bones, diagnosis.figures
        length = unskipped(bones)
        layers = tuple(name for name in figures.nodes if is_layer(ctx.graph, ctx.graph.nodes[name]))
        skip = skip_edit(bones, figures)
        change = "smaller" if diagnosis.starved else "larger"
        return flow_finding(
            self,
            ctx,
            diagnosis,
            message=(
                f"no skip connection leads around any of {counted(length, 'layer')} in a row: "
                f"the gradient gets {times(extent(ctx, diagnosis))} {change} on its way"
            ),
            label=f"{len(layers)} layers in a row, and no way around any of them",
            cause=Cause.STRUCTURE,
            edits=(skip,) if skip is not None else (),
            pointed=layers,
            extra={"unskipped": length},
        )
