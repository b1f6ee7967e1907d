"""A revision as files in a temporary folder: its objects are read one by one, so no hook or filter has a say."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import FrameType

from gradlint.core.errors import UsageError
from gradlint.engine.revisions.git import Git, Revision, submodule_at
from gradlint.engine.revisions.pointers import Pointers

_LARGEST = 4 * 2**20
"""Bytes of a file that is taken along: what is larger is weights or data."""
_AT_ONCE, _MOST_AT_ONCE = 32 * 2**20, 1_000
"""Bytes and files that are read by one process."""
_LINK, _SUBMODULE = "120000", "160000"
_TERMINATED = 128 + signal.SIGTERM


@dataclass(slots=True)
class Tree:
    """A revision's files in a folder of their own."""

    root: Path
    files: set[str] = field(default_factory=set)
    """Relative to the root, with forward slashes."""
    submodules: dict[str, str] = field(default_factory=dict)
    """Commit by folder."""
    notes: list[str] = field(default_factory=list)
    """What could not be had."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, also where the run is interrupted or terminated."""
    with tempfile.TemporaryDirectory(prefix="gradlint-", ignore_cleanup_errors=True) as name, _terminable():
        yield Path(name).resolve()


@contextmanager
def _terminable() -> Iterator[None]:
    """Leave by an exception where the process is told to end, so that folders are cleared away."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(_TERMINATED)

    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def extract(git: Git, revision: Revision, folder: Path) -> Tree:
    """Write a revision's files to a new folder below `folder`, called as the working tree is: packages may be."""
    tree = Tree(folder / git.top.name)
    tree.root.mkdir()
    _fill(git, revision.commit, "", tree)
    (tree.root / ".git").mkdir(exist_ok=True)  # here ends what belongs together, as in the user's tree
    return tree


def _fill(git: Git, commit: str, prefix: str, tree: Tree) -> None:
    entries = _entries(git, commit)
    wanted = [entry for entry in entries if entry.mode != _SUBMODULE and entry.is_safe and entry.size <= _LARGEST]
    links: list[tuple[Path, str]] = []
    pointers = Pointers(git)
    for entry, data in zip(wanted, _contents(git, wanted), strict=True):
        place = tree.root / prefix / entry.path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.mode == _LINK:
                links.append((place, os.fsdecode(data)))
                continue
            place.write_bytes(pointers.content(data))
        except OSError as error:
            raise UsageError(f"cannot write {place}: {error.strerror}", remedy="TMPDIR names another folder") from error
        tree.files.add(f"{prefix}{entry.path}")
    for place, target in links:  # after the files: no file is written through a link
        if _is_inside(place.parent / target, tree.root) and not os.path.lexists(place):
            place.symlink_to(target)
            tree.files.add(place.relative_to(tree.root).as_posix())
    tree.notes += pointers.notes()
    for entry in entries:
        if entry.mode == _SUBMODULE and entry.is_safe:
            _fill_submodule(git, entry.path, entry.name, prefix, tree)


def _fill_submodule(git: Git, path: str, commit: str, prefix: str, tree: Tree) -> None:
    tree.submodules[f"{prefix}{path}"] = commit
    inner = submodule_at(git.top / path)
    try:
        if inner is not None:
            inner.revision(commit)
            _fill(inner, commit, f"{prefix}{path}/", tree)
            return
    except UsageError as error:
        tree.notes.append(f"the submodule {prefix}{path} is left out at {commit[:7]}: {error.message}")
        return
    tree.notes.append(f"the submodule {prefix}{path} is not in this clone: git submodule update --init")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of `git ls-tree`."""

    mode: str
    name: str
    size: int
    path: str

    @property
    def is_safe(self) -> bool:
        """Whether it lies where a checkout could put it: a crafted tree may name any place."""
        parts = self.path.split("/")
        return not any(part.lower() in ("", ".", "..", ".git") for part in parts) and "\\" not in self.path


def _entries(git: Git, commit: str) -> list[_Entry]:
    found = []
    for line in git.ask("ls-tree", "-r", "-z", "-l", "--full-tree", commit).split(b"\0"):
        if line:
            head, _, path = line.partition(b"\t")
            mode, _, name, size = head.decode().split()
            found.append(_Entry(mode, name, 0 if size == "-" else int(size), os.fsdecode(path)))
    return found


def _contents(git: Git, entries: list[_Entry]) -> Iterator[bytes]:
    """Content of each, many by one process, though no more than has room in memory."""
    batch: list[_Entry] = []
    for number, entry in enumerate(entries, start=1):
        batch.append(entry)
        if number == len(entries) or sum(item.size for item in batch) > _AT_ONCE or len(batch) == _MOST_AT_ONCE:
            yield from _batch(git, batch)
            batch = []


def _batch(git: Git, entries: list[_Entry]) -> Iterator[bytes]:
    answer = git.ask("cat-file", "--batch", given="".join(f"{entry.name}\n" for entry in entries).encode())
    start = 0
    for _ in entries:
        end = answer.index(b"\n", start)
        words = answer[start:end].split()
        if len(words) != 3:
            reason = f"an object is not in this clone: {answer[start:end].decode('utf-8', 'replace')}"
            raise UsageError(reason, remedy="git fetch --refetch --filter=blob:limit=4m")
        size = int(words[2])
        yield answer[end + 1 : end + 1 + size]
        start = end + 1 + size + 1


def _is_inside(target: Path, root: Path) -> bool:
    normal = Path(os.path.normpath(target))
    return normal.is_relative_to(root) and ".git" not in PurePosixPath(normal.relative_to(root)).parts
