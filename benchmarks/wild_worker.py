"""Check single files as `gradlint check` does, without any configuration, and tell how far each came.

    python benchmarks/wild_worker.py RESULTS.jsonl FILE …

torch is imported once; each file is then examined in a fork of its own, so that a crash, an endless loop or a full
memory costs one file only.
"""

import inspect
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import import_torchvision
from scoring import parameters
from zoo_worker import few, flow_figures, truly_zero

from gradlint import building, probe
from gradlint.building.devices import cpu_for_cuda
from gradlint.config import Config
from gradlint.core.errors import AnalysisError, NothingToTrainError
from gradlint.core.target import Target
from gradlint.engine.collect import Job
from gradlint.engine.reading import read
from gradlint.worker import analysis
from gradlint.worker.analysis import Examined
from gradlint.worker.stages import InternalError

MEMORY = 8 * 2**30
LIMIT = 300
"""Seconds of CPU per file."""
MOST = 2
"""Models looked at per file: the first and the last that it defines (a file of forty sizes of one architecture would
count for no more than one)."""
MEASURABLE = 40_000_000
"""Parameters up to which a real backward pass is run."""

LOOKED_AT = 400_000_000
"""Parameters up to which gradients that are predicted to be zero are looked at; of a larger model those of a copy that
has two layers of each kind where it has many."""
_DEPTH = re.compile(r"(num|n)_(\w+_)?(layers|blocks)|depth\w*|layers|n_layer")
_FEW = 2

Record = dict[str, Any]


def main(results: str, *files: str) -> None:
    """Append one line of JSON per file."""
    import_torchvision()
    for file in files:
        began = time.monotonic()
        child = os.fork()
        if not child:
            _child(results, file)
        _, status = os.waitpid(child, 0)
        if status:
            died = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
            _append(results, {"file": file, "models": [], "error": f"died: {died}", "wall": time.monotonic() - began})


def _child(results: str, file: str) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))
    signal.alarm(4 * LIMIT)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        _append(results, examine(file))
    except BaseException:
        _append(results, {"file": file, "models": [], "error": traceback.format_exc()})
    os._exit(0)


def _append(results: str, record: Record) -> None:
    with Path(results).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def examine(file: str) -> Record:
    """How far the first and the last model of a file came."""
    record: Record = {"file": file, "models": [], "error": "", "targets": 0}
    try:
        reading = read(Job(file, file), Config())
    except AnalysisError as error:
        return {**record, "error": f"{error.stage}: {error.message}"}
    record["targets"] = len(reading.targets)
    record["why"] = "; ".join(item.reason for item in reading.skipped)
    chosen = reading.targets if len(reading.targets) <= MOST else (reading.targets[0], reading.targets[-1])
    record["models"] = [_model(target, reading.source) for target in chosen]
    return record


def _model(target: Target, source: str) -> Record:
    stages: list[str] = []
    record: Record = {"name": target.name, "stages": stages, "error": "", "stage": ""}
    start = time.process_time()
    try:
        with cpu_for_cuda(source):
            examined = analysis.examine(target, source, on_stage=stages.append)
            record |= flow_figures(examined)
            record["built"] = examined.built.built
            record["fed"] = examined.fed is not None
            record["real"] = _backward(examined)  # first: what follows makes the model float64
            record["truly_zero"] = _truly_zero(examined, source, record)
    except InternalError as error:
        record |= {"error": f"internal: {error}", "stage": stages[-1] if stages else ""}
        record["traceback"] = "".join(traceback.format_exception(error))
    except AnalysisError as error:
        record |= {"error": error.message, "stage": error.stage}
        is_bare = isinstance(error, NothingToTrainError)
        record["parameters"] = 0 if is_bare else _held(target, source) if error.stage == "feed" else None
    record["cpu"] = time.process_time() - start
    return record


def _truly_zero(examined: Examined, source: str, record: Record) -> list[str]:
    """Which gradients that are predicted to be zero are, by a real backward pass: its own, or a shallow copy's."""
    if not record["zero"] or record["parameters"] <= LOOKED_AT:
        return truly_zero(examined, source, record["zero"], LOOKED_AT)
    shallow = _shallow(examined, source)
    if shallow is None:
        return []
    zero = flow_figures(shallow)["zero"]
    true = set(truly_zero(shallow, source, zero, LOOKED_AT))
    kinds = {_kind(name) for name in true} - {_kind(name) for name in shallow.graph.reachable if name not in true}
    return [name for name in record["zero"] if _kind(name) in kinds]


def _shallow(examined: Examined, source: str) -> Examined | None:
    """The same model with two layers of each kind; None where no argument says how many there are."""
    target = examined.built.target or examined.target
    parameters = inspect.signature(type(examined.built.model)).parameters
    given = {name: (target.kwargs or {}).get(name, p.default) for name, p in parameters.items()}
    fewer = {n: _FEW for n, v in given.items() if _DEPTH.fullmatch(n) and type(v) is int and v > _FEW}
    if not fewer or target.args:
        return None
    fewer_layers = replace(target, kwargs={**(target.kwargs or {}), **fewer})
    try:
        return analysis.examine(fewer_layers, source, on_stage=lambda name: None)
    except AnalysisError:
        return None


def _kind(name: str) -> str:
    """A parameter's name without the numbers of its layers."""
    return re.sub(r"\.\d+(?=\.)", ".*", name)


def _held(target: Target, source: str) -> int | None:
    """Parameters of a model of which no more is known; None where it cannot be built."""
    try:
        model = building.build(target, building.load_module(target.path, source=source)).model
    except AnalysisError:
        return None
    return sum(p.numel() for p in model.parameters())


def _backward(examined: Examined) -> str:
    """ "yes" where a real backward pass reaches a parameter, else why not, or that the model is too large for one."""
    model, fed = examined.built.model, examined.fed
    if fed is None:
        return "no inputs"
    if examined.built.fake_mode is not None or sum(p.numel() for p in model.parameters()) > MEASURABLE:
        return "too large"
    args, kwargs = few((fed.args, dict(fed.kwargs)), 4)
    try:
        measured = parameters(probe.measure(model, args, kwargs))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "yes" if any(measured.values()) else "zero everywhere"


if __name__ == "__main__":
    main(*sys.argv[1:])
