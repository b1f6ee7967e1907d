"""`gradlint check --since`: a check of what has changed, in which only new findings count."""

import time
from collections.abc import Sequence
from dataclasses import replace

from gradlint import registry
from gradlint.config import Config
from gradlint.core.report import Report, SilencedBy
from gradlint.engine.collect import Job, collect
from gradlint.engine.gating import Gathered, with_baseline, without_known
from gradlint.engine.reading import configured_targets
from gradlint.engine.revisions.both import check_both, hold
from gradlint.engine.revisions.git import repository_at
from gradlint.engine.revisions.sides import Sides, opened
from gradlint.engine.run import Progress, base_folder, baseline_of
from gradlint.engine.shown import Shown
from gradlint.gate.baseline import read_baseline


def check_since(
    paths: Sequence[str],
    config: Config,
    revision: str,
    *,
    progress: Progress | None = None,
    stdin: tuple[str, str | bytes] | None = None,
) -> Report:
    """As `check`, of files that have changed since a revision and of those that import them.

    Raises:
        UsageError: as for `check` and for `diff`.
    """
    began = time.monotonic()
    selection = registry.select(registry.load(), config)
    configured_targets(config)
    place = baseline_of(config)
    baseline = read_baseline(place) if place is not None else None
    jobs, missing = collect(paths, config, stdin=stdin)
    git = repository_at(base_folder(paths))
    with opened(git, revision, None, config) as sides:
        old, new = sides.affected()
        kept = [job for job in jobs if job.source is not None or sides.head.relative(job.path) in new]
        both = check_both(sides, _before(kept, old, sides), kept, selection, progress)
        after = Gathered(tuple(paths), both.after.jobs, missing, both.after.results, config, selection)
        report = after.report(time.monotonic() - began)
        if baseline is not None:
            report = with_baseline(report, *after.matched(baseline), baseline, selection)
        report = without_known(report, hold(both).matched, SilencedBy.REVISION)
    left_out = len(jobs) - len(kept)
    same = f"; {left_out} {'file is' if left_out == 1 else 'files are'} as before and left out" if left_out else ""
    note = f"only what is new since {sides.base_name} counts{same}"
    return Shown(jobs).report(replace(report, notes=(*report.notes, note, *sides.notes)))


def _before(kept: Sequence[Job], affected: frozenset[str], sides: Sides) -> list[Job]:
    """The same files at the base, and those that findings may have moved from since."""
    back = {after: before for before, after in sides.renamed.items()}
    base = sides.base
    wanted = {back.get(path, path): job for job in kept if (path := sides.head.relative(job.path))}
    gone = {path for path in affected if path not in sides.head.files} - wanted.keys()
    jobs = [
        Job(str(base.root / path), path, job.names, folder=base.folder)
        for path, job in wanted.items()
        if path in base.files
    ]
    return jobs + [job for job in base.jobs() if base.relative(job.path) in gone]
