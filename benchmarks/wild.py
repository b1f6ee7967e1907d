"""Files that nobody prepared: every module file of six libraries, checked alone and without configuration.

    python benchmarks/wild.py FOLDER [--only WORD …] [--every N] [--jobs N] [--write]

FOLDER holds the libraries, installed for this purpose alone (benchmarks/README.md). The funnel says of each library how
many files with a model there are, and how many of them were found, built, fed, traced and wholly analysed; then follows
each loss with its reason.
"""

import argparse
import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import HERE, ROOT, is_wanted, offline, save, table, write_between

LIBRARIES = {
    "pytorchcv": "pytorchcv/models",
    "vit-pytorch": "vit_pytorch",
    "x-transformers": "x_transformers",
    "segmentation-models": "segmentation_models_pytorch",
    "monai": "monai/networks/nets",
    "diffusers": "diffusers/models",
}
ENOUGH = 0.99
"""Share of nodes that must be known, and of reachable parameters with a non-zero predicted gradient."""
STEPS = ("found", "built", "fed", "traced", "flow complete", "backward real", "meaningful")
DOCUMENT = ROOT / "docs" / "reach.md"
MARKS = ("<!-- wild -->", "<!-- /wild -->")

Record = dict[str, Any]


def main() -> int:
    """Run the benchmark; the exit status."""
    options = _options()
    files = {name: _files(options.folder / path, options) for name, path in LIBRARIES.items()}
    records = _run([file for found in files.values() for file in found], options)
    rows = [_row(name, [records.get(str(f), _dead(f)) for f in found]) for name, found in files.items() if found]
    everything = [records.get(str(f), _dead(f)) for found in files.values() for f in found]
    text = table(("library", "files", "with a model", *STEPS, "every model"), [*rows, _row("all", everything)])
    losses = table(("share", "stage", "reason", "as in"), _losses(everything, options.folder))
    print(f"\n{text}\n\n{losses}\n")
    save("wild", {str(Path(file).relative_to(options.folder.resolve())): record for file, record in records.items()})
    if options.write:
        write_between(DOCUMENT, MARKS, f"{text}\n\n{losses}\n")
    return 0


def reached(model: Record) -> set[str]:
    """The steps of the funnel that one model came through."""
    stages = model["stages"]
    steps = {"found"}
    steps |= {"built"} if "feed" in stages else set()
    if model["error"] or "nodes" not in model:
        return steps
    steps |= {"fed"} if model["fed"] else set()
    steps |= {"traced"} if model["traced_by"] != "symbolic" else set()
    known = 1 - sum(model["unknown"].values()) / model["nodes"] if model["nodes"] else 0.0
    reachable = model["reachable"] - len(model["truly_zero"])
    alive = model["nonzero"] / reachable if reachable > 0 else 0.0
    steps |= {"flow complete"} if known >= ENOUGH and alive >= ENOUGH else set()
    steps |= {"backward real"} if model["real"] in ("yes", "too large") else set()
    if {"fed", "flow complete", "backward real"} <= steps and model["parameters"]:
        steps.add("meaningful")
    return steps


def _row(name: str, records: Sequence[Record]) -> list[str]:
    """One line of the funnel: files of which at least one model came through each step, of those that hold a model."""
    files, records = len(records), [record for record in records if not _is_bare(record)]
    came = [set[str]().union(*(reached(model) for model in record["models"])) for record in records]
    every = [bool(r["models"]) and all("meaningful" in reached(model) for model in r["models"]) for r in records]
    counts = [sum(step in steps for steps in came) for step in STEPS]
    return [name, str(files), str(len(records)), *(_share(count, len(records)) for count in (*counts, sum(every)))]


def _is_bare(record: Record) -> bool:
    """Whether all that a file's modules hold is no parameter: activations, metrics, bases that others derive from."""
    return bool(record["models"]) and all(model.get("parameters") == 0 for model in record["models"])


def _share(count: int, total: int) -> str:
    return f"{count} ({count / total:.0%})" if total else "-"


def _losses(records: Sequence[Record], folder: Path) -> list[list[str]]:
    """Why files gave nothing meaningful, commonest reasons first."""
    reasons: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for record in records:
        if any("meaningful" in reached(model) for model in record["models"]):
            continue
        reason = ("-", "no model: no module of it holds a parameter") if _is_bare(record) else _reason(record)
        reasons[reason] += 1
        examples.setdefault(reason, str(Path(record["file"]).relative_to(folder.resolve())))
    return [[str(n), *reason, examples[reason]] for reason, n in reasons.most_common()]


def _reason(record: Record) -> tuple[str, str]:
    if not record["models"]:
        return ("died" if record["error"] else "find"), _short(record["error"] or record.get("why", ""))
    model = record["models"][-1]
    steps = reached(model)
    if model["error"]:
        return model["stage"], _short(model["error"])
    if "fed" not in steps:
        return "feed", "no inputs: traced symbolically"
    if not model["parameters"]:
        return "flow", "no parameters"
    if model["real"] not in ("yes", "too large"):
        return "backward", _short(model["real"])
    unknown = ", ".join(sorted(name.partition(":")[0] for name in model["unknown"]))
    zero = len(model["zero"]) - len(model["truly_zero"])
    return "flow", _short(f"unknown: {unknown}" if unknown else f"{zero} of {model['reachable']} without gradient")


def _short(text: str) -> str:
    line = " ".join(text.split()).replace("|", "\\|")
    return line if len(line) <= 160 else f"{line[:60]} … {line[-90:]}"


def _files(folder: Path, options: argparse.Namespace) -> list[Path]:
    """Files that hold a class with a forward; losses judge models and are none."""
    found = sorted(path for path in folder.resolve().rglob("*.py") if _holds_model(path))
    return [path for path in found if is_wanted(str(path), options.only)][:: options.every]


def _holds_model(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and not node.name.endswith("Loss")]
    return any(isinstance(c, ast.FunctionDef) and c.name == "forward" for node in classes for c in node.body)


def _run(files: Sequence[Path], options: argparse.Namespace) -> dict[str, Record]:
    results = options.results.resolve()
    results.parent.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        results.unlink(missing_ok=True)
    done = _read(results)
    todo = [str(file) for file in files if str(file) not in done]
    environment = offline()
    environment["PYTHONPATH"] = f"{environment['PYTHONPATH']}:{options.folder.resolve()}"
    parts = [todo[start :: options.jobs] for start in range(options.jobs)]
    command = [sys.executable, "-W", "ignore", str(HERE / "wild_worker.py"), str(results)]
    workers = [subprocess.Popen([*command, *part], env=environment, cwd=options.folder) for part in parts if part]
    for worker in workers:
        worker.wait()
    return _read(results)


def _read(results: Path) -> dict[str, Record]:
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return {record["file"]: record for record in map(json.loads, lines)}


def _dead(file: Path) -> Record:
    return {"file": str(file), "models": [], "error": "no answer"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="files whose path holds a word")
    parser.add_argument("--every", type=int, default=1, help="every n-th file only")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--results", type=Path, default=HERE / "results" / "wild.jsonl")
    parser.add_argument("--resume", action="store_true", help="keep what the results file holds already")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.relative_to(ROOT)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
