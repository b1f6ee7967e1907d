"""A whole run, with a worker that only pretends."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gradlint import engine
from gradlint.config import Config
from gradlint.core.entries import OverrideEntry
from gradlint.core.errors import AnalysisError, GradlintError, UsageError
from gradlint.core.finding import Claim, Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import ModelSummary, Report, SilencedBy
from gradlint.core.target import Target
from gradlint.engine import run
from gradlint.gate.decision import ExitCode, exit_code
from gradlint.worker.messages import Analyse, Result, TargetResult

NET = """from torch import nn
class {name}(nn.Module):
    def forward(self, x):
        return x
"""

Answer = Callable[[Target], TargetResult]


class PretendWorker:
    """Answers by a function; remembers what it was asked."""

    answer: Answer
    asked: list[str]

    def __init__(self, *, timeout: float, memory: int) -> None:
        pass

    def ask(self, request: Analyse) -> Result:
        type(self).asked.append(request.target.name)
        return Result(type(self).answer(request.target))

    def tidy(self) -> None:
        pass

    def close(self) -> None:
        pass


def summary(target: Target) -> ModelSummary:
    return ModelSummary(target.name, target.path, target.line)


def faulty(target: Target) -> TargetResult:
    place = Location(target.path, 4, 16)
    finding = Finding(
        "GL003", "partly-analysed", Severity.WARNING, f"{target.path} is odd", (Site(place),), model=target.name
    )
    return TargetResult((finding,), summary(target))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Answer], None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "Worker", PretendWorker)

    def install(answer: Answer) -> None:
        PretendWorker.answer = staticmethod(answer)  # type: ignore[assignment]
        PretendWorker.asked = []

    install(lambda target: TargetResult((), summary(target)))
    return install


def check(*paths: str, **settings: object) -> Report:
    return engine.check(paths, Config(root=str(Path.cwd()), **settings))  # type: ignore[arg-type]


def write(name: str, text: str = NET) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(name=path.stem.title()))


def test_findings_are_in_the_order_of_the_files_with_paths_as_given(pretend: Callable[[Answer], None]) -> None:
    pretend(faulty)
    for name in ("b.py", "a.py", "sub/c.py"):
        write(name)
    report = check("b.py", ".")
    assert [f.location.path for f in report.findings] == ["b.py", "a.py", "sub/c.py"]
    assert report.findings[0].message == "b.py is odd"
    assert [model.path for model in report.models] == ["b.py", "a.py", "sub/c.py"]
    assert report.files == 3


def test_several_workers_give_the_same_report(pretend: Callable[[Answer], None]) -> None:
    pretend(faulty)
    for number in range(6):
        write(f"m{number}.py")
    one, three = check("."), check(".", jobs=3)
    assert one.findings == three.findings
    assert one.models == three.models


def test_an_error_in_one_model_keeps_no_other_from_being_checked(pretend: Callable[[Answer], None]) -> None:
    def answer(target: Target) -> TargetResult:
        if target.name == "A":
            raise AnalysisError("it died", stage="build", remedy="mend it")
        return TargetResult((), summary(target))

    pretend(answer)
    for name in ("a.py", "b.py"):
        write(name)
    write("c.py", "def (\n")
    report = check(".", "gone.py")
    assert [model.name for model in report.models] == ["B"]
    assert [(f.code, f.location.path, f.model) for f in report.findings] == [
        ("GL001", "a.py", "A"),
        ("GL001", "c.py", ""),
    ]
    assert [(item.path, item.fatal) for item in report.skipped] == [("gone.py", True), ("a.py", False), ("c.py", False)]
    assert report.findings[0].remedies[0].edit == "mend it"


def test_no_worker_for_files_without_a_model(pretend: Callable[[Answer], None]) -> None:
    write("a.py", "x = 1\n")
    assert check("a.py").models == ()
    assert PretendWorker.asked == []


def test_models_that_another_model_is_made_of_are_reported_once(pretend: Callable[[Answer], None]) -> None:
    pretend(lambda target: TargetResult((), summary(target), contains=("Inner",) if target.name == "Outer" else ()))
    Path("m.py").write_text(NET.format(name="Inner") + NET.format(name="Outer"))
    assert [model.name for model in check("m.py").models] == ["Outer"]
    assert [model.name for model in check("m.py:Inner", "m.py:Outer").models] == ["Inner", "Outer"]


def test_ignored_rules_are_left_out_and_comments_silence(pretend: Callable[[Answer], None]) -> None:
    pretend(faulty)
    write("a.py")
    write("b.py", NET.replace("return x", "return x  # gradlint: ignore[partly-analysed] known"))
    report = check(".")
    assert [f.location.path for f in report.findings] == ["a.py"]
    assert [(item.finding.location.path, item.reason) for item in report.suppressed] == [("b.py", "known")]
    ignoring = check(".", ignore=("GL003",))
    assert (ignoring.findings, ignoring.suppressed) == ((), ())


def test_idle_comments_are_told_only_where_everything_was_looked_at(pretend: Callable[[Answer], None]) -> None:
    commented = NET.replace("return x", "return x  # gradlint: ignore[GL003]")
    Path("m.py").write_text(commented.format(name="One") + NET.format(name="Two"))
    assert [f.code for f in check("m.py").findings] == ["GL002"]
    assert check("m.py:Two").findings == ()

    def half(target: Target) -> TargetResult:
        if target.name == "Two":
            raise AnalysisError("it died", stage="build")
        return TargetResult((), summary(target))

    pretend(half)
    assert [f.code for f in check("m.py").findings] == ["GL001"]


def test_a_model_that_is_left_out_on_purpose_counts_no_more(pretend: Callable[[Answer], None]) -> None:
    def die(target: Target) -> TargetResult:
        raise AnalysisError("it died", stage="build")

    pretend(die)
    write("a.py", NET.replace("Module):", "Module):  # gradlint: ignore[GL001] needs a GPU"))
    report = check("a.py")
    assert (report.findings, report.skipped) == ((), ())
    assert len(report.suppressed) == 1


def test_a_probe_that_is_stopped_leaves_what_was_predicted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class ProbeDies(PretendWorker):
        def ask(self, request: Analyse) -> Result:
            if request.settings.probe:
                raise AnalysisError("the real backward pass took more than 60 s", stage="probe")
            found = faulty(request.target)
            claimed = tuple(replace(finding, claim=Claim("ratio")) for finding in found.findings)
            return Result(replace(found, findings=claimed))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "Worker", ProbeDies)
    write("a.py")
    report = check("a.py", probe=True)
    assert [f.verdict_reason for f in report.findings] == ["not probed: the real backward pass took more than 60 s"]
    assert report.models[0].probed == "no: the real backward pass took more than 60 s"
    assert report.skipped == ()


@pytest.mark.parametrize(
    "settings", [{"select": ("GL999",)}, {"ignore": ("nothing",)}, {"rules": {"no-such-rule": {"x": 1}}}]
)
def test_settings_that_cannot_be_meant_are_refused(
    pretend: Callable[[Answer], None], settings: dict[str, object]
) -> None:
    write("a.py")
    with pytest.raises(UsageError):
        check("a.py", **settings)


def test_a_pattern_or_a_path_that_cannot_be_meant_is_refused(pretend: Callable[[Answer], None]) -> None:
    write("a.py")
    for settings in (
        {"per_file_ignores": {"a\\": ("GL101",)}},
        {"overrides": (OverrideEntry(rule="GL101", path="[z-a]", reason="x"),)},
        {"baseline": "a\0b"},
    ):
        with pytest.raises(UsageError, match=r"is no pattern of paths|is no path"):
            check("a.py", **settings)
    assert PretendWorker.asked == []


def test_a_worker_that_cannot_start_is_an_error_of_the_run(pretend: Callable[[Answer], None]) -> None:
    def refuse(target: Target) -> TargetResult:
        raise GradlintError("torch is broken")

    pretend(refuse)
    write("a.py")
    with pytest.raises(GradlintError, match="torch is broken"):
        check("a.py")


def test_the_configuration_is_looked_for_from_what_is_checked(
    pretend: Callable[[Answer], None], tmp_path: Path
) -> None:
    pretend(faulty)
    write("project/model.py")
    Path("project/gradlint.toml").write_text('ignore = ["GL003"]\n')
    assert engine.check(["project/model.py"]).findings == ()
    assert run.base_folder(["project/model.py", str(tmp_path)]) == tmp_path.resolve()


def test_a_file_that_does_not_parse_can_ignore_itself(pretend: Callable[[Answer], None]) -> None:
    write("a.py", "# gradlint: file-ignore[GL001] a template\ndef (\n")
    report = check("a.py")
    assert (report.findings, report.skipped) == ((), ())
    assert [item.reason for item in report.suppressed] == ["a template"]


def test_idle_file_ignores_are_told(pretend: Callable[[Answer], None]) -> None:
    write("a.py", "# gradlint: file-ignore[GL101] was one once\n" + NET)
    assert [(f.code, f.message, f.location.line) for f in check("a.py").findings] == [
        ("GL002", "file-ignore[GL101] silences nothing", 1)
    ]


def test_only_a_comment_forgives_that_a_model_was_not_analysed(pretend: Callable[[Answer], None]) -> None:
    def die(target: Target) -> TargetResult:
        raise AnalysisError("it died", stage="build")

    pretend(die)
    write("a.py")
    entry = OverrideEntry(rule="GL001", path="a.py", reason="needs a GPU")
    for settings in ({"per_file_ignores": {"*.py": ("GL001",)}}, {"overrides": (entry,)}):
        report = check("a.py", **settings)
        assert (report.findings, len(report.unanalysed), exit_code(report)) == ((), 1, ExitCode.ERROR)


def test_what_the_configuration_silences_is_kept(pretend: Callable[[Answer], None]) -> None:
    pretend(faulty)
    write("legacy/a.py")
    write("b.py")
    entry = OverrideEntry(rule="GL003", model="B", reason="a guess will do")
    report = check(".", per_file_ignores={"legacy/": ("GL003",)}, overrides=(entry,))
    assert report.findings == ()
    assert [(item.by, item.reason, item.finding.location.path) for item in report.suppressed] == [
        (SilencedBy.OVERRIDE, "a guess will do", "b.py"),
        (SilencedBy.PER_FILE_IGNORES, '"legacy/"', "legacy/a.py"),
    ]


def test_an_idle_override_is_told_where_its_files_were_all_checked(pretend: Callable[[Answer], None]) -> None:
    write("a.py")
    write("sub/b.py")
    entries = [
        OverrideEntry(rule="GL003", reason="x", **given)  # type: ignore[arg-type]
        for given in ({"path": "a.py"}, {"path": "sub/"}, {"model": "Gone"}, {"path": "gone.py"})
    ]
    Path("gradlint.toml").write_text("# nothing\n")

    def told(*paths: str) -> list[str]:
        return [f.message.partition("(")[2].partition(")")[0] for f in check(*paths, overrides=tuple(entries)).findings]

    assert told("a.py") == ['path "a.py"', 'path "gone.py"']
    assert told("sub") == ['path "sub/"', 'path "gone.py"']
    assert told(".") == ['path "a.py"', 'path "sub/"', 'model "Gone"', 'path "gone.py"']
    assert told("a.py:A") == ['path "gone.py"']  # not all models of the file
    pretend(faulty)
    assert told(".") == ['model "Gone"', 'path "gone.py"']


def test_findings_of_the_engine_take_the_severity_of_the_configuration(pretend: Callable[[Answer], None]) -> None:
    write("a.py", NET + "x = 1  # gradlint: ignore[GL101]\n")
    write("b.py", "def (\n")
    report = check(".", severity={"GL002": "info", "unanalysable-model": "error"})
    assert [(f.code, f.severity) for f in report.findings] == [("GL002", Severity.INFO), ("GL001", Severity.ERROR)]
