"""GL302: initial weights whose gain does not suit the activation."""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

from gradlint.api import Cause, Finding, Rule, RuleContext
from gradlint_rules._diagnosis import Diagnosis, Why, diagnose, suited
from gradlint_rules._flow_finding import extent, flow_finding
from gradlint_rules._remedies import init_edit, norm_edit
from gradlint_rules._wording import counted, number, times


class InitGainMismatch(Rule):
    """The initial weights are too small or too large for the activation behind them, layer after layer.

    ## What it does
    Where a path without normalisation loses or multiplies its gradient, the same model is predicted once more with
    Kaiming (Xavier, under bounded functions) weights. If that cures it, the initialisation is the cause, and each
    layer's own gain is shown.

    ## Why is this bad?
    A ReLU throws half of the signal away, and the weights have to make up for it. PyTorch's default for `nn.Linear`
    and `nn.Conv2d` does not: each layer passes on 0.41 of what it gets, twenty layers pass on a fifty-millionth.
    Weights of scale 1 do the reverse: each layer multiplies by the root of its width.

    ## Source
    Glorot, Bengio 2010; He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers".

    ## Known limits
    Silent where a normalisation follows, since it takes the gain out again, and in shallow models, where it does
    not matter.

    ## Use instead
    `nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")` under ReLU and its kin,
    `nn.init.xavier_normal_(layer.weight)` under tanh, `nonlinearity="linear"` under SELU.

    ## Options
    `decades` (default 3.5; 6 where Adam is used): how far below a healthy update the worst layer must lie.
    """

    code = "GL302"
    name = "init-gain-mismatch"
    summary = "Initial weights whose gain does not suit the activation"
    OPTIONS: ClassVar[Mapping[str, type]] = {"decades": float}
    INVALID = (
        """
import torch
from torch import nn

class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for _ in range(16):
            layers += [nn.Linear(64, 64), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(64, 2))

    def forward(self, x):
        return self.net(x)
""",
        """
import torch
from torch import nn

class Huge(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(8))
        for layer in self.layers:
            nn.init.normal_(layer.weight)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for _ in range(16):
            layers += [nn.Linear(64, 64), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(64, 2))
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")

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
        for _ in range(16):
            layers += [nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(64, 2))

    def forward(self, x):
        return self.net(x)
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per path that other weights would cure."""
        for diagnosis in diagnose(ctx):
            if diagnosis.why is Why.INITIALISATION:
                yield self._finding(ctx, diagnosis)

    def _finding(self, ctx: RuleContext, diagnosis: Diagnosis) -> Finding:
        bones, figures = diagnosis.bones, diagnosis.figures
        count = len(figures.layers)
        layers = tuple(layer.node for layer in figures.layers)
        gain = extent(ctx, diagnosis) * (-1 if diagnosis.starved else 1) / max(1, count - 1)
        law = ctx.parameters[figures.layers[count // 2].parameter].law
        rms = math.hypot(law.mean, law.std)
        change = "smaller" if diagnosis.starved else "larger"
        return flow_finding(
            self,
            ctx,
            diagnosis,
            message=(
                f"the initial weights of {counted(count, 'layer')} together make the gradient "
                f"{times(extent(ctx, diagnosis))} {change}"
            ),
            label=f"weights of RMS {number(rms)}: each layer passes on {number(10**gain)} of the gradient",
            cause=Cause.INITIALISATION,
            edits=(*(init_edit(ctx, figures, detail) for detail in suited(figures)), norm_edit(bones, figures)),
            pointed=layers,
            extra={"gain_per_layer": gain, "layers": count},
        )
