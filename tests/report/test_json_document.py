"""The published JSON: its shape, its schema, and figures that JSON cannot hold."""

import json as stdlib_json
from pathlib import Path

import msgspec

from gradlint.core.report import Report
from gradlint.core.serialise import ReportDocument
from gradlint.report.json import json, schema

DOCS = Path(__file__).parents[2] / "docs" / "json-schema.json"


def test_to_dict_is_the_printed_document(report: Report) -> None:
    assert stdlib_json.loads(json(report)) == report.to_dict()


def test_shape(report: Report) -> None:
    document = report.to_dict()
    assert list(document) == ["schema", "summary", "models", "findings", "suppressed", "skipped"]
    assert document["schema"] == "gradlint/1"
    assert list(document["models"][0]) == (
        [
            "name",
            "path",
            "line",
            "built",
            "inputs",
            "traced_by",
            "nodes",
            "unknown_operators",
            "parameters",
            "attenuation",
            "flow_not_known",
            "architecture",
        ]
    )
    assert list(document["findings"][0]) == (
        [
            "code",
            "name",
            "severity",
            "confidence",
            "message",
            "path",
            "line",
            "column",
            "model",
            "module",
            "sites",
            "predicted",
            "measured",
            "verdict",
            "remedies",
            "consequences",
        ]
    )
    assert list(document["skipped"][0]) == ["path", "line", "name", "reason", "remedy"]
    assert document["findings"][0]["remedies"][0] == {
        "edit": "nn.GELU instead of nn.Sigmoid",
        "predicted": "leaves a loss of 1.9 decades",
    }
    assert [(item["by"], item["reason"], item["finding"]["code"]) for item in document["suppressed"]] == [
        ("comment", "kept for later", "GL503"),
        ("baseline", "moved from old.py", "GL302"),
    ]
    assert document["findings"][1]["verdict"] == "refuted"
    assert document["summary"] == {
        "errors": 1,
        "warnings": 1,
        "infos": 1,
        "refuted": 1,
        "suppressed": 1,
        "baselined": 1,
        "files": 3,
        "models": 1,
        "unanalysed": 2,
    }


def test_infinite_figures_are_strings(report: Report) -> None:
    assert report.to_dict()["findings"][0]["measured"]["decades"] == "inf"


def test_every_document_fits_the_published_schema(report: Report) -> None:
    for given in (report, Report()):
        assert msgspec.json.decode(json(given), type=ReportDocument).schema == "gradlint/1"


def test_the_schema_in_docs_is_the_one_of_the_code() -> None:
    """To write it anew: python -c "from gradlint.report.json import schema; print(schema(), end='')"."""
    assert DOCS.read_text(encoding="utf-8") == schema()
