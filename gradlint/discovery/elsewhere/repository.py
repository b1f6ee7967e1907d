"""The repository around a file, within bounds: what it holds, and the text and syntax tree of its files."""

import ast
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gradlint.config import Config
from gradlint.discovery.elsewhere.documents import SUFFIXES, Document, document, parsed
from gradlint.discovery.ignored import IgnoreFiles, is_entered

_MARKS = (".git", "pyproject.toml", "setup.py")
_NOT_SEARCHED = frozenset("build dist wandb mlruns".split())  # noqa: SIM905
_MOST_BYTES = 3_000_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a search may cost at most."""

    files: int = 4_000
    entries: int = 100_000
    """Names of files of any kind that folders are read for."""
    read: int = 40_000_000
    """Bytes of all files that are read."""
    seconds: float = 5.0
    """Of CPU time of this thread: a loaded machine finds as much as an idle one. Three times that by the clock."""


def root_of(path: Path) -> Path:
    """The folder of the nearest `.git`, `pyproject.toml` or `setup.py` above a file, else the file's own folder."""
    for folder in path.parents:
        if any((folder / mark).exists() for mark in _MARKS):
            return folder
    return path.parent


class Repository:
    """The files around one file. Everything is read once, and nothing beyond the bounds."""

    def __init__(self, path: Path, bounds: Bounds | None = None, *, root: Path | None = None) -> None:
        self.path = path
        self.root = root or root_of(path)
        self._bounds = bounds or Bounds()
        self._started = time.thread_time(), time.monotonic()
        self._left = self._bounds.read
        self._documents: dict[Path, Document | None] = {}
        self._trees: dict[Path, ast.Module | None] = {}
        self.is_whole = False
        """Whether `files` holds all that there are: no bound was reached."""
        self.files = tuple(self._listed())

    @property
    def exhausted(self) -> bool:
        """Whether the bounds are reached."""
        cpu, clock = self._started
        seconds = self._bounds.seconds
        is_late = time.thread_time() - cpu > seconds or time.monotonic() - clock > 3 * seconds
        return is_late or self._left <= 0

    def _listed(self) -> Iterator[Path]:
        """Files that can hold Python: those of the file's own folder and of the ones above it come first."""
        ignored = IgnoreFiles(self.root, Config())
        own = [folder for folder in self.path.parents if folder.is_relative_to(self.root)]
        queue, seen = deque(own), set[Path]()
        found = entries = 0
        while queue and not self.exhausted:
            folder = queue.popleft()
            if folder in seen:
                continue
            seen.add(folder)
            ignored.enter(folder)
            listed = _entries(folder)
            entries += len(listed)
            for entry in listed:
                path = folder / entry.name
                if entry.is_dir(follow_symlinks=False):
                    is_own = is_entered(path) and entry.name not in _NOT_SEARCHED
                    if is_own and not ignored.matches(path, is_folder=True):
                        queue.append(path)
                elif entry.name.endswith(SUFFIXES) and self._is_own(path) and not ignored.matches(path):
                    found += 1
                    yield path
                if found >= self._bounds.files:
                    return
            if entries > self._bounds.entries:
                return
        self.is_whole = not self.exhausted

    def _is_own(self, path: Path) -> bool:
        """Whether a path leads to a regular file inside the repository: links may lead out of it."""
        if not path.is_symlink():
            return path.is_file()
        try:
            return path.is_file() and path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):  # a link that leads to itself
            return False

    def document(self, path: Path) -> Document | None:
        """The Python code that a file holds; None where it cannot be read."""
        if path not in self._documents:
            text = self.text(path)
            self._documents[path] = None if text is None else document(path, text)
        return self._documents[path]

    def text(self, path: Path) -> str | None:
        """A file's text; None where it cannot be read, is no text, or is out of bounds."""
        try:
            if self.exhausted or not self._is_own(path) or path.stat().st_size > _MOST_BYTES:
                return None
            data = path.read_bytes()
        except OSError:
            return None
        self._left -= len(data)
        if b"\0" in data:
            return None
        return data.decode("utf-8", errors="replace")

    def tree(self, path: Path) -> ast.Module | None:
        """The syntax tree of the code that a file holds; None where it is none."""
        if path not in self._trees:
            found = self.document(path)
            self._trees[path] = parsed(found.code) if found is not None else None
        return self._trees[path]

    def shown(self, path: Path) -> str:
        """A path as its users name it: from the root of the repository."""
        return path.relative_to(self.root).as_posix()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # a folder that may not be read holds nothing for us
        return []
