"""GL301: weights that start equal and can never differ, or at a zero that nothing lifts."""

from collections.abc import Iterable

from gradlint.api import Cause, Claim, Finding, OpNode, Remedy, Rule, RuleContext, Severity
from gradlint_rules._paths import Skeleton, skeleton, weights_of
from gradlint_rules._waking import asleep
from gradlint_rules._wording import counted, sites_of


class ConstantInit(Rule):
    """Weights that are all zero or all equal: every unit of the layer computes the same, and training keeps it so.

    ## What it does
    Looks at the law of every weight matrix and filter bank. Zeros are followed through training in thought: a zero
    layer wakes as soon as something arrives at it from both sides. Reported are the zeros that never wake, and
    equal rows followed by equal weights, whose units can never become different.

    ## Why is this bad?
    A layer learns because its units differ: each gets its own share of the blame. Units with equal weights get
    equal blame, so they stay equal for ever, and a layer of 256 units is worth one. With zeros on both sides of a
    layer, no signal gets forward and no gradient back: only the last bias learns.

    ## Source
    Goodfellow, Bengio, Courville 2016, "Deep learning", section 8.4 ("break symmetry").

    ## Known limits
    Healthy and left alone: zero-initialised last layers of residual branches, zero heads, norm scales, biases,
    position embeddings, adaLN-zero, the B of LoRA, and equal rows that the next layer's random weights tell apart.

    ## Use instead
    PyTorch's defaults, or `nn.init.kaiming_normal_` before ReLU, `nn.init.xavier_normal_` before tanh.

    ## Options
    None.
    """

    code = "GL301"
    name = "constant-init"
    summary = "Weights that start equal or at zero and can never become different"
    INVALID = (
        """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(8, 16)
        self.two = nn.Linear(16, 2)
        for p in self.parameters():
            nn.init.constant_(p, 0.1)

    def forward(self, x):
        return self.two(torch.tanh(self.one(x)))
""",
    )
    VALID = (
        """
import torch
from torch import nn

class ZeroHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(8, 16)
        self.branch = nn.Linear(16, 16)
        self.two = nn.Linear(16, 2)
        nn.init.zeros_(self.branch.weight)
        nn.init.zeros_(self.two.weight)

    def forward(self, x):
        x = self.one(x)
        x = x + self.branch(torch.relu(x))
        return self.two(x)
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding for the sleeping zeros, one for the equal rows."""
        bones = skeleton(ctx.graph)
        sleeping = asleep(ctx, bones)
        if sleeping:
            yield self._finding(
                ctx, sleeping, "of zeros that nothing ever lifts", "zero weights between zeros", "no-gradient"
            )
        equal = [node for node in _layers(bones) if node.name not in sleeping and _symmetric(ctx, bones, node)]
        if equal:
            names = tuple(node.name for node in equal)
            yield self._finding(
                ctx, names, "whose units start with equal weights and stay equal", "all units alike", "equal-rows"
            )

    def _finding(self, ctx: RuleContext, nodes: tuple[str, ...], what: str, label: str, kind: str) -> Finding:
        weights = list(dict.fromkeys(w for name in nodes for w in weights_of(ctx.graph, ctx.graph.nodes[name])[:1]))
        law = ctx.parameters[weights[0]].law
        told = f"{', '.join(weights[:3])}{' …' if len(weights) > 3 else ''}"
        summary = f"all elements of {told} are {law.mean:g}: every unit gets the same gradient as its neighbours"
        if kind == "no-gradient":
            summary = f"no gradient at {told}, not after any number of steps either"
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.ERROR,
            message=f"{counted(len(weights), 'layer')} {what}",
            sites=sites_of(ctx, nodes[:1], label),
            module=ctx.graph.nodes[nodes[0]].module,
            cause=Cause.INITIALISATION,
            predicted={"summary": summary, "layers": len(weights), "value": law.mean, "parameter": weights[0]},
            remedies=(Remedy("nn.init.kaiming_normal_ (or PyTorch's default)", "gives units that differ"),),
            attributed=nodes,
            claim=Claim(kind, weights[0], subjects=tuple(weights), predicted=1.0, threshold=1.0),
        )


def _layers(bones: Skeleton) -> list[OpNode]:
    return [bones.graph.nodes[name] for name in bones.order if weights_of(bones.graph, bones.graph.nodes[name])]


def _symmetric(ctx: RuleContext, bones: Skeleton, node: OpNode) -> bool:
    """Equal rows whose every next layer has one constant for its weights."""
    own = ctx.parameters[weights_of(bones.graph, node)[0]]
    if not own.requires_grad or not own.law.equal_rows or (own.law.std == 0 and own.law.mean == 0) or own.shape[0] < 2:
        return False
    following = _next_layers(bones, node.name)
    laws = [ctx.parameters[weights_of(bones.graph, bones.graph.nodes[name])[0]].law for name in following]
    return bool(laws) and all(law.minimum == law.maximum for law in laws)


def _next_layers(bones: Skeleton, name: str) -> list[str]:
    """The layers that read a node's values first, on any path."""
    found, stack, seen = [], list(bones.after[name]), set()
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        if weights_of(bones.graph, bones.graph.nodes[current]):
            found.append(current)
        else:
            stack += bones.after[current]
    return found
