"""GitLab's code quality report: a JSON list of issues, the subset of the Code Climate format that GitLab reads."""

from typing import Any

import msgspec

from gradlint.core.finding import Finding, Severity
from gradlint.core.report import Report, Skipped
from gradlint.core.text import tamed
from gradlint.registry import UNANALYSABLE
from gradlint.report.places import digest, fingerprints, in_cell, line_of, slashed
from gradlint.report.style import Style, plain, sentence, untold

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.INFO: "info"}


def gitlab(report: Report, style: Style | None = None) -> str:
    """Findings that stand, and what was not analysed; refuted and silenced findings are left out."""
    standing = report.standing
    names = fingerprints(standing, style or Style())
    issues = [_issue(finding, name) for finding, name in zip(standing, names, strict=True)]
    issues += [_omission(item) for item in dict.fromkeys(untold(report))]
    return msgspec.json.format(msgspec.json.encode(tamed(issues)), indent=2).decode() + "\n"


def _issue(finding: Finding, name: str) -> dict[str, Any]:
    where = finding.location
    return {
        "description": in_cell(where) + sentence(finding),
        "check_name": f"{finding.code} {finding.name}",
        "fingerprint": digest(name, where.path),  # one file's name must not be another's: GitLab drops the second
        "severity": _SEVERITIES[finding.severity],
        "location": {"path": slashed(where.path), "lines": {"begin": line_of(where)}},
    }


def _omission(item: Skipped) -> dict[str, Any]:
    """An issue for what could not be analysed: an empty report would say that all is well."""
    about = f"{item.name}: " if item.name else ""
    remedy = f" ({item.remedy})" if item.remedy else ""
    return {
        "description": plain(f"{in_cell(item)}{about}not analysed: {item.reason}{remedy}"),
        "check_name": " ".join(UNANALYSABLE),
        "fingerprint": digest("omission", item.file, item.name, str(item.line), item.reason, item.remedy),
        "severity": "blocker" if item.fatal else "major",
        "location": {"path": slashed(item.path) or ".", "lines": {"begin": line_of(item)}},
    }
