"""What a walk below a folder leaves out: environments, hidden folders, `exclude` patterns and `.gitignore` files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradlint.config import Config

_NEVER_ENTERED = frozenset(["__pycache__", "node_modules", "site-packages", "dist-packages", "__pypackages__"])
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


def is_entered(folder: Path) -> bool:
    """Whether a folder can hold the user's own code: neither hidden nor an environment of installed packages."""
    if folder.name.startswith(".") or folder.name in _NEVER_ENTERED:
        return False
    return not any((folder / mark).exists() for mark in _ENVIRONMENT_MARKS)


class IgnoreFiles:
    """What a walk below one folder leaves out. pathspec is imported only where there is a pattern."""

    def __init__(self, start: Path, config: Config) -> None:
        patterns = (*config.exclude, *config.extend_exclude)
        self._excluded = (Path(config.root or "."), _spec(patterns)) if patterns else None
        self._specs: dict[Path, Any] = {}
        if config.respect_gitignore:
            for parent in _up_to_repository(start.resolve().parent, start.resolve()):
                self.enter(parent)

    def enter(self, folder: Path) -> None:
        """Take up the folder's own `.gitignore`."""
        folder = folder.resolve()
        path = folder / ".gitignore"
        if folder not in self._specs and path.is_file():
            try:
                self._specs[folder] = _spec(path.read_text(encoding="utf-8", errors="replace").splitlines())
            except OSError:
                return  # git could not read it either: it ignores nothing

    def matches(self, path: Path, *, is_folder: bool = False) -> bool:
        """Whether a path is left out."""
        full = path.parent.resolve() / path.name
        if self._excluded is not None:
            root, spec = self._excluded
            if full.is_relative_to(root) and spec.match_file(_below(full, root, is_folder)):
                return True
        verdict = False
        for folder, spec in sorted(self._specs.items(), key=lambda item: len(item[0].parts)):
            if full.is_relative_to(folder):
                include = spec.check_file(_below(full, folder, is_folder)).include
                verdict = verdict if include is None else include
        return verdict


def _below(path: Path, folder: Path, is_folder: bool) -> str:
    return path.relative_to(folder).as_posix() + ("/" if is_folder else "")


def _spec(patterns: Sequence[str]) -> Any:
    import pathspec

    return pathspec.GitIgnoreSpec.from_lines(patterns)


def _up_to_repository(parent: Path, start: Path) -> list[Path]:
    """Folders above `start`, outermost first, down from the root of its repository; none where there is none."""
    if (start / ".git").exists():
        return []
    chain: list[Path] = []
    for folder in (parent, *parent.parents):
        chain.append(folder)
        if (folder / ".git").exists():
            return chain[::-1]
    return []
