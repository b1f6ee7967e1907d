"""GL303: initial weights of a scale that is far too large for their number."""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

from gradlint.api import Cause, Claim, Finding, OpNode, Remedy, Rule, RuleContext, Severity
from gradlint_rules._paths import weights_of
from gradlint_rules._wording import counted, number, sites_of
from gradlint_rules.thresholds import SCALE


class InitScale(Rule):
    """The initial weights of a layer are many times too large: its output is far larger than its input.

    ## What it does
    Compares what a layer gives with what it gets, as predicted, and the scale of its weights with the number of its
    inputs. Reported where the weights alone make the output at least five times larger, which
    `nn.init.normal_(weight)` without a `std`, `torch.randn(out, in)` and an embedding tied to the output head do.

    ## Why is this bad?
    The right scale is about 1/√inputs. With weights of scale 1, a layer of 500 inputs multiplies by 22. Without a
    norm behind it everything after it explodes: logits in the tens and a loss of 100 where 10 was expected. With a
    norm the output is brought back, but the gradient of the weights is then 22 times smaller and they themselves 22
    times larger, so that the layer learns 500 times more slowly than its neighbours.

    ## Source
    Glorot, Bengio 2010; He, Zhang, Ren, Sun 2015; van Laarhoven 2017, "L2 regularization versus batch and weight
    normalization" (what a scale before a norm does to the learning rate).

    ## Known limits
    Weights that are scaled down when used (equalised learning rate, T5's tied head) and frozen random features are
    left alone; scales that are too small are not judged.

    ## Use instead
    `nn.init.kaiming_normal_`, `nn.init.xavier_normal_`, or `std=0.02` for embeddings that are tied to the head.

    ## Options
    `factor` (default 5): by how much a layer may enlarge its input.
    """

    code = "GL303"
    name = "init-scale"
    summary = "Initial weights of far too large a scale"
    OPTIONS: ClassVar[Mapping[str, type]] = {"factor": float}
    INVALID = (
        """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(100, 64)
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 100, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(self.norm(self.embed(ids)))
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(100, 64)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 100, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(self.norm(self.embed(ids)))
""",
        """
import torch
from torch import nn

class Equalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(32, 64))

    def forward(self, x):
        return nn.functional.linear(x, self.weight / 8)
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding for all layers that enlarge too much."""
        limit = float(ctx.options.get("factor", SCALE))
        gains = {node.name: gain for node in ctx.graph.nodes.values() if (gain := _gain(ctx, node)) is not None}
        large = {name: gain for name, gain in gains.items() if gain >= limit}
        if large:
            yield self._finding(ctx, large)
        elif gains:
            name = max(gains, key=lambda key: gains[key])
            place = ctx.graph.nodes[name].module or name
            ctx.near_miss(f"{place} enlarges its input most, {number(gains[name])} times (limit {limit:g})")

    def _finding(self, ctx: RuleContext, large: dict[str, float]) -> Finding:
        nodes, worst = tuple(large), max(large, key=lambda key: large[key])
        weights = tuple(dict.fromkeys(weights_of(ctx.graph, ctx.graph.nodes[name])[0] for name in nodes))
        parameter = weights_of(ctx.graph, ctx.graph.nodes[worst])[0]
        law, gain, place = ctx.parameters[parameter].law, large[worst], ctx.graph.nodes[worst].module or worst
        rms = math.hypot(law.mean, law.std)
        entering = ctx.graph.nodes[worst].inputs[0]
        others = f" and {counted(len(weights) - 1, 'other weight')}" if len(weights) > 1 else ""
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.WARNING,
            message=f"{parameter}{others} of scale {number(rms)}, {number(gain)} times too large for its inputs",
            sites=sites_of(ctx, (worst,), f"the output is {number(gain)} times as large as the input"),
            module=ctx.graph.nodes[worst].module,
            cause=Cause.INITIALISATION,
            predicted={
                "summary": f"RMS {number(_rms(ctx, entering))} → {number(_rms(ctx, worst))} at {place}",
                "gain": gain,
                "layers": len(weights),
                "parameter": parameter,
            },
            remedies=(Remedy(f"std={rms / gain:.2g} instead of {rms:.2g}", "gives an output as large as the input"),),
            attributed=nodes,
            claim=Claim("activation-growth", worst, entering, math.log10(gain), math.log10(SCALE) / 2),
        )


def _rms(ctx: RuleContext, name: str) -> float | None:
    flow = ctx.flow.nodes.get(name)
    return flow.activation_rms if flow is not None else None


def _gain(ctx: RuleContext, node: OpNode) -> float | None:
    """By how much a layer enlarges its input, and by its weights' scale alone; the smaller of the two."""
    weights = weights_of(ctx.graph, node)
    before, behind = (_rms(ctx, node.inputs[0]), _rms(ctx, node.name)) if weights else (None, None)
    if not before or not behind or not ctx.parameters[weights[0]].requires_grad:
        return None
    parameter = ctx.parameters[weights[0]]
    outputs = parameter.shape[1] if "transpose" in node.op else parameter.shape[0]
    inputs = parameter.numel / max(1, outputs)
    return min(behind / before, behind, parameter.law.std * math.sqrt(inputs))
