"""From the way a forward failed to inputs that may work."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from torch import nn
from torch.nn.modules.conv import _ConvNd

from gradlint.building.failure import text_of
from gradlint.building.feeding.actions import supported
from gradlint.building.feeding.arguments import Proposal
from gradlint.building.feeding.completing import completed, joined
from gradlint.building.feeding.demands import Demand, demands
from gradlint.building.feeding.hints import Hints
from gradlint.building.feeding.leaves import alternatives, entry_leaves
from gradlint.building.feeding.mend_shapes import demanded, mended_shapes, met, product_widths
from gradlint.building.feeding.sizes import patterned, resized
from gradlint.building.feeding.trial import Trial
from gradlint.building.feeding.varying import varied

_BROADCAST = re.compile(r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)")
_IN_PLACE = re.compile(r"output with shape \[([\d, ]+)\] doesn't match the broadcast shape \[([\d, ]+)\]")
_SPLIT = re.compile(r"sum exactly to (\d+) \(input tensor's size at dimension .*got split_sizes=\[([\d, ]+)\]")
_FAKE = re.compile(r"broadcast a dimension of length (\d+) at -(\d+)!.*broadcastable to \[([\d, ]+)\]")
_SEQUENCE = 3
"""Dimensions of a sequence of vectors."""


def mended(proposal: Proposal, trial: Trial, model: nn.Module, hints: Hints) -> Iterator[Proposal]:
    """Variations of a failed proposal that its failure suggests, likeliest first."""
    text = text_of(trial.error) if trial.error is not None else ""
    if trial.error is not None:
        yield from completed(proposal, trial.error, model, hints)
    if not proposal or proposal[0].dtype == "literal":
        return
    shape = proposal[0].shape
    yield from supported(proposal, text)
    if isinstance(trial.raised_in, nn.Linear) and trial.raised_shape == shape and len(shape) > _SEQUENCE:
        yield from _of_leaf(proposal, trial.raised_in, hints)  # a map went into it as it was: it was none
    yield from mended_shapes(proposal, text)
    yield from patterned(proposal, text, hints)
    for demand in demands(trial.error) if trial.error is not None else ():
        yield from _met(proposal, demand, model, hints)
    if (widths := product_widths(text)) is not None:
        yield from resized(proposal, text, hints)
        yield from joined(proposal, widths[1], model, hints)
        yield from _sized(proposal, *widths)
    if match := _SPLIT.search(text):
        width = sum(int(part) for part in match[2].split(","))
        yield _first(proposal, tuple(width if side == int(match[1]) else side for side in shape))
    if (clash := _clash(text)) is not None:
        yield from _matched(proposal, model, *clash)
        yield from met(proposal, *clash)
    if trial.raised_in is not None and sorted(trial.raised_shape) == sorted(shape):
        yield from _of_leaf(proposal, trial.raised_in, hints)
    if isinstance(trial.error, IndexError) and proposal[0].dtype == "int64" and len(shape) == 2:
        yield _first(proposal, (shape[0], max(shape[1] // 4, 1)), "int64", proposal[0].high)
    yield from resized(proposal, text, hints)
    if trial.error is not None and len(proposal) > 1:
        yield from varied(proposal, trial.error, text, model, hints)


def _of_leaf(proposal: Proposal, module: nn.Module, hints: Hints) -> Iterator[Proposal]:
    """What the first layer of the module that failed takes, for the first input."""
    for leaf in entry_leaves(module, 1):
        yield from (_first(proposal, spec.shape, spec.dtype, spec.high) for spec in alternatives(leaf, hints)[:3])


def _met(proposal: Proposal, demand: Demand, model: nn.Module, hints: Hints) -> Iterator[Proposal]:
    """What a check asks for; of a number of dimensions first what the first layer takes in as many."""
    if demand.kind == "rank" and len(proposal[0].shape) == demand.got:
        for leaf in entry_leaves(model, 1):
            fitting = [spec for spec in alternatives(leaf, hints) if len(spec.shape) == demand.wanted]
            yield from (_first(proposal, spec.shape, spec.dtype, spec.high) for spec in fitting[:3])
    yield from demanded(proposal, demand)


def _clash(text: str) -> tuple[int, int] | None:
    """The length that the input led to, and the one that it met, in the three ways that torch says so."""
    if match := _BROADCAST.search(text):
        return int(match[1]), int(match[2])
    if match := _FAKE.search(text):
        reached = [int(side) for side in match[3].split(",")]
        at = int(match[2])
        return (reached[-at], int(match[1])) if at <= len(reached) else None
    if match := _IN_PLACE.search(text):
        pairs = zip(match[1].split(","), match[2].split(","), strict=False)
        return next(((int(left), int(right)) for left, right in pairs if int(left) != int(right)), None)
    return None


def _first(proposal: Proposal, shape: tuple[int, ...], dtype: str = "", high: int | None = None) -> Proposal:
    """The proposal with another first input; inputs like the first one (the other side of a pair) change with it."""
    first = proposal[0]
    changed = replace(first, shape=shape, dtype=dtype or first.dtype, high=high if dtype else first.high)
    alike = replace(first, name="")
    rest = [replace(changed, name=s.name) if replace(s, name="") == alike else s for s in proposal[1:]]
    return (replace(changed, name=first.name), *rest)


def _sized(proposal: Proposal, got: int, needed: int) -> Iterator[Proposal]:
    """Solve the size of an image or signal whose flattened map met a Linear of another width."""
    shape = proposal[0].shape
    dims = len(shape) - 2
    if dims < 1 or got <= 0 or needed <= 0:
        return
    guess = shape[-1] * (needed / got) ** (1 / dims)
    centre = round(guess)
    for size in dict.fromkeys([centre, *_near(centre)]):
        if size >= 1 and size != shape[-1]:
            yield _first(proposal, (*shape[:2], *(size,) * dims))


def _near(centre: int) -> list[int]:
    """Neighbouring sizes: convolutions without padding shift the border by a few pixels."""
    even = [centre + step for step in (2, -2, 4, -4, 6, 8, 12)]
    return [*even, centre + 1, centre - 1, centre + 3]


def _matched(proposal: Proposal, model: nn.Module, left: int, right: int) -> Iterator[Proposal]:
    """Match the length of a position embedding: a sequence of that length, an image of that many patches."""
    shape = proposal[0].shape
    if len(shape) in (2, 3):
        for old, new in ((left, right), (right, left)):
            if shape[1] == old:
                yield _first(proposal, (shape[0], new, *shape[2:]))
    if len(shape) != 4:
        return
    for special in (0, 1, 2):  # class and distillation tokens
        grown = (right - special) / max(left - special, 1)
        size = round(shape[-1] * math.sqrt(max(grown, 0)))
        if size > 0 and size * size * (left - special) == shape[-1] ** 2 * (right - special):
            yield _first(proposal, (*shape[:2], size, size))
    patch = next((m.stride[0] for m in model.modules() if isinstance(m, _ConvNd) and len(m.stride) == 2), 1)
    for tokens in (right, right - 1, left, left - 1, right - 2):
        side = math.isqrt(max(tokens, 0))
        if side > 0 and side * side == tokens and side * patch != shape[-1]:
            yield _first(proposal, (*shape[:2], side * patch, side * patch))
