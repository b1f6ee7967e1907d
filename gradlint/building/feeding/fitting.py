"""Inputs of the shape that a forward states: dimensions from the words that stand for them."""

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from gradlint.building.feeding.documented import Dim, Documented, documented
from gradlint.building.feeding.forward_source import Argument
from gradlint.building.feeding.hints import Hints, told_number
from gradlint.core.target import InputSpec

_BATCH = re.compile(r"batch|^(b|bs|bsz|nb)$")
_FRAMES = re.compile(r"frame|^(f|nf)$")
_SIDE = re.compile(r"height|width|^(h|w)$|^[hw]_|_[hw]$")
_TIME = re.compile(
    r"seq|len|token|time|step|position|point|patch|node|atom|residue|pixel|sample|word|^(t|l|s|n|k|m)$|^[lnt]_|_[lnt]$"
)
_IDS = re.compile(r"(^|_)(ids?|index|indices|tokens?)$")
_ALONG_A_MAP = ("t", "d", "depth", "time")
_MASK = re.compile(r"(^|_)masks?($|_)")
_SUM = re.compile(r"\s*\+\s*")
_SOME_FRAMES = 8
_SIDE_OF_MAP = 32
_LARGEST_SIDE = 256
_WIDTH = 64
_FIRST_TO_TRY = 3


@dataclass(frozen=True, slots=True)
class _Side:
    """One dimension."""

    size: int
    """0 for a width that only a layer can tell."""
    said: bool = False
    """Whether the documentation or the model gives the number."""
    is_width: bool = False
    """Whether it is a dimension of features."""


def fitted(
    name: str, said: Documented, options: Sequence[InputSpec], model: nn.Module, hints: Hints
) -> list[InputSpec]:
    """Alternatives for an argument, those that fit its documentation first; what contradicts it stays at the end, for
    documentation may be wrong.

    Args:
        name: of the argument.
        said: what is said of it.
        options: alternatives, likeliest first.
        model: whose attributes and configuration the words may name.
        hints: sizes.
    """
    sides = [_side(dim, at, said.dims, model, hints) for at, dim in enumerate(said.dims)]
    if not sides:
        return _of_type(said, options)
    integers = said.integers or bool(_IDS.search(name))
    same = [spec for spec in options if _fits(spec, sides, hints) and (spec.dtype == "int64") >= said.integers]
    fixed = [spec for spec in options if spec.dtype == "literal"]
    made = list(dict.fromkeys(_made(name, sides, [*same, *options], hints, integers=integers)))
    first = [*same[:_FIRST_TO_TRY], *made, *same[_FIRST_TO_TRY:]]
    return list(dict.fromkeys([*fixed, *first, *options]))


def _of_type(said: Documented, options: Sequence[InputSpec]) -> list[InputSpec]:
    """Integers first, where only that is said."""
    whole = [spec for spec in options if spec.dtype in ("int64", "literal")] if said.integers else []
    return list(dict.fromkeys([*whole, *options]))


def _side(dim: Dim, at: int, dims: Sequence[Dim], model: nn.Module, hints: Hints) -> _Side:
    if isinstance(dim, int):
        return _Side(max(dim, 1), said=dim > 0)
    parts = _SUM.split(dim)
    if len(parts) > 1:
        sides = [_side(int(p) if p.isdigit() else p, at, dims, model, hints) for p in parts]
        return _Side(sum(side.size for side in sides), said=True)
    word = re.sub(r"\W+", "_", dim.lower()).strip("_")
    number = told_number(model, hints, word)
    frames = word in _ALONG_A_MAP and _is_of_maps(type(model), dim)
    size = _SOME_FRAMES if frames else _usual(word, at, dims, number, hints)
    return _Side(size) if size else _Side(number or 0, said=number is not None, is_width=True)


def _is_of_maps(owner: type[nn.Module], dim: Dim) -> bool:
    """Whether a word stands for frames: beside a height and a width in the shape of some argument."""
    stated = (documented(owner, Argument(name)).dims for name in inspect.signature(owner.forward).parameters)
    return any(dim in dims and _is_map(dims) for dims in stated)


def _is_map(dims: Sequence[Dim]) -> bool:
    return sum(isinstance(dim, str) and bool(_SIDE.search(dim.lower())) for dim in dims) > 1


def _usual(word: str, at: int, dims: Sequence[Dim], number: int | None, hints: Hints) -> int:
    """The size of a dimension that is no width; 0 for one that is."""
    is_map = _is_map(dims)
    if _BATCH.search(word) or (at == 0 and word in ("n", "num_samples", "samples")):
        return hints.batch
    if _SIDE.search(word) and is_map:
        return _SIDE_OF_MAP if number is None else min(number, _LARGEST_SIDE)
    if _FRAMES.search(word):
        return _SOME_FRAMES
    return hints.time if _TIME.search(word) else 0


def _fits(spec: InputSpec, sides: Sequence[_Side], hints: Hints) -> bool:
    """Whether an alternative has the stated dimensions, and its features where the documentation has them."""
    if spec.dtype == "literal" or spec.items or len(spec.shape) != len(sides):
        return False
    if any(side.said and side.size != size for side, size in zip(sides, spec.shape, strict=True)):
        return False
    widths = [at for at, side in enumerate(sides) if side.is_width]
    return not widths or _width_at(spec, hints) in widths


def _width_at(spec: InputSpec, hints: Hints) -> int:
    """The dimension of the features of an alternative: the last one of a sequence, else the one after the batch."""
    rank = len(spec.shape)
    if rank == 3:
        return 2 if spec.shape[1] in (hints.time, *hints.times) else 1
    return 1 if rank > 1 else 0


def _made(
    name: str, sides: Sequence[_Side], options: Sequence[InputSpec], hints: Hints, *, integers: bool
) -> Iterator[InputSpec]:
    """The stated shape, with the widths that the layers tell."""
    told = [spec.shape[_width_at(spec, hints)] for spec in options if len(spec.shape) > 1 and spec.dtype == "float32"]
    widths = list(dict.fromkeys(told))[:2] if any(not side.size for side in sides) else []
    for width in widths or [_WIDTH]:
        shape = tuple(side.size or width for side in sides)
        if _MASK.search(name):
            yield InputSpec(shape, "int64", low=1, high=2)
            yield InputSpec(shape, "bool")
        elif integers:
            high = next((spec.high for spec in options if spec.dtype == "int64" and spec.high), None)
            yield InputSpec(shape, "int64", high=high)
        else:
            yield InputSpec(shape)
