"""The published JSON in lines: one object per finding, silenced finding, model and omission, then the summary."""

import msgspec

from gradlint.core.report import Report
from gradlint.report.style import Style

_KINDS = {"findings": "finding", "models": "model", "suppressed": "suppressed", "skipped": "skipped"}


def json_lines(report: Report, style: Style | None = None) -> str:
    """Objects as in `json`, each with its `type` and the `schema`; `style` changes nothing."""
    document = report.to_dict()
    records = [(kind, record) for key, kind in _KINDS.items() for record in document[key]]
    records.append(("summary", document["summary"]))
    lines = [{"schema": document["schema"], "type": kind, **record} for kind, record in records]
    return "".join(f"{msgspec.json.encode(line).decode()}\n" for line in lines)
