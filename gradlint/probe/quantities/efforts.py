"""The effort that training will need, from real backward passes instead of predicted ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import torch

from gradlint.core.finding import Claim
from gradlint.core.outlook import Outlook, outlook
from gradlint.core.tangents import Tangent, Tangents
from gradlint.probe.backward import cotangents
from gradlint.probe.figures import widened
from gradlint.probe.laboratory import Laboratory
from gradlint.probe.quantities.measured import Measured, unmeasured
from gradlint.probe.run import Run, measure_run


def effort(optimizer: str) -> Callable[[Laboratory, Claim], Measured]:
    """Decades of effort with that optimiser; of the outlook only the parts count that the claim names as subjects."""

    def quantity(lab: Laboratory, claim: Claim) -> Measured:
        found = _kernel(lab)
        if found is None:
            return unmeasured("the outputs do not hold two samples or more")
        seen = _as_read(lab, outlook(found, replace(lab.first.flow(), times=lab.times)))
        counted = replace(seen, **{part.name: 0.0 for part in fields(Outlook) if part.name not in claim.subjects})
        value = counted.effort(optimizer)
        summary = f"effort {value:.1f} decades by real backward passes"
        return Measured(value, summary, {part.name: getattr(seen, part.name) for part in fields(Outlook)}, "decades")

    return quantity


def _kernel(lab: Laboratory) -> Tangents | None:
    """Θ(a, a) from independent cotangents; Θ(a, a) − Θ(a, b) from ones whose sum over the batch is zero.

    With c_i − c̄ for the i-th of B samples E‖∇w‖² = (B − 1)·K·(Θ(a, a) − Θ(a, b)): no difference of large numbers is
    taken, so that it is known also where samples are nearly alike.
    """
    outputs = lab.first.outputs
    batch = {tensor.shape[0] if tensor.dim() else 0 for tensor in outputs}
    if len(batch) != 1 or (samples := batch.pop()) < 2:
        return None
    elements = sum(tensor.numel() for tensor in outputs)
    apart = [_centred(lab, seed) for seed in lab.given.seeds[: len(lab.runs)]]
    found = {}
    for name, value in lab.first.values.items():
        count = lab.first.numels[name] / elements
        own = count * _mean_square(lab.runs, name)
        varied = count * _mean_square(apart, name) * samples / (samples - 1)
        found[name] = Tangent(own, own - varied, math.sqrt(_mean_square(lab.runs, name)), value)
    spread = sum(float((widened(t) - widened(t).mean(0)).square().sum()) for t in outputs) / elements
    return Tangents(found, math.sqrt(spread * samples / (samples - 1)))


def _centred(lab: Laboratory, seed: int) -> Run:
    """A pass with cotangents whose sum over the batch is zero."""

    def loss(outputs: Sequence[torch.Tensor]) -> torch.Tensor:
        pairs = zip(outputs, cotangents(outputs, seed), strict=True)
        return torch.stack([((c - c.mean(0)) * t).real.sum().float() for t, c in pairs]).sum()

    fed = lab.fed
    return measure_run(lab.graph.model, fed.args, fed.kwargs, seed=seed, loss=loss)


def _mean_square(runs: Sequence[Run], name: str) -> float:
    """Mean over runs of the mean square of a parameter's gradient."""
    return sum(run.parameter(name) ** 2 for run in runs) / len(runs)


def _as_read(lab: Laboratory, seen: Outlook) -> Outlook:
    """What is forgotten is measured with the cotangent on the last step; that the model reads others too is known from
    the prediction."""
    if lab.given.flow is None:
        return seen
    known = max((time.lost_as_read for time in lab.given.flow.times), default=0.0)
    return replace(seen, forgetting=min(seen.forgetting, max(0.0, known)))
