"""GL101: runs of bounded functions that starve the layers before them."""

from collections.abc import Iterable

from gradlint.api import Cause, Finding, Rule, RuleContext
from gradlint_rules._diagnosis import Diagnosis, Why, diagnose, saturating_run
from gradlint_rules._flow_finding import flow_finding
from gradlint_rules._remedies import activation_edit, init_edit, norm_edit, skip_edit
from gradlint_rules._wording import counted, decades


class SaturatingStack(Rule):
    """Many bounded functions in a row (sigmoid, tanh, a clamp, or one written by hand) starve the first layers.

    ## What it does
    Follows the path from the output back to the first layer and adds up what each bounded function costs. A
    function is recognised by its shape, not by its name: its values stay between two bounds, so its slope must be
    small somewhere; the slope is taken where the predicted activations really are. Reported when the layer that is
    fed worst gets less than a thousandth of a healthy update and bounded functions account for at least half of
    what is missing.

    ## Why is this bad?
    Learning walks backwards: each layer is told how to change by the layer after it. A sigmoid passes on at most a
    quarter of what it is told, and next to nothing where it is saturated. Twenty in a row pass on a quarter of a
    quarter of a quarter …: the first layers hear nothing and stay as they were drawn, while the last ones learn
    from noise.

    ## Source
    Bengio, Simard, Frasconi 1994, "Learning long-term dependencies with gradient descent is difficult"; Glorot,
    Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".

    ## Known limits
    Judged at initialisation. Gates (a bounded function that multiplies another path) and a sigmoid at the very
    output are left alone. Of functions written as several operators only the logistic one and scaled or shifted
    bounded ones are recognised; others are seen as a vanishing gradient (GL102).

    ## Use instead
    GELU, SiLU or ReLU between layers; keep sigmoid for gates and outputs; or batch norm before each, or skip
    connections.

    ## Options
    None.
    """

    code = "GL101"
    name = "saturating-stack"
    summary = "Bounded activations in a row starve the first layers of gradient"
    INVALID = (
        """
import torch
from torch import nn

class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(*[m for _ in range(10) for m in (nn.Linear(64, 64), nn.Sigmoid())])
        self.head = nn.Linear(64, 4)

    def forward(self, x):
        return self.head(self.net(x))
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Shallow(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 4), nn.Sigmoid())

    def forward(self, x):
        return self.net(x)
""",
        """
import torch
from torch import nn

class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for _ in range(10):
            layers += [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Tanh()]
        self.net = nn.Sequential(*layers, nn.Linear(64, 4))

    def forward(self, x):
        return self.net(x)
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per path that bounded functions starve."""
        for diagnosis in diagnose(ctx):
            if diagnosis.why is Why.SATURATION:
                yield self._finding(ctx, diagnosis)
            elif run := saturating_run(diagnosis.figures):
                lost = sum(loss.decades for loss in run)
                words = f"{counted(len(run), 'bounded function')} cost {decades(lost, signed=False)}"
                ctx.near_miss(f"{words} of the {diagnosis.decades:.1f} that the worst layer lacks")

    def _finding(self, ctx: RuleContext, diagnosis: Diagnosis) -> Finding:
        bones, figures = diagnosis.bones, diagnosis.figures
        run = saturating_run(figures)
        lost, operators = sum(loss.decades for loss in run), {ctx.graph.nodes[loss.node].op for loss in run}
        by_hand = bool(operators & {"div", "reciprocal"})
        name = "hand-written logistic" if by_hand else operators.pop() if len(operators) == 1 else "bounded"
        skip = skip_edit(bones, figures)
        return flow_finding(
            self,
            ctx,
            diagnosis,
            message=f"{counted(len(run), f'{name} layer')} starve the first ones of gradient",
            label=f"each costs {lost / len(run):.2f} decades of gradient, {len(run)} of them in a row",
            cause=Cause.SATURATION,
            edits=(
                *(() if by_hand else (activation_edit(diagnosis.blamed, "GELU", name),)),
                norm_edit(bones, figures),
                init_edit(ctx, figures, "xavier"),
                *((skip,) if skip is not None else ()),
            ),
            extra={"lost_to_saturation": lost, "functions": len(run)},
        )
