"""What becomes of random networks in training, and what gradlint says of them beforehand.

    python benchmarks/truth.py train [--range 0 600] [--jobs 2]     train and label; goes on where it was broken off
    python benchmarks/truth.py predict [--again]                    what gradlint says of the networks that were trained
    python benchmarks/truth.py cure [--count 100] [--jobs 2]        carry out the best remedy of sick networks
    python benchmarks/truth.py score [--range 0 600]                compare the two; writes docs/truth.md

Outcomes are kept in benchmarks/outcomes/data/, so that scoring does not train anew. What gradlint says belongs to one
version of it and goes to benchmarks/results/.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, ROOT, write_between
from outcomes.blueprints import Blueprint, draw, half, siblings
from outcomes.cures import cure
from outcomes.labels import Label, gain, labels
from outcomes.plots import outcomes
from outcomes.protocol import OPTIMISERS, examine, standard
from outcomes.report import Case, cure_table, merit_table, mistakes, verdict_table
from outcomes.verdicts import verdicts

DATA = ROOT / "benchmarks" / "outcomes" / "data"
NETWORKS = DATA / "networks.jsonl"
SIBLINGS = DATA / "siblings.jsonl"
CURES = DATA / "cures.jsonl"
VERDICTS = RESULTS / "truth.jsonl"
DOCUMENT = ROOT / "docs" / "truth.md"
PLOT = ROOT / "docs" / "images" / "truth-outcomes.svg"
MARKS = ("<!-- tables: benchmarks/truth.py -->", "<!-- end of tables -->")


def main() -> int:
    """Run the benchmark; the exit status."""
    options = _options()
    options.run(options)
    return 0


def train(options: argparse.Namespace) -> None:
    """Train every network of the range that has no outcome yet, siblings first."""
    DATA.mkdir(parents=True, exist_ok=True)
    wanted = [draw(number) for number in range(*options.range)]
    with ProcessPoolExecutor(options.jobs, initializer=_calm) as pool:
        known = _standards()
        missing = {key: some for b in wanted if (key := identity(*(some := siblings(b)))) not in known}
        _collect(pool, standard, [(some,) for some in missing.values()], SIBLINGS, "siblings")
        known = _standards()
        done = {identity(Blueprint(**found["network"])) for found in read(NETWORKS)}
        left = [(b, known[identity(*siblings(b))]["goals"]) for b in wanted if identity(b) not in done]
        _collect(pool, examine, left, NETWORKS, "networks")


def _standards() -> dict[str, dict[str, Any]]:
    """What healthy siblings reach, by who they are."""
    return {identity(*(Blueprint(**network) for network in found["networks"])): found for found in read(SIBLINGS)}


def predict(options: argparse.Namespace) -> None:
    """Ask gradlint about every trained network that it has not been asked about yet."""
    VERDICTS.parent.mkdir(parents=True, exist_ok=True)
    if options.again:
        VERDICTS.unlink(missing_ok=True)
    known = {said["number"] for said in read(VERDICTS)}
    trained = [Blueprint(**outcome["network"]) for outcome in read(NETWORKS)]
    with ProcessPoolExecutor(options.jobs, initializer=_calm) as pool:
        _collect(pool, verdicts, [(b,) for b in trained if b.number not in known], VERDICTS, "verdicts")


def heal(options: argparse.Namespace) -> None:
    """Cure the first so many networks that fail with some optimiser; those without a predicted remedy count too."""
    sick = [case for case in cases_of() if Label.FAILS in case.labels.values()]
    known = _standards()
    done = {found["number"] for found in read(CURES)}
    left = [case.blueprint for case in sick if case.blueprint.number not in done]
    left = left[: max(0, options.count - len(done))]
    with ProcessPoolExecutor(options.jobs, initializer=_calm) as pool:
        _collect(pool, cure, [(b, known[identity(*siblings(b))]["goals"]) for b in left], CURES, "cures")


def score(options: argparse.Namespace) -> None:
    """Write the tables: the half that thresholds were fitted on, and the other one."""
    cases = [case for case in cases_of() if case.blueprint.number in range(*options.range)]
    parts = {
        "The half that thresholds may be fitted on": [c for c in cases if half(c.blueprint) == 0],
        "The other half, of other kinds of networks": [c for c in cases if half(c.blueprint) == 1],
    }
    text = [f"{len(cases)} networks, numbers {options.range[0]} to {options.range[1] - 1}."]
    for title, some in parts.items():
        text += [f"### {title}", merit_table(some), "Static verdicts:", verdict_table(some, probed=False)]
        text += ["With the probe:", verdict_table(some, probed=True)]
    text += ["### Remedies carried out", cure_table(list(_cured()))]
    for setting in (*OPTIMISERS, "unknown"):
        print(f"\nDisagreements, {setting}:\n{mistakes(parts[next(iter(parts))], setting)}")
    print("\n\n".join(text))
    if not options.no_write:
        outcomes(cases, PLOT)
        write_between(DOCUMENT, MARKS, "\n\n".join(text) + "\n")


def cases_of(verdicts_in: Path = VERDICTS) -> Iterator[Case]:
    """Networks whose outcome and verdict are both known."""
    said = {found["number"]: found for found in read(verdicts_in)}
    standards = _standards()
    for outcome in read(NETWORKS):
        blueprint = Blueprint(**outcome["network"])
        if blueprint.number in said:
            usual = standards[identity(*siblings(blueprint))]
            gains = {optimiser: gain(outcome, usual, optimiser) for optimiser in OPTIMISERS}
            yield Case(blueprint, labels(outcome, usual), gains, said[blueprint.number])


def _cured() -> Iterator[tuple[dict[str, Any], dict[str, Label | None]]]:
    """What was predicted of each remedy and measured, and what became of the network with it."""
    standards = _standards()
    for found in read(CURES):
        if found["remedy"]:
            usual = standards[identity(*siblings(draw(found["number"])))]
            yield found, labels(found["outcome"], usual)


def identity(*blueprints: Blueprint) -> str:
    """All choices of some networks, as a key."""
    return json.dumps([blueprint.to_dict() for blueprint in blueprints], sort_keys=True)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Outcomes so far; a line that was cut off by the end of a run is left out, and trained anew."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _collect(pool: ProcessPoolExecutor, work: Any, jobs: list[tuple[Any, ...]], path: Path, what: str) -> None:
    """Write each outcome as it comes, and say how far it is."""
    if not jobs:
        return
    futures = [pool.submit(work, *job) for job in jobs]
    _end_line(path)
    for count, future in enumerate(as_completed(futures), 1):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(future.result(), separators=(",", ":")) + "\n")
        bar = "█" * (30 * count // len(futures))
        print(f"\r{what} {bar:30} {count}/{len(futures)}", end="", flush=True)
    print()


def _end_line(path: Path) -> None:
    """Drop what an interrupted run left of its last line."""
    if path.exists():
        whole, newline, _ = path.read_text(encoding="utf-8").rpartition("\n")
        path.write_text(whole + newline, encoding="utf-8")


def _calm() -> None:
    """One thread each; numbers below 1e-38 count as zero, since they are a hundred times slower."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train networks and record what becomes of them")
    training.add_argument("--range", type=int, nargs=2, default=(0, 600), help="numbers of the networks")
    training.add_argument("--jobs", type=int, default=2, help="processes")
    training.set_defaults(run=train)
    predicting = commands.add_parser("predict", help="ask gradlint about the networks that were trained")
    predicting.add_argument("--again", action="store_true", help="forget what an earlier version said")
    predicting.add_argument("--jobs", type=int, default=2, help="processes")
    predicting.set_defaults(run=predict)
    healing = commands.add_parser("cure", help="carry out the best remedy of sick networks, and train them")
    healing.add_argument("--count", type=int, default=100, help="how many networks")
    healing.add_argument("--jobs", type=int, default=2, help="processes")
    healing.set_defaults(run=heal)
    scoring = commands.add_parser("score", help="compare verdicts with outcomes")
    scoring.add_argument("--range", type=int, nargs=2, default=(0, 600), help="numbers of the networks")
    scoring.add_argument("--no-write", action="store_true", help="leave docs/truth.md alone")
    scoring.set_defaults(run=score)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
