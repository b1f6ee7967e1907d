"""Pointers of Git LFS: replaced by what they point at where that has been fetched."""

import os
import re
from pathlib import Path

from gradlint.engine.revisions.git import Git

_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_LARGEST = 1024
"""Bytes of a pointer, by its specification."""


class Pointers:
    """Those of one repository."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._store: Path | None = None
        self._absent = 0

    def content(self, data: bytes) -> bytes:
        """What a pointer points at; anything else, and a pointer to nothing that is here, as it is."""
        found = _POINTER.match(data) if len(data) <= _LARGEST else None
        if found is None:
            return data
        name = found[1].decode()
        try:
            return (self._objects() / name[:2] / name[2:4] / name).read_bytes()
        except FileNotFoundError:
            self._absent += 1
            return data

    def notes(self) -> list[str]:
        """How many point at nothing that is here."""
        if not self._absent:
            return []
        files = "a file is a pointer" if self._absent == 1 else f"{self._absent} files are pointers"
        return [f"{files} of Git LFS whose content is not in this clone: git lfs fetch"]

    def _objects(self) -> Path:
        if self._store is None:
            common = os.fsdecode(self._git.ask("rev-parse", "--git-common-dir").rstrip(b"\n"))
            self._store = self._git.top / common / "lfs" / "objects"
        return self._store
