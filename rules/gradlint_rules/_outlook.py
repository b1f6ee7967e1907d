"""How hard a model will be to train, as far as its outlook tells, and what makes a finding an error."""

from dataclasses import fields, replace
from typing import Final

from gradlint.api import Claim, Edit, Outlook, Remedy, RuleContext, Severity
from gradlint_rules._collapse import separation
from gradlint_rules._diagnosis import diagnose, unskipped
from gradlint_rules._figures import chain_figures
from gradlint_rules._operators import SAMPLE_NORMS
from gradlint_rules._paths import Skeleton, by_constants, skeleton, through_layout
from gradlint_rules._remedies import has_norm, init_edit, norm_edit, skip_edit
from gradlint_rules._time import is_gated
from gradlint_rules._wording import decades, ranked
from gradlint_rules.thresholds import (
    COLLAPSED_IN_FLOAT,
    EFFORT_HANDICAPS_ADAM,
    EFFORT_HANDICAPS_SGD,
    EFFORT_STOPS_ADAM,
    EFFORT_STOPS_SGD,
    GATE_CLOSED,
    UNSKIPPED,
)

STOPS: Final = {"sgd": EFFORT_STOPS_SGD, "adam": EFFORT_STOPS_ADAM}
HANDICAPS: Final = {"sgd": EFFORT_HANDICAPS_SGD, "adam": EFFORT_HANDICAPS_ADAM}


LARGE: Final = 2000
"""Nodes of a graph beyond which no remedies are tried: each costs two flows, and people wait."""


def severity_of(ctx: RuleContext) -> Severity:
    """Harm of what a flow suffers from: an error where the model is predicted not to train, with the optimiser in use
    or, where that is not known, with any."""
    return Severity.ERROR if stops(ctx) else Severity.WARNING


def stops(ctx: RuleContext) -> bool:
    """Whether training is predicted not to get anywhere; False where the outlook is not known."""
    apart = separation(ctx, skeleton(ctx.graph))
    if apart is not None and apart.has_collapsed and apart.last <= COLLAPSED_IN_FLOAT:
        return True
    found = counted_outlook(ctx)
    return found is not None and all(found.effort(o) >= STOPS[o] for o in optimisers(ctx))


def handicaps(ctx: RuleContext) -> bool:
    """Whether training is predicted to take several times as long as that of a healthy model."""
    found = counted_outlook(ctx)
    return found is not None and all(found.effort(o) >= HANDICAPS[o] for o in optimisers(ctx))


def optimisers(ctx: RuleContext) -> tuple[str, ...]:
    """The optimiser in use; where it is not known what is said must hold for all."""
    return (ctx.optimizer,) if ctx.optimizer in STOPS else tuple(STOPS)


def counted_outlook(ctx: RuleContext) -> Outlook | None:
    """The outlook as far as a verdict may rest on it; None where it, or part of the model, is not known.

    What gates forget does not count, since training opens them; when scrambling does, `_counts_scrambling` says.
    """
    if ctx.flow.unknown or _is_scaled_first(skeleton(ctx.graph)) or ctx.outlook is None:
        return None
    return as_counted(ctx, ctx.outlook)


def as_counted(ctx: RuleContext, outlook: Outlook) -> Outlook:
    """The same of an outlook after an edit that adds no norm."""
    bones = skeleton(ctx.graph)
    scrambling = outlook.scrambling if _counts_scrambling(ctx, bones) else 0.0
    is_open = all(is_gated(ctx, time) and -time.gain < GATE_CLOSED for time in ctx.flow.times)
    return replace(outlook, scrambling=scrambling, forgetting=0.0 if is_open else outlook.forgetting)


def _counts_scrambling(ctx: RuleContext, bones: Skeleton) -> bool:
    """Whether what scrambles a model also keeps it from training.

    Over time it did not foretell outcomes. Normalised weights find their own rate, since steps that are too large make
    them grow, so that later ones move them less (Arora, Li, Lyu 2019): residual networks with batch norm scramble more
    than any, and train, for the skips keep what is smooth. Deep networks without skips that normalise each sample by
    itself do not.
    """
    if ctx.flow.times:
        return False
    graph = bones.graph
    others = (name for name in bones.order if graph.nodes[name].op not in SAMPLE_NORMS)
    is_normalised = has_norm(bones, bones.order)
    return not is_normalised or (unskipped(bones) >= UNSKIPPED and not has_norm(bones, others))


def effort_claim(found: Outlook, optimiser: str) -> Claim:
    """That a real backward pass finds an effort that handicaps, counting the same parts."""
    parts = tuple(part.name for part in fields(found) if getattr(found, part.name))
    predicted, threshold = found.effort(optimiser), HANDICAPS[optimiser]
    return Claim(f"effort-{optimiser}", predicted=predicted, threshold=threshold, subjects=parts)


def cures(ctx: RuleContext, bones: Skeleton, found: Outlook, optimiser: str) -> tuple[Remedy, ...]:
    """Edits that win back at least half of the effort, as predicted; none where a rule names a cause and its cure."""
    if diagnose(ctx) or len(ctx.graph.nodes) > LARGE:
        return ()
    figures, before = chain_figures(bones, bones.trunk, ctx.flow), found.effort(optimiser)
    edits: list[Edit | None] = [norm_edit(bones, figures), skip_edit(bones, figures)]
    edits += [init_edit(ctx, figures, detail) for detail in ("kaiming", "xavier")] if figures.layers else []
    helped = []
    for edit in edits:
        outlook = ctx.outlook_after(edit) if edit is not None else None
        if edit is None or outlook is None:
            continue
        left = as_counted(ctx, outlook).effort(optimiser)
        if left <= before / 2:
            flow = ctx.what_if(edit)
            effect = f"leaves an effort of {decades(left, signed=False)}"
            helped.append((left, Remedy(edit.text, effect, flow.attenuation if flow is not None else None, edit)))
    return ranked(helped)


def _is_scaled_first(bones: Skeleton) -> bool:
    """Whether numbers scale or shift the input itself: then it is not N(0, 1), but pixels or the like."""
    graph = bones.graph
    scaled = (node for node in graph.nodes.values() if node.inputs and by_constants(graph, node))
    return any(graph.nodes[through_layout(graph, node.inputs[0])].op == "input" for node in scaled)
