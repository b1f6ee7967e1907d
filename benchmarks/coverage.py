"""Zoo coverage: 230 models of nine libraries, each as a file of its own that names neither inputs nor anything else.

    python benchmarks/coverage.py [LIBRARY …] [--only WORD …] [--folder FOLDER] [--again] [--report] [--write]

How many are built and traced, which operators have no transfer rule, and whether the law that a model built without
memory is given for a parameter is that of the real initialisation. Each model is looked at in a forked child, and what
came of it is kept in `results/coverage.jsonl`: a run that is cut short goes on where it stopped. FOLDER holds libraries
that are installed for this purpose alone (benchmarks/README.md). Exit status 1 where a bound is broken.
"""

import argparse
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, ROOT, is_wanted, table, write_between
from coverage_catalogue import LIBRARIES, prepare
from truth import read as read_lines
from zoo_files import SHIM, SHIM_TEXT
from zoo_worker import flow_figures

from gradlint import building
from gradlint.building.laws import law_of
from gradlint.config import Config
from gradlint.core.errors import AnalysisError
from gradlint.core.target import Target
from gradlint.engine.collect import Job
from gradlint.engine.reading import read
from gradlint.worker import analysis

STORE = RESULTS / "coverage.jsonl"
DOCUMENT = ROOT / "docs" / "reach.md"
MARKS = ("<!-- coverage -->", "<!-- /coverage -->")
MEMORY = 9 * 2**30
LIMIT = 400
"""Seconds of CPU per model."""
COMPARED = 200_000_000
"""Parameters up to which a model is built for real beside the one without memory."""
WITHOUT_MEMORY = 1000
"""Elements above which nothing is allocated, where laws are compared."""
RIGHT = 0.02
"""Deviation of mean and spread, relative to the RMS, beyond what chance explains, up to which a law is right."""
CHANCE = 4.0
"""Standard errors of a finite tensor's mean and spread that are chance."""
BOUNDS = {"built": 228 / 230, "traced": 225 / 230, "unknown": 0.005, "laws": 0.999}

Record = dict[str, Any]


def main() -> int:
    """Run the benchmark; the exit status."""
    options = _options()
    if options.folder is not None:
        sys.path.append(str(options.folder.resolve()))
    prepare()
    wanted = [
        (library, name, source)
        for library in options.libraries or LIBRARIES
        for name, source in LIBRARIES[library]().items()
        if is_wanted(name, options.only)
    ]
    STORE.parent.mkdir(parents=True, exist_ok=True)
    for place, (library, name, source) in enumerate(wanted, 1):
        known = _known().get((library, name))
        if options.report or (known is not None and not options.again):
            continue
        record = in_child(library, name, source)
        with STORE.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        print(f"{place}/{len(wanted)} {describe(record)}", flush=True)
    return report([_known()[key] for library, name, _ in wanted if (key := (library, name)) in _known()], options)


def _known() -> dict[tuple[str, str], Record]:
    """The last record of each model."""
    return {(record["library"], record["name"]): record for record in read_lines(STORE)}


def in_child(library: str, name: str, source: str) -> Record:
    """What came of one model, whatever happens to the process that looks at it."""
    began = time.monotonic()
    record: Record = {"library": library, "name": name, "stages": [], "error": "", "tensors": 0, "wrong": []}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        child = os.fork()
        if not child:
            _child(record, source, Path(folder), answer)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if answer.exists():
            record = json.loads(answer.read_text(encoding="utf-8"))
        if status:
            record["error"] = record["error"] or f"the process ended with status {status}"
    record["wall"] = time.monotonic() - began
    return record


def _child(record: Record, source: str, folder: Path, answer: Path) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))
    signal.alarm(5 * LIMIT)
    sys.path.insert(0, str(folder))
    (folder / SHIM).write_text(SHIM_TEXT, encoding="utf-8")
    file = folder / "zoo_model.py"
    file.write_text(source, encoding="utf-8")
    try:
        examine(record, file, answer)
    except AnalysisError as error:
        record["error"] = f"{error.stage}: {error.message}"
    except BaseException:
        record["error"] = traceback.format_exc(limit=-3)
    answer.write_text(json.dumps(record), encoding="utf-8")
    os._exit(0)


def examine(record: Record, file: Path, answer: Path) -> None:
    """Fill in how far one model came; what is known before a part that may end the process is written down first."""
    reading = read(Job(str(file), str(file)), Config())
    (target,) = reading.targets
    try:
        examined = analysis.examine(target, reading.source, on_stage=record["stages"].append)
        record |= flow_figures(examined)
    except AnalysisError as error:
        record["error"] = f"{error.stage}: {error.message}"
    answer.write_text(json.dumps(record), encoding="utf-8")
    record["wrong"], record["tensors"] = compare(target, reading.source)


def compare(target: Target, source: str) -> tuple[list[str], int]:
    """Parameters whose law is not that of the real initialisation, and how many were compared."""
    namespace = building.load_module(target.path, source=source)
    without = building.build(target, namespace, large=WITHOUT_MEMORY)
    if without.fake_mode is None or sum(p.numel() for p in without.model.parameters()) > COMPARED:
        return [], 0
    real = building.build(target, namespace, large=sys.maxsize)
    names = [name for name, _ in real.model.named_parameters()]
    said = [(name, without.values[name], real.values[name]) for name in names]
    return [f"{n}: {law_of(a)} for {law_of(b)}" for n, a, b in said if not is_right(a, b)], len(said)


def is_right(law: building.ParameterValues, real: building.ParameterValues) -> bool:
    """Whether mean and spread of a law are those of real values, up to 2 % and chance.

    What is so small that it was built with values has no law.
    """
    if law.values is not None:
        return law.shape == real.shape
    said, found = law_of(law), law_of(real)
    rms = math.hypot(found.mean, found.std)
    chance = CHANCE * max(found.std, said.std) / math.sqrt(max(math.prod(real.shape), 1))
    return (
        law.shape == real.shape and max(abs(said.mean - found.mean), abs(said.std - found.std)) <= RIGHT * rms + chance
    )


def describe(record: Record) -> str:
    """One line for the log."""
    said = record["error"].splitlines()[-1][:150] if record["error"] else f"{record['nodes']} nodes"
    unknown = f", unknown: {sorted(record['unknown'])}" if record.get("unknown") else ""
    wrong = (
        f", {len(record['wrong'])} of {record['tensors']} laws wrong: {record['wrong'][0]}" if record["wrong"] else ""
    )
    return f"{record['library']} {record['name']}: {said}{unknown}{wrong} ({record['wall']:.0f} s)"


def report(records: Sequence[Record], options: argparse.Namespace) -> int:
    """Print (and write) the tables; 1 where a bound is broken."""
    libraries = list(dict.fromkeys(record["library"] for record in records))
    rows = [_row(library, [r for r in records if r["library"] == library]) for library in libraries]
    header = ("library", "models", "built", "traced", "nodes", "unknown operators", "laws compared", "laws right")
    text = table(header, [*rows, _row("all", records)])
    losses = _losses(records)
    text += f"\n\n{table(('models', 'what is missing', 'as in'), losses)}" if losses else ""
    print(f"\n{text}")
    if options.write:
        write_between(DOCUMENT, MARKS, text + "\n")
    return 1 if _broken(records) else 0


def shares(records: Sequence[Record]) -> dict[str, float]:
    """What `BOUNDS` bounds."""
    nodes = sum(record.get("nodes", 0) for record in records)
    unknown = sum(sum(record.get("unknown", {}).values()) for record in records)
    tensors = sum(record["tensors"] for record in records)
    return {
        "built": sum(map(_is_built, records)) / len(records),
        "traced": sum(map(_is_traced, records)) / len(records),
        "unknown": unknown / max(nodes, 1),
        "laws": 1 - sum(len(record["wrong"]) for record in records) / max(tensors, 1),
    }


def _broken(records: Sequence[Record]) -> bool:
    found = shares(records)
    return found["unknown"] > BOUNDS["unknown"] or any(found[k] < BOUNDS[k] for k in ("built", "traced", "laws"))


def _is_built(record: Record) -> bool:
    return "feed" in record["stages"]


def _is_traced(record: Record) -> bool:
    return record.get("traced_by", "symbolic") != "symbolic"


def _row(library: str, records: Sequence[Record]) -> list[str]:
    found, tensors = shares(records), sum(record["tensors"] for record in records)
    built, traced = sum(map(_is_built, records)), sum(map(_is_traced, records))
    nodes = sum(record.get("nodes", 0) for record in records)
    right = f"{found['laws']:.2%}" if tensors else "–"
    counts = [str(len(records)), str(built), str(traced), f"{nodes:,}", f"{found['unknown']:.2%}"]
    return [library, *counts, f"{tensors:,}", right]


def _losses(records: Sequence[Record]) -> list[list[str]]:
    """What is missing, commonest first, each with a model."""
    reasons: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for record in records:
        said = [" ".join(record["error"].split())] if record["error"] else []
        said += [f"no transfer rule: {name}" for name in record.get("unknown", ())]
        said += [f"law: {record['wrong'][0]}"] if record["wrong"] else []
        for reason in said:
            short = (reason if len(reason) <= 160 else f"{reason[:80]} … {reason[-70:]}").replace("|", "\\|")
            reasons[short] += 1
            examples.setdefault(short, f"{record['library']} {record['name']}")
    return [[str(count), reason, examples[reason]] for reason, count in reasons.most_common()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {', '.join(LIBRARIES)}")
    parser.add_argument("--only", nargs="*", default=[], help="models whose name holds a word")
    parser.add_argument("--folder", type=Path, help="a folder with further libraries")
    parser.add_argument("--again", action="store_true", help="look again at what is known already")
    parser.add_argument("--report", action="store_true", help="tables from what is there")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.relative_to(ROOT)}")
    return parser.parse_args()


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
