"""`gradlint diff`: what a change did to the models, and which findings it brings and takes."""

from collections.abc import Iterable
from pathlib import Path

from gradlint import registry
from gradlint.config import Config
from gradlint.core.comparison import Comparison, ModelChange, Moved
from gradlint.core.finding import Finding, Verdict
from gradlint.engine.collect import Job
from gradlint.engine.gating import text_of
from gradlint.engine.reading import configured_targets
from gradlint.engine.revisions.both import Both, Place, changes_of, check_both, fixed, hold, origin_of
from gradlint.engine.revisions.git import repository_at
from gradlint.engine.revisions.sides import Side, Sides, opened
from gradlint.engine.run import Progress
from gradlint.engine.shown import Shown

_SETTINGS = (".yaml", ".yml", ".toml", ".json")
"""Files that models may be built by."""


def diff(
    base: str, head: str | None, config: Config, *, everything: bool = False, progress: Progress | None = None
) -> Comparison:
    """Compare the models below the working directory at two revisions; without `head` with the working tree.

    Args:
        base: a branch, a tag, a commit, or `A...B`.
        head: likewise.
        config: settings, which hold for both sides.
        everything: check files that no change reaches as well.
        progress: told how the run gets on.

    Raises:
        UsageError: no git, no repository, a revision that is not in this clone, settings that cannot be meant.
    """
    git = repository_at(Path.cwd())
    selection = registry.select(registry.load(), config)
    if head is None:
        configured_targets(config)
    with opened(git, base, head, config) as sides:
        old, new = sides.affected()
        before = [job for job in sides.base.jobs() if everything or sides.base.relative(job.path) in old]
        present = sides.head.jobs()
        after = [job for job in present if everything or sides.head.relative(job.path) in new]
        both = check_both(sides, before, after, selection, progress)
        left_out = len(present) - len(after)
        return _compared(both, git.top, left_out)


def _compared(both: Both, top: Path, left_out: int) -> Comparison:
    sides = both.sides
    old, new = shown_on(sides.base, top), shown_on(sides.head, top)
    held = hold(both)
    moved, worse, same = [], [], 0
    used: dict[Place, int] = {}
    for item, place in held.matched.known:
        origin = origin_of(held, item, place, used)
        change = Moved(old.finding(origin.finding), new.finding(item.finding))
        if item.finding.severity.rank > origin.finding.severity.rank:
            worse.append(change)
        elif origin.path != item.path:
            moved.append(change)
        else:
            same += 1
    fresh = [item.finding for item in held.matched.new if item.finding.verdict is not Verdict.REFUTED]
    models = tuple(_shown_change(change, old, new) for change in changes_of(both))
    return Comparison(
        sides.base_name,
        sides.head_name,
        models=models,
        new=tuple(map(new.finding, fresh)),
        fixed=tuple(map(old.finding, fixed(held, used))),
        moved=tuple(moved),
        worse=tuple(worse),
        known=same,
        skipped=tuple(new.skipped(item) for result in both.after.results for item in result.skipped),
        files=len(both.after.jobs),
        left_out=left_out,
        notes=sides.notes + _notes(sides, left_out),
        lines=_lines([*fresh, *(item.finding for item, _ in held.matched.known)], new),
    )


def shown_on(side: Side, top: Path) -> Shown:
    """How paths of a side are shown: as those of the user's tree."""
    return Shown((), temporary=(side.root, top) if side.is_temporary else None)


def _shown_change(change: ModelChange, old: Shown, new: Shown) -> ModelChange:
    before = old.model(change.before) if change.before is not None else None
    after = new.model(change.after) if change.after is not None else None
    return ModelChange(change.status, before, after, change.shifts)


def _notes(sides: Sides, left_out: int) -> tuple[str, ...]:
    """What was not followed: a file of settings may say how a model is built."""
    touched = sorted(c.after for c in sides.changes if c.after is not None and c.after.endswith(_SETTINGS))
    if not touched or not left_out:
        return ()
    more = f" and {len(touched) - 1} more" if len(touched) > 1 else ""
    return (f"{touched[0]}{more} changed too; --all checks every model that could be built by it",)


def _lines(findings: Iterable[Finding], shown: Shown) -> dict[tuple[str, int], str]:
    """Source lines of the places of findings, as long as their files are there."""
    texts: dict[str, list[str]] = {}
    found = {}
    for place in (site.location for finding in findings for site in finding.sites):
        if place.path not in texts:
            texts[place.path] = text_of(Job(place.path, place.path)).splitlines()
        lines = texts[place.path]
        at = shown.location(place)
        found[at.file, at.line] = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    return found
