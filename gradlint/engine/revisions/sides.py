"""The two revisions of a comparison, as folders that can be checked."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gradlint.config import Config
from gradlint.core.errors import UsageError
from gradlint.engine.collect import Job, collect
from gradlint.engine.reading import configured_targets
from gradlint.engine.revisions.affected import Imports
from gradlint.engine.revisions.git import Change, Git, Revision
from gradlint.engine.revisions.trees import Tree, extract, temporary_folder


@dataclass(frozen=True, slots=True)
class Side:
    """One revision: a folder with its files, and the settings as they hold there."""

    root: Path
    files: frozenset[str]
    """Relative to the root, with forward slashes."""
    config: Config
    here: Path
    """What stands for the user's working directory; it need not exist."""
    is_temporary: bool

    @property
    def folder(self) -> str:
        """Where code runs: an empty text for the user's working directory itself."""
        return str(self.here if self.here.is_dir() else self.root) if self.is_temporary else ""

    def relative(self, path: str) -> str:
        """A path below the root as git names it; any other path as it is."""
        full = Path(path)
        return full.relative_to(self.root).as_posix() if full.is_relative_to(self.root) else path

    def jobs(self) -> tuple[Job, ...]:
        """All files that a check from here would look at."""
        if not self.here.is_dir():
            return ()
        found, _ = collect([str(self.here)], self.config)
        return tuple(replace(job, folder=self.folder) for job in found)


@dataclass(frozen=True, slots=True)
class Sides:
    """Both revisions, and what differs between them."""

    base: Side
    head: Side
    changes: tuple[Change, ...]
    base_name: str
    head_name: str
    notes: tuple[str, ...]

    @property
    def renamed(self) -> dict[str, str]:
        """New path of each file that git takes to be renamed."""
        return {change.before: change.after for change in self.changes if change.before and change.after}

    def affected(self) -> tuple[frozenset[str], frozenset[str]]:
        """Files of the base and files of the head that the changes can make a difference to."""
        old = Imports(self.base.root, self.base.files).affected(_paths(self.base, [c.before for c in self.changes]))
        new = Imports(self.head.root, self.head.files).affected(_paths(self.head, [c.after for c in self.changes]))
        back = {after: before for before, after in self.renamed.items()}
        return old | _named(new, back), new | _named(old, self.renamed)


def _named(paths: Collection[str], names: Mapping[str, str]) -> frozenset[str]:
    return frozenset(names.get(path, path) for path in paths)


def _paths(side: Side, changed: list[str | None]) -> frozenset[str]:
    """Changed files; all of those of a submodule that changed."""
    paths = {path for path in changed if path}
    inside = {path for path in side.files if any(above in paths for above in _folders(path))}
    return frozenset(paths | inside)


def _folders(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


@contextmanager
def opened(git: Git, base: str, head: str | None, config: Config) -> Iterator[Sides]:
    """Both revisions as long as they are looked at; without `head` the working tree as it is.

    Raises:
        UsageError: a revision that is not in this clone.
    """
    before = git.revision(base)
    after = git.revision(head) if head is not None else None
    changes = git.changes(before, after)
    with temporary_folder() as folder:
        old = _extracted(git, before, folder / "base")
        new = _extracted(git, after, folder / "head") if after is not None else None
        notes = dict.fromkeys(old.notes + (new.notes if new is not None else []))
        head_side = _side(git, new, config) if new is not None else _working_tree(git, old, config)
        head_name = after.shown if after is not None else "the working tree"
        yield Sides(_side(git, old, config), head_side, changes, before.shown, head_name, tuple(notes))


def _extracted(git: Git, revision: Revision, folder: Path) -> Tree:
    folder.mkdir()
    return extract(git, revision, folder)


def _working_tree(git: Git, old: Tree, config: Config) -> Side:
    files = set(git.listed())
    for module in old.submodules.keys() & files:  # git lists the submodule, not what is in it
        files |= {path.relative_to(git.top).as_posix() for path in (git.top / module).rglob("*.py")}
    return Side(git.top, frozenset(files), config, Path.cwd().resolve(), is_temporary=False)


def _side(git: Git, tree: Tree, config: Config) -> Side:
    place = Path.cwd().resolve()
    here = tree.root / place.relative_to(git.top) if place.is_relative_to(git.top) else tree.root
    return Side(tree.root, frozenset(tree.files), _moved(config, git.top, tree.root), here, is_temporary=True)


def _moved(config: Config, top: Path, root: Path) -> Config:
    """Settings whose relative paths mean the files of an extracted revision; targets that it does not hold are out."""
    place = Path(config.root or ".").resolve()
    if place.is_relative_to(top):
        config = msgspec.structs.replace(config, root=str(root / place.relative_to(top)))
    kept = []
    for entry in config.targets:
        try:
            configured_targets(msgspec.structs.replace(config, targets=(entry,)))
        except UsageError:
            continue  # it holds for the user's tree, where it has been checked already
        kept.append(entry)
    return msgspec.structs.replace(config, targets=tuple(kept), baseline=None)
