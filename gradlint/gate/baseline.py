"""The file of known findings: one sorted line per entry, so that branches merge and diffs can be read.

```json
{
"version": 1,
"findings": [
{"path": "net.py", "model": "Net", "module": "body", "rule": "GL101", "hash": "3f0c…", "count": 1},
null
]
}
```

The closing `null` lets every entry's line end alike: adding one touches no other.
"""

import json
import os
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gradlint.core.errors import UsageError
from gradlint.core.location import Location

VERSION = 1
DEFAULT_NAME = "gradlint-baseline.json"
_CONFLICT = re.compile(r"(<<<<<<<|=======|>>>>>>>|\|\|\|\|\|\|\|)( |$)")
_ENTRY = re.compile(r'"hash"\s*:')

Key = tuple[str, str, str, str]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """So many findings of one rule in one module of one model; the path says where they were last seen."""

    path: str
    model: str
    module: str
    rule: Annotated[str, msgspec.Meta(min_length=1)]
    hash: Annotated[str, msgspec.Meta(min_length=1)]
    count: Annotated[int, msgspec.Meta(ge=1)] = 1

    @property
    def key(self) -> Key:
        """What makes it the same finding, wherever it stands."""
        return (self.rule, self.model, self.module, self.hash)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline as it was read; `lines` holds the line of each entry."""

    path: Path
    entries: tuple[Entry, ...] = ()
    lines: tuple[int, ...] = ()

    def shown(self, path: str) -> str:
        """A file as entries name it: relative to the baseline's folder, with forward slashes."""
        try:
            return Path(os.path.relpath(path, self.path.parent)).as_posix()
        except ValueError:  # another drive of Windows
            return Path(path).as_posix()

    def place(self, path: str) -> Path:
        """Where the file of an entry lies."""
        return Path(os.path.normpath(self.path.parent / path))


def read_baseline(path: Path) -> Baseline:
    """Read a baseline; raises UsageError that names the file, the line, what was expected and what to do."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        remedy = f"write it: gradlint baseline write --baseline {path}"
        raise UsageError(f"there is no baseline {path}", remedy=remedy) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"cannot read the baseline {path}: {reason}", remedy="name a file that can be read") from error
    return replace(parse_baseline(text, path), path=path.resolve())


def parse_baseline(text: str, path: Path) -> Baseline:
    """A baseline out of its text; raises UsageError as `read_baseline` does."""
    found = _entries(_document(text, path), text, path)
    return Baseline(path, tuple(found), _lines(text, len(found)))


def write_baseline(path: Path, entries: Iterable[Entry]) -> bool:
    """Write a baseline in one step (a reader sees the old or the new one); whether anything has changed.

    Raises:
        UsageError: it cannot be written; what was there before is left as it is.
    """
    lines = [json.dumps(msgspec.to_builtins(entry), ensure_ascii=False) for entry in sorted(entries)]
    head = ["{", f'"version": {VERSION},', '"findings": [']
    data = "".join(f"{line}\n" for line in [*head, *(f"{line}," for line in lines), "null", "]", "}"]).encode()
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        beside.write_bytes(data)
        if path.exists():
            beside.chmod(path.stat().st_mode)
        beside.replace(path)
    except OSError as error:
        reason = f"cannot write the baseline {path}: {error.strerror or error}"
        raise UsageError(reason, remedy="name another one with --baseline PATH") from error
    finally:
        if os.path.lexists(beside):
            beside.unlink()
    return True


def _document(text: str, path: Path) -> list[Any]:
    """The list of entries of a file of the version that is understood."""
    again = f"mend that line, or delete the file and write it anew: gradlint baseline write --baseline {path}"
    for number, line in enumerate(text.splitlines(), start=1):
        if _CONFLICT.match(line):
            where, remedy = Location(str(path), number), "keep the lines of both sides and delete the marks"
            raise UsageError("the baseline holds the marks of a merge conflict", location=where, remedy=remedy)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        where = Location(str(path), error.lineno, error.colno)
        raise UsageError(f"the baseline is not valid JSON: {error.msg}", location=where, remedy=again) from error
    except RecursionError as error:
        raise UsageError("the baseline is nested too deeply", location=Location(str(path), 1), remedy=again) from error
    top = Location(str(path), 1)
    if not isinstance(document, dict) or type(document.get("version")) is not int:
        raise UsageError('this is no baseline: expected {"version": 1, "findings": […]}', location=top, remedy=again)
    if document["version"] != VERSION:
        reason = f"the baseline is of version {document['version']}, expected {VERSION}"
        raise UsageError(reason, location=top, remedy="upgrade gradlint, or delete the file and write it anew")
    findings = document.get("findings")
    unknown = sorted(document.keys() - {"version", "findings"})
    if unknown or not isinstance(findings, list):
        reason = f'unknown key "{unknown[0]}"' if unknown else '"findings": expected a list'
        raise UsageError(f"the baseline cannot be read: {reason}", location=top, remedy=again)
    return findings[:-1] if findings and findings[-1] is None else findings


def _entries(given: list[Any], text: str, path: Path) -> list[Entry]:
    found = []
    for index, item in enumerate(given):
        try:
            entry = msgspec.convert(item, Entry)
            msgspec.json.encode(entry)  # half a surrogate pair could not be printed later
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            message, _, key = str(error).partition(" - at `$.")
            about = f"findings[{index}]" + (f".{key.rstrip('`')}" if key else "")
            where = Location(str(path), _lines(text, len(given))[index])
            remedy = f"mend that line, or delete it and run: gradlint baseline write --baseline {path}"
            raise UsageError(f"{about}: {message[:1].lower()}{message[1:]}", location=where, remedy=remedy) from error
        found.append(msgspec.structs.replace(entry, path=posixpath.normpath(entry.path)))
    return found


def _lines(text: str, count: int) -> tuple[int, ...]:
    """Line of each entry, by its hash; the first line where they cannot be told apart."""
    found = [text.count("\n", 0, match.start()) + 1 for match in _ENTRY.finditer(text)]
    return tuple(found) if len(found) == count else (1,) * count
