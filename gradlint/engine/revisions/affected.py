"""Which files a change can make a difference to: those that changed, and those that import them, however far up."""

import ast
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from gradlint.core.errors import AnalysisError
from gradlint.discovery.cells import SUFFIX, cells_of


class Imports:
    """Who imports whom in one revision, read off syntax trees; only files that mention a changed one are parsed."""

    def __init__(self, root: Path, files: Iterable[str]) -> None:
        """Paths are relative to the root, with forward slashes."""
        self._root = root
        self._python = tuple(path for path in files if path.endswith((".py", SUFFIX)))
        self._texts: dict[str, str] = {}
        self._imported: dict[str, frozenset[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for path in self._python:
            self._by_stem.setdefault(_stem(path), []).append(path)

    def affected(self, changed: Collection[str]) -> frozenset[str]:
        """The changed files, whatever imports them, and what they import themselves: they may say how it is built."""
        reached = {path for path in self._python if path in changed}
        told = {path for one in reached for path in self.imported(one)}
        waiting = set(reached)
        while waiting:
            stems = {_stem(path) for path in waiting}
            waiting = {
                path
                for path in self._python
                if path not in reached and self._mentions(path, stems) and self.imported(path) & waiting
            }
            reached |= waiting
        return frozenset(reached | told)

    def imported(self, path: str) -> frozenset[str]:
        """Files that a file may import; where several could be meant, all of them."""
        if path not in self._imported:
            self._imported[path] = frozenset(self._read(path)) - {path}
        return self._imported[path]

    def _read(self, path: str) -> Iterable[str]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of invalid escapes: the user's own
                tree = ast.parse(self._text(path))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return  # it imports nothing, for it cannot be run
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._chain("", alias.name.split("."))
            elif isinstance(node, ast.ImportFrom):
                folder = _above(path, node.level)
                parts = node.module.split(".") if node.module else []
                for alias in node.names:
                    yield from self._chain(folder, [*parts, alias.name])

    def _chain(self, folder: str, parts: list[str]) -> Iterable[str]:
        """A dotted name and the packages on the way to it: they are run as well."""
        if folder:
            yield from self._ending(f"{folder}/__init__.py", exactly=True)
        for length in range(1, len(parts) + 1):
            tail = "/".join(parts[:length])
            for ending in (f"{tail}.py", f"{tail}/__init__.py"):
                yield from self._ending(f"{folder}/{ending}" if folder else ending, exactly=bool(folder))

    def _ending(self, tail: str, *, exactly: bool) -> Iterable[str]:
        tail = tail.removeprefix("./")
        for path in self._by_stem.get(_stem(tail), ()):
            if path == tail or (not exactly and path.endswith(f"/{tail}")):
                yield path

    def _mentions(self, path: str, stems: Collection[str]) -> bool:
        text = self._text(path)
        return any(stem in text for stem in stems) or "from ." in text

    def _text(self, path: str) -> str:
        if path not in self._texts:
            try:
                text = (self._root / path).read_text(encoding="utf-8", errors="replace")
                self._texts[path] = cells_of(text, path).source if path.endswith(SUFFIX) else text
            except (OSError, AnalysisError):
                self._texts[path] = ""  # a broken link, gone since it was listed, or no notebook: it imports nothing
        return self._texts[path]


def _stem(path: str) -> str:
    """What an import calls a file: its name, or that of its folder."""
    pure = PurePosixPath(path)
    return pure.parent.name if pure.stem == "__init__" else pure.stem


def _above(path: str, level: int) -> str:
    """The folder that a relative import starts from; empty for an absolute one."""
    if not level:
        return ""
    parts = PurePosixPath(path).parts[:-level]
    return "/".join(parts) or "."
