"""The one place where GL001 is made: a model, or a file, that could not be analysed."""

from pathlib import Path

from gradlint.core.errors import AnalysisError
from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import Skipped
from gradlint.core.target import Target
from gradlint.registry import UNANALYSABLE
from gradlint.worker.messages import TargetResult

_LABELS = {
    "read": "cannot be read",
    "parse": "cannot be parsed",
    "import": "raised while the file was loaded",
    "build": "raised while the model was built",
    "feed": "raised while the model was fed",
    "trace": "raised while the forward pass was traced",
}


def unanalysable(error: AnalysisError, target: Target, *, fatal: bool = False) -> TargetResult:
    """GL001 and the entry among what was skipped, for a target that an error keeps from being analysed."""
    where = error.location or Location(target.path, max(1, target.line))
    remedy = error.remedy or default_remedy(error.stage, target)
    subject = f"{target.name}: " if target.name else ""
    sites = [Site(where, _LABELS.get(error.stage, ""))]
    if target.name and (where.path, where.line) != (target.path, target.line):
        sites.append(Site(Location(target.path, max(1, target.line)), "the model"))
    code, name = UNANALYSABLE
    finding = Finding(
        code,
        name,
        Severity.WARNING,
        f"{subject}not analysed: {error.message}",
        tuple(sites),
        model=target.name,
        predicted={"stage": error.stage},
        notes=(f"what would help: {remedy}",) if remedy else (),
    )
    skipped = Skipped(where.path, where.line, target.name, error.message, remedy, fatal=fatal, stage=error.stage)
    return TargetResult((finding,), skipped=(skipped,))


def default_remedy(stage: str, target: Target) -> str:
    """The configuration entry that tells gradlint how to build or feed a model."""
    entry = f'[[tool.gradlint.targets]] target = "{Path(target.path).name}:{target.name}"'
    if stage == "build":
        return f"say how it is built: {entry}, args = [...], kwargs = {{...}}"
    if stage == "feed":
        return f"say what it takes: {entry}, inputs = [[4, 3, 32, 32]]"
    return ""
