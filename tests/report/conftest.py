"""A report made by hand, with everything in it that a format has to show."""

from pathlib import Path

import pytest

from gradlint.core.finding import Confidence, Finding, Remedy, Severity, Verdict
from gradlint.core.location import Location, Site
from gradlint.core.report import ModelSummary, Report, Skipped, Suppressed
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
            ),
        ),
        skipped=(
            Skipped("odd.py", 3, "Odd", "it is odd", "mend it", stage="build"),
            Skipped("empty.py", 1, "", "the file is empty", is_model=False),
            Skipped("gone.py", 0, "", 'there is no file or directory "gone.py"', 'did you mean "one.py"?', fatal=True),
        ),
        suppressed=(Suppressed(unused, "kept for later"),),
        files=3,
    )
