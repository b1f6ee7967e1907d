"""The fair protocol: what becomes of a network when it is trained, whatever learning rate it needs.

For each of two optimisers and two tasks (a *cell*): eight learning rates for 100 steps tell which diverge. The largest
stable rate, a third and a tenth of it go on to 1,500 steps. Where none of them trains, three smaller ones follow with
other initial weights. Where gradients began larger than 1 as well, clipping is tried with the first three rates (beyond
recurrences with one of them), recorded apart. A plateau is never a reason to drop a rate; only divergence is.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from outcomes.blueprints import Blueprint
from outcomes.ensemble import Ensemble
from outcomes.tasks import ENTROPY, TASKS, batch

OPTIMISERS = ("sgd", "adam")
RATES = {
    "sgd": tuple(1e-4 * 30_000 ** (i / 7) for i in range(8)),  # 1e-4 … 3
    "adam": tuple(1e-5 * 3_000 ** (i / 7) for i in range(8)),  # 1e-5 … 3e-2
}
TRIAL = 100
BUDGET = 1_500
EARLY = 300
"""Steps after which every run's loss is recorded, and before which none is ended for having succeeded."""
WINDOW = 25
"""Steps over which losses are averaged."""
FIRST = (1.0, 1 / 3, 1 / 10)
"""Shares of the largest stable rate that go on."""
SECOND = {"sgd": (1 / 10, 1 / 30, 1 / 100), "adam": (1 / 30, 1 / 100, 1 / 300)}
"""Shares that follow where none of them trains. Adam seldom diverges, so that its largest stable rate says less."""
DIVERGED = 1.25
"""A rate diverges if its loss is ever this many times the worse of chance and the loss before training."""
SEEDS = (0, 1)
Cell = tuple[str, str]
"""Optimiser and task."""
CELLS: tuple[Cell, ...] = tuple((optimiser, task) for optimiser in OPTIMISERS for task in TASKS)


@dataclass(slots=True)
class Run:
    """One training."""

    cell: Cell
    rate: float
    seed: int
    clip: float = math.inf
    losses: list[float] = field(default_factory=list)
    """Means over WINDOW steps, one after the other."""
    finished: int | None = None
    """Step at which the loss fell below the goal."""
    began: float = 0.0
    """Largest gradient norm of the first WINDOW steps."""

    def has_diverged(self, start: float) -> bool:
        """Whether the loss was ever far above where it began. (It may come back, when all units are dead.)"""
        return any(not loss <= DIVERGED * max(ENTROPY, start) for loss in self.losses)

    def at(self, steps: int) -> float:
        """Loss after that many steps, the last one known where it ended earlier."""
        return self.losses[min(len(self.losses), steps // WINDOW) - 1]


def examine(blueprint: Blueprint, goals: dict[str, float]) -> dict[str, Any]:
    """Train the network by the protocol. goals: loss per task below which it counts as trained. As stored."""
    began = time.process_time()
    trials, top, size = _tried(blueprint)
    runs = [Run(cell, top[cell] * share, SEEDS[0]) for cell in CELLS for share in FIRST]
    train(blueprint, runs, size, BUDGET, goals)
    failed = [cell for cell in CELLS if not _trained(runs, cell)]
    again = [Run(cell, top[cell] * share, SEEDS[1]) for cell in failed for share in SECOND[cell[0]]]
    train(blueprint, again, size, BUDGET, goals)
    failed = [cell for cell in failed if not _trained(again, cell)]
    steep = [cell for cell in failed if any(run.began > 1 for run in runs if run.cell == cell)]
    shares = FIRST if blueprint.family == "recurrent" else FIRST[1:2]  # elsewhere nobody counts on clipping
    clipped = [Run(cell, top[cell] * share, SEEDS[0], clip=1.0) for cell in steep for share in shares]
    train(blueprint, clipped, size, BUDGET, goals)
    return {
        "network": blueprint.to_dict(),
        "cells": {"-".join(cell): _summary(cell, trials, top[cell], [*runs, *again], clipped) for cell in CELLS},
        "seconds": round(time.process_time() - began),
    }


def standard(healthy: tuple[Blueprint, ...]) -> dict[str, Any]:
    """What healthy siblings reach, the goals that follow, and the steps of the fastest of them to those goals."""
    everything: list[Run] = []
    for sibling in healthy:
        _, top, size = _tried(sibling)
        runs = [Run(cell, top[cell] * share, SEEDS[0]) for cell in CELLS for share in FIRST]
        train(sibling, runs, size, BUDGET, {})
        everything += runs
    best = {task: _best([run for run in everything if run.cell[1] == task], BUDGET) for task in TASKS}
    goals = {task: ENTROPY - 0.5 * (ENTROPY - loss) for task, loss in best.items()}
    for run in everything:
        below = (i for i, loss in enumerate(run.losses, 1) if loss <= goals[run.cell[1]])
        run.finished = next((WINDOW * i for i in below), None)
    steps = {"-".join(cell): _fewest([run for run in everything if run.cell == cell]) for cell in CELLS}
    return {"networks": [sibling.to_dict() for sibling in healthy], "best": best, "goals": goals, "steps": steps}


def _tried(blueprint: Blueprint) -> tuple[list[Run], dict[Cell, float], int]:
    """Short trainings at every rate, the largest stable rate of each cell, and the size of batches."""
    size = 32 if blueprint.family == "mlp" else 16
    trials = [Run(cell, rate, SEEDS[0]) for cell in CELLS for rate in RATES[cell[0]]]
    train(blueprint, trials, size, TRIAL, {})
    return trials, {cell: _largest_stable(trials, cell) for cell in CELLS}, size


def train(blueprint: Blueprint, runs: list[Run], size: int, steps: int, goals: dict[str, float]) -> None:
    """Carry out runs side by side. A cell ends when one of its runs has reached its goal."""
    if not runs:
        return
    ensemble = Ensemble(
        blueprint,
        [run.seed for run in runs],
        torch.tensor([run.rate for run in runs]),
        torch.tensor([run.cell[0] == "adam" for run in runs]),
        torch.tensor([run.clip for run in runs]),
    )
    generators = {task: torch.Generator().manual_seed(hash_of(blueprint, task)) for task in TASKS}
    active, window = list(runs), []
    for step in range(1, steps + 1):
        samples = {task: batch(blueprint, task, size, generators[task]) for task in TASKS}
        x, classes = (torch.stack([samples[run.cell[1]][part] for run in active]) for part in (0, 1))
        window.append(ensemble.step(x, classes))
        if step % WINDOW:
            continue
        _record(active, torch.stack(window).mean(0), ensemble.largest, step, goals)
        window = []
        ended = {run.cell for run in runs if run.finished is not None} if step >= EARLY else set()
        alive = [math.isfinite(run.losses[-1]) and run.cell not in ended for run in active]
        if not all(alive):
            ensemble.keep(torch.tensor(alive))
            active = [run for run, on in zip(active, alive, strict=True) if on]
        if not active:
            return


def hash_of(blueprint: Blueprint, task: str) -> int:
    """Seed of a network's samples."""
    return 2 * blueprint.number + 11 + TASKS.index(task)


def _record(active: list[Run], losses: Tensor, largest: Tensor, step: int, goals: dict[str, float]) -> None:
    for run, loss, norm in zip(active, losses.tolist(), largest.flatten().tolist(), strict=True):
        run.losses.append(loss)
        if step == WINDOW:
            run.began = norm if math.isfinite(norm) else math.inf
        if run.finished is None and loss <= goals.get(run.cell[1], -math.inf):
            run.finished = step


def _largest_stable(trials: list[Run], cell: Cell) -> float:
    """The largest rate that did not diverge; the smallest one of all where every rate did."""
    start = _start(trials, cell)
    stable = [run.rate for run in trials if run.cell == cell and not run.has_diverged(start)]
    return max(stable, default=min(RATES[cell[0]]))


def _start(trials: list[Run], cell: Cell) -> float:
    """The loss before training: that of the first steps at the smallest rate."""
    return min((run for run in trials if run.cell == cell), key=lambda run: run.rate).losses[0]


def _trained(runs: list[Run], cell: Cell) -> bool:
    return any(run.finished is not None for run in runs if run.cell == cell)


def _summary(cell: Cell, trials: list[Run], top: float, runs: list[Run], clipped: list[Run]) -> dict[str, Any]:
    own = [run for run in runs if run.cell == cell]
    first = [run for run in own if run.seed == SEEDS[0]]
    apart = [run for run in clipped if run.cell == cell]
    tried = [run for run in trials if run.cell == cell]
    return {
        "top": _short(top),
        "start": _short(_start(tried, cell)),
        "diverged": sum(run.has_diverged(_start(tried, cell)) for run in tried),
        "steps": _fewest(own),
        "second": any(run.finished is not None and run.seed == SEEDS[1] for run in own),
        "steepness": _short(tried[0].began),
        "loss": {str(steps): _short(_best(first, steps)) for steps in (TRIAL, EARLY, BUDGET)},
        "clipped": _fewest(apart) if apart else "same",
    }


def _fewest(runs: list[Run]) -> int | None:
    """Steps of the fastest run that got there."""
    return min((run.finished for run in runs if run.finished is not None), default=None)


def _best(runs: list[Run], steps: int) -> float:
    return min((run.at(steps) for run in runs if math.isfinite(run.at(steps))), default=math.inf)


def _short(value: float) -> float | str:
    return float(f"{value:.4g}") if math.isfinite(value) else str(value)
