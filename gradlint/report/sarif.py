"""SARIF 2.1.0, for GitHub code scanning, Azure DevOps, editors."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gradlint import __version__, registry
from gradlint.api import Rule
from gradlint.core.finding import Finding, Severity, Verdict
from gradlint.core.location import Site
from gradlint.core.report import ModelSummary, Report, SilencedBy, Skipped, Suppressed
from gradlint.core.serialise import finding_to_dict
from gradlint.core.text import tame, tamed
from gradlint.gate.decision import ExitCode, exit_code
from gradlint.report.notes import Origins, notes
from gradlint.report.page import HOME
from gradlint.report.places import fingerprints, in_cell, line_of
from gradlint.report.sarif_parts import descriptor, minimal, place, region, without_empty
from gradlint.report.style import Style, plain, sentence

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_PROPERTIES = ("model", "module", "confidence", "verdict", "predicted", "measured", "remedies", "consequences")
_NOTIFICATIONS = {
    "not-analysed": "A model or a file that could not be analysed.",
    "partly-analysed": "A model whose gradient flow is not wholly known.",
    "general-note": "A remark on the whole run.",
}


def sarif(report: Report, style: Style | None = None, rules: Sequence[Rule] | None = None) -> str:
    """One SARIF document with the pages of all rules.

    Args:
        report: what was found. Silenced and refuted findings are kept as suppressed results.
        style: where source lines come from.
        rules: the rules that were loaded; without them those of all installed packs.
    """
    style = style or Style()
    findings = [*report.findings, *(item.finding for item in report.suppressed)]
    reasons = [_refuted(finding) for finding in report.findings]
    reasons += [_silenced(item) for item in report.suppressed]
    descriptors = _descriptors(_loaded() if rules is None else rules, findings)
    index = {entry["id"]: number for number, entry in enumerate(descriptors)}
    origins = Origins(report)
    results = []
    for finding, name, reason in zip(findings, fingerprints(findings, style), reasons, strict=True):
        extra = {"ruleIndex": index[finding.code], "partialFingerprints": {"gradlint/v1": name}, "suppressions": reason}
        results.append({**_result(finding, style, origins.of(finding)), **extra})
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(report, descriptors, results)]}
    return msgspec.json.format(msgspec.json.encode(tamed(document)), indent=2).decode() + "\n"


def _loaded() -> Sequence[Rule]:
    try:
        return registry.load().rules
    except registry.PluginError:  # the run has stopped at the same error: the report is about nothing else
        return ()


def _descriptors(rules: Sequence[Rule], findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The rules that were loaded, and those of findings that name another, ordered by code."""
    found = {rule.code: descriptor(rule) for rule in rules}
    for finding in findings:
        found.setdefault(finding.code, minimal(finding.code, finding.name, finding.name))
    return [found[code] for code in sorted(found)]


def _run(report: Report, descriptors: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
    driver = {
        "name": "gradlint",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": HOME,
        "rules": descriptors,
        "notifications": [minimal(key, key, text) for key, text in _NOTIFICATIONS.items()],
    }
    invocation = {
        "executionSuccessful": exit_code(report) is not ExitCode.ERROR,
        "toolExecutionNotifications": list(_notifications(report)),
    }
    return {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The folder that gradlint was started in."}}},
        "results": results,
    }


def _notifications(report: Report) -> Iterator[dict[str, Any]]:
    for item in report.unanalysed:
        yield _omission(item)
    for model in report.models:
        if model.gap:
            yield _gap(model)
    for note in report.notes:
        yield _notification("general-note", "note", plain(note), "", 0)


def _omission(item: Skipped) -> dict[str, Any]:
    about = f"{item.name}: " if item.name else ""
    remedy = f"\n{item.remedy}" if item.remedy else ""
    text = f"{plain(f'{in_cell(item)}{about}not analysed: {item.reason}')}{tame(remedy)}"
    return _notification(
        "not-analysed", "error" if item.fatal else "warning", text, item.path, line_of(item) if item.line else 0
    )


def _gap(model: ModelSummary) -> dict[str, Any]:
    text = plain(f"{in_cell(model)}{model.name}: partly analysed: {model.gap}")
    return _notification("partly-analysed", "warning", text, model.path, line_of(model))


def _notification(kind: str, level: str, text: str, path: str, line: int) -> dict[str, Any]:
    physical = {"artifactLocation": place(path), **({"region": {"startLine": line}} if line > 0 else {})}
    locations = [{"physicalLocation": physical}] if path else []
    number = list(_NOTIFICATIONS).index(kind)
    where = {"locations": locations} if locations else {}
    return {"descriptor": {"id": kind, "index": number}, "level": level, "message": {"text": text}, **where}


def _result(finding: Finding, style: Style, built: str) -> dict[str, Any]:
    first, *others = dict.fromkeys(finding.sites)
    document = finding_to_dict(finding)
    steps = [{"location": _location(site, style)} for site in (first, *others)]
    flow = [{"threadFlows": [{"locations": steps}]}] if others else []
    properties = {key: document[key] for key in _PROPERTIES}
    properties |= {"built": built, "notes": list(finding.notes)}
    headline = in_cell(finding.location) + sentence(finding)
    text = "\n".join([headline, *(f"{label}: {said}" for label, said in notes(finding))])
    return without_empty(
        {
            "ruleId": finding.code,
            "level": _LEVELS[finding.severity],
            "message": {"text": text},
            "locations": [_location(first, style)],
            "relatedLocations": [{"id": number, **_location(site, style)} for number, site in enumerate(others, 1)],
            "codeFlows": flow,
            "properties": without_empty(properties),
        }
    )


def _location(site: Site, style: Style) -> dict[str, Any]:
    where = site.location
    physical = {"artifactLocation": place(where.path), "region": region(where, style)}
    logical = [{"fullyQualifiedName": plain(where.context), "kind": "function"}] if where.context else []
    label = f"{in_cell(where)}{plain(site.label)}".removesuffix(": ")
    message = {"text": label} if label else {}
    return without_empty({"physicalLocation": physical, "logicalLocations": logical, "message": message})


def _silenced(item: Suppressed) -> list[dict[str, Any]]:
    """By a comment in the source, or by something outside of it, which is named."""
    if item.by is SilencedBy.COMMENT:
        return [without_empty({"kind": "inSource", "status": "accepted", "justification": plain(item.reason)})]
    reason = f"{item.by.words}: {plain(item.reason)}" if item.reason else item.by.words
    return [{"kind": "external", "status": "accepted", "justification": reason}]


def _refuted(finding: Finding) -> list[dict[str, Any]]:
    """A refuted finding does not count either; an empty list says that a result is not suppressed."""
    if finding.verdict is not Verdict.REFUTED:
        return []
    about = f": {plain(finding.verdict_reason)}" if finding.verdict_reason else ""
    return [
        {"kind": "external", "status": "accepted", "justification": f"refuted by a real backward pass{about}"},
    ]
