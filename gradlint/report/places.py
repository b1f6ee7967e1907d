"""Where findings are, as machines want to know it: paths with slashes, and names that survive moved lines."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence

from gradlint.core.finding import Finding
from gradlint.core.text import tame
from gradlint.report.style import Style


def slashed(path: str, separator: str = os.sep) -> str:
    """A path as URIs, GitHub and GitLab write it: normalised, with forward slashes."""
    path = path.replace(separator, "/")
    parts = [part for number, part in enumerate(path.split("/")) if part not in ("", ".") or (number == 0 and not part)]
    return tame("/".join(parts) or path)


def fingerprints(findings: Sequence[Finding], style: Style) -> list[str]:
    """One name per finding that stays when lines move.

    Made of the rule, the model, the module and the text of the reported line without its white space; what is alike in
    all of these is told apart by counting, file by file. A finding without a source line is named by its message.
    """
    seen: Counter[tuple[str, str]] = Counter()
    names = []
    for finding in findings:
        where = finding.location
        line = "".join(style.source(where.path, where.line).split()) or finding.message
        key = digest(finding.code, finding.model, finding.module, line)
        seen[where.path, key] += 1
        names.append(f"{key}:{seen[where.path, key]}")
    return names


def digest(*parts: str) -> str:
    """A short hash of several texts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
