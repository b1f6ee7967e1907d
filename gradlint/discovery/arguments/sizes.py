"""Values for parameters that take numbers, lists of them, or texts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gradlint.discovery.arguments.conventions import ACTIVATION, AMBIGUOUS, Convention, convention_of
from gradlint.discovery.arguments.usage import Kind, Usage
from gradlint.discovery.arguments.variations import STAGES, Variation

_FIRST = 32
_TELLING = 3
"""Letters from which a name says more than the layer that it is handed to."""
_SPECIAL = 2
"""Up to here a comparison rather asks for a special case than for one of several choices."""
_FRACTION = 0.1
_NUMBER = 16


def size_of(name: str, kind: Kind, usage: Usage, variation: Variation, image: Callable[[], int]) -> Any:
    """A number or several; None for an object whose name says nothing.

    Args:
        name: the parameter, or an attribute of one (`cfg.width`).
        kind: what sort of thing it takes.
        usage: how the code uses it.
        variation: which guess this is.
        image: the side of an image that the model could take.
    """
    last = name.rpartition(".")[2]
    telling = (*usage.names, last) if len(last) < _TELLING or last in AMBIGUOUS else (last, *usage.names)
    convention = convention_of(*telling)
    if convention is None:
        if kind is Kind.OBJECT:
            return None
        convention = Convention("", _FRACTION if kind is Kind.FRACTION else _NUMBER)
    if convention.is_image:
        convention = replace(convention, value=image())
    if kind is Kind.SEQUENCE:
        values = _sequence(last, convention, usage, variation)
        return list(values) if usage.is_list else values
    if convention.is_width and variation.width:
        return variation.width
    return _single(last, kind, convention, usage, variation)


def _single(name: str, kind: Kind, convention: Convention, usage: Usage, variation: Variation) -> Any:
    """One number."""
    if name == "device":
        return "cpu"
    if name in ("spatial_dims", "dims", "ndim", "n_dims"):
        return variation.axes
    if len({number for number in usage.numbers if number > _SPECIAL}) > 1 and kind is Kind.NUMBER:
        return usage.numbers[0]  # one of those that the code knows what to do with
    value = variation.count if convention.value == STAGES else convention.value
    return float(value) if kind is Kind.FRACTION else value


def text_of(name: str, usage: Usage) -> str | None:
    """A text that a parameter takes; None where nothing tells."""
    if usage.choices:
        return usage.choices[0]
    if ACTIVATION.fullmatch(name):
        return "relu"
    return "cpu" if name == "device" else None


def _sequence(name: str, convention: Convention, usage: Usage, variation: Variation) -> tuple[Any, ...]:
    if usage.leads_with_channels:
        return (3, *(64,) * variation.axes)
    if convention.per_axis and not name.endswith("s"):
        return (convention.value,) * (usage.exactly or max(usage.at_least, variation.axes))
    length = usage.exactly or max(usage.at_least, variation.stages)
    if convention.shorter and not variation.equal and not usage.exactly:
        length -= 1
    if convention.is_width and variation.width:
        return (variation.width,) * length
    if convention.grows and isinstance(convention.value, int):
        start = _FIRST if convention.is_width else 2
        return tuple(start * 2**stage for stage in range(length))
    return (2 if convention.value == STAGES else convention.value,) * length  # two layers to a stage
