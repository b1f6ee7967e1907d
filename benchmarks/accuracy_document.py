"""What the accuracy over the zoos comes to, written into docs/accuracy.md between its marks, with its plots."""

from collections import defaultdict
from collections.abc import Sequence

import accuracy_plots
import torch
from accuracy_report import Judged, libraries, models, operators
from accuracy_store import Record
from common import ROOT, write_between

DOCUMENT = ROOT / "docs" / "accuracy.md"
IMAGES = ROOT / "docs" / "images"
MARKS = ("<!-- zoos: benchmarks/accuracy.py --zoo -->", "<!-- end of zoos -->")


def write(judged: Sequence[Judged]) -> None:
    """Replace what stands between the marks, and the plots."""
    accuracy_plots.scatter(judged, IMAGES / "accuracy-scatter.svg")
    accuracy_plots.operators(judged, IMAGES / "accuracy-operators.svg")
    write_between(DOCUMENT, MARKS, f"{text(judged)}\n")


def text(judged: Sequence[Judged]) -> str:
    """Tables by library, by operator and by model."""
    parts = [
        f"torch {torch.__version__}; {_seeds([model.record for model in judged])}.",
        libraries(judged),
        "![predicted against measured](images/accuracy-scatter.svg)",
        "![error by operator](images/accuracy-operators.svg)",
        "### Error by operator\n\nClasses of modules, worst first. *First jumps*: models in which the error changes by "
        "more than 0.1 decades for the first time at a module of that class, followed from the input (forward) or from "
        "the output (backward: the module whose output's gradient is the first to be off).",
        operators(judged),
        "### By model",
    ]
    groups: dict[str, list[Judged]] = defaultdict(list)
    for model in judged:
        groups[model.record.library].append(model)
    for library, found in groups.items():
        parts.append(f"<details><summary>{library}: {len(found)} models</summary>\n\n{models(found)}\n\n</details>")
    return "\n\n".join(parts)


def _seeds(records: Sequence[Record]) -> str:
    counts = sorted({record.seeds for record in records if not record.failed})
    return "geometric mean of " + " or ".join(map(str, counts)) + " initialisations (column *seeds*)"
