"""The published JSON of a comparison ("gradlint-diff/1", `docs/diff-schema.json`)."""

import msgspec

from gradlint.core.comparison import Comparison
from gradlint.core.serialise_comparison import comparison_schema, comparison_to_dict
from gradlint.report.style import Style


def diff_json(comparison: Comparison, style: Style | None = None) -> str:
    """One JSON document; `style` changes nothing."""
    return msgspec.json.format(msgspec.json.encode(comparison_to_dict(comparison)), indent=2).decode() + "\n"


def schema() -> str:
    """Text of `docs/diff-schema.json`."""
    return msgspec.json.format(msgspec.json.encode(comparison_schema()), indent=2).decode() + "\n"
