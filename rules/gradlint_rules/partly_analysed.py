"""GL003: operators without a transfer rule, and branches that tracing had to guess."""

from collections.abc import Iterable

from gradlint.api import Finding, Location, Rule, RuleContext, Severity, Site
from gradlint_rules._wording import counted


class PartlyAnalysed(Rule):
    """Part of the model's flow rests on a guess: an operator that gradlint has no rule for, or a branch on data.

    ## What it does
    Names every operator for which no transfer rule exists (its moments are passed through unchanged) and every read
    of tensor data during the forward pass (`.item()`, `if x.any()`) that was answered with the usual value.

    ## Why is this bad?
    It is not a defect of the model. But the figures of findings behind such a place are worth less, and you should
    know.

    ## Known limits
    One finding per model; the operators are listed by name, the first one's line is shown.

    ## Use instead
    Nothing has to change. Where a branch depends on data, `torch.where` can often take its place; a custom operator
    built from ordinary ones is understood as it is.

    ## Options
    None.
    """

    code = "GL003"
    name = "partly-analysed"
    summary = "Unknown operators or guessed branches: figures behind them are worth less"
    INVALID = (
        """
import torch
from torch import nn

class Spectral(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return torch.fft.rfft(self.fc(x)).abs()
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return torch.where(x > 0, self.fc(x), -x)
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding that names them all."""
        unknown, guesses = ctx.flow.unknown, ctx.graph.guesses
        if not unknown and not guesses:
            return
        operators = tuple(dict.fromkeys(operator.op for operator in unknown))
        places = [*(operator.location for operator in unknown), *(guess.location for guess in guesses)]
        parts = []
        if operators:
            parts.append(f"no transfer rule for {', '.join(operators)}")
        if guesses:
            parts.append(f"{counted(len(guesses), 'data-dependent read')} answered with the usual value")
        labels = [f"{op.op}: {op.reason or 'no transfer rule'}" for op in unknown]
        labels += [f"{guess.read} was taken to be {guess.answer}" for guess in guesses]
        here = [
            (p, label) for p, label in zip(places, labels, strict=True) if p is not None and p.path == ctx.target.path
        ]
        fallback = ctx.site("") or Location(ctx.target.path, max(1, ctx.target.line))
        place, label = here[0] if here else (fallback, labels[0])
        share = len({operator.node for operator in unknown}) / max(1, len(ctx.graph.nodes))
        yield Finding(
            code=self.code,
            name=self.name,
            severity=Severity.INFO,
            message=f"part of the flow rests on a guess: {'; '.join(parts)}",
            sites=(Site(place, label),),
            predicted={
                "summary": f"{1 - share:.0%} of {len(ctx.graph.nodes)} nodes are followed exactly",
                "unknown_operators": ", ".join(operators),
                "guesses": len(guesses),
                "share_known": 1 - share,
            },
            notes=tuple(labels[1:4]),
        )
