"""What becomes of random networks in training, and what gradlint says of them beforehand.

    python benchmarks/truth.py train [--range 0 600] [--jobs 2]     train and label; goes on where it was broken off
    python benchmarks/truth.py score                                compare verdicts with outcomes; writes docs/truth.md

Outcomes are kept in benchmarks/outcomes/data/, so that scoring does not train anew.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from common import ROOT
from outcomes.blueprints import Blueprint, draw, sibling
from outcomes.protocol import examine, standard

RESULTS = ROOT / "benchmarks" / "outcomes" / "data"
NETWORKS = RESULTS / "networks.jsonl"
SIBLINGS = RESULTS / "siblings.jsonl"


def main() -> int:
    """Run the benchmark; the exit status."""
    options = _options()
    options.run(options)
    return 0


def train(options: argparse.Namespace) -> None:
    """Train every network of the range that has no outcome yet, siblings first."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    wanted = [draw(number) for number in range(*options.range)]
    with ProcessPoolExecutor(options.jobs, initializer=_calm) as pool:
        known = {sibling_key(Blueprint(**r["network"])) for r in read(SIBLINGS)}
        missing = {key: b for b in wanted if (key := sibling_key(sibling(b))) not in known}
        _collect(pool, standard, [(b,) for b in missing.values()], SIBLINGS, "siblings")
        goals = {sibling_key(Blueprint(**r["network"])): r["goals"] for r in read(SIBLINGS)}
        done = {r["network"]["number"] for r in read(NETWORKS)}
        left = [(b, goals[sibling_key(sibling(b))]) for b in wanted if b.number not in done]
        _collect(pool, examine, left, NETWORKS, "networks")


def sibling_key(blueprint: Blueprint) -> str:
    """Networks that share a healthy sibling."""
    return json.dumps(blueprint.to_dict(), sort_keys=True)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Outcomes so far; a line that was cut off by the end of a run is left out, and trained anew."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _collect(pool: ProcessPoolExecutor, work: Any, jobs: list[tuple[Any, ...]], path: Path, what: str) -> None:
    """Write each outcome as it comes, and say how far it is."""
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
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
