"""Sizes of images, films and signals, from what a forward says of a map that was too small, or of two that differ."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gradlint.building.feeding.arguments import Proposal
from gradlint.building.feeding.hints import SMALLEST_BATCH, Hints
from gradlint.building.feeding.mend_shapes import product_widths
from gradlint.core.target import InputSpec

_POOLED = re.compile(r"Given input size: \(\d+x([\dx]+)\)\. Calculated output size: \(-?\d+x([-\dx]+)\)")
_KERNEL = re.compile(r"padded input size per channel: \(([\d x]+)\)\. Kernel size: \(([\d x]+)\)")
_POINT = re.compile(r"more than 1 spatial element when training")
_APART = re.compile(
    r"Expected (?:size )?(\d+) (?:in dimension \d )?but got (?:size )?(\d+) for tensor"
    r"|size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension [2-4]"
)
_TOO_SMALL = re.compile(
    r"Output size is too small|Kernel size can't be greater than actual input size|output size .*too small"
    r"|should be less than the corresponding input dimension|must be (?:greater|larger|at least)"
    r"|more than 1 spatial element when training"
)
_CHUNKS = re.compile(r"can't divide axis of length (\d+) in chunks of (\d+)|not divisible by (\d+)|multiple of (\d+)")
_PATTERN = re.compile(r"pattern [\"']([^\"'>]+)->")
_USUAL_SIDES = {2: ((64, 64), (224, 224)), 3: ((8, 64, 64), (16, 112, 112))}
_LARGEST = {1: 65536, 2: 1024, 3: 128}
_BLINDLY = {1: 65536, 2: 256, 3: 128}
"""Sides up to which a size is guessed, where nothing tells it."""
_MOST_ELEMENTS = 10_000_000


def resized(proposal: Proposal, text: str, hints: Hints) -> Iterator[Proposal]:
    """The proposal with images (films, signals) of other sizes, likeliest first.

    Args:
        proposal: what the forward was given.
        text: what it raised.
        hints: sizes that the model tells.
    """
    if not proposal or len(proposal[0].shape) not in (3, 4, 5) or proposal[0].dtype != "float32":
        return
    sides = proposal[0].shape[2:]
    for wanted in dict.fromkeys(_wanted(sides, text, hints)):
        if wanted != sides and max(wanted) <= _LARGEST[len(sides)]:
            yield _with_sides(proposal, wanted)


def patterned(proposal: Proposal, text: str, hints: Hints) -> Iterator[Proposal]:
    """Images and films for a pattern of einops that names their sides: `b c (h p1) (w p2) -> …`."""
    match = _PATTERN.search(text)
    axes = re.findall(r"\([^)]*\)|[^\s()]+", match[1]) if match is not None else []
    dims = len(axes) - 2
    if dims not in (2, 3) or "..." in axes or len(proposal[0].shape) == len(axes) or proposal[0].dtype != "float32":
        return
    told = [shape for shape in hints.image_shapes if len(shape) == dims]
    for sides in dict.fromkeys([*told, *_USUAL_SIDES[dims]]):
        for channels in (3, 1):
            yield (replace(proposal[0], shape=(hints.batch, channels, *sides)), *proposal[1:])


def _wanted(sides: tuple[int, ...], text: str, hints: Hints) -> Iterator[tuple[int, ...]]:
    dims = len(sides)
    for factor in _growth(text):
        grown = tuple(math.ceil(side * factor) for side in sides)
        yield from (s for s in hints.image_shapes if len(s) == dims and max(sides) < max(s) <= max(grown))
        yield grown
    if product_widths(text) is not None:
        yield from (shape for shape in hints.image_shapes if len(shape) == dims)
    apart = _APART.search(text)
    if apart is not None and not (dims == 1 and hints.sequential):
        got, met = (int(part) for part in apart.groups() if part is not None)
        yield from (shape for shape in hints.image_shapes if len(shape) == dims)
        for small, large in ((got, met), (met, got)):
            if small and all(side * large % small == 0 for side in sides):
                yield tuple(side * large // small for side in sides)
    match = _CHUNKS.search(text)
    if match is not None:
        unit = int(next(part for part in match.groups()[1:] if part is not None))
        if 1 < unit <= _BLINDLY[dims]:
            sizes = (unit * 16, unit * 8, unit * max(1, -(-sides[-1] // unit)))
            yield from ((size,) * dims for size in sizes if size <= _BLINDLY[dims])
    if _TOO_SMALL.search(text):
        yield from (tuple(n * side for side in sides) for n in (2, 4, 8) if n * max(sides) <= _BLINDLY[dims])
        yield from (shape for shape in hints.image_shapes if len(shape) == dims and min(shape) > min(sides))


def _growth(text: str) -> Iterator[float]:
    """By how much a map must grow for the layer that found it too small (its stride is taken for 1)."""
    if match := _POOLED.search(text):
        had, gave = _numbers(match[1]), _numbers(match[2])
        yield max((n - out + 1) / n for n, out in zip(had, gave, strict=False) if n)
    if match := _KERNEL.search(text):
        had, kernel = _numbers(match[1]), _numbers(match[2])
        yield max(k / n for n, k in zip(had, kernel, strict=False) if n)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.replace(" ", "").split("x")]


def _with_sides(proposal: Proposal, sides: Sequence[int]) -> Proposal:
    """Another size for the first input and those that are as large (pairs, a mask beside an image); a smaller batch
    where they become very large."""
    full, channels, *before = proposal[0].shape
    batch = fewer(full, channels * math.prod(sides))
    return tuple(_sized(spec, tuple(before), sides, full, batch) for spec in proposal)


def fewer(batch: int, elements: int) -> int:
    """A smaller batch where one sample of so many elements is very large."""
    while batch > SMALLEST_BATCH and batch * elements > _MOST_ELEMENTS:
        batch //= 2
    return batch


def _sized(spec: InputSpec, before: tuple[int, ...], sides: Sequence[int], full: int, batch: int) -> InputSpec:
    if not spec.shape or spec.dtype == "literal":
        return spec
    first = batch if spec.shape[0] == full else spec.shape[0]
    rest = (spec.shape[1], *sides) if spec.shape[2:] == before else spec.shape[1:]
    return replace(spec, shape=(first, *rest))
