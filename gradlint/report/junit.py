"""JUnit XML, for Jenkins, GitLab and others that show tests: a test suite per file, a test case per model."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gradlint.core.finding import Finding, Severity, Verdict
from gradlint.core.report import Report, Skipped
from gradlint.core.text import tame
from gradlint.registry import UNANALYSABLE
from gradlint.report.notes import notes, origin
from gradlint.report.places import slashed
from gradlint.report.style import Style, plain, sentence

_FILE = "(file)"
"""Test case of what is found in no model."""


@dataclass(slots=True)
class _Case:
    """What becomes one test case."""

    failures: list[Finding] = field(default_factory=list)
    errors: list[Skipped] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """As which it counts; one that failed twice counts once."""
        kinds = {"errors": self.errors, "failures": self.failures, "skipped": self.skipped}
        return next((kind for kind, items in kinds.items() if items), "")


_Suites = dict[str, dict[str, _Case]]
"""Test cases by file and by name."""


def junit(report: Report, style: Style | None = None) -> str:
    """A failure per finding that counts, an error per model that was not analysed; the rest stands in `system-out`."""
    suites = _suites(report, style or Style())
    every = [case for cases in suites.values() for case in cases.values()]
    root = Element("testsuites", {"name": "gradlint", "time": f"{report.seconds:.3f}", **_counts(every)})
    root.attrib.pop("skipped")  # only suites count these
    for path, cases in suites.items():
        suite = SubElement(root, "testsuite", {"name": slashed(path) or "gradlint", **_counts(cases.values())})
        for name, case in cases.items():
            _write(suite, path, name, case)
    indent(root)
    for element in root.iter():
        element.text = tame(element.text or "") or None
        element.attrib.update({key: tame(value) for key, value in element.attrib.items()})
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suites(report: Report, style: Style) -> _Suites:
    suites: _Suites = {}
    for model in report.models:
        case = _case(suites, model.path, model.name)
        case.remarks.append(f"built {origin(model)}")
        case.remarks += [f"partly analysed: {model.gap}"] if model.gap else []
    for item in report.skipped:
        if item.is_model:
            _case(suites, item.path, item.name).errors.append(item)
        elif style.show_skipped or report.files == 1:
            _case(suites, item.path, item.name).skipped.append(item)
    for finding in report.findings:
        _add(finding, _case(suites, _home(finding, suites), finding.model))
    for silenced in report.suppressed:
        reason = f" ({silenced.reason})" if silenced.reason else ""
        case = _case(suites, _home(silenced.finding, suites), silenced.finding.model)
        case.remarks.append(f"{silenced.by.words}{reason}: {_headline(silenced.finding)}")
    return suites


def _case(suites: _Suites, path: str, name: str) -> _Case:
    return suites.setdefault(path, {}).setdefault(name or _FILE, _Case())


def _home(finding: Finding, suites: _Suites) -> str:
    """The file of the finding's model, which may be built of layers that another file defines."""
    own = finding.location.path
    homes = [path for path, cases in suites.items() if finding.model and finding.model in cases]
    return own if own in homes or not homes else homes[0]


def _add(finding: Finding, case: _Case) -> None:
    """Where a finding belongs: notes and refuted ones fail nothing, and what an error tells of is told once."""
    if finding.verdict is Verdict.REFUTED or finding.severity is Severity.INFO:
        case.remarks.append(_text(finding))
    elif not (finding.code == UNANALYSABLE[0] and case.errors):
        case.failures.append(finding)


def _counts(cases: Iterable[_Case]) -> dict[str, str]:
    outcomes = [case.outcome for case in cases]
    kinds = ("failures", "errors", "skipped")
    return {"tests": str(len(outcomes)), **{kind: str(outcomes.count(kind)) for kind in kinds}}


def _write(suite: Element, path: str, name: str, case: _Case) -> None:
    classname = slashed(path).removesuffix(".py").removesuffix(".ipynb").strip("./").replace("/", ".") or "gradlint"
    element = SubElement(suite, "testcase", {"name": plain(name), "classname": classname})
    for item in case.errors:
        SubElement(element, "error", _reason(item)).text = _omission(item)
    for finding in case.failures:
        headline = {"type": plain(f"{finding.code} {finding.name}"), "message": sentence(finding)}
        SubElement(element, "failure", headline).text = _text(finding)
    for item in case.skipped:
        SubElement(element, "skipped", _reason(item)).text = _omission(item)
    if case.remarks:
        SubElement(element, "system-out").text = "\n".join(case.remarks)


def _headline(finding: Finding) -> str:
    where = finding.location
    verdict = f" [{finding.verdict.value}]" if finding.verdict is not None else ""
    kind = f"{finding.severity.value}[{finding.code}] {finding.name}"
    return plain(f"{where.file}:{where.line}:{where.column}: {kind} {sentence(finding)}{verdict}")


def _text(finding: Finding) -> str:
    places = [
        f"{plain(site.location.file)}:{site.location.line} {plain(site.label)}".rstrip() for site in finding.sites[1:]
    ]
    said = [f"{label}: {text}" for label, text in notes(finding)]
    return "\n".join([_headline(finding), *places, *said])


def _reason(item: Skipped) -> dict[str, str]:
    return {"type": plain(item.stage) or "not analysed", "message": plain(item.reason)}


def _omission(item: Skipped) -> str:
    where = f"{item.file}:{item.line}" if item.line else item.path
    return "\n".join(filter(None, [plain(f"{where}: {item.reason}"), item.remedy]))
