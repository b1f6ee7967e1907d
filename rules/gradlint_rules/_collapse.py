"""How well two inputs can still be told apart along the model's path."""

import math
from dataclasses import dataclass

from gradlint.api import RuleContext
from gradlint_rules._paths import Skeleton, before_pooling
from gradlint_rules.thresholds import COLLAPSE_DRIFT, COLLAPSED, COLLAPSED_FOR_ALL


@dataclass(frozen=True, slots=True)
class Separation:
    """1 − correlation of two random inputs, from the first layer to the last (or to where nothing is left)."""

    nodes: tuple[str, ...]
    first: float
    last: float

    @property
    def fallen(self) -> float:
        """Decades lost on the way."""
        return math.log10(max(self.first, 1e-16) / max(self.last, 1e-16))

    @property
    def has_collapsed(self) -> bool:
        """Whether a model can no longer tell its inputs apart, and could before."""
        return self.last <= COLLAPSED and self.fallen >= COLLAPSE_DRIFT

    @property
    def is_final(self) -> bool:
        """Whether nothing is left in float32 that a later norm could pull apart."""
        return self.has_collapsed and self.last <= COLLAPSED_FOR_ALL


def separation(ctx: RuleContext, bones: Skeleton) -> Separation | None:
    """Along the path that every signal takes; None where too little is known, or inputs read each other."""
    if ctx.flow.mixes_samples:
        return None
    path = before_pooling(bones)
    known = {name: apart for name in path if (apart := sample_separation(ctx, name)) is not None}
    if len(known) < 2:
        return None
    names = list(known)
    least = min(known, key=lambda name: known[name])
    end = least if known[least] <= COLLAPSED_FOR_ALL else names[-1]
    return Separation(tuple(names[: names.index(end) + 1]), known[names[0]], known[end])


def sample_separation(ctx: RuleContext, name: str) -> float | None:
    """1 − correlation of two samples at a node; None where it is not known."""
    flow = ctx.flow.nodes.get(name)
    return flow.sample_separation if flow is not None and flow.known else None
