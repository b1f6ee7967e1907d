"""What the failure of a forward says of the shapes of its arguments: channels, width, number of dimensions."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from gradlint.building.feeding.arguments import Proposal
from gradlint.building.feeding.demands import Demand
from gradlint.core.target import InputSpec

_CHANNELS = re.compile(r"expected input\[([\d, ]+)\] to have (\d+) channels, but got (\d+) channels")
_NORMED = re.compile(r"normalized_shape=\[(\d+)\].*got input of size\s*\[([\d, ]+)\]")
_PRODUCT = re.compile(
    r"mat1 and mat2 shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)"
    r"|a and b must have same reduction dim, but got \[\d+, (\d+)\] X \[(\d+), \d+\]"
)
_TOO_FEW = re.compile(r"not enough values to unpack \(expected (\d+), got (\d+)\)")
_TOO_MANY = re.compile(r"too many values to unpack \(expected (\d+)")
_WANTED_DIMS = re.compile(r"[Ee]xpected (\d)-?D? (?:\(.*\) )?(?:or \d-?D? )?(?:dimension|input|tensor|\()")
_PERMUTED = re.compile(r"dim\(\) = \d+ is not equal to len\(dims\) = (\d+)")
_RESHAPED = re.compile(r"shape '\[(\d[\d, ]*)\]' is invalid for input of size (\d+)")
_WANTS_IDS = re.compile(r"indices.* to have one of the following scalar types: Long|expected .*Long")
_OF_DIMS = re.compile(r"must be a \d-?D tensor|expected .*\d-?D|Expected \d-?D|dimension", re.IGNORECASE)
_REPEATED = re.compile(
    r"must match except in dimension \d+\. Expected(?: size)? (\d+)(?: in dimension 0)? but got(?: size)? (\d+)"
)
_SEVERAL = ("list", "tuple")
_FRAMES = 8
_SIDE = 32


def mended_shapes(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """Variations of a failed proposal, likeliest first.

    Args:
        proposal: what the forward was given.
        text: what it raised.
    """
    yield from _channels(proposal, text)
    yield from _lengths(proposal, text)
    yield from _widths(proposal, text)
    yield from _dimensions(proposal, text)
    yield from _elements(proposal, text)
    yield from _single_ids(proposal, text)
    yield from _single_samples(proposal, text)
    if _WANTS_IDS.search(text):
        for at, spec in enumerate(proposal):
            if spec.dtype == "float32" and spec.shape:
                yield _with(proposal, at, replace(spec, dtype="int64", shape=spec.shape[:2], high=None))


def _with(proposal: Proposal, at: int, spec: InputSpec) -> Proposal:
    return (*proposal[:at], spec, *proposal[at + 1 :])


def _tensors(proposal: Proposal) -> list[tuple[int, InputSpec]]:
    """The arguments that are drawn, with their places."""
    return [
        (at, spec)
        for at, spec in enumerate(proposal)
        if spec.dtype not in ("literal", "dict", "object", "list", "tuple") and spec.shape
    ]


def _channels(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """A convolution saw another number of channels than it has."""
    match = _CHANNELS.search(text)
    if match is None:
        return
    needed, got = int(match[2]), int(match[3])
    seen = tuple(int(side) for side in match[1].split(","))
    for at, spec in _tensors(proposal):
        shape = spec.shape
        if seen == (1, *shape):  # taken for a single map without a batch
            yield _with(proposal, at, replace(spec, shape=(shape[0], needed, *(_SIDE,) * (len(shape) - 1))))
        yield from (_with(proposal, at, changed) for changed in _with_channels(spec, got, needed))
    for at, spec in enumerate(proposal):
        items = [list(_with_channels(item, got, needed)) for item in spec.items] if spec.dtype in _SEVERAL else []
        if items and all(items):
            yield _with(proposal, at, replace(spec, items=tuple(found[0] for found in items)))


def _with_channels(spec: InputSpec, got: int, needed: int) -> Iterator[InputSpec]:
    """A map of as many channels as a layer needs, where the forward multiplies them (pixels folded into channels) or
    joins others to them (a mask), or both."""
    if len(spec.shape) < 3 or got == needed:
        return
    scaled, rest = divmod(spec.shape[1] * needed, got)
    common = math.gcd(got, needed)
    joined = spec.shape[1] - (got - needed) // common if got // common > spec.shape[1] and got > needed else 0
    for channels in dict.fromkeys([0 if rest else scaled, joined]):
        if channels > 0:
            yield replace(spec, shape=(spec.shape[0], channels, *spec.shape[2:]))


def _widths(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """A linear layer, or a norm, saw another width than it has: that of any argument."""
    for got, needed in _mismatches(text):
        for at, spec in _tensors(proposal):
            if spec.dtype == "int64":
                continue
            if len(spec.shape) in (2, 3) and spec.shape[-1] == got:
                yield _with(proposal, at, replace(spec, shape=(*spec.shape[:-1], needed)))
            if len(spec.shape) > 3:  # a layer over patches
                yield from (_with(proposal, at, changed) for changed in _with_channels(spec, got, needed))


def _lengths(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """A linear layer over time saw another length than it has."""
    for got, needed in _mismatches(text):
        if any(len(spec.shape) == 3 and spec.shape[1] == got for _, spec in _tensors(proposal)):
            yield tuple(
                replace(s, shape=(s.shape[0], needed, s.shape[2])) if len(s.shape) == 3 and s.shape[1] == got else s
                for s in proposal
            )


def product_widths(text: str) -> tuple[int, int] | None:
    """The width that a linear layer got, and the one that it has, in the two ways that torch says so."""
    match = _PRODUCT.search(text)
    if match is None:
        return None
    got, needed = (int(part) for part in match.groups() if part is not None)
    return got, needed


def _mismatches(text: str) -> Iterator[tuple[int, int]]:
    widths = product_widths(text)
    if widths is not None:
        yield widths
    match = _NORMED.search(text)
    if match is not None:
        yield int(match[2].split(",")[-1]), int(match[1])


def _dimensions(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """The forward unpacks a shape of more dimensions, or of fewer."""
    few, many, wanted = _TOO_FEW.search(text), _TOO_MANY.search(text), _WANTED_DIMS.search(text)
    wanted = wanted or _PERMUTED.search(text)
    count = int(few[1]) if few else int(many[1]) if many else int(wanted[1]) if wanted else 0
    for at, spec in _tensors(proposal):
        n = len(spec.shape)
        if spec.dtype == "int64" or n == count or not 2 <= count <= 5 or n < 2:
            continue
        if few and int(few[2]) != n:
            continue
        for shape in _as_dimensions(spec.shape, count):
            yield _with(proposal, at, replace(spec, shape=shape))


def met(proposal: Proposal, left: int, right: int) -> Iterator[Proposal]:
    """Any dimension of any argument but the batch's, of one of two lengths that clashed, at the other one."""
    for old, new in ((left, right), (right, left)):
        for at, spec in _tensors(proposal):
            for place in (place for place, side in enumerate(spec.shape) if place and side == old):
                shape = (*spec.shape[:place], new, *spec.shape[place + 1 :])
                yield _with(proposal, at, replace(spec, shape=shape))


def _single_samples(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """One sample of an argument that the forward repeats for all samples itself."""
    match = _REPEATED.search(text)
    if match is None or int(match[2]) != int(match[1]) ** 2:
        return
    for at, spec in reversed(_tensors(proposal)):
        if at and spec.shape[0] == int(match[1]):
            yield _with(proposal, at, replace(spec, shape=(1, *spec.shape[1:])))


def _single_ids(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """One id for each sample where there were many: of all arguments but one (beside negatives), of one, of all."""
    several = [at for at, spec in _tensors(proposal) if spec.dtype == "int64" and len(spec.shape) == 2]
    if not _OF_DIMS.search(text) or not several:
        return
    choices = [[at for at in several if at != kept] for kept in several] + [[at] for at in several] + [several]
    for chosen in choices:
        yield tuple(replace(s, shape=s.shape[:1]) if at in chosen else s for at, s in enumerate(proposal))


def _elements(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """The forward gives a shape that has more elements than there are, or fewer: a side is so many times too large."""
    match = _RESHAPED.search(text)
    if match is None:
        return
    wanted, got = math.prod(int(side) for side in match[1].split(",")), int(match[2])
    for at, spec in _tensors(proposal):
        for place in range(1, len(spec.shape)):
            side, rest = divmod(spec.shape[place] * wanted, got) if got else (0, 0)
            if side > 0 and not rest and side != spec.shape[place]:
                yield _with(proposal, at, replace(spec, shape=(*spec.shape[:place], side, *spec.shape[place + 1 :])))


def _as_dimensions(shape: tuple[int, ...], count: int) -> Iterator[tuple[int, ...]]:
    """A shape of another number of dimensions that has the same features."""
    batch, *rest = shape
    n = len(shape)
    if n == 4 and count == 5:
        yield (batch, rest[0], _FRAMES, *rest[1:])
        yield (batch, _FRAMES, *rest)
    elif n == 3 and count in (4, 5):  # (B, T, F) that is a map of F channels
        yield (batch, rest[1], *(32,) * (count - 2)) if count == 4 else (batch, rest[1], _FRAMES, 32, 32)
    elif n == 5 and count == 4:
        yield (batch, rest[0], *rest[2:])
    elif n >= 4 and count == 3:
        yield (batch, 64, rest[0])
        yield (batch, rest[0], rest[1] * rest[2])
    elif n == 2 and count == 3:
        yield (batch, 32, rest[0])
        yield (batch, rest[0], 32)
    elif n == 2 and count == 4:
        yield (batch, rest[0], 32, 32)
    elif n >= 3 and count == 2:
        yield (batch, rest[-1])


def demanded(proposal: Proposal, demand: Demand) -> Iterator[Proposal]:
    """The proposal as a check of the user's asks for it: a dimension of another size, or another number of them."""
    if demand.kind == "rank" and demand.wanted == 1:  # one number per sample
        for at, spec in reversed(_tensors(proposal)):  # what was added last, because something was missing, first
            if len(spec.shape) == demand.got:
                yield _with(proposal, at, replace(spec, shape=spec.shape[:1]))
        return
    for at, spec in _tensors(proposal):
        shape = spec.shape
        if demand.kind == "rank" and len(shape) == demand.got:
            yield from (_with(proposal, at, replace(spec, shape=s)) for s in _as_dimensions(shape, demand.wanted))
        places = [place for place, side in enumerate(shape) if place and side == demand.got]
        if demand.kind == "rank" or not places:
            continue
        size = demand.wanted if demand.kind == "size" else demand.wanted * max(1, round(demand.got / demand.wanted))
        for chosen in (places, *([place] for place in places)) if len(places) > 1 else (places,):
            yield _with(
                proposal, at, replace(spec, shape=tuple(size if p in chosen else s for p, s in enumerate(shape)))
            )
