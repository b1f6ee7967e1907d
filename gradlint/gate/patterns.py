"""Patterns of paths in the configuration: as in `.gitignore`, relative to the configuration file's folder."""

import re
from pathlib import Path
from typing import Any

from gradlint.core.errors import UsageError
from gradlint.core.location import Location


class Pattern:
    """One pattern; with `!` in front it means every other file. pathspec is imported only where there is a pattern."""

    def __init__(self, text: str, root: str, where: Location | None = None) -> None:
        """Relative to the folder `root`; raises UsageError, at the place `where`, for what is no pattern."""
        import pathspec

        self._is_negated = text.startswith("!")
        self._root = Path(root or ".").resolve()
        try:
            self._spec: Any = pathspec.GitIgnoreSpec.from_lines([text.removeprefix("!")])
        except (ValueError, re.error) as error:
            remedy = 'write it as in .gitignore: "legacy/*.py"'
            raise UsageError(f'"{text}" is no pattern of paths: {error}', location=where, remedy=remedy) from error

    def means(self, path: str) -> bool:
        """Whether it means a file, given by its absolute path; a file outside of the folder is meant by none."""
        full = Path(path)
        if not full.is_relative_to(self._root):
            return False
        return bool(self._spec.match_file(full.relative_to(self._root).as_posix())) is not self._is_negated
