"""Models that nobody wrote for gradlint, through its whole pipeline: what is known of each, what is said of each, and
whether a defect planted in each is found.

    python benchmarks/zoo.py [--quick] [--only NAME …] [--no-plant]

A finding on a healthy model is suspect and printed in full. Exit status 1 where the pipeline broke, called a healthy
model an error, knew less than it should, or missed a planted defect.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import HERE, run, save, table
from zoo_files import DEFECTS, FOUND_BY, Variant, variants, write
from zoo_models import TORCHVISION, ZOO, Architecture

HEADER = (
    "model", "parameters", "built", "fed", "traced", "nodes", "known", "reachable with gradient", "findings", "CPU s",
)  # fmt: skip
PLANTED = ("model", *(str(defect) for defect in DEFECTS))
ENOUGH = 0.99
"""Share of nodes that must be known, and of reachable parameters with a non-zero predicted gradient."""
LIMIT = 1800.0
"""Seconds for all files of one architecture."""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one file."""

    architecture: Architecture
    variant: Variant
    record: Record

    @property
    def name(self) -> str:
        """For the table."""
        is_only = not self.architecture.tiny
        return self.architecture.name if is_only else f"{self.architecture.name} ({self.variant})"

    @property
    def known(self) -> float:
        """Share of the nodes for which there is a transfer rule."""
        nodes = self.record.get("nodes") or 0
        return 1 - sum(self.record["unknown"].values()) / nodes if nodes else 0.0

    @property
    def alive(self) -> float:
        """Share of the reachable parameters with a non-zero predicted gradient; true zeros left out."""
        reachable = self.record.get("reachable", 0) - len(self.record.get("truly_zero", ()))
        return self.record["nonzero"] / reachable if reachable > 0 else 0.0

    def codes(self) -> set[str]:
        """Codes of the findings, those included that are told as consequences of others."""
        findings = self.record["findings"]
        return {code for finding in findings for code in (finding["code"], *finding["consequences"])}

    def faults(self) -> list[str]:
        """What must not be, on a healthy model."""
        found = ["stopped"] if self.record["error"] else []
        found += ["traceback"] if self.record["traceback"] else []
        found += ["false error"] if any(f["severity"] == "error" for f in self.record["findings"]) else []
        if not self.record["error"]:
            found += ["unknown nodes"] if self.known < ENOUGH else []
            found += ["parameters without gradient"] if self.alive < ENOUGH else []
        return found


def main() -> int:
    """Run the benchmark; the exit status."""
    options = _options()
    chosen = [a for a in ZOO if (not options.quick or a.quick) and _is_asked_for(a, options.only)]
    outcomes: list[Outcome] = []
    for architecture in chosen:
        outcomes += examine(architecture, variants(architecture, plant=not options.no_plant))
        _tell(outcomes, architecture)
    healthy = [outcome for outcome in outcomes if outcome.variant not in DEFECTS]
    print(f"\n{table(HEADER, map(_cells, healthy))}\n")
    missed = _missed(outcomes)
    if not options.no_plant:
        print(f"{table(PLANTED, [_planted(architecture, outcomes) for architecture in chosen])}\n")
    save("zoo", {Path(outcome.record["file"]).stem: outcome.record for outcome in outcomes})
    faulty = [outcome for outcome in healthy if outcome.faults()]
    print(_summary(chosen, healthy, faulty, missed))
    return 1 if faulty or missed else 0


def examine(architecture: Architecture, wanted: Sequence[Variant]) -> list[Outcome]:
    """Check all files of one architecture, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {variant: write(architecture, variant, folder) for variant in wanted}
        results = folder / "results.jsonl"
        command = [sys.executable, str(HERE / "zoo_worker.py"), str(results), *map(str, files.values())]
        died = ""
        try:
            usage = run(command, limit=LIMIT)
            died = f"the process ended with status {usage.status}: {usage.stderr[-2000:]}" if usage.status else ""
        except subprocess.TimeoutExpired:
            died = f"no answer within {LIMIT:.0f} s"
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    records = {record["file"]: record for record in map(json.loads, lines)}
    return [Outcome(architecture, v, records.get(str(path)) or _dead(str(path), died)) for v, path in files.items()]


def _dead(file: str, died: str) -> Record:
    return {"file": file, "stages": [], "error": died, "traceback": died, "findings": [], "cpu": 0.0}


def _cells(outcome: Outcome) -> list[str]:
    record = outcome.record
    stages = record["stages"]
    reached = ["yes" if after in stages else "**no**" for after in ("feed", "propagate", "rules")]
    if record.get("traced_by", "recorder") != "recorder":
        reached[1:] = ["**no**", record["traced_by"]]
    known = f"{outcome.known:.1%}" if "nodes" in record else "-"
    alive = f"{outcome.alive:.1%} of {record['reachable']}" if "nodes" in record else "-"
    alive += f" − {len(record['truly_zero'])}" if record.get("truly_zero") else ""
    findings = " ".join(f"{f['code']}{'!' if f['severity'] == 'error' else ''}" for f in record["findings"]) or "none"
    size = f"{record['parameters'] / 1e6:,.1f} M" if "parameters" in record else "-"
    return [outcome.name, size, *reached, str(record.get("nodes", "-")), known, alive, findings, f"{record['cpu']:.1f}"]


def _verdict(architecture: Architecture, variant: Variant, outcomes: Sequence[Outcome]) -> str:
    own = {outcome.variant: outcome for outcome in outcomes if outcome.architecture is architecture}
    sound = own.get(Variant.TINY) or own[Variant.DEFAULT]
    planted = own[variant]
    if planted.record["error"]:
        return "**stopped**"
    fresh = sorted(planted.codes() - sound.codes())
    return " ".join(fresh) if FOUND_BY[variant] & set(fresh) else f"**missed** {' '.join(fresh)}".strip()


def _planted(architecture: Architecture, outcomes: Sequence[Outcome]) -> list[str]:
    return [architecture.name, *(_verdict(architecture, defect, outcomes) for defect in DEFECTS)]


def _missed(outcomes: Sequence[Outcome]) -> list[Outcome]:
    planted = [outcome for outcome in outcomes if outcome.variant in DEFECTS]
    return [o for o in planted if _verdict(o.architecture, o.variant, outcomes).startswith("**")]


def _tell(outcomes: Sequence[Outcome], architecture: Architecture) -> None:
    """What is noteworthy of one architecture, as soon as it is known."""
    for outcome in outcomes:
        if outcome.architecture is not architecture:
            continue
        record = outcome.record
        print(f"{outcome.architecture.name} ({outcome.variant}): {', '.join(_cells(outcome)[1:])}")
        for text in (record["traceback"] or record["error"],):
            print(f"    {text}".replace("\n", "\n    ") if text else "", end="\n" if text else "")
        for operator, count in record.get("unknown", {}).items():
            where = record["unknown_at"].get(operator.partition(":")[0], "")
            print(f"    unknown: {count} × {operator} at {where}")
        wrong = [name for name in record.get("zero", ()) if name not in record.get("truly_zero", ())]
        if wrong and outcome.variant not in DEFECTS:
            print(f"    wrongly predicted zero: {len(wrong)}, as {', '.join(wrong[:8])}")
        for finding in record["findings"]:
            _tell_finding(finding, in_full=outcome.variant not in DEFECTS)
        if outcome.variant in DEFECTS and not FOUND_BY[outcome.variant] & outcome.codes():
            for text in record.get("near_misses", ()):
                print(f"    not said: {text}")
    sys.stdout.flush()


def _tell_finding(finding: Record, *, in_full: bool) -> None:
    print(f"    {finding['severity']}[{finding['code']}] {finding['line']} {finding['message']}")
    if in_full:
        print(f"        in {finding['module'] or 'the model'}; predicted: {finding['summary']}")
        for remedy in finding["remedies"]:
            print(f"        help: {remedy}")
        if finding["consequences"]:
            print(f"        also explains {', '.join(finding['consequences'])}")


def _summary(
    chosen: Sequence[Architecture], healthy: Sequence[Outcome], faulty: Sequence[Outcome], missed: Sequence[Outcome]
) -> str:
    vision = sum(architecture in TORCHVISION for architecture in chosen)
    clean = sum(not outcome.record["findings"] and not outcome.record["error"] for outcome in healthy)
    lines = [
        f"{vision} architectures of torchvision, {len(chosen) - vision} of transformers; "
        f"{len(healthy)} healthy models, {len(healthy) - len(faulty)} as they should be, {clean} without any finding; "
        f"{len(missed)} planted defects missed.",
        *(f"  {outcome.name}: {', '.join(outcome.faults())}" for outcome in faulty),
        *(f"  {outcome.architecture.name}: missed the {outcome.variant}" for outcome in missed),
    ]
    return "\n".join(lines)


def _is_asked_for(architecture: Architecture, words: Sequence[str]) -> bool:
    return not words or any(word.lower() in f"{architecture.library} {architecture.name}".lower() for word in words)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="six architectures only")
    parser.add_argument("--only", nargs="*", default=[], help="architectures or libraries whose name holds a word")
    parser.add_argument("--no-plant", action="store_true", help="healthy models only")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
