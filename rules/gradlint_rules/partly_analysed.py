"""GL003: operators without a transfer rule, and branches that tracing had to guess."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradlint.api import Finding, Location, Rule, RuleContext, Severity, Site, UnknownOperator
from gradlint_rules._wording import counted

_NO_RULE = "no transfer rule"
_MOST_NOTES = 5
_LOSSES = frozenset({"binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "kl_div"})


class PartlyAnalysed(Rule):
    """Part of the model's flow rests on a guess: an operator that gradlint has no rule for, or a branch on data.

    ## What it does
    Names every operator for which no transfer rule exists (its moments are passed through unchanged) and every read
    of tensor data during the forward pass (`.item()`, `if x.any()`) that was answered with the usual value. Also a
    line of the file that initialises the model from outside and could not be carried out, and one that feeds it and
    was not understood: what was analysed is then not quite what you run.

    ## Why is this bad?
    It is not a defect of the model. But the figures of findings behind such a place are worth less, and you should
    know.

    ## Known limits
    One finding per model; each cause is named once, with the operators that it concerns and the first one's line.

    ## Use instead
    Nothing has to change. Where a branch depends on data, `torch.where` can often take its place; a custom operator
    built from ordinary ones is understood as it is. A loss inside of `forward`: return the prediction instead.

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
        """One finding that names each cause once."""
        unknown, guesses = ctx.flow.unknown, ctx.graph.guesses
        if not unknown and not guesses:
            return
        causes = [_cause(ctx, operator) for operator in unknown]
        told = list(_messages(causes))
        if guesses:
            told.append(f"{counted(len(guesses), 'data-dependent read')} answered with the usual value")
        labels = [(cause.label, operator.location) for cause, operator in zip(causes, unknown, strict=True)]
        labels += [(f"{guess.read} was taken to be {guess.answer}", guess.location) for guess in guesses]
        fallback = ctx.site("") or Location(ctx.target.path, max(1, ctx.target.line))
        places = {label: place for label, place in reversed(labels) if place and place.path == ctx.target.path}
        first = next((label for label, _ in labels if label in places), labels[0][0])
        share = len({operator.node for operator in unknown}) / max(1, len(ctx.graph.nodes))
        yield Finding(
            code=self.code,
            name=self.name,
            severity=Severity.INFO,
            message=f"part of the flow rests on a guess: {'; '.join(told)}",
            sites=(Site(places.get(first, fallback), first),),
            predicted={
                "summary": f"{1 - share:.0%} of {len(ctx.graph.nodes)} nodes are followed exactly",
                "unknown_operators": ", ".join(dict.fromkeys(operator.op for operator in unknown)),
                "guesses": len(guesses),
                "share_known": 1 - share,
            },
            notes=_notes([label for label, _ in labels if label != first], places),
        )


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why an operator is not followed: what it has in common with others, itself, what is said at its line."""

    kind: str
    operator: str
    label: str


def _cause(ctx: RuleContext, unknown: UnknownOperator) -> _Cause:
    node = ctx.graph.nodes[unknown.node]
    dtypes = [node.dtype, *(ctx.graph.nodes[name].dtype for name in node.inputs if name in ctx.graph.nodes)]
    if any(dtype.startswith("complex") for dtype in dtypes):
        return _Cause("complex numbers are not followed", unknown.op, "it computes with complex numbers")
    if unknown.op.endswith("_loss") or unknown.op in _LOSSES:
        kind = "losses inside forward are not followed"
        return _Cause(kind, unknown.op, f"{unknown.op}: return the prediction, and apply the loss outside of forward")
    reason = unknown.reason or _NO_RULE
    kind = f"{_NO_RULE} for" if reason == _NO_RULE else "calls that the transfer rules do not cover"
    return _Cause(kind, unknown.op, f"{unknown.op}: {reason}")


def _messages(causes: Iterable[_Cause]) -> Iterable[str]:
    """One phrase per kind of cause, with the operators that it concerns."""
    kinds: dict[str, dict[str, None]] = {}
    for cause in causes:
        kinds.setdefault(cause.kind, {})[cause.operator] = None
    for kind, operators in kinds.items():
        names = ", ".join(operators)
        yield f"{kind} {names}" if kind.endswith(" for") else f"{kind} ({names})"


def _notes(labels: Sequence[str], places: Mapping[str, Location]) -> tuple[str, ...]:
    """What is said at other lines, each sentence once, and how many sentences were left out."""
    every = list(dict.fromkeys(labels))
    notes = [f"line {places[label].line}: {label}" if label in places else label for label in every[:_MOST_NOTES]]
    return (*notes, f"and {len(every) - len(notes)} more") if len(every) > len(notes) else tuple(notes)
