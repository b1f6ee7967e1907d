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


def label(outcome: Mapping[str, Any], standard: Mapping[str, Any], optimiser: str) -> Label | None:
    """What became of the network; None where nothing can be said.

    `FAILS`: no learning rate gets anywhere on either task. `HANDICAPPED`: more than `SLOW` times the sibling's steps
    (geometric mean of the tasks; a task that fails counts with twice the budget). A task at which the healthy sibling
    fails too with this optimiser proves nothing against the network.
    """
    ratios = []
    for task in TASKS:
        own, usual = outcome["cells"][f"{optimiser}-{task}"]["steps"], standard["steps"][f"{optimiser}-{task}"]
        if own is not None or usual is not None:
            ratios.append((own, math.log((own or 2 * BUDGET) / (usual or BUDGET))))
    if not ratios:
        return None
    if all(own is None for own, _ in ratios):
        return Label.FAILS
    return Label.HANDICAPPED if sum(ratio for _, ratio in ratios) / len(ratios) > math.log(SLOW) else Label.TRAINS


def labels(outcome: Mapping[str, Any], standard: Mapping[str, Any]) -> dict[str, Label | None]:
    """Per optimiser, and for one that is not known: the better of the two."""
    known = {optimiser: label(outcome, standard, optimiser) for optimiser in OPTIMISERS}
    found = [one for one in known.values() if one is not None]
    return {**known, "unknown": max(found, key=list(Label).index) if found else None}


def gain(outcome: Mapping[str, Any], standard: Mapping[str, Any], optimiser: str, steps: int = 300) -> float:
    """Share of the sibling's gain that is reached after a fixed budget at the best rate: mean of the tasks, 0 … 1."""
    shares = []
    for task in TASKS:
        loss = float(outcome["cells"][f"{optimiser}-{task}"]["loss"][str(steps)])
        shares.append(min(1.0, max(0.0, (ENTROPY - loss) / (ENTROPY - standard["best"][task]))))
    return sum(shares) / len(shares)
