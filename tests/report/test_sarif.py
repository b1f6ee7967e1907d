"""SARIF 2.1.0 as GitHub and editors read it.

With the environment variable SARIF_MULTITOOL (the program of `npm i @microsoft/sarif-multitool-linux`) Microsoft's own
validator reads every document here, too.
"""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest

from gradlint import registry
from gradlint.core.location import Location
from gradlint.core.report import Report, Skipped
from gradlint.report.page import page
from gradlint.report.sarif import sarif
from gradlint.report.sarif_parts import place, region
from gradlint.report.style import Style

VALIDATOR = os.environ.get("SARIF_MULTITOOL", "")


def run_of(report: Report, style: Style) -> dict[str, Any]:
    document = json.loads(sarif(report, style))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    return dict(run)


def test_every_rule_that_is_loaded_has_its_page(style: Style) -> None:
    rules = run_of(Report(), style)["tool"]["driver"]["rules"]
    assert [rule["help"]["markdown"] for rule in rules] == [page(rule) for rule in registry.load().rules]
    assert len({rule["id"] for rule in rules}) == len({rule["name"] for rule in rules}) == len(rules) > 20
    assert all(rule["helpUri"].startswith("https://") and rule["shortDescription"]["text"] for rule in rules)


def test_results_name_their_rules(report: Report, style: Style) -> None:
    alien = replace(report.findings[0], code="XYZ1", name="a-strangers")
    run = run_of(replace(report, findings=(*report.findings, alien)), style)
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert next(rule for rule in rules if rule["id"] == "XYZ1")["name"] == "AStrangers"


def test_levels_and_suppressions(report: Report, style: Style) -> None:
    results = run_of(report, style)["results"]
    told = [
        (result["ruleId"], result["level"], [item["kind"] for item in result["suppressions"]]) for result in results
    ]
    assert told == [
        ("GL101", "error", []),
        ("GL302", "warning", ["external"]),
        ("GL503", "note", []),
        ("GL001", "warning", []),
        ("GL503", "note", ["inSource"]),
        ("GL302", "warning", ["external"]),
    ]
    assert results[1]["suppressions"][0]["justification"].startswith("refuted by a real backward pass: within")
    assert results[4]["suppressions"][0]["justification"] == "kept for later"
    assert results[5]["suppressions"][0]["justification"] == "in the baseline: moved from old.py"
    fingerprints = [result["partialFingerprints"]["gradlint/v1"] for result in results]
    assert len(set(fingerprints)) == len(fingerprints)


def test_the_way_of_the_gradient_is_a_code_flow(report: Report, style: Style) -> None:
    result = run_of(report, style)["results"][0]
    steps = result["codeFlows"][0]["threadFlows"][0]["locations"]
    lines = [step["location"]["physicalLocation"]["region"]["startLine"] for step in steps]
    assert lines == [9, 15]
    assert [related["id"] for related in result["relatedLocations"]] == [1]
    first = result["locations"][0]["physicalLocation"]
    assert first["artifactLocation"] == {"uri": "model.py", "uriBaseId": "SRCROOT"}
    assert first["region"]["snippet"]["text"].strip() == "layers += [nn.Linear(width, width), nn.Sigmoid()]"
    assert result["properties"]["verdict"] == "confirmed"
    assert result["properties"]["predicted"]["decades"] == 12.5
    assert result["properties"]["remedies"][0]["edit"] == "nn.GELU instead of nn.Sigmoid"


def test_what_was_not_analysed_is_a_notification(report: Report, clean: Report, style: Style) -> None:
    (invocation,) = run_of(report, style)["invocations"]
    told = [(n["descriptor"]["id"], n["level"]) for n in invocation["toolExecutionNotifications"]]
    assert told == [("not-analysed", "warning"), ("not-analysed", "error"), ("partly-analysed", "warning")]
    assert invocation["executionSuccessful"] is False
    assert run_of(clean, style)["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]
    some = replace(clean, skipped=(Skipped("odd.py", 3, "Odd", "it is odd"),))
    assert run_of(some, style)["invocations"][0]["executionSuccessful"] is True


def test_a_pack_that_cannot_be_loaded_is_told(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> registry.Registry:
        raise registry.PluginError("no rule pack is installed")

    monkeypatch.setattr(registry, "load", fail)
    run = run_of(Report(skipped=(Skipped("", 1, "", "no rule pack is installed", fatal=True),)), style)
    assert run["tool"]["driver"]["rules"] == []
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"] == "not analysed: no rule pack is installed"
    assert "locations" not in notification


@pytest.mark.parametrize(
    ("path", "flavour", "expected"),
    [
        ("pkg/a b.py", PurePosixPath, {"uri": "pkg/a%20b.py", "uriBaseId": "SRCROOT"}),
        ("./a:b?#%.py", PurePosixPath, {"uri": "a%3Ab%3F%23%25.py", "uriBaseId": "SRCROOT"}),
        ("a\x1b\n\udcff.py", PurePosixPath, {"uri": "a%1B%0A%FF.py", "uriBaseId": "SRCROOT"}),
        ("a\ud800.py", PurePosixPath, {"uri": "a%EF%BF%BD.py", "uriBaseId": "SRCROOT"}),
        ("/work/net.py", PurePosixPath, {"uri": "file:///work/net.py"}),
        ("pkg\\net.py", PureWindowsPath, {"uri": "pkg/net.py", "uriBaseId": "SRCROOT"}),
        ("C:\\work\\a b.py", PureWindowsPath, {"uri": "file:///C:/work/a%20b.py"}),
    ],
)
def test_uris(path: str, flavour: Any, expected: dict[str, str]) -> None:
    assert place(path, flavour) == expected


def test_a_file_beside_the_folder_has_a_whole_uri() -> None:
    uri = place("../net.py", PurePosixPath)["uri"]
    assert uri == f"file://{Path.cwd().parent.as_posix()}/net.py"


def test_an_end_before_the_start_is_left_out() -> None:
    assert region(Location("x.py", 0, 4, 4), Style()) == {"startLine": 1, "startColumn": 4}


@pytest.mark.skipif(not VALIDATOR, reason="SARIF_MULTITOOL names no validator")
@pytest.mark.parametrize("name", ["report", "clean", "foreign", "hostile", "failed"])
def test_microsofts_validator_has_nothing_to_say(
    name: str, style: Style, say: Callable[[str], Report], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = {
        "hostile": lambda: say("\x1b[31m\ud800\n%{0} {x} <b>"),
        "failed": lambda: Report(skipped=(Skipped("", 1, "", "x", fatal=True),)),
    }
    given = made[name]() if name in made else request.getfixturevalue(name)
    (tmp_path / "in.sarif").write_text(sarif(given, style), encoding="utf-8")
    command = [VALIDATOR, "validate", "in.sarif", "-o", "out.sarif", "--rule-kind", "Sarif;Ghas"]
    environment = {**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, timeout=120)
    assert b"1 files scanned" in done.stdout
    results = json.loads((tmp_path / "out.sarif").read_text(encoding="utf-8-sig"))["runs"][0]["results"]
    assert [result for result in results if result.get("level", "warning") in ("error", "warning")] == []
