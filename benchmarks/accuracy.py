"""Prediction against a real forward and backward pass, module by module: `gradlint.flow` beside `gradlint.measure`.

    python benchmarks/accuracy.py [--seeds 8] [--only NAME …] [--worst 5] [--no-write]
    python benchmarks/accuracy.py --zoo [LIBRARY …] [--seeds 8] [--only NAME …] [--again] [--report] [--no-write]

Prints a table of absolute errors in decades, |log10 predicted − log10 measured| of geometric means over the
initialisations, and writes it to docs/accuracy.md. Exit status 1 where a figure falls behind the one to reach. With
--zoo whole libraries instead (see `accuracy_zoo`), whose tables and plots go to docs/accuracy.md where all are run;
exit status 1 where an aim over all of them is missed.
"""

import argparse
import math
import sys
import time
import warnings
from dataclasses import asdict, dataclass

import accuracy_document
import accuracy_zoo
import torch
from accuracy_models import ROWS, Case, Row
from accuracy_report import judge, libraries, misses, operators
from common import ROOT, is_wanted, save, table, write_between
from scoring import Comparison, Score, compare, measurement, pooled, unknown_operators
from zoo_catalogue import LIBRARIES

import gradlint
from gradlint.core.flow import Flow

DOCUMENT = ROOT / "docs" / "accuracy.md"
MARKS = ("<!-- table: benchmarks/accuracy.py -->", "<!-- end of table -->")
SLACK = 0.005
"""Figures to reach are given to two decimals."""
HEADER = (
    "model", "modules", "coverage", "forward median / p90", "to reach", "backward median / p90", "to reach",
    "parameters median / p95", "scatter median / p95", "",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row's figures."""

    row: Row
    comparison: Comparison
    unknown: tuple[str, ...]
    seconds: tuple[float, float]
    """CPU seconds of one prediction and of one measurement."""

    @property
    def is_reached(self) -> bool:
        """Whether all four figures are at least as good as those to reach."""
        found = (*_figures(self.comparison.activations), *_figures(self.comparison.gradients))
        wanted = (*self.row.forward, *self.row.backward)
        return all(value < bound + SLACK for value, bound in zip(found, wanted, strict=True))


def main() -> int:
    """Run the benchmark; the exit status."""
    options = _options()
    warnings.simplefilter("ignore")
    if options.zoo is not None:
        records = accuracy_zoo.run(options.zoo, options)
        judged = [judge(record) for record in records if record.seeds or record.failed]
        print(f"\n{libraries(judged)}\n\n{operators(judged)}")
        if not options.no_write and not options.zoo and not options.only:
            accuracy_document.write(judged)
        missed = misses(judged)
        print("\n".join(f"missed: {miss}" for miss in missed))
        return 1 if missed else 0
    rows = [row for row in ROWS if is_wanted(row.name, options.only)]
    outcomes = []
    for row in rows:
        outcome = examine(row, options.seeds)
        outcomes.append(outcome)
        print(table(HEADER, [_cells(outcome)]).splitlines()[-1], flush=True)
        _explain(outcome, options.worst)
    text = f"{table(HEADER, map(_cells, outcomes))}\n"
    print(f"\nDecades, geometric mean of {options.seeds} initialisations\n\n{text}")
    save("accuracy", {outcome.row.name: _raw(outcome) for outcome in outcomes})
    if not options.no_write and rows == list(ROWS):
        write(text, options.seeds)
    return 0 if all(outcome.is_reached for outcome in outcomes) else 1


def examine(row: Row, seeds: int) -> Outcome:
    """Predict and measure every architecture of a row from several initialisations."""
    comparisons: list[Comparison] = []
    unknown: dict[str, None] = {}
    seconds = [0.0, 0.0]
    for case in row.cases:
        predictions: list[Flow] = []
        measurements: list[Flow] = []
        for seed in range(seeds):
            prediction, found, spent = _pair(case, seed)
            predictions.append(prediction)
            measurements.append(found)
            unknown |= dict.fromkeys(unknown_operators(prediction))
            seconds = [total + part for total, part in zip(seconds, spent, strict=True)]
        comparisons.append(compare(predictions, measurements))
    runs = seeds * len(row.cases)
    return Outcome(row, pooled(comparisons), tuple(unknown), (seconds[0] / runs, seconds[1] / runs))


def _pair(case: Case, seed: int) -> tuple[Flow, Flow, tuple[float, float]]:
    """Prediction of one initialisation, measurement in float64 (see `scoring.ROUNDING`), CPU seconds of both."""
    torch.manual_seed(seed)
    model, inputs = case.build(), case.inputs()
    start = time.process_time()
    predicted = gradlint.flow(model, inputs)
    middle = time.process_time()
    found = measurement(model, inputs, seed)
    return predicted, found, (middle - start, time.process_time() - middle)


def write(text: str, seeds: int) -> None:
    """Put the table into docs/accuracy.md, between its marks."""
    note = f"Geometric mean of {seeds} initialisations, torch {torch.__version__}."
    write_between(DOCUMENT, MARKS, f"{note}\n\n{text}")


def _cells(outcome: Outcome) -> list[str]:
    c = outcome.comparison
    return [
        outcome.row.name,
        str(len(c.gradients.errors)),
        f"{c.gradients.coverage:.1%}",
        _pairs(_figures(c.activations)),
        _wanted(outcome.row.forward),
        _pairs(_figures(c.gradients)),
        _wanted(outcome.row.backward),
        _pairs((c.parameters.at(0.5), c.parameters.at(0.95))),
        _pairs((c.gradients.scatter(0.5), c.gradients.scatter(0.95))),
        "–" if math.isinf(outcome.row.forward[0]) else "reached" if outcome.is_reached else "**not reached**",
    ]


def _figures(score: Score) -> tuple[float, float]:
    return score.at(0.5), score.at(0.9)


def _pairs(figures: tuple[float, float]) -> str:
    return f"{figures[0]:.2f} / {figures[1]:.2f}"


def _wanted(figures: tuple[float, float]) -> str:
    return "–" if math.isinf(figures[0]) else _pairs(figures)


def _explain(outcome: Outcome, count: int) -> None:
    """The worst modules and parameters, and operators without a rule."""
    c = outcome.comparison
    print(f"    CPU seconds: prediction {outcome.seconds[0]:.2f}, measurement {outcome.seconds[1]:.2f}")
    for name, score in (("forward", c.activations), ("backward", c.gradients), ("parameter", c.parameters)):
        worst = (
            f"{e.name or '(model)'} {e.decades:+.2f}{'' if e.is_covered else ' (unknown)'}" for e in score.worst(count)
        )
        print(f"    {name} worst: {', '.join(worst)}")
    if outcome.unknown:
        print(f"    unknown: {', '.join(outcome.unknown)}")
    sys.stdout.flush()


def _raw(outcome: Outcome) -> dict[str, object]:
    return {"reached": outcome.is_reached, "seconds": outcome.seconds, **asdict(outcome.comparison)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="initialisations per model (default 8)")
    parser.add_argument("--only", nargs="*", default=[], help="rows whose name holds one of these words")
    parser.add_argument("--worst", type=int, default=5, help="worst modules to name (default 5)")
    parser.add_argument("--no-write", action="store_true", help="leave docs/accuracy.md alone")
    parser.add_argument("--zoo", nargs="*", choices=list(LIBRARIES), help="whole zoos instead (all of them by default)")
    parser.add_argument("--again", action="store_true", help="zoo: predict again, keep the measurements")
    parser.add_argument("--limit", type=int, default=600, help="zoo: seconds for one model (default 600)")
    parser.add_argument("--report", action="store_true", help="zoo: only report what is there")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("--seeds must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
