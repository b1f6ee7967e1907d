"""GL506: an output squeezed to one side before a loss that expects logits."""

from collections.abc import Iterable

from gradlint.api import Claim, Confidence, Finding, Remedy, Rule, RuleContext, Severity, Site
from gradlint_rules._outputs import last_operators, losses_of, place_of_loss
from gradlint_rules._wording import sites_of

_LOSSES = frozenset({"BCEWithLogitsLoss", "binary_cross_entropy_with_logits"})
_SQUEEZED = {
    "sigmoid": "between 0 and 1",
    "hardsigmoid": "between 0 and 1",
    "softmax": "between 0 and 1",
    "tanh": "between −1 and 1",
    "relu": "never negative",
    "abs": "never negative",
    "softplus": "never negative",
    "exp": "never negative",
}


class SigmoidBeforeBCELogits(Rule):
    """The model ends in a sigmoid (or a ReLU, softmax, abs) and its loss, BCE-with-logits, applies another sigmoid.

    ## What it does
    Looks at the operator that makes the model's output and at the losses that the file computes from it.

    ## Why is this bad?
    `BCEWithLogitsLoss` expects raw scores of any sign and applies the sigmoid itself. Given something between 0 and
    1, the probability that it sees lies between 0.50 and 0.73: the model can never say "no", the loss never falls
    below 0.31 for a "yes" and 0.69 for a "no", and little gradient comes back.

    ## Source
    The documentation of `torch.nn.BCEWithLogitsLoss`: "This loss combines a Sigmoid layer and the BCELoss".

    ## Known limits
    Model and loss must be bound to each other in one file.

    ## Use instead
    Return the raw scores; or keep the sigmoid and use `BCELoss` (numerically weaker).

    ## Options
    None.
    """

    code = "GL506"
    name = "sigmoid-before-bce-logits"
    summary = "Sigmoid in the model and again in its loss"
    INVALID = (
        """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        return torch.sigmoid(self.fc(x))

def train(x, y):
    model = Net()
    loss = nn.BCEWithLogitsLoss()(model(x), y)
    loss.backward()
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        return torch.sigmoid(self.fc(x))

def train(x, y):
    model = Net()
    loss = nn.BCELoss()(model(x), y)
    loss.backward()
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding for the first such loss."""
        ends = last_operators(ctx)
        operators = [ctx.graph.nodes[name].op for name in ends]
        for loss in losses_of(ctx, _LOSSES):
            squeezer = loss.through[-1].lower() if loss.through else ""
            if loss.through and squeezer not in _SQUEEZED:
                continue
            if not loss.through and not (ends and all(op in _SQUEEZED for op in operators)):
                continue
            op = squeezer or operators[0]
            place = Site(place_of_loss(loss), "applies a sigmoid itself")
            summary = (
                f"scores {_SQUEEZED[op]}, where any real number is expected: one of the two answers cannot be given"
            )
            yield Finding(
                code=self.code,
                name=self.name,
                severity=Severity.WARNING,
                message=f"the output goes through {op} and then into a loss that expects raw scores",
                sites=(place,) if squeezer else (*sites_of(ctx, ends[:1], f"gives values {_SQUEEZED[op]}")[:1], place),
                module=ctx.graph.nodes[ends[0]].module,
                confidence=Confidence.HIGH if loss.model else Confidence.MEDIUM,
                predicted={"summary": summary, "operator": op},
                remedies=(Remedy(f"return the scores without {op}", "gives back the loss's full range and gradient"),),
                attributed=ends[:1],
                claim=Claim("bce-range", ends[0], squeezer, threshold=1.0),
            )
            return
