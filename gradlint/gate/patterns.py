"""Patterns of paths in the configuration: as in `.gitignore`, relative to the configuration file's folder."""

from pathlib import Path

from gradlint.core.location import Location
from gradlint.discovery.ignored import spec_of


class Pattern:
    """One pattern; with `!` in front it means every other file. pathspec is imported only where there is a pattern."""

    def __init__(self, text: str, root: str, where: Location | None = None) -> None:
        """Relative to the folder `root`; raises UsageError, at the place `where`, for what is no pattern."""
        self._is_negated = text.startswith("!")
        self._root = Path(root or ".").resolve()
        self._spec = spec_of([text.removeprefix("!")], lambda _: where)

    def means(self, path: str) -> bool:
        """Whether it means a file, given by its absolute path; a file outside of the folder is meant by none."""
        full = Path(path)
        if not full.is_relative_to(self._root):
            return False
        return bool(self._spec.match_file(full.relative_to(self._root).as_posix())) is not self._is_negated
