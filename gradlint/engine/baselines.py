"""The baseline itself: written from a run, or cleared of what is no longer true."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gradlint.config import Config
from gradlint.core.errors import UsageError
from gradlint.engine.gating import Gathered
from gradlint.engine.places import baseline_of
from gradlint.engine.run import Progress, gather
from gradlint.gate.baseline import DEFAULT_NAME, Baseline, read_baseline, write_baseline
from gradlint.gate.known import NEVER_KNOWN, renewed


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a baseline; findings are counted, not entries."""

    path: Path
    total: int
    new: int
    removed: int
    moved: int
    left_out: int
    """Findings about comments, overrides and the baseline itself, which no baseline takes up."""
    unanalysed: int


def write(paths: Sequence[str], config: Config, *, progress: Progress | None = None) -> Written:
    """Take up every finding of the given paths. Entries of files and rules that were not looked at stay.

    Raises:
        UsageError: settings or a baseline that cannot be meant, a path that does not exist, models of which none could
            be analysed; nothing is written then.
    """
    path = baseline_of(config) or Path(DEFAULT_NAME)
    before = read_baseline(path) if path.exists() else Baseline(path.resolve())
    return _rewritten(before, gather(paths, config, progress=progress), with_new=True)


def prune(paths: Sequence[str], config: Config, *, progress: Progress | None = None) -> Written:
    """Take out what nothing in the given paths matches any more, and note where the rest has moved; add nothing.

    Raises:
        UsageError: as for `write`, and where there is no baseline.
    """
    before = read_baseline(baseline_of(config) or Path(DEFAULT_NAME))
    return _rewritten(before, gather(paths, config, progress=progress), with_new=False)


def _rewritten(before: Baseline, gathered: Gathered, *, with_new: bool) -> Written:
    report = gathered.report()
    for item in report.skipped:
        if item.fatal:
            about = f"{item.name}: " if item.name else ""
            raise UsageError(f"the baseline is left as it is: {about}{item.reason}", remedy=item.remedy)
    if report.unanalysed and not report.models:
        first = report.unanalysed[0]
        reason = (
            f"the baseline is left as it is: nothing could be analysed ({first.name or first.path}: {first.reason})"
        )
        raise UsageError(reason, remedy=first.remedy)
    matched, run = gathered.matched(before)
    entries = renewed(matched, run, with_new=with_new)
    write_baseline(before.path, entries)
    return Written(
        before.path,
        total=sum(entry.count for entry in entries),
        new=sum(1 for item in matched.new if item.is_takeable) if with_new else 0,
        removed=sum(left for entry, left in matched.left.items() if run.can_judge(entry)),
        moved=sum(1 for item, place in matched.known if place != item.path),
        left_out=sum(1 for finding in report.findings if finding.code in NEVER_KNOWN),
        unanalysed=len(report.unanalysed),
    )
