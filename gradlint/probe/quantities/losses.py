"""Quantities of the loss: a softmax or squashing function in front of a loss that brings its own."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import fx

from gradlint.building.seeds import seed_for
from gradlint.core.finding import Claim, Figures
from gradlint.probe.execute import values_at
from gradlint.probe.figures import decades, rms
from gradlint.probe.laboratory import Laboratory
from gradlint.probe.quantities.measured import Measured, scientific, signed, unmeasured
from gradlint.tracing.leaves import is_floating

_ONE = 1e-3
_APPLIED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax": lambda z: z.softmax(_class_dim(z)),
    "log_softmax": lambda z: z.log_softmax(_class_dim(z)),
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "abs": torch.abs,
    "tanh": torch.tanh,
}
"""Functions that stand between the model and its loss, named by a claim's `reference`."""


@dataclass(frozen=True)
class _Last:
    """The last function before the loss, and the real scores that it is given."""

    scores: torch.Tensor
    function: Callable[[torch.Tensor], torch.Tensor]


def loss_gradient_shrunk(lab: Laboratory, claim: Claim) -> Measured:
    """Decades of gradient that cross-entropy loses at the scores because a softmax stands before it.

    The same real scores and targets, once as they are, once through the softmax: that of the subject (a node), or the
    function named by `reference`, applied to what the subject gives.
    """
    last = _last(lab, claim)
    if last is None:
        return unmeasured(f"{claim.subject} is no function of scores in the recorded graph")
    probabilities = last.function(last.scores)
    dim = _class_dim(probabilities)
    if probabilities.dim() < 2 or probabilities.shape[dim] < 2:
        return unmeasured("there is only one class")
    targets = _targets(probabilities, dim, lab.given.seeds[0])
    plain = _gradient(last.scores, lambda z: _cross_entropy(z, dim, targets))
    doubled = _gradient(last.scores, lambda z: _cross_entropy(last.function(z), dim, targets))
    lost = decades(rms(plain), rms(doubled))
    if lost is None:
        return unmeasured("the loss gives no gradient to compare")
    sums = bool(((probabilities.sum(dim) - 1).abs() < _ONE).all())
    figures: Figures = {
        "shrunk": lost,
        "gradient_rms": rms(doubled),
        "gradient_rms_of_scores": rms(plain),
        "rows_sum_to_one": sums,
        "classes": probabilities.shape[dim],
    }
    share = f"{scientific(10**-lost)} of the loss's gradient is left by a real backward pass ({signed(-lost)} decades)"
    return Measured(lost, f"rows sum to one; {share}" if sums else share, figures, "decades")


def bce_range(lab: Laboratory, claim: Claim) -> Measured:
    """1.0 where the output cannot take both signs, so that one of a sigmoid's two answers is out of reach."""
    last = _last(lab, claim)
    if last is None:
        return unmeasured(f"{claim.subject} is no function of scores in the recorded graph")
    pushed = [last.function(last.scores + shift) for shift in (-30.0, -3.0, 0.0, 3.0, 30.0)]
    low, high = min(float(y.min()) for y in pushed), max(float(y.max()) for y in pushed)
    is_one_sided = low >= -_ONE or high <= _ONE
    floors = _floor(low), _floor(-high)
    text = f"outputs stay within {scientific(low)} … {scientific(high)} however the scores are pushed"
    if is_one_sided:
        text += f": the loss of one answer never falls below {max(floors):.2f}"
    figures: Figures = {"low": low, "high": high, "floor_negative": floors[0], "floor_positive": floors[1]}
    return Measured(1.0 if is_one_sided else 0.0, text, figures)


def _floor(score: float) -> float:
    """softplus: the least loss of a label where the score cannot go below this."""
    return math.log1p(math.exp(score)) if score < 30 else score


def _last(lab: Laboratory, claim: Claim) -> _Last | None:
    node = lab.node(claim.subject)
    if node is None:
        return None
    if claim.reference:
        scores, function = lab.value(node), _APPLIED.get(claim.reference)
        return _Last(scores, function) if scores is not None and function is not None and is_floating(scores) else None
    source = next((n for n in node.all_input_nodes if n.op != "get_attr"), None)
    if node.op != "call_function" or source is None or node.args[:1] != (source,):
        return None
    found = values_at(lab.graph, lab.inputs, node.all_input_nodes)
    if not isinstance(found[source], torch.Tensor) or not is_floating(found[source]):
        return None
    return _Last(found[source], lambda z: _applied(node, found, z))


def _applied(node: fx.Node, found: dict[fx.Node, Any], x: torch.Tensor) -> torch.Tensor:
    rest, kwargs = fx.node.map_arg((node.args[1:], node.kwargs), lambda n: found[n])
    result: torch.Tensor = node.target(x.clone(), *rest, **kwargs)  # type: ignore[operator]
    return result


def _class_dim(output: torch.Tensor) -> int:
    """Where cross-entropy expects the classes: the second dimension of images and of flat scores, else the last."""
    return 1 if output.dim() in (2, 4, 5) else output.dim() - 1


def _cross_entropy(scores: torch.Tensor, dim: int, targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(scores.movedim(dim, -1).flatten(0, -2), targets)


def _targets(output: torch.Tensor, dim: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed_for("targets", seed))
    count = output.numel() // output.shape[dim]
    return torch.randint(0, output.shape[dim], (count,), generator=generator).to(output.device)


def _gradient(scores: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    with torch.enable_grad():
        leaf = scores.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    return gradient
