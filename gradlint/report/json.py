"""The published JSON ("gradlint/1", `docs/json-schema.json`)."""

import msgspec

from gradlint.core.report import Report
from gradlint.core.serialise import json_schema
from gradlint.report.style import Style


def json(report: Report, style: Style | None = None) -> str:
    """One JSON document; `style` changes nothing."""
    return msgspec.json.format(msgspec.json.encode(report.to_dict()), indent=2).decode() + "\n"


def schema() -> str:
    """Text of `docs/json-schema.json`."""
    return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n"
