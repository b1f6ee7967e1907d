"""What a change means for a run: the files that changed, and those that import them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gradlint.config import Config
from gradlint.core.errors import UsageError
from gradlint.discovery.elsewhere import dependents_of
from gradlint.discovery.elsewhere.repository import root_of
from gradlint.engine.collect import STDIN, Job, collect

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Widened:
    """What to check."""

    paths: tuple[str, ...]
    notes: tuple[str, ...]


def with_dependents(paths: Sequence[str], config: Config) -> Widened:
    """The given files and those of their repository that import them, less what a run on the repository leaves out.

    Args:
        paths: files that changed; a folder stands for the files below it.
        config: for `exclude`, `extend_exclude` and `respect_gitignore`, which hold for the given files too: a tool
            names them, not somebody who wants them checked in spite of all.

    Raises:
        UsageError: a path that names a model or standard input.
    """
    jobs, missing = collect(paths, config)
    named = ["-"] if STDIN in paths else [f"{job.shown}:{name}" for job in jobs for name in job.names]
    if named:
        raise UsageError(f'--with-dependents takes files, not "{named[0]}"', remedy="name the file alone")
    by_root: dict[Path, list[Job]] = {}
    for job in jobs:
        by_root.setdefault(_repository_of(Path(job.path)), []).append(job)
    kept: list[str] = [item.path for item in missing]
    importing: list[str] = []
    is_complete = True
    for root, own in by_root.items():
        found = dependents_of({Path(job.path) for job in own}, root)
        is_complete &= found.is_complete
        wanted = {job.path for job in collect([str(root)], config)[0]}
        kept += [job.shown for job in own if job.path in wanted]
        importing += [_shown(path) for path in found.files if str(path) in wanted]
    return Widened((*kept, *importing), _notes(importing, is_complete=is_complete))


def _notes(importing: Sequence[str], *, is_complete: bool) -> tuple[str, ...]:
    notes = []
    if importing:
        more = f" and {len(importing) - _NAMED} more" if len(importing) > _NAMED else ""
        notes.append(f"also looked at, since they import what was named: {', '.join(importing[:_NAMED])}{more}")
    if not is_complete:
        notes.append("the repository is too large to find every file that imports what was named: check it as a whole")
    return tuple(notes)


def _repository_of(path: Path) -> Path:
    """The git repository that a file lies in: its packages may import one another; else the nearest project."""
    return next((folder for folder in path.parents if (folder / ".git").exists()), root_of(path))


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
