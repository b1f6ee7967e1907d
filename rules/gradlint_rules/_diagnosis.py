"""Why a chain starves or blows up: one cause for each, found by attribution and by trying the cure."""

import math
from dataclasses import dataclass
from enum import Enum

from gradlint.api import Edit, Flow, RuleContext
from gradlint_rules._collapse import separation
from gradlint_rules._doubt import unknown_between
from gradlint_rules._figures import ChainFigures, Loss, chain_figures
from gradlint_rules._paths import Skeleton, skeleton, weights_of
from gradlint_rules._remedies import after, has_norm, init_edit, norm_edit, remaining, skip_edit, trouble
from gradlint_rules.thresholds import (
    DIVERGES,
    DRIFT,
    EXPLODED,
    GAIN_RUN,
    MAJORITY,
    NESTED_RUN,
    REMEDY,
    SATURATED,
    SATURATING_RUN,
    STARVED,
    STARVED_ADAM,
    UNSKIPPED,
)


class Why(Enum):
    """What a chain suffers from."""

    SATURATION = "saturation"
    SCALING = "scaling"
    INITIALISATION = "initialisation"
    NORMALISATION = "normalisation"
    SKIP = "skip"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Diagnosis:
    """A chain in trouble."""

    bones: Skeleton
    figures: ChainFigures
    why: Why
    starved: bool
    """True where the gradient is lost, False where it explodes."""
    blamed: tuple[str, ...]
    """Nodes that the trouble is attributed to."""
    decades: float
    """How far the worst layer is from a healthy one."""
    cure: Edit | None = None
    """The edit that is predicted to cure it, where that is how the cause was found."""


_latest: list[tuple[Flow, float, tuple[Diagnosis, ...]]] = []
"""The diagnoses of the latest flow, since many rules ask in turn."""


def limit_of(ctx: RuleContext) -> float:
    """Decades of starvation from which a rule speaks: its option, else what the optimiser bears."""
    return float(ctx.options.get("decades", STARVED_ADAM if ctx.optimizer == "adam" else STARVED))


def diagnose(ctx: RuleContext) -> tuple[Diagnosis, ...]:
    """The main path, and each side branch of some length, where it is in trouble."""
    bones, limit = skeleton(ctx.graph), limit_of(ctx)
    if not _latest or _latest[0][0] is not ctx.flow or _latest[0][1] != limit:
        judged = [chain for chain in _worth_judging(bones) if not _doubtful(ctx, chain)]
        found = [_diagnosis(ctx, bones, chain_figures(bones, chain, ctx.flow)) for chain in judged]
        _latest[:] = [(ctx.flow, limit, tuple(diagnosis for diagnosis in found if diagnosis is not None))]
    return _latest[0][2]


def finds_its_rate(ctx: RuleContext, diagnosis: Diagnosis) -> bool:
    """Whether nothing in the structure is at fault, and normalisation takes out what too large steps do to weights.

    Steps that are too large make normalised weights grow, and the larger they are the less a step turns them (Arora,
    Li, Lyu 2019): residual and inception networks with batch norm begin with gradients thousands of times too large.
    """
    bones = diagnosis.bones
    if diagnosis.why is not Why.UNCLEAR or diagnosis.decades >= DIVERGES or not has_norm(bones, bones.order):
        return False
    ctx.near_miss(f"{diagnosis.decades:.1f} decades above a healthy layer, but normalised weights find their own rate")
    return True


def _doubtful(ctx: RuleContext, chain: tuple[str, ...]) -> bool:
    """Whether the chain runs through operators that the flow cannot follow: what it says there proves nothing."""
    unknown = unknown_between(ctx, chain)
    if unknown is not None:
        ctx.near_miss(f"depth not judged: {unknown} lies on the way")
    return unknown is not None


def _worth_judging(bones: Skeleton) -> tuple[tuple[str, ...], ...]:
    """The trunk, and side branches with enough layers in a row."""
    nodes = bones.graph.nodes
    side = (chain for chain in bones.chains[1:] if len(chain) >= NESTED_RUN)
    return (bones.trunk, *(c for c in side if sum(bool(weights_of(bones.graph, nodes[n])) for n in c) >= NESTED_RUN))


def _diagnosis(ctx: RuleContext, bones: Skeleton, figures: ChainFigures) -> Diagnosis | None:
    starved = figures.starvation >= figures.growth
    extent = trouble(figures)
    drifts = not starved and extent >= DRIFT and abs(_drift(ctx, figures)) >= DRIFT and not has_norm(bones, bones.order)
    saturated = starved and _saturated(figures)
    if not (saturated or drifts or extent >= (limit_of(ctx) if starved else EXPLODED)):
        return None
    if not starved and figures.is_trunk and _is_collapse(ctx, bones):
        return None
    sign = 1.0 if starved else -1.0
    if saturated:
        return Diagnosis(bones, figures, Why.SATURATION, starved, _nodes(figures, "saturating"), extent)
    if sign * figures.lost("scaling") >= MAJORITY * extent:
        return Diagnosis(bones, figures, Why.SCALING, starved, _nodes(figures, "scaling"), extent)
    why, cure = _structural(ctx, bones, figures)
    if drifts and why is not Why.NORMALISATION and extent < EXPLODED:
        return None
    blamed = _nodes(figures, "layer", "activation", "saturating", "residual", "branches", "norm")
    blamed = _dearest(figures, sign) if why is Why.UNCLEAR else blamed
    return Diagnosis(bones, figures, why, starved, blamed, extent, cure)


def _is_collapse(ctx: RuleContext, bones: Skeleton) -> bool:
    """Whether what explodes is a norm that divides by the little that distinguishes samples: GL107 says so."""
    found = separation(ctx, bones)
    if found is None or not found.is_final:
        return False
    ctx.near_miss(f"the gradient grows because {found.nodes[-1]} leaves no difference between inputs (GL107)")
    return True


def _structural(ctx: RuleContext, bones: Skeleton, figures: ChainFigures) -> tuple[Why, Edit | None]:
    """Try the cures: better weights first, then norm and skips, whichever leaves less."""
    extent = trouble(figures)
    bound = (1 - REMEDY) * extent
    if _gain_matters(bones, figures):
        weights = [init_edit(ctx, figures, detail) for detail in suited(figures)]
        best = min(weights, key=lambda edit: _left(ctx, bones, figures, edit))
        if _left(ctx, bones, figures, best) <= bound:
            return Why.INITIALISATION, best
    skip = skip_edit(bones, figures) if unskipped(bones) >= UNSKIPPED or not figures.is_trunk else None
    with_skip = _left(ctx, bones, figures, skip) if skip is not None else math.inf
    norm = norm_edit(bones, figures)
    bare = not has_norm(bones, figures.nodes)
    with_norm = _left(ctx, bones, figures, norm) if bare else math.inf
    if min(with_skip, with_norm) > bound:
        return Why.UNCLEAR, None
    return (Why.SKIP, skip) if with_skip <= max(with_norm, 1.0) else (Why.NORMALISATION, norm)


def suited(figures: ChainFigures) -> tuple[str, ...]:
    """Gains that suit the chain's activations: Xavier under bounded ones, Kaiming under the others."""
    return ("xavier", "kaiming") if figures.of("saturating") else ("kaiming", "xavier")


def unskipped(bones: Skeleton) -> int:
    """Layers on the shortest way through the model (recurrent operators are not counted: time is not depth)."""
    return bones.shortest(lambda node: bool(weights_of(bones.graph, node)))


def _gain_matters(bones: Skeleton, figures: ChainFigures) -> bool:
    inside = figures.nodes[figures.nodes.index(figures.layers[0].node) :] if figures.layers else ()
    return len(figures.layers) >= GAIN_RUN and not has_norm(bones, inside)


def _left(ctx: RuleContext, bones: Skeleton, figures: ChainFigures, edit: Edit) -> float:
    changed = after(ctx, bones, figures, edit)
    return remaining(figures, changed) if changed is not None else math.inf


def _saturated(figures: ChainFigures) -> bool:
    """Enough bounded functions in a row, at the cost of most of what is missing; a norm behind them hides only part."""
    run, starved = saturating_run(figures), figures.starvation
    cost = sum(loss.decades for loss in run)
    enough = len(run) >= (SATURATING_RUN if figures.is_trunk else NESTED_RUN)
    hidden = cost >= SATURATED and starved >= DRIFT
    return enough and (starved >= SATURATED or hidden) and cost >= MAJORITY * starved


def saturating_run(figures: ChainFigures) -> tuple[Loss, ...]:
    """The bounded functions between the layer that is fed worst and the output."""
    hungry = figures.hungriest
    if hungry is None:
        return ()
    behind = set(figures.nodes[figures.nodes.index(hungry.node) :])
    return tuple(loss for loss in figures.of("saturating") if loss.node in behind)


def _nodes(figures: ChainFigures, *kinds: str) -> tuple[str, ...]:
    return tuple(loss.node for loss in figures.of(*kinds))


def _dearest(figures: ChainFigures, sign: float) -> tuple[str, ...]:
    """The fewest steps that account for four fifths of what all harmful steps cost, in order."""
    costly = sorted((loss for loss in figures.losses if sign * loss.decades > 0), key=lambda loss: -sign * loss.decades)
    total, so_far, chosen = sum(sign * loss.decades for loss in costly), 0.0, set()
    for loss in costly:
        if so_far >= 0.8 * total:
            break
        so_far += sign * loss.decades
        chosen.add(loss.node)
    return tuple(loss.node for loss in figures.losses if loss.node in chosen)


def _drift(ctx: RuleContext, figures: ChainFigures) -> float:
    """Decades by which the activations grow along a chain."""
    known = [ctx.flow.nodes[name].activation_rms for name in figures.nodes if name in ctx.flow.nodes]
    sizes = [value for value in known if value]
    return math.log10(max(sizes) / sizes[0]) if sizes else 0.0
