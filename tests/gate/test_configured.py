"""What `per-file-ignores`, `severity` and `[[overrides]]` make of findings."""

from collections.abc import Callable

import pytest

from gradlint import registry
from gradlint.config import Config
from gradlint.core.entries import OverrideEntry
from gradlint.core.errors import UsageError
from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import SilencedBy
from gradlint.gate.configured import Configured, Settled, graded


def finding(code: str = "GL101", path: str = "/p/m.py", *, model: str = "Net", module: str = "body.0") -> Finding:
    name = registry.load().names[code]
    return Finding(code, name, Severity.ERROR, "bad", (Site(Location(path, 3)),), model=model, module=module)


def configured(**settings: object) -> Configured:
    config = Config(root="/p", **settings)  # type: ignore[arg-type]
    return Configured(config, registry.select(registry.load(), config))


def override(rule: str = "GL101", reason: str = "it is meant", **given: str) -> OverrideEntry:
    return OverrideEntry(rule=rule, reason=reason, **given)  # type: ignore[arg-type]


def settle(*findings: Finding, path: str = "/p/m.py", **settings: object) -> Settled:
    return configured(**settings).settle(findings, path)


@pytest.mark.parametrize(
    ("pattern", "selector", "is_silenced"),
    [
        ("m.py", "GL101", True),
        ("*.py", "GL1", True),
        ("/m.py", "saturating-stack", True),
        ("p/", "GL101", False),
        ("sub/*.py", "GL101", False),
        ("m.py", "GL102", False),
        ("!m.py", "GL101", False),
        ("!sub/", "GL101", True),
    ],
)
def test_per_file_ignores(pattern: str, selector: str, is_silenced: bool) -> None:
    settled = settle(finding(), per_file_ignores={"other.py": ("GL",), pattern: (selector,)})
    assert [(item.by, item.reason) for item in settled.suppressed] == (
        [(SilencedBy.PER_FILE_IGNORES, f'"{pattern}"')] if is_silenced else []
    )
    assert settled.findings == (() if is_silenced else (finding(),))


def test_any_file_that_the_finding_names_will_do_but_none_outside_of_the_folder() -> None:
    ignores = {"layers/**": ("GL101",)}
    assert settle(finding(path="/p/layers/act.py"), per_file_ignores=ignores).findings == ()
    assert settle(finding(), path="/p/layers/net.py", per_file_ignores=ignores).findings == ()
    assert len(settle(finding(path="/q/layers/act.py"), path="/q/m.py", per_file_ignores=ignores).findings) == 1


@pytest.mark.parametrize(
    ("given", "is_meant"),
    [
        ({"path": "m.py"}, True),
        ({"model": "Net"}, True),
        ({"model": "N*", "module": "body.?"}, True),
        ({"rule": "saturating-stack", "path": "*.py"}, True),
        ({"rule": "gl101", "path": "*.py"}, True),
        ({"rule": "GL102", "path": "m.py"}, False),
        ({"path": "n.py"}, False),
        ({"model": "net"}, False),
        ({"module": ""}, False),
        ({"model": "Net", "module": "tail"}, False),
    ],
)
def test_an_override_means_what_fits_all_of_its_keys(given: dict[str, str], is_meant: bool) -> None:
    settled = settle(finding(), overrides=(override(**given),))
    assert bool(settled.suppressed) is bool(settled.used) is is_meant
    assert bool(settled.findings) is not is_meant


def test_an_override_silences_with_its_reason_or_changes_the_severity() -> None:
    (silenced,) = settle(finding(), overrides=(override(model="Net"),)).suppressed
    assert (silenced.by, silenced.reason) == (SilencedBy.OVERRIDE, "it is meant")
    (changed,) = settle(finding(), overrides=(override(model="Net", severity="info"),)).findings
    assert changed.severity is Severity.INFO
    assert changed.notes == ("error made info by the configuration: it is meant",)


def test_the_first_of_several_overrides_holds_and_none_is_idle() -> None:
    settled = settle(finding(), overrides=(override(model="Net", severity="warning"), override(path="m.py")))
    assert [f.severity for f in settled.findings] == [Severity.WARNING]
    assert settled.used == {0, 1}


def test_an_override_of_what_another_finding_explains_is_not_idle() -> None:
    cause = Finding(
        "GL401", "x", Severity.ERROR, "bad", (Site(Location("/p/m.py", 1)),), model="Net", consequences=("GL101",)
    )
    assert settle(cause, overrides=(override(model="Net", module="tail"),)).used == {0}
    assert settle(cause, overrides=(override(model="Other"),)).used == frozenset()


def known(*files: str) -> Callable[[Callable[[str], bool]], bool]:
    """All of these are there, but only those that start with an m were checked."""
    return lambda means: all(file.startswith("/p/m") for file in files if means(file))


def test_an_idle_override_is_told_where_all_that_it_means_was_checked() -> None:
    entries = (override(path="m.py"), override(model="Net"), override(path="n.py"), override("GL102", module="a"))
    one, two = configured(overrides=entries, ignore=("GL102",)).idle((), known("/p/m.py"))[:2]
    assert one.message == 'the override of GL101 (path "m.py") fits no finding'
    assert (one.code, one.severity, one.location) == ("GL002", Severity.WARNING, Location("configuration", 1))
    assert two.message == 'the override of GL101 (model "Net") fits no finding'
    told = configured(overrides=entries).idle({1}, known("/p/m.py", "/p/n.py"))
    assert [f.message for f in told] == ['the override of GL101 (path "m.py") fits no finding']
    assert configured(overrides=entries, ignore=("GL002",)).idle((), known("/p/m.py")) == ()


def selection(**settings: object) -> registry.Selection:
    return registry.select(registry.load(), Config(**settings))  # type: ignore[arg-type]


def test_severities_go_by_the_longest_selector_and_off_is_ignored() -> None:
    chosen = selection(
        severity={"GL1": "info", "saturating-stack": "error", "GL4": "off", "GL2": "off", "GL201": "info"}
    )
    assert chosen.severities["GL101"] is Severity.ERROR
    assert chosen.severities["GL102"] is Severity.INFO
    assert "GL401" not in chosen.codes
    assert "GL201" in selection(severity={"GL2": "off"}, select=("GL201",)).codes
    both = selection(severity={"GL101": "info", "saturating-stack": "warning"})
    assert both.severities["GL101"] is Severity.WARNING  # of two that say it alike the severer


def test_findings_of_the_engine_are_graded_and_others_are_not() -> None:
    chosen = selection(severity={"GL": "info"})
    assert graded(finding("GL002"), chosen).severity is Severity.INFO
    assert graded(finding("GL101"), chosen).severity is Severity.ERROR


@pytest.mark.parametrize(
    ("settings", "message", "remedy"),
    [
        ({"severity": {"GL9": "info"}}, 'no rule matches "GL9"', "GL001"),
        ({"per_file_ignores": {"a.py": ("saturated-stack",)}}, 'no rule matches "saturated-stack"', "saturating-stack"),
        ({"per_file_ignores": {"a.py": ()}}, '"a.py" names no rule', "legacy"),
        ({"per_file_ignores": {"!": ("GL1",)}}, '"!" names no file', "legacy"),
        ({"overrides": (override("GL1", path="a.py"),)}, '"GL1" is no rule', "did you mean"),
    ],
)
def test_selectors_that_cannot_be_meant_are_refused(settings: dict[str, object], message: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        selection(**settings)
    assert message in caught.value.message
    assert remedy in caught.value.remedy
