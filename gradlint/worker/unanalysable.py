"""The one place where GL001 is made: a model, or a file, that could not be analysed."""

import sys
from pathlib import Path

from gradlint.core.errors import AnalysisError
from gradlint.core.finding import Finding, Remedy, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import Skipped
from gradlint.core.target import Target
from gradlint.core.toml import target_entry
from gradlint.registry import UNANALYSABLE
from gradlint.worker.messages import TargetResult


def unanalysable(error: AnalysisError, target: Target, *, fatal: bool = False) -> TargetResult:
    """GL001 and the entry among what was skipped, for a target that an error keeps from being analysed."""
    model = Location(target.path, max(1, target.line))
    where = error.location or model
    remedy = error.remedy or default_remedy(error.stage, target)
    subject = f"{target.name}: " if target.name else ""
    is_elsewhere = (where.path, where.line) != (model.path, model.line)
    sites = [Site(where, "stopped here" if is_elsewhere else "")]
    if target.name and is_elsewhere:
        sites.append(Site(model))
    code, name = UNANALYSABLE
    finding = Finding(
        code,
        name,
        Severity.WARNING,
        f"{subject}not analysed: {error.message}",
        tuple(sites),
        model=target.name,
        predicted={"stage": error.stage},
        remedies=(Remedy(remedy, ""),) if remedy else (),
    )
    skipped = Skipped(where.path, where.line, target.name, error.message, remedy, fatal=fatal, stage=error.stage)
    return TargetResult((finding,), skipped=(skipped,))


def default_remedy(stage: str, target: Target) -> str:
    """The configuration entry that tells gradlint how to build or feed a model."""
    model = f"{target.path}:{target.name}"
    if stage == "build":
        return f"say in pyproject.toml how it is built:\n{target_entry(model, {'args': '[…]', 'kwargs': '{ … }'})}"
    if stage == "feed":
        return f"say in pyproject.toml what it takes:\n{target_entry(model, {'inputs': '[[8, …]]'})}"
    if stage == "parse":
        version = ".".join(map(str, sys.version_info[:2]))
        return f"mend that line, or leave the file out: --exclude {Path(target.path).name} (read as Python {version})"
    return ""
