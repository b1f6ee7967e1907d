"""GL503: parameters that no gradient from the outputs can reach."""

from collections.abc import Iterable, Sequence

from gradlint.api import Cause, Claim, Finding, Location, ParameterInfo, Rule, RuleContext, Severity, Site
from gradlint_rules._severed import Severance, by_end, owner_of, remedies, site, told
from gradlint_rules._usage import Usage
from gradlint_rules._wording import counted


class UnreachableParameter(Rule):
    """A trainable parameter gets no gradient, ever: its layer is never used, or its result is cut off.

    ## What it does
    Follows the gradient from the outputs back to every parameter with `requires_grad`. Reported are those that it
    cannot reach: a layer built in `__init__` and never used, or one whose result only goes through `.detach()`,
    `.data`, `argmax` or the like.

    ## Why is this bad?
    The layer stays as it was drawn. The optimiser keeps it, checkpoints carry it, weight decay shrinks it,
    distributed training stops with "parameters that were not used in producing loss"; and the part of the model
    that you designed does not take part in it.

    ## Source
    PyTorch forums: "find_unused_parameters", "grad is None".

    ## Known limits
    Left alone, because they may be meant: parameters with `requires_grad=False`, layers that run under
    `torch.no_grad()` throughout, target, teacher and momentum copies, straight-through estimators, layers used by
    another method of the file or by a branch that this forward pass did not take, parts of libraries, and what may
    have gone into an output of a class that is not understood (tensors, containers, dataclasses, distributions are).

    ## Use instead
    Use the layer, delete it, or say `layer.requires_grad_(False)` where it is frozen on purpose.

    ## Options
    None.
    """

    code = "GL503"
    name = "unreachable-parameter"
    summary = "A trainable parameter that no gradient can reach"
    INVALID = (
        """
import torch
from torch import nn

class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.two = nn.Linear(8, 8)

    def forward(self, x):
        return self.one(x)
""",
        """
import torch
from torch import nn

class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.two = nn.Linear(8, 8)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)).data)
""",
    )
    VALID = (
        """
import torch
from torch import nn

class ForAnotherMethod(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(8, 8)
        self.decode = nn.Linear(8, 8)

    def forward(self, x):
        return self.encode(x)

    def sample(self, z):
        return self.decode(z)
""",
        """
import torch
from torch import nn

class StraightThrough(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        z = self.fc(x)
        z = z + (z.round() - z).detach()
        return self.out(z)
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per place where gradients are cut off, one per line for what is never used."""
        lost = {p.name: p for p in ctx.parameters.values() if p.requires_grad and not p.reachable}
        if not lost or len(lost) == len(ctx.parameters):
            return
        if ctx.graph.opaque:
            held = ", ".join(ctx.graph.opaque)
            ctx.near_miss(f"an output of a class that is not understood ({held}) may hold what seems to be cut off")
            lost = {name: parameter for name, parameter in lost.items() if not parameter.used}
        usage = Usage(ctx)
        groups: dict[Location, list[ParameterInfo]] = {}
        for name, parameter in lost.items():
            place = usage.place(parameter)
            if place is None or usage.is_meant(parameter):
                ctx.near_miss(f"{name} gets no gradient, but that seems to be meant")
            else:
                groups.setdefault(place, []).append(parameter)
        for place, parameters, end in by_end(ctx, groups):
            yield self._finding(ctx, place, parameters, end)

    def _finding(
        self, ctx: RuleContext, place: Location, parameters: Sequence[ParameterInfo], end: Severance | None
    ) -> Finding:
        module = parameters[0].module
        owner = owner_of(ctx, parameters)
        elements, names = sum(p.numel for p in parameters), tuple(p.name for p in parameters)
        label = f"{counted(len(parameters), 'parameter')} ({elements} weights) that no gradient reaches"
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.WARNING,
            message=f"{owner or parameters[0].name} {told(parameters[0], end)}",
            sites=(Site(place, label), *site(end)),
            module=module,
            cause=Cause.SEVERED,
            predicted={
                "summary": f"no gradient at {', '.join(names[:3])}{' …' if names[3:] else ''}, however long it trains",
                "parameters": len(parameters),
                "elements": elements,
            },
            remedies=remedies(parameters[0], end),
            attributed=tuple(n.name for n in ctx.graph.nodes.values() if n.op == "parameter" and n.target in names),
            claim=Claim("no-gradient", names[0], subjects=names, predicted=1.0, threshold=1.0),
        )
