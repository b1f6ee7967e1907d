"""Where findings are, as machines want to know it: paths with slashes, and names that survive moved lines."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence

from gradlint.core.finding import Finding
from gradlint.core.location import Location
from gradlint.core.report import ModelSummary, Skipped
from gradlint.core.text import tame
from gradlint.report.style import Style


def slashed(path: str, separator: str = os.sep) -> str:
    """A path as URIs, GitHub and GitLab write it: normalised, with forward slashes."""
    path = path.replace(separator, "/")
    parts = [part for number, part in enumerate(path.split("/")) if part not in ("", ".") or (number == 0 and not part)]
    return tame("/".join(parts) or path)


def line_of(place: Location | Skipped | ModelSummary) -> int:
    """The line as platforms want it, which show files as they are, notebooks as JSON (the first line, if need be)."""
    return max(1, place.line) if place.cell is None else place.row or 1


def in_cell(place: Location | Skipped | ModelSummary) -> str:
    """`cell 3, line 14: `, for what platforms show among lines of JSON; empty for other files."""
    return "" if place.cell is None else f"cell {place.cell}, line {place.line}: "


def fingerprints(findings: Sequence[Finding], style: Style) -> list[str]:
    """One name per finding that stays when lines move.

    Made of the rule, the model, the module and the text of the reported line without its white space; what is alike in
    all of these is told apart by counting, file by file. A finding without a source line is named by its message.
    """
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for finding in findings:
        where = finding.location
        line = "".join(style.source(where.file, where.line).split()) or finding.message
        key = digest(finding.code, finding.model, finding.module, line)
        seen[where.path, key] += 1
        names.append(f"{key}:{seen[where.path, key]}")
    return names


def digest(*parts: str) -> str:
    """A short hash of several texts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
