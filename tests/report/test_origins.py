"""Every format for people says how the model of a finding was built, and what it was fed with."""

from dataclasses import replace

import pytest

from gradlint.cli.formats import FORMATS
from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import ModelSummary, Report
from gradlint.report.full import full
from gradlint.report.notes import Origins
from gradlint.report.style import Style

BUILT = "guessed: hidden=64; fed (8, 64) float32 (derived from Linear stem)"


def finding(line: int, path: str = "net.py", model: str = "Net") -> Finding:
    return Finding(
        "GL102", "vanishing-gradient", Severity.ERROR, "it falls", (Site(Location(path, line)),), model=model
    )


MODEL = ModelSummary("Net", "net.py", 1, "guessed: hidden=64", "(8, 64) float32 (derived from Linear stem)")
REPORT = Report((finding(3), finding(4)), (MODEL,), files=1)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("concise", "gitlab", "json", "json-lines")])
def test_it_is_said(name: str) -> None:
    assert BUILT in FORMATS[name](REPORT, Style(source=lambda unit, line: ""))


@pytest.mark.parametrize("name", ["json", "json-lines"])
def test_it_has_fields_of_its_own(name: str) -> None:
    text = FORMATS[name](REPORT, Style()).replace('": "', '":"')
    assert '"built":"guessed: hidden=64"' in text
    assert '"inputs":"(8, 64) float32 (derived from Linear stem)"' in text


def test_lines_for_editors_say_it_where_they_are_asked_to() -> None:
    assert BUILT not in FORMATS["concise"](REPORT, Style())
    assert f"net.py:1: built: Net: {BUILT}\n" in FORMATS["concise"](REPORT, Style(verbose=True))


def test_it_is_said_once_of_a_model() -> None:
    assert full(REPORT).count(BUILT) == 1
    other = replace(MODEL, name="Other", built="defaults")
    assert (
        full(replace(REPORT, findings=(finding(3), finding(9, model="Other")), models=(MODEL, other))).count("= built")
        == 2
    )


def test_of_which_model_a_finding_is() -> None:
    twin = replace(MODEL, path="twin.py", built="defaults")
    origins = Origins(replace(REPORT, models=(MODEL, twin)))
    assert origins.of(finding(3, "twin.py")).startswith("defaults; fed")
    assert origins.of(finding(3, "layers.py")) == ""  # either could be meant
    assert origins.of(finding(3, model="")) == ""
    assert Origins(REPORT).of(finding(3, "layers.py")) == BUILT
