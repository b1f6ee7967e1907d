"""A report made by hand, with everything in it that a format has to show."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gradlint.core.architecture import Architecture, ModuleLoss
from gradlint.core.finding import Confidence, Finding, Remedy, Severity, Verdict
from gradlint.core.location import Location, Site
from gradlint.core.report import ModelSummary, Report, SilencedBy, Skipped, Suppressed
from gradlint.report.style import Style

GOLDEN = Path(__file__).parent / "golden"


def read_line(path: str, line: int) -> str:
    lines = (GOLDEN / path).read_text().splitlines() if (GOLDEN / path).is_file() else []
    return lines[line - 1] if line <= len(lines) else ""


@pytest.fixture
def style() -> Style:
    return Style(source=read_line)


@pytest.fixture
def report() -> Report:
    saturating = Finding(
        code="GL101",
        name="saturating-stack",
        severity=Severity.ERROR,
        message="20 sigmoid layers starve the first ones of gradient",
        model="SigmoidMLP",
        module="body",
        sites=(
            Site(
                Location("model.py", 9, 49, 61, "SigmoidMLP.__init__"),
                "each costs 0.62 decades of gradient, 20 of them in a row",
            ),
            Site(Location("model.py", 15, 26, 38, "SigmoidMLP.forward")),
        ),
        predicted={"summary": "gradient RMS 1.0 at head → 3.1e-13 at body.0.weight (−12.5 decades)", "decades": 12.5},
        measured={"summary": "2.6e-13 by a real backward pass", "decades": float("inf")},
        verdict=Verdict.CONFIRMED,
        remedies=(
            Remedy("nn.GELU instead of nn.Sigmoid", "leaves a loss of 1.9 decades", -1.9),
            Remedy("BatchNorm before each Sigmoid", "leaves a loss of 1.1 decades"),
        ),
        consequences=("GL102", "GL401"),
    )
    refuted = Finding(
        code="GL302",
        name="init-gain-mismatch",
        severity=Severity.WARNING,
        message="SigmoidMLP: the default gain does not suit a sigmoid",
        model="SigmoidMLP",
        sites=(Site(Location("model.py", 11), "gain 0.58, 1.0 wanted"),),
        confidence=Confidence.MEDIUM,
        predicted={"summary": "−0.2 decades per layer"},
        measured={"summary": "+0.0 decades per layer"},
        verdict=Verdict.REFUTED,
        verdict_reason="within the scatter of eight initialisations",
    )
    unused = Finding(
        code="GL503",
        name="unreachable-parameter",
        severity=Severity.INFO,
        message="SigmoidMLP: spare.weight and spare.bias are never used",
        model="SigmoidMLP",
        sites=(Site(Location("model.py", 12, 22), "never called"),),
        notes=("650 elements",),
    )
    steered = Finding(
        code="GL001",
        name="unanalysable-model",
        severity=Severity.WARNING,
        message="Odd: not analysed: \x1b[31mred\x1b[0m",
        model="Odd",
        sites=(Site(Location("odd.py", 3), "stopped here"),),
        remedies=(Remedy("mend it", ""),),
    )
    return Report(
        findings=(saturating, refuted, unused, steered),
        models=(
            ModelSummary(
                name="SigmoidMLP",
                path="model.py",
                line=4,
                built="defaults",
                inputs="(8, 64) float32 (derived from Linear stem)",
                traced_by="recorder",
                nodes=84,
                unknown_operators=("frobnicate",),
                parameters=84_500,
                attenuation=12.5,
                probed="yes",
                near_misses=("exploding-gradient: growth 0.1 decades, 3.0 wanted",),
                architecture=Architecture(
                    {"Linear": 21, "Sigmoid": 20},
                    depth=21,
                    activations={"sigmoid": 20},
                    modules=(ModuleLoss("body.0", "Linear", 12.5), ModuleLoss("spare", "Linear", None, False)),
                ),
            ),
        ),
        skipped=(
            Skipped("odd.py", 3, "Odd", "it is odd", "mend it", stage="build"),
            Skipped("empty.py", 1, "", "the file is empty", is_model=False),
            Skipped("gone.py", 0, "", 'there is no file or directory "gone.py"', 'did you mean "one.py"?', fatal=True),
        ),
        suppressed=(
            Suppressed(unused, "kept for later"),
            Suppressed(refuted, "moved from old.py", SilencedBy.BASELINE),
        ),
        files=3,
    )


@pytest.fixture
def clean() -> Report:
    whole = ModelSummary("Net", "model.py", 4, "defaults", "(4, 8) float32", "recorder", 5, (), 120, 0.5, probed="yes")
    return Report(models=(whole, replace(whole, name="Other")), files=2)


@pytest.fixture
def foreign() -> Report:
    """Names and sentences in other scripts, a path with blanks, a probe that could not tell."""
    path = "mod\u00e8les vari\u00e9s/\u05de\u05d5\u05d3\u05dc\u00a0\U0001f600.py"
    finding = Finding(
        code="GL104",
        name="recurrent-horizon",
        severity=Severity.WARNING,
        message="Модель: 50 % of | the `steps` <are> lost, says @team in #1",
        model="Модель",
        sites=(
            Site(
                Location(path, 3, 5, 9, "\u041c\u043e\u0434\u0435\u043b\u044c.forward"), "\u2212 0.3 decades\u00a0each"
            ),
        ),
        verdict=Verdict.INCONCLUSIVE,
        verdict_reason="two of three seeds",
        remedies=(Remedy('say in pyproject.toml:\n[[tool.gradlint.targets]]\ntarget = "```"', ""),),
    )
    return Report(findings=(finding,), models=(ModelSummary(finding.model, path, 1),), files=1, notes=("a note",))


def say(text: str) -> Report:
    """A report in which everything that a user's file can say says this."""
    where = Location(text, 2, 3, 5, text)
    finding = Finding(
        code="GL101",
        name="saturating-stack",
        severity=Severity.ERROR,
        message=text,
        sites=(Site(where, text), Site(Location(text, 1), text)),
        model=text,
        module=text,
        predicted={"summary": text, text: text},
        measured={"summary": text},
        verdict=Verdict.CONFIRMED,
        verdict_reason=text,
        remedies=(Remedy(text, text), Remedy(text, "")),
        notes=(text,),
    )
    pasted = replace(
        finding, severity=Severity.INFO, remedies=(Remedy(f"{text}\n{text}", text),), verdict=Verdict.REFUTED
    )
    model = ModelSummary(text, text, 1, text, text, text, 3, (text,), 9, 1.0, text, text, (text,))
    skipped = tuple(
        Skipped(text, line, name, text, f"{text}\n{text}", is_model, fatal, text)
        for line, name, is_model, fatal in ((1, text, True, False), (0, "", True, True), (1, "", False, False))
    )
    return Report((finding, pasted), (model,), skipped, (Suppressed(finding, text),), files=1, notes=(text,))


@pytest.fixture(name="say", scope="session")
def say_fixture() -> Callable[[str], Report]:
    return say
