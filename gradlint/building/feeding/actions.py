"""Actions whose probability an agent is asked for: what `torch.distributions` says of those that cannot have been taken."""

import re
from collections.abc import Iterator
from dataclasses import replace

from gradlint.building.feeding.arguments import Proposal

_UNSUPPORTED = re.compile(
    r"value argument \(Tensor of shape \(([\d, ]*)\)\) to be within the support "
    r"\(IntegerInterval\(lower_bound=0, upper_bound=(\d+)\)\) of the distribution \w+\(\w+: (?:torch\.Size\()?"
    r"\[([\d, ]*)\]"
)
_MISSHAPEN = re.compile(
    r"not broadcastable with batch_shape\+event_shape: torch\.Size\(\[([\d, ]*)\]\) vs torch\.Size\(\[([\d, ]*)\]\)"
)


def supported(proposal: Proposal, text: str) -> Iterator[Proposal]:
    """The proposal with the argument that a distribution refuses as it can have been drawn from it."""
    if match := _UNSUPPORTED.search(text):
        refused, odds = _shape(match[1]), _shape(match[3])
        drawn = {"shape": odds[:-1], "dtype": "int64", "high": int(match[2]) + 1}
    elif match := _MISSHAPEN.search(text):
        refused, drawn = _shape(match[1]), {"shape": _shape(match[2])}
    else:
        return
    for at in range(len(proposal) - 1, -1, -1):  # states come first, then what was done
        if proposal[at].shape == refused:
            yield (*proposal[:at], replace(proposal[at], **drawn), *proposal[at + 1 :])


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(side) for side in text.split(",") if side.strip())
