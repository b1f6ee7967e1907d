"""The smaller parts of a SARIF document: rules, artefact locations, regions."""

import inspect
import os
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

from gradlint.api import Rule
from gradlint.core.location import Location
from gradlint.core.text import tame
from gradlint.report.page import help_uri, page
from gradlint.report.places import line_of
from gradlint.report.style import Style


def descriptor(rule: Rule) -> dict[str, Any]:
    """A rule with its whole page as help."""
    text = page(rule)
    opening = inspect.cleandoc(type(rule).__doc__ or rule.summary).partition("\n\n")[0]
    uri = help_uri(rule)
    return {
        "id": rule.code,
        "name": _pascal(rule.name),
        "shortDescription": {"text": _sentence(rule.summary)},
        "fullDescription": {"text": _sentence(" ".join(opening.split()))},
        "help": {"text": text, "markdown": text},
        **({"helpUri": uri} if uri else {}),
        "defaultConfiguration": {"enabled": rule.level == "stable"},
        "properties": {"tags": ["pytorch", "gradients", rule.level]},
    }


def minimal(key: str, name: str, text: str) -> dict[str, Any]:
    """What stands in for a rule that has no page."""
    said = {"text": _sentence(text)}
    return {"id": key, "name": _pascal(name), "shortDescription": said, "fullDescription": said, "help": said}


def _pascal(name: str) -> str:
    """`saturating-stack` as `SaturatingStack`, the way SARIF names rules."""
    return "".join(part.capitalize() for part in name.split("-"))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def place(path: str, flavour: type[PurePath] = PureWindowsPath if os.name == "nt" else PurePosixPath) -> dict[str, str]:
    """An artefact: relative to where gradlint was started, or by its whole URI where it lies elsewhere.

    Percent escapes keep every byte of a file's name, also those that are no text, and none that is harmful.
    """
    pure = flavour(path)
    if not pure.is_absolute() and ".." in pure.parts:
        pure = flavour(os.path.normpath(flavour(os.getcwd()) / pure))  # noqa: PTH109 (of any flavour)
    if pure.is_absolute():
        return {"uri": f"file:///{_escaped(pure.as_posix().lstrip('/'), ':')}"}
    return {"uri": _escaped(pure.as_posix()), "uriBaseId": "SRCROOT"}


def _escaped(path: str, also: str = "") -> str:
    try:
        name = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair that stands for no byte
        name = tame(path).encode()
    return quote(name, safe=f"/{also}")


def region(where: Location, style: Style) -> dict[str, Any]:
    """Line and columns, with the source line as a snippet."""
    found: dict[str, Any] = {"startLine": max(1, where.line), "startColumn": max(1, where.column)}
    if where.cell is not None:  # viewers open the file as it is
        found = {"startLine": line_of(where), "startColumn": 1}
    elif where.end_column is not None and where.end_column > where.column:
        found["endColumn"] = where.end_column
    source = style.source(where.file, where.line)
    if source.strip():
        found["snippet"] = {"text": source}
    return found


def without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """The same without empty lists, texts and tables, and without what is not known."""
    return {key: value for key, value in document.items() if value not in (None, "", [], {})}
