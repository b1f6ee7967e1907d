"""Remedies tried by what-if: what is left of a chain's starvation or growth after each."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from gradlint.api import Edit, EditKind, Remedy, RuleContext
from gradlint_rules._figures import ChainFigures, chain_figures
from gradlint_rules._operators import NORMS
from gradlint_rules._paths import Skeleton, is_layer
from gradlint_rules._wording import left, ranked
from gradlint_rules.thresholds import EXPLODED, STARVED


def after(ctx: RuleContext, skeleton: Skeleton, figures: ChainFigures, edit: Edit) -> ChainFigures | None:
    """The chain's figures after an edit, as predicted; None where the edit does not apply."""
    flow = ctx.what_if(edit)
    if flow is None:
        return None
    changed = chain_figures(skeleton, figures.nodes, flow)
    return changed if len(changed.layers) >= 0.8 * len(figures.layers) else None


def trouble(figures: ChainFigures) -> float:
    """Decades by which a chain is starved or blown up, whichever is more; never negative."""
    return max(0.0, figures.starvation, figures.growth)


def remaining(figures: ChainFigures, changed: ChainFigures) -> float:
    """What is left of a chain's trouble, on the side where it lay; infinite where an edit trades it for the other."""
    if figures.starvation >= figures.growth:
        return max(0.0, changed.starvation) if changed.growth < EXPLODED else math.inf
    return max(0.0, changed.growth) if changed.starvation < STARVED else math.inf


def tried(ctx: RuleContext, skeleton: Skeleton, figures: ChainFigures, edits: Iterable[Edit]) -> tuple[Remedy, ...]:
    """Those edits that help, best first, each with what is left after it in words."""
    found = []
    for edit in edits:
        changed = after(ctx, skeleton, figures, edit)
        if changed is None or remaining(figures, changed) >= trouble(figures) - 1.0:
            continue
        rest = remaining(figures, changed)
        flow = ctx.what_if(edit)
        remedy = Remedy(
            edit.text,
            left(-rest if figures.starvation >= figures.growth else rest),
            attenuation=flow.attenuation if flow is not None else None,
            change=edit,
        )
        found.append((rest, remedy))
    return ranked(found)


def activations(figures: ChainFigures) -> tuple[str, ...]:
    """The chain's activation nodes, saturating or not."""
    return tuple(loss.node for loss in figures.of("saturating", "activation"))


def activation_edit(nodes: Sequence[str], name: str, instead: str) -> Edit:
    """Swap activations."""
    return Edit(EditKind.ACTIVATION, f"{name} instead of {instead}", nodes=tuple(nodes), detail=name.lower())


def init_edit(ctx: RuleContext, figures: ChainFigures, detail: str) -> Edit:
    """Draw the chain's weights anew, the last layer's too: who follows the advice does so in a loop over all."""
    text = {"kaiming": "nn.init.kaiming_normal_", "xavier": "nn.init.xavier_normal_", "lecun": "LeCun-normal weights"}
    names = tuple(dict.fromkeys(layer.parameter for layer in figures.layers))
    return Edit(EditKind.INIT_GAIN, f"{text.get(detail, detail)} for the weights", parameters=names, detail=detail)


def norm_edit(skeleton: Skeleton, figures: ChainFigures) -> Edit:
    """Put a normalisation in front of each branch of a residual stream, else of each activation (or layer)."""
    graph = skeleton.graph
    layers = [name for name in figures.nodes if is_layer(graph, graph.nodes[name])]
    branches = _branch_starts(skeleton, figures)
    nodes = branches or activations(figures) or tuple(layers[1:])
    shape = graph.nodes[layers[0]].shape or () if layers else ()
    detail, text = ("batch_norm", "batch norm") if len(shape) == 4 else ("layer_norm", "layer norm")
    where = "branch" if branches else "activation" if activations(figures) else "layer"
    return Edit(EditKind.NORM, f"{text} before each {where}", nodes=nodes, detail=detail)


def _branch_starts(skeleton: Skeleton, figures: ChainFigures) -> tuple[str, ...]:
    """First nodes of the branches that a residual stream adds."""
    ends = {loss.node for loss in figures.of("residual")}
    starts = [
        name for before, end in pairwise(figures.nodes) if end in ends for name in skeleton.after[before] if name != end
    ]
    return tuple(dict.fromkeys(starts))


def skip_edit(skeleton: Skeleton, figures: ChainFigures) -> Edit | None:
    """Bridge the chain's blocks: every span of two layers that keeps its shape."""
    graph = skeleton.graph
    position = {name: i for i, name in enumerate(figures.nodes)}
    spans = []
    starts = [position[layer.node] for layer in figures.layers]
    if not starts:
        starts = [i for i, name in enumerate(figures.nodes) if is_layer(graph, graph.nodes[name])]
    index = 0
    while index + 2 < len(starts):
        first, last = figures.nodes[starts[index]], figures.nodes[starts[index + 2] - 1]
        source = skeleton.before[first]
        if source and graph.nodes[source[0]].shape == graph.nodes[last].shape:
            spans.append((first, last))
            index += 2
        else:
            index += 1
    return Edit(EditKind.SKIP, "a skip connection around every two layers", spans=tuple(spans)) if spans else None


def has_norm(skeleton: Skeleton, nodes: Iterable[str]) -> bool:
    """Whether a normalisation stands among the nodes (one written by hand counts: a division by its own spread)."""
    graph = skeleton.graph
    return any(graph.nodes[name].op in NORMS or _by_hand(skeleton, name) for name in nodes)


def _by_hand(skeleton: Skeleton, name: str) -> bool:
    """x · rsqrt(mean(x²) + ε) and its like: a product or quotient one of whose factors is a root of a mean of x."""
    graph = skeleton.graph
    node = graph.nodes[name]
    if node.op not in ("mul", "div"):
        return False
    for source in node.inputs:
        roots = {"rsqrt", "sqrt", "norm", "linalg_vector_norm", "linalg_norm", "std", "pow"}
        current, root = source, False
        for _ in range(8):
            inner = graph.nodes[current]
            root = root or inner.op in roots
            if root and inner.op in ("mean", "sum", "var", "std", "norm", "linalg_vector_norm", "linalg_norm"):
                return True
            if not inner.inputs:
                break
            current = inner.inputs[0]
    return False
