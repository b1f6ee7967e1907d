"""From what happened in training to a label, relative to the healthy sibling."""

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from outcomes.protocol import BUDGET, OPTIMISERS
from outcomes.tasks import ENTROPY, TASKS

SLOW = 3.0
"""A network that needs this many times the steps of its healthy sibling is handicapped."""


class Label(Enum):
    """What became of a network with one optimiser."""

    FAILS = "does not train"
    HANDICAPPED = "handicapped"
    TRAINS = "trains"


def label(outcome: Mapping[str, Any], standard: Mapping[str, Any], optimiser: str) -> Label:
    """`FAILS`: no learning rate gets anywhere on either task. `HANDICAPPED`: more than `SLOW` times the sibling's steps
    (geometric mean of the tasks; a task that fails counts with the whole budget)."""
    steps = {task: outcome["cells"][f"{optimiser}-{task}"]["steps"] for task in TASKS}
    if all(value is None for value in steps.values()):
        return Label.FAILS
    ratios = [math.log((value or 2 * BUDGET) / _usual(standard, optimiser, task)) for task, value in steps.items()]
    return Label.HANDICAPPED if sum(ratios) / len(ratios) > math.log(SLOW) else Label.TRAINS


def labels(outcome: Mapping[str, Any], standard: Mapping[str, Any]) -> dict[str, Label]:
    """Per optimiser, and for one that is not known: the better of the two."""
    known = {optimiser: label(outcome, standard, optimiser) for optimiser in OPTIMISERS}
    order = list(Label)
    return {**known, "unknown": max(known.values(), key=order.index)}


def gain(outcome: Mapping[str, Any], standard: Mapping[str, Any], optimiser: str, steps: int = 300) -> float:
    """Share of the sibling's gain that is reached after a fixed budget at the best rate: mean of the tasks, 0 … 1."""
    shares = []
    for task in TASKS:
        loss = float(outcome["cells"][f"{optimiser}-{task}"]["loss"][str(steps)])
        shares.append(min(1.0, max(0.0, (ENTROPY - loss) / (ENTROPY - standard["best"][task]))))
    return sum(shares) / len(shares)


def _usual(standard: Mapping[str, Any], optimiser: str, task: str) -> float:
    """The sibling's steps with the same optimiser, or with the other one where it does not get there."""
    own = standard["cells"][f"{optimiser}-{task}"]["steps"]
    return float(own or min(filter(None, (standard["cells"][f"{o}-{task}"]["steps"] for o in OPTIMISERS))))
