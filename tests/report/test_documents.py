"""The formats as their consumers read them: GitLab, JUnit readers, GitHub."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal
from xml.etree import ElementTree

import msgspec
import pytest

from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import Report, Skipped
from gradlint.report.github import github
from gradlint.report.gitlab import gitlab
from gradlint.report.junit import junit
from gradlint.report.markdown import markdown
from gradlint.report.places import fingerprints, slashed
from gradlint.report.style import Style

SOURCE = ["import torch", "layer = nn.Sigmoid()", "layer = nn.Sigmoid()", "", "other = 1"]


def reading(lines: Sequence[str]) -> Style:
    return Style(source=lambda path, line: lines[line - 1] if line <= len(lines) else "")


def found(line: int, path: str = "model.py", **changes: object) -> Finding:
    finding = Finding("GL101", "saturating-stack", Severity.ERROR, "starved", (Site(Location(path, line)),), "Net")
    return replace(finding, **changes)  # type: ignore[arg-type]


def test_fingerprints_stay_where_lines_move_and_are_indented() -> None:
    moved = ["", "# new", *(f"    {line}" for line in SOURCE)]
    before = fingerprints([found(2), found(5)], reading(SOURCE))
    after = fingerprints([found(4), found(7)], reading(moved))
    assert before == after
    assert len(set(before)) == 2


def test_fingerprints_tell_apart_what_is_alike() -> None:
    alike = [found(2), found(3), found(2, module="a"), found(2, model="B"), found(2, code="GL1"), found(9), found(9)]
    assert len(set(fingerprints(alike, reading(SOURCE)))) == len(alike)
    assert fingerprints(alike[:2], reading(SOURCE))[1].endswith(":2")


def test_a_finding_of_one_file_does_not_rename_those_of_another() -> None:
    alone = fingerprints([found(2, "b.py")], reading(SOURCE))
    assert fingerprints([found(2, "a.py"), found(2, "b.py")], reading(SOURCE))[1:] == alone


@pytest.mark.parametrize(
    ("path", "separator", "expected"),
    [
        ("pkg\\net.py", "\\", "pkg/net.py"),
        (".\\pkg\\\\net.py", "\\", "pkg/net.py"),
        ("C:\\work\\net.py", "\\", "C:/work/net.py"),
        ("a\\b.py", "/", "a\\b.py"),
        ("./pkg//net.py", "/", "pkg/net.py"),
        ("/work/net.py", "/", "/work/net.py"),
        ("../net.py", "/", "../net.py"),
    ],
)
def test_paths_have_slashes(path: str, separator: str, expected: str) -> None:
    assert slashed(path, separator) == expected


class Lines(msgspec.Struct, forbid_unknown_fields=True):
    begin: Annotated[int, msgspec.Meta(ge=1)]


class Place(msgspec.Struct, forbid_unknown_fields=True):
    path: Annotated[str, msgspec.Meta(min_length=1, pattern=r"^(?!\./|/)")]
    lines: Lines


class Issue(msgspec.Struct, forbid_unknown_fields=True):
    """What GitLab documents of its code quality report: all of it is required, paths are relative without `./`."""

    description: Annotated[str, msgspec.Meta(min_length=1)]
    check_name: Annotated[str, msgspec.Meta(min_length=1)]
    fingerprint: Annotated[str, msgspec.Meta(min_length=1)]
    severity: Literal["info", "minor", "major", "critical", "blocker"]
    location: Place


def issues(report: Report, style: Style) -> list[Issue]:
    return msgspec.json.decode(gitlab(report, style), type=list[Issue])


def test_gitlab_is_told_of_what_counts(report: Report, style: Style) -> None:
    told = issues(report, style)
    assert [(issue.check_name.split()[0], issue.severity, issue.location.lines.begin) for issue in told] == (
        [("GL101", "critical", 9), ("GL503", "info", 12), ("GL001", "major", 3), ("GL001", "blocker", 1)]
    )


def test_gitlab_gets_no_fingerprint_twice() -> None:
    alike = (found(2, "a.py"), found(2, "b.py"), found(3, "a.py"))
    gone = tuple(Skipped(path, 0, "", "gone") for path in ("x.py", "y.py", "x.py"))
    told = issues(Report(findings=alike, skipped=gone), reading(SOURCE))
    assert len({issue.fingerprint for issue in told}) == len(told) == 5


def test_gitlab_is_told_of_a_run_that_failed() -> None:
    (issue,) = issues(Report(skipped=(Skipped("", 1, "", "no such rule", fatal=True),)), Style())
    assert (issue.severity, issue.location.path) == ("blocker", ".")


HEADLINE = {"message", "type"}
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped"},
    "testcase": {"name", "classname"},
    "failure": HEADLINE,
    "error": HEADLINE,
    "skipped": HEADLINE,
    "system-out": set(),
}
"""What the schemas of Jenkins (xunit plugin) and Ant both know, and which of it is required is always there."""
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def check_structure(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) == ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    for suite in root.iter("testsuite"):
        cases = list(suite)
        assert int(suite.attrib["tests"]) == len(cases)
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            first = [case[0].tag for case in cases if len(case)]
            assert int(suite.attrib[kind]) == first.count(tag)
    for kind in ("tests", "failures", "errors"):
        assert int(root.attrib[kind]) == sum(int(suite.attrib[kind]) for suite in root)
    return root


def test_junit_has_a_case_per_model(report: Report, clean: Report, foreign: Report, style: Style) -> None:
    names = [[case.attrib["name"] for case in check_structure(junit(given, style)).iter("testcase")] for given in (
        report, clean, foreign, Report())]  # fmt: skip
    assert names == [["SigmoidMLP", "Odd", "(file)"], ["Net", "Other"], ["Модель"], []]


def test_junit_fails_on_findings_that_count_and_errs_where_nothing_was_analysed(report: Report, style: Style) -> None:
    root = check_structure(junit(report, style))
    assert [element.attrib["type"] for element in root.iter("failure")] == ["GL101 saturating-stack"]
    assert [element.attrib["message"] for element in root.iter("error")] == (
        ["it is odd", 'there is no file or directory "gone.py"']
    )
    (said,) = [element.text or "" for element in root.iter("system-out")]
    assert "[refuted]" in said and "info[GL503]" in said and "silenced by a comment (kept for later)" in said
    assert "in the baseline (moved from old.py): model.py:11:1" in said


def test_junit_counts_a_case_once_that_failed_in_two_ways(clean: Report) -> None:
    odd = Skipped("model.py", 4, "Net", "a rule failed", stage="rules")
    root = check_structure(junit(replace(clean, findings=(found(2), found(3)), skipped=(odd,)), reading(SOURCE)))
    assert [child.tag for child in root[0][0]] == ["error", "failure", "failure", "system-out"]
    assert (root.attrib["errors"], root.attrib["failures"]) == ("1", "0")


def test_junit_puts_a_finding_in_a_shared_layer_to_its_model(clean: Report) -> None:
    elsewhere = found(2, "layers.py", model="Other")
    ownerless = found(2, "layers.py", model="")
    root = check_structure(junit(replace(clean, findings=(elsewhere, ownerless)), reading(SOURCE)))
    failed = [
        (case.attrib["classname"], case.attrib["name"])
        for case in root.iter("testcase")
        if case.find("failure") is not None
    ]
    assert failed == [("model", "Other"), ("layers", "(file)")]


def test_github_shows_ten_of_each_level_and_says_how_many_are_left() -> None:
    findings = tuple(
        found(2, severity=level) for level in Severity for _ in range(12 if level is Severity.INFO else 11)
    )
    lines = github(Report(findings=findings, files=1), reading(SOURCE)).splitlines()
    for level in ("error", "warning", "notice"):
        assert sum(1 for line in lines if line.startswith(f"::{level} ")) == 10
    left = "Left out as annotations: 1 error, 1 warning, 2 notes. GitHub shows 10 of each level; all are below."
    assert lines[30] == left
    assert lines[31].startswith("::stop-commands::")
    assert any(line.startswith("Found 11 errors, 11 warnings, 12 notes") for line in lines[32:])


def test_github_annotates_no_refuted_finding(report: Report, style: Style) -> None:
    annotations = [line for line in github(report, style).splitlines() if line.startswith("::")]
    assert not any("GL302" in line for line in annotations)
    assert "error[GL101]" in github(report, style) and "(refuted)" in github(report, style)


def test_long_markdown_fits_into_a_comment_and_says_what_is_left_out() -> None:
    findings = tuple(found(2, message=f"number {number} " + "|" * 300) for number in range(200))
    skipped = tuple(Skipped("x.py", 1, f"M{number}", "no " * 100) for number in range(200))
    text = markdown(Report(findings=findings, skipped=skipped, files=2), reading(SOURCE))
    assert 30_000 < len(text) < 65_536
    for noun in ("further findings", "further details", "more was not analysed"):
        assert f"*Left out here for want of room: {noun}" in text
    assert text.count("<details>") == text.count("</details>") > 0
