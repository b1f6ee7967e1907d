"""Run the built-in rules on a model file, in this process."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import gradlint_rules
from gradlint.core.finding import Finding
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import examine
from gradlint.worker.causes import merge
from gradlint.worker.context import Context


@dataclass(frozen=True)
class Judged:
    """Findings as reported, all findings before they were merged, and the near misses."""

    findings: tuple[Finding, ...]
    raw: tuple[Finding, ...]
    near_misses: tuple[str, ...]

    @property
    def codes(self) -> set[str]:
        return {finding.code for finding in self.findings}


def judge_file(path: Path, optimizer: str | None = None) -> Judged:
    """Examine every model of a file and run all rules on it."""
    source = path.read_text()
    raw: list[Finding] = []
    misses: list[str] = []
    for target in find_targets(scan_file(str(path), source)):
        examined = examine(target, source, on_stage=lambda name: None)
        assert examined.scan is not None
        context = Context(
            examined.built,
            examined.graph,
            examined.flow,
            target=target,
            losses=examined.scan.losses,
            optimizer=optimizer or target.optimizer,
            tree=examined.scan.tree,
        )
        for rule in gradlint_rules.RULES:
            context.enter(rule.name, {})
            raw += [replace(finding, model=target.name) for finding in rule().check(context)]
        misses += context.near_misses
    return Judged(merge(raw), tuple(raw), tuple(misses))


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., Judged]:
    """Judge a model given as source text."""

    def run(source: str, optimizer: str | None = None) -> Judged:
        path = tmp_path / "model.py"
        path.write_text(source)
        return judge_file(path, optimizer)

    return run
