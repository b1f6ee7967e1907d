"""GL104: recurrences over more steps than their gradient survives."""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

from gradlint.api import Cause, Claim, Finding, Remedy, Rule, RuleContext, Severity, TimeFlow
from gradlint_rules._detached import no_way_back
from gradlint_rules._outlook import severity_of
from gradlint_rules._time import is_gated, nodes_of, orthogonal_remedy, unknown_within
from gradlint_rules._wording import decades, sites_of
from gradlint_rules.thresholds import GATE_CLOSED, TIME_LOSS


class RecurrentHorizon(Rule):
    """A recurrent network runs over more time steps than its gradient survives: it cannot learn from what lies far
    back.

    ## What it does
    Predicts by how much one time step multiplies the gradient on its way back, and from that the horizon: the
    number of steps after which a thousandth is left. Reported where the sequence is longer, for vanilla recurrences
    (fused, cell by cell or written as a loop), and for LSTM and GRU only where their gates start closed. A state
    that is detached at every step has no horizon at all, whatever the cell.

    ## Why is this bad?
    The last step is told how to use the first one through a product of as many factors as there are steps between.
    With factors of 0.6, forty steps leave one part in a billion: the network learns from the last few steps and
    ignores the rest, and the loss does not show it. The gradients of the weights do not show it either, since the
    last steps dominate them.

    ## Source
    Hochreiter 1991; Bengio, Simard, Frasconi 1994; Hochreiter, Schmidhuber 1997, "Long short-term memory".

    ## Known limits
    The length is that of the example input: say `sequence-length` in `[[tool.gradlint.targets]]` if yours is
    another. Models that read every step, one by one or in the mean, reach the first of them directly and get an
    `info` only.

    ## Use instead
    `nn.LSTM` or `nn.GRU`; an orthogonal or identity recurrent matrix; shorter windows; attention over the states.

    ## Options
    `decades` (default 3): what the gradient may lose from the last step to the first.
    """

    code = "GL104"
    name = "recurrent-horizon"
    summary = "A recurrence over more steps than its gradient survives"
    OPTIONS: ClassVar[Mapping[str, type]] = {"decades": float}
    INVALID = (
        """
import torch
from torch import nn

class Long(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, 32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.head(states[:, -1])

if __name__ == "__main__":
    Long()(torch.randn(4, 100, 4))
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.head(states[:, -1])

if __name__ == "__main__":
    Gated()(torch.randn(4, 100, 4))
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per recurrence whose horizon is too near (the modules of one loop are one recurrence)."""
        limit = float(ctx.options.get("decades", TIME_LOSS))
        loops: list[TimeFlow] = []
        for time in ctx.flow.times:
            lost = time.lost
            unknown = unknown_within(ctx, time)
            if math.isinf(time.gain):
                yield from no_way_back(self, ctx, time)
            elif unknown is not None:
                ctx.near_miss(f"{time.module}: not judged, {unknown} lies within its steps")
            elif lost < limit:
                left = decades(max(0.0, lost), signed=False)
                ctx.near_miss(f"{time.module}: the gradient loses {left} over {time.steps} steps (limit {limit:g})")
            elif is_gated(ctx, time) and -time.gain < GATE_CLOSED:
                ctx.near_miss(
                    f"{time.module}: gates at their defaults, {decades(time.gain)} per step; training opens them"
                )
            elif not any(_same_loop(time, other) for other in loops):
                loops += [time] if time.cell == "loop" else []
                yield self._finding(ctx, time, lost, limit)

    def _finding(self, ctx: RuleContext, time: TimeFlow, lost: float, limit: float) -> Finding:
        nodes = nodes_of(ctx, time)
        horizon = time.horizon(limit)
        gates = " with closed gates" if is_gated(ctx, time) else ""
        survives = f"its gradient survives only {horizon:.0f} of them"
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.INFO if time.lost_as_read < limit else severity_of(ctx),
            message=f"{time.module or 'the recurrence'} runs over {time.steps} steps{gates}, but {survives}",
            sites=sites_of(ctx, nodes, f"each step back multiplies the gradient by {10**time.gain:.2f}"),
            module=time.module,
            cause=Cause.RECURRENCE,
            predicted={
                "summary": f"∂L/∂h {decades(-lost)} over {time.steps} steps; a thousandth is left after {horizon:.0f}",
                "time_loss": lost,
                "gain_per_step": time.gain,
                "horizon": horizon,
                "steps": time.steps,
            },
            remedies=_remedies(ctx, time),
            notes=(_READ_DIRECTLY,) if time.lost_as_read < limit else (),
            attributed=nodes,
            claim=Claim("time-loss", time.module, predicted=lost, threshold=0.75 * limit),
        )


_READ_DIRECTLY = "the model reads every step, so that each gets its gradient; only what needs a memory suffers"


def _same_loop(one: TimeFlow, other: TimeFlow) -> bool:
    return one.steps == other.steps and abs(one.gain - other.gain) < 0.02


def _remedies(ctx: RuleContext, time: TimeFlow) -> tuple[Remedy, ...]:
    """Orthogonal recurrent weights, where they are predicted to help; gates, which training can open."""
    found = orthogonal_remedy(ctx, time)
    gates = "open its forget gates with a bias of 2 or more" if is_gated(ctx, time) else "nn.LSTM or nn.GRU instead"
    return (*found, Remedy(gates, "gives a way through time that training can open"))
