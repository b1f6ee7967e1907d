"""GL505: a softmax in the model and another one in its loss."""

from collections.abc import Iterable

from gradlint.api import Claim, Confidence, Finding, LossUse, Remedy, Rule, RuleContext, Severity, Site
from gradlint_rules._outputs import last_operators, losses_of, place_of_loss
from gradlint_rules._paths import through_layout
from gradlint_rules._wording import sites_of

_LOSSES = frozenset({"CrossEntropyLoss", "cross_entropy"})


class SoftmaxBeforeCrossEntropy(Rule):
    """The model ends in a softmax and its loss, cross-entropy, applies another one.

    ## What it does
    Looks at the operator that makes the model's output and at the losses that the file computes from it. Also
    reported: a softmax whose input is a softmax.

    ## Why is this bad?
    `CrossEntropyLoss` expects raw scores (logits) and turns them into probabilities itself. Given probabilities it
    sees scores between 0 and 1, so it can never become sure of anything: with ten classes the loss cannot fall
    below 1.46, and the gradient that comes back is a fraction of what it should be. The model trains, slowly, to a
    worse result, without any error.

    ## Source
    The documentation of `torch.nn.CrossEntropyLoss`: "The input is expected to contain the unnormalized logits".

    ## Known limits
    Model and loss must be bound to each other in one file. `log_softmax` before cross-entropy changes nothing
    (applied twice it is itself) and is not reported; so are models that return logits beside probabilities.

    ## Use instead
    Return the logits and take the softmax in prediction only; or `log_softmax` with `NLLLoss`.

    ## Options
    None.
    """

    code = "GL505"
    name = "softmax-before-cross-entropy"
    summary = "Softmax in the model and again in its loss"
    INVALID = (
        """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)

def train(x, y):
    model = Net()
    loss = nn.CrossEntropyLoss()(model(x), y)
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
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(x)

def train(x, y):
    model = Net()
    loss = nn.CrossEntropyLoss()(model(x), y)
    loss.backward()
""",
        """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)

def train(x, y):
    model = Net()
    loss = nn.NLLLoss()(torch.log(model(x)), y)
    loss.backward()
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding for the loss, one for each doubled softmax."""
        nodes = ctx.graph.nodes
        ends = last_operators(ctx)
        losses = losses_of(ctx, _LOSSES)
        plain = [loss for loss in losses if not loss.through]
        if ends and plain and all(nodes[name].op == "softmax" for name in ends):
            message = "the model ends in a softmax, and its cross-entropy loss applies another"
            yield self._finding(ctx, ends[0], message, plain[0])
        for loss in losses:
            if loss.through and loss.through[-1].lower() == "softmax":
                message = "the output goes through a softmax and then into a cross-entropy loss, which applies another"
                yield self._finding(ctx, ends[0], message, loss)
        for node in nodes.values():
            source = through_layout(ctx.graph, node.inputs[0]) if node.op == "softmax" and node.inputs else node.name
            if source != node.name and nodes[source].op == "softmax":
                yield self._finding(ctx, node.name, "a softmax is applied to the result of a softmax")

    def _finding(self, ctx: RuleContext, name: str, message: str, loss: LossUse | None = None) -> Finding:
        shape = ctx.graph.nodes[name].shape or (1,)
        sites = sites_of(ctx, [name], "gives probabilities")[:1]
        if loss is not None:
            expects = Site(place_of_loss(loss), "expects raw scores")
            sites = (expects,) if loss.through else (*sites, expects)
        before = "softmax" if loss is not None and loss.through else ""
        summary = "scores between 0 and 1: the loss can never come near 0, and a fraction of its gradient comes back"
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.WARNING,
            message=message,
            sites=sites,
            module=ctx.graph.nodes[name].module,
            confidence=Confidence.HIGH if loss is None or loss.model else Confidence.MEDIUM,
            predicted={"summary": summary, "classes": shape[-1]},
            remedies=(
                Remedy("return the logits, take the softmax only in prediction", "gives back the loss's full gradient"),
            ),
            attributed=(name,),
            claim=Claim("loss-gradient-shrunk", name, before, threshold=0.2),
        )
