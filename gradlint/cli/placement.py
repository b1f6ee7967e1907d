"""Where `gradlint init` puts things: which files, and what becomes of their text. What a file holds already stays."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradlint.cli import files
from gradlint.core.errors import UsageError
from gradlint.core.location import Location

HOOKS = ".pre-commit-config.yaml"
_HOOK = """\
- repo: local
  hooks:
    - id: gradlint
      name: gradlint
      entry: gradlint check --with-dependents
      language: system  # it builds your models: it has to see the packages that they import
      types_or: [python, jupyter]
      require_serial: true
"""
_HAS_HOOK = re.compile(r"^[^#\n]*\bid:\s*[\"']?gradlint[\"']?\s*(#.*)?$", re.MULTILINE)
_REPOS = re.compile(r"^repos:[ \t]*(#.*)?$")
_NO_REPOS = re.compile(r"^repos:[ \t]*\[[ \t]*\][ \t]*(#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Change:
    """One file, as it is and as it will be."""

    path: Path
    before: str | None
    """None where there is no such file yet."""
    after: str

    def diff(self) -> str:
        """The change as a unified diff."""
        old = (self.before or "").splitlines(keepends=True)
        origin = "/dev/null" if self.before is None else shown(self.path)
        lines = difflib.unified_diff(old, self.after.splitlines(keepends=True), origin, shown(self.path))
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def write(self) -> None:
        """Replace the file in one step."""
        files.save(self.after, str(self.path))


def shown(path: Path) -> str:
    """Relative to the working directory where it lies in it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def repository_of(folder: Path) -> Path | None:
    """The root of the git repository that a folder lies in."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)


def settings_file(folder: Path) -> Path:
    """The nearest pyproject.toml of the repository, else a gradlint.toml: in its root, or here where there is none."""
    root = repository_of(folder) or folder
    for parent in (folder, *folder.parents):
        if (parent / "pyproject.toml").is_file():
            return parent / "pyproject.toml"
        if parent == root:
            break
    return root / "gradlint.toml"


def with_section(path: Path, section: str) -> Change:
    """A configuration file with a section behind what it holds.

    Raises:
        UsageError: the file says something to which no section can be added (`tool = { … }`).
    """
    import tomli

    before = _text(path)
    after = _appended(before or "", section)
    told = tomli.loads(after.lstrip("\ufeff")) if before is None else _parsed(path, after)
    if before is not None:
        (told.get("tool") or {}).pop("gradlint", None)
        old = _parsed(path, before)
        if {"tool": {}, **told} != {"tool": {}, **old}:
            raise UsageError(f"{shown(path)}: adding a section would change another one")
    return Change(path, before, after)


def with_hook(root: Path) -> Change | None:
    """The repository's pre-commit configuration with gradlint's hook; None where it has one.

    Raises:
        UsageError: a file whose list of repositories is not written as a block, which only its author should touch.
    """
    path = root / HOOKS
    before = _text(path)
    if before is None or not before.strip():
        return Change(path, before, f"repos:\n{_indented(_HOOK, '  ')}")
    if _HAS_HOOK.search(before):
        return None
    after = _inserted(before)
    if after is None:
        raise UsageError(
            f"{shown(path)}: its list of repositories cannot be added to; nothing was written",
            location=Location(str(path), 1),
            remedy=f"use --no-pre-commit, and add yourself:\n{_HOOK.rstrip()}",
        )
    return Change(path, before, after)


def _inserted(text: str) -> str | None:
    """With the hook as the last of `repos`; None where those are not a list in block style."""
    newline = "\r\n" if "\r\n" in text else "\n"
    if _NO_REPOS.search(text):
        return _NO_REPOS.sub(lambda _: f"repos:{newline}" + _indented(_HOOK, "  ", newline).rstrip(), text, count=1)
    lines = text.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines) if _REPOS.match(line.rstrip())), None)
    if start is None:
        return None
    indent, end = _block(lines, start + 1)
    following = next((line for line in lines[end:] if _says_something(line)), "")
    if indent is None or following[:1] in (" ", "\t", "-"):
        return None
    head = "".join(lines[:end])
    return head + ("" if head.endswith("\n") else newline) + _indented(_HOOK, indent, newline) + "".join(lines[end:])


def _block(lines: list[str], start: int) -> tuple[str | None, int]:
    """Indentation of the list that begins at a line, and the line behind its last item; None where there is no list."""
    indent, end = None, start
    for number, line in enumerate(lines[start:], start):
        if not _says_something(line):
            continue
        item = re.match(r"( *)- ", line)
        if indent is None and item:
            indent = item[1]
        if indent is None or not line.startswith((f"{indent}- ", f"{indent} ")):
            break
        end = number + 1
    return indent, end


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indented(text: str, indent: str, newline: str = "\n") -> str:
    return "".join(f"{indent}{line}{newline}" for line in text.splitlines())


def _appended(text: str, section: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text.strip("\ufeff") else newline if text.endswith("\n") else newline * 2
    return text + gap + section.replace("\n", newline)


def _text(path: Path) -> str | None:
    """What a file holds, with its line ends and its byte order mark; None where there is none."""
    try:
        return path.read_bytes().decode("utf-8") if path.exists() else None
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown(path)} is not valid UTF-8", remedy="save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"cannot read {shown(path)}: {error.strerror}") from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    import tomli

    try:
        return tomli.loads(text.lstrip("\ufeff"))
    except tomli.TOMLDecodeError as error:
        reason = f"{shown(path)}: [tool.gradlint] cannot be added behind what it holds ({error}); nothing was written"
        raise UsageError(reason, remedy="write `tool` as sections of their own: [tool.name]") from error
