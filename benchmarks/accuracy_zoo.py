"""`accuracy.py --zoo`: prediction against real backward passes over whole libraries of models.

Each model is looked at in a forked child with a time limit, and what it finds is kept under `results/accuracy/`: a run
that is cut short goes on where it stopped, more seeds add to those that are there, and `--again` repeats the
predictions only.
"""

import argparse
import math
import os
import resource
import signal
import time
import traceback
from collections.abc import Sequence

import torch
from accuracy_models import Case, Inputs
from accuracy_store import Record, figures, load
from common import is_wanted
from scoring import measurement, unknown_operators
from torch import nn
from zoo_catalogue import LIBRARIES, cases, prepare

import gradlint

MEMORY = 12 * 2**30
"""Bytes of address space beyond which a model fails."""


def run(libraries: Sequence[str], options: argparse.Namespace) -> list[Record]:
    """Complete the records of all models of these libraries."""
    chosen = libraries or list(LIBRARIES)
    prepare(chosen)
    todo = [(library, case) for library in chosen for case in cases(library) if is_wanted(case.name, options.only)]
    records = []
    for number, (library, case) in enumerate(todo, 1):
        record = load(library, case.name)
        _reset(record, options.again)
        began = time.monotonic()
        if not record.failed and record.seeds < options.seeds and not options.report:
            record = complete(record, case, options.seeds, options.limit)
        records.append(record)
        print(f"{number}/{len(todo)} {describe(record)} ({time.monotonic() - began:.0f} s)", flush=True)
    return records


def complete(record: Record, case: Case, seeds: int, limit: int) -> Record:
    """Predict and measure what is missing, in a child that may die or be late."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(limit)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            examine(record, case, seeds)
        except BaseException as error:
            traceback.print_exc(limit=-3)
            record.failed = f"{type(error).__name__}: {error}".splitlines()[0][:160]
            record.save()
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    record = load(record.library, record.name)
    if status != 0:
        late = status == -signal.SIGALRM
        record.failed = f"not done within {limit} s" if late else f"the process ended with status {status}"
        record.save()
    return record


def examine(record: Record, case: Case, seeds: int) -> None:
    """Add initialisations to a record until there are that many."""
    for seed in range(seeds):
        if seed < record.seeds:
            continue
        model, inputs = _made(case, seed)
        if not record.size:
            record.size = sum(1 for _ in model.modules())
            record.save()  # what a model counts that ends the process
        if seed >= len(record.measured):
            record.measured.append(_measured(record, case, seed))
            record.save()
        start = time.process_time()
        predicted = gradlint.flow(model, inputs)
        record.seconds[0] += time.process_time() - start
        record.predicted.append(figures(predicted))
        record.unknown = record.unknown or unknown_operators(predicted)
        record.save()


def _made(case: Case, seed: int) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(seed)
    return case.build(), case.inputs()


def _measured(record: Record, case: Case, seed: int) -> dict[str, dict[str, float | None]]:
    """In float64 (see `scoring.ROUNDING`), or as the model is where it does not run so."""
    if not record.is_single:
        try:
            return _measure(record, *_made(case, seed), seed, double=True)
        except RuntimeError as error:
            print(f"    {record.name} does not run in float64: {error}"[:160])
            record.is_single = True
    return _measure(record, *_made(case, seed), seed, double=False)


def _measure(
    record: Record, model: nn.Module, inputs: Inputs, seed: int, *, double: bool
) -> dict[str, dict[str, float | None]]:
    handles = [] if record.measured else _watch(record, model)
    start = time.process_time()
    found = measurement(model, inputs, seed, double=double)
    record.seconds[1] += time.process_time() - start
    for handle in handles:
        handle.remove()
    return figures(found)


def _watch(record: Record, model: nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
    """Note the modules in the order in which they return (the last time, where they are called several times)."""

    def note(name: str, module: nn.Module) -> None:
        record.kinds.pop(name, None)
        record.kinds[name] = type(module).__name__

    return [
        module.register_forward_hook(lambda module, args, out, name=name: note(name, module))
        for name, module in model.named_modules()
    ]


def _reset(record: Record, again: bool) -> None:
    if again:
        record.predicted, record.unknown, record.failed, record.seconds[0] = [], [], "", 0.0


def describe(record: Record) -> str:
    """One line for the log."""
    if record.failed:
        return f"{record.library} {record.name}: failed: {record.failed}"
    found = record.comparison()
    parts = [
        f"{score.at(0.5):.2f}/{score.at(0.95):.2f}" if score.errors else "–"
        for score in (found.activations, found.gradients, found.parameters)
    ]
    spent = " + ".join(f"{seconds / max(1, record.seeds):.1f}" for seconds in record.seconds)
    unknown = f" unknown: {', '.join(record.unknown)}" if record.unknown else ""
    scatter = found.gradients.scatter(0.5) if record.seeds > 1 else math.nan
    return (
        f"{record.library} {record.name}: {len(found.gradients.errors)} modules, forward {parts[0]}, "
        f"backward {parts[1]}, parameters {parts[2]}, scatter {scatter:.2f}, {record.seeds} seeds, "
        f"CPU {spent} s{unknown}"
    )
