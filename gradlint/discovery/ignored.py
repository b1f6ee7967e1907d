"""What a walk below a folder leaves out: environments, hidden folders, `exclude` patterns and `.gitignore` files."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradlint.config import Config, place_of
from gradlint.core.errors import UsageError
from gradlint.core.location import Location

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
        """Of a walk below `start`; raises UsageError for an `exclude` that is no pattern."""
        self._excluded = (
            (Path(config.root or "."), _excluded(config)) if config.exclude or config.extend_exclude else None
        )
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
                self._specs[folder] = _lenient(path.read_text(encoding="utf-8", errors="replace").splitlines())
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


def spec_of(patterns: Sequence[str], where: Callable[[str], Location | None] = lambda text: None) -> Any:
    """Patterns as in `.gitignore`, compiled; raises UsageError, placed by `where`, for one that is none."""
    import pathspec

    for text in patterns:
        try:
            pathspec.GitIgnoreSpec.from_lines([text])
        except (ValueError, re.error) as error:
            remedy = 'write it as in .gitignore: "legacy/*.py"'
            raise UsageError(
                f'"{text}" is no pattern of paths: {error}', location=where(text), remedy=remedy
            ) from error
    return pathspec.GitIgnoreSpec.from_lines(patterns)


def _excluded(config: Config) -> Any:
    def where(text: str) -> Location | None:
        return place_of(config, "exclude" if text in config.exclude else "extend-exclude")

    return spec_of((*config.exclude, *config.extend_exclude), where)


def _lenient(patterns: Sequence[str]) -> Any:
    """The lines of a `.gitignore`; one that is no pattern ignores nothing, as with git itself."""
    try:
        return spec_of(patterns)
    except UsageError:
        return spec_of([text for text in patterns if _is_pattern(text)])


def _is_pattern(text: str) -> bool:
    try:
        spec_of([text])
    except UsageError:
        return False
    return True


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
