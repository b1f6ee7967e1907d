"""Check model files one after the other, as `gradlint check` does, and tell what the report leaves out.

    python benchmarks/zoo_worker.py RESULTS.jsonl FILE …

A process of its own, so that a crash costs one architecture and CPU time is counted per file; one model per file.
"""

import json
import re
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from scoring import SINGLE, in_double, parameters, rounding, typical
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from gradlint import building, probe, registry
from gradlint.config import Config
from gradlint.core.errors import AnalysisError
from gradlint.core.finding import Finding
from gradlint.engine.collect import Job
from gradlint.engine.reading import read
from gradlint.worker import analysis
from gradlint.worker.analysis import Examined
from gradlint.worker.messages import Settings
from gradlint.worker.stages import InternalError

MEMORY = 20 * 2**30
"""Bytes that the process may take: more is a failure, and must not hurt the machine."""
MEASURABLE = 1_000_000_000
"""Parameters up to which a model is run for real, in float64."""


def main(results: str, *files: str) -> None:
    """Append one line of JSON per file."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    for file in files:
        record = examine(file)
        with Path(results).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")


def examine(file: str) -> dict[str, Any]:
    """What came of one file: how far the pipeline got, what it found, and what went wrong."""
    stages: list[str] = []
    record: dict[str, Any] = {"file": file, "stages": stages, "error": "", "traceback": "", "findings": []}
    start = time.process_time()
    try:
        config = Config()
        reading = read(Job(file, file), config)
        if len(reading.targets) != 1:
            names = [target.name for target in reading.targets]
            raise AnalysisError(f"one model expected, found {names}", stage="parse")
        codes = tuple(rule.code for rule in registry.select(registry.load(), config).rules)
        examined = analysis.examine(reading.targets[0], reading.source, on_stage=stages.append)
        record |= flow_figures(examined)
        result = analysis.findings_of(examined, Settings(codes), on_stage=stages.append)
        record["findings"] = [_finding(finding) for finding in result.findings]
        record["near_misses"] = list(result.summary.near_misses) if result.summary is not None else []
        record["error"] = "; ".join(item.reason for item in result.skipped)
        if result.skipped:
            record["traceback"] = record["error"]
        stages.append("done")
        record["cpu"] = time.process_time() - start
        record["truly_zero"] = truly_zero(examined, reading.source, record["zero"])
    except InternalError as error:
        record |= {"error": str(error), "traceback": "".join(traceback.format_exception(error))}
    except AnalysisError as error:
        record["error"] = f"{error.stage}: {error.message}"
    except Exception as error:
        record |= {"error": repr(error), "traceback": traceback.format_exc()}
    record.setdefault("cpu", time.process_time() - start)
    return record


def flow_figures(examined: Examined) -> dict[str, Any]:
    """How much of the model is known."""
    flow, view, graph = examined.flow, examined.graph.view, examined.graph
    computing = [node for node in view.nodes.values() if node.op not in ("input", "parameter", "buffer", "constant")]
    figures = flow.parameters()
    reached = {name: figures[name].gradient_rms for name in graph.reachable if name in figures}
    return {
        "parameters": sum(p.numel() for p in examined.built.model.parameters()),
        "inputs": examined.summary().inputs,
        "traced_by": view.traced_by,
        "guesses": len(view.guesses),
        "nodes": len(computing),
        "unknown": dict(Counter(f"{u.op}: {re.sub('[0-9]+', 'n', u.reason)}" for u in flow.unknown)),
        "unknown_at": {u.op: str(u.location) for u in flow.unknown},
        "reachable": len(graph.reachable),
        "nonzero": sum(1 for value in reached.values() if value),
        "zero": sorted(name for name in graph.reachable if not reached.get(name)),
        "attenuation": flow.attenuation,
    }


def truly_zero(examined: Examined, source: str, zero: list[str], most: int = MEASURABLE) -> list[str]:
    """Which of the parameters that are predicted to get a zero gradient do get one, by a real backward pass.

    There are such: what shifts every position alike is taken out by the batch norm of whoever reads it, and a head of
    zeros passes nothing on. Models too large to be measured are not believed.
    """
    model = examined.built.model
    if not zero or examined.fed is None or sum(p.numel() for p in model.parameters()) > most:
        return []
    if examined.built.fake_mode is not None:
        namespace = building.load_module(examined.target.path, source=source)
        target = examined.built.target or examined.target  # with the arguments that were found for it, or guessed
        built = building.build(target, namespace, large=sys.maxsize)  # temporary tensors count too
        model, fed = built.model, building.feed(built)
    else:
        fed = examined.fed
    for place, (name, parameter) in enumerate(model.named_parameters()):  # the others' gradients only cost memory
        parameter.requires_grad_(name in zero or place % 8 == 0)
    given = few((fed.args, dict(fed.kwargs)))
    for precise in (True, False):  # there are operators that know no float64, and forwards that make float32
        args, kwargs = in_double(given) if precise else given
        try:
            measured = parameters(probe.measure(model.double() if precise else model.float(), args, kwargs))
        except Exception as error:
            print(f"{examined.target.path}: cannot be measured: {error}", file=sys.stderr)
            continue
        others = {name: value for name, value in measured.items() if name not in zero}
        noise = rounding(others) if precise else SINGLE * typical(others)
        return [name for name in zero if (measured[name] or 0.0) <= noise]
    return []


def few(inputs: Any, most: int = 2) -> Any:
    """The first samples only: whether a gradient is zero does not depend on their number, memory does."""
    tensors = [t for t in tree_leaves(inputs) if isinstance(t, Tensor) and t.dim()]
    batch = max((t.shape[0] for t in tensors), default=0) if len({t.shape[0] for t in tensors}) == 1 else 0
    return tree_map_only(Tensor, lambda t: t[:most] if t.dim() and t.shape[0] == batch else t, inputs)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "message": finding.message,
        "module": finding.module,
        "line": f"{Path(finding.location.path).name}:{finding.location.line}",
        "summary": str(finding.predicted.get("summary", "")),
        "remedies": [f"{remedy.edit} → {remedy.predicted}" for remedy in finding.remedies],
        "consequences": list(finding.consequences),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
