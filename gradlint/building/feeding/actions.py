"""Actions whose probability an agent is asked for: what torch.distributions says of those that cannot have been."""

import re
from collections.abc import Iterator
from dataclasses import replace

from gradlint.building.feeding.arguments import Proposal
from gradlint.core.target import InputSpec

_UNSUPPORTED = re.compile(
    r"value argument \(Tensor of shape \(([\d, ]*)\)\) to be within the support "
    r"\(IntegerInterval\(lower_bound=0, upper_bound=(\d+)\)\) of the distribution \w+\(\w+: (?:torch\.Size\()?"
    r"\[([\d, ]*)\]"
)
_MISSHAPEN = re.compile(
    r"not broadcastable with batch_shape\+event_shape: torch\.Size\(\[([\d, ]*)\]\) vs torch\.Size\(\[([\d, ]*)\]\)"
)
_OUT_OF_RANGE = re.compile(r"index -?\d+ is out of bounds for dimension \d+ with size (\d+)")
"""Said instead where `torch.compile` has switched the checks of distributions off."""


def supported(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """The proposal with the argument that a distribution refuses as it can have been drawn from it."""
    if match := _UNSUPPORTED.search(text):
        for spec, at in _of_shape(proposal, match[1]):
            drawn = replace(spec, shape=_shape(match[3])[:-1], dtype="int64", high=int(match[2]) + 1)
            yield (*proposal[:at], drawn, *proposal[at + 1 :])
    if match := _MISSHAPEN.search(text):
        for spec, at in _of_shape(proposal, match[1]):
            yield (*proposal[:at], replace(spec, shape=_shape(match[2])), *proposal[at + 1 :])
    if match := _OUT_OF_RANGE.search(text):
        for at in range(len(proposal) - 1, 0, -1):
            if proposal[at].dtype == "float32" and proposal[at].shape:
                drawn = replace(proposal[at], shape=proposal[at].shape[:-1], dtype="int64", high=int(match[1]))
                yield (*proposal[:at], drawn, *proposal[at + 1 :])


def _of_shape(proposal: Proposal, shape: str) -> Iterator[tuple[InputSpec, int]]:
    """Arguments of a shape and where they stand, the last one first: states come before what was done in them."""
    return ((proposal[at], at) for at in range(len(proposal) - 1, -1, -1) if proposal[at].shape == _shape(shape))


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(side) for side in text.split(",") if side.strip())
