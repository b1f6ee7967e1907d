"""Golden output of all formats. GRADLINT_REGENERATE=1 writes it anew: read the difference before committing it."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from gradlint import __version__
from gradlint.api import Finding, Rule, RuleContext
from gradlint.core.finding import Remedy
from gradlint.core.report import ModelSummary, Report, Skipped
from gradlint.report.concise import concise
from gradlint.report.full import full
from gradlint.report.github import github
from gradlint.report.gitlab import gitlab
from gradlint.report.json import json
from gradlint.report.json_lines import json_lines
from gradlint.report.junit import junit
from gradlint.report.markdown import markdown
from gradlint.report.sarif import sarif
from gradlint.report.style import Style, plain, summary_line

GOLDEN = Path(__file__).parent / "golden"
WHOLE = ModelSummary("Net", "model.py", 4, attenuation=0.5)


class Shown(Rule):
    """A rule with a page.

    More of it.
    """

    code: ClassVar[str] = "GL101"
    name: ClassVar[str] = "saturating-stack"
    summary: ClassVar[str] = "Bounded activations in a row"

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        return ()


RENDER: dict[str, Callable[[Report, Style], str]] = {
    "full": full,
    "concise": concise,
    "json": json,
    "json-lines": json_lines,
    "sarif": partial(sarif, rules=(Shown(),)),
    "github": github,
    "gitlab": gitlab,
    "junit": junit,
    "markdown": markdown,
}


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    text = text.replace(f'ersion": "{__version__}"', 'ersion": "…"')
    if os.environ.get("GRADLINT_REGENERATE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("full-narrow", {"width": 60}),
        ("full-color", {"color": True}),
        ("full-verbose", {"verbose": True, "show_skipped": True}),
        ("full-quiet", {"quiet": True}),
        ("concise-quiet", {"quiet": True}),
        ("github-quiet", {"quiet": True}),
        ("junit-skipped", {"show_skipped": True}),
        ("markdown-skipped", {"show_skipped": True}),
    ],
)
def test_golden_of_the_options(name: str, changes: dict[str, object], report: Report, style: Style) -> None:
    compare(name, RENDER[name.partition("-")[0]](report, replace(style, **changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RENDER)
def test_golden(name: str, report: Report, style: Style) -> None:
    compare(name, RENDER[name](report, style))


@pytest.mark.parametrize("name", RENDER)
def test_golden_of_a_clean_report(name: str, clean: Report, style: Style) -> None:
    compare(f"{name}-clean", RENDER[name](clean, style))


@pytest.mark.parametrize("name", RENDER)
def test_golden_of_other_scripts(name: str, foreign: Report, style: Style) -> None:
    compare(f"{name}-foreign", RENDER[name](foreign, style))


def test_nothing_of_a_strangers_text_steers_the_terminal(report: Report, style: Style) -> None:
    for text in (full(report, style), concise(report, style)):
        assert "\x1b" not in text
    assert plain("a\x1b]0;title\x07b\nc") == "a�]0;title�b c"
    assert plain("\tx") == "    x"


def test_lines_to_paste_stand_on_lines_of_their_own(report: Report, style: Style) -> None:
    pasted = Remedy('in pyproject.toml:\n[[targets]]\ntarget = "a\x1b.py:Net"', "")
    changed = replace(report.findings[0], remedies=(pasted,))
    text = full(replace(report, findings=(changed,)), style)
    assert '= help: in pyproject.toml:\n     [[targets]]\n     target = "a�.py:Net"\n' in text


def test_notes_are_wrapped_and_frames_are_not(report: Report, style: Style) -> None:
    lines = full(report, replace(style, width=60)).splitlines()
    assert all(len(line) <= 60 for line in lines if " = " in line[:6])
    assert any(len(line) > 60 for line in lines if "^" in line)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {},
            "Found 1 error, 1 warning, 1 note in 2 models (3 files)."
            " (1 refuted by the probe, 1 only partly analysed, 1 silenced by comments, 1 in the baseline)",
        ),
        ({"models": (WHOLE,), "findings": (), "skipped": (), "suppressed": ()}, "All clear: 1 model checked."),
        ({"models": (WHOLE,), "findings": (), "suppressed": ()}, "Nothing found in 2 models (3 files)."),
        (
            {"models": (replace(WHOLE, flow_not_known="at any layer"),), "findings": (), "skipped": (), "files": 1},
            "Nothing new in 1 model (1 file). (1 only partly analysed, 1 silenced by comments, 1 in the baseline)",
        ),
        ({"findings": (), "models": (), "suppressed": ()}, "Nothing was analysed (3 files)."),
        ({"findings": (), "models": (), "skipped": (), "suppressed": ()}, "No model found (3 files)."),
    ],
)
def test_summary(changes: dict[str, object], text: str, report: Report) -> None:
    assert summary_line(replace(report, **changes)) == text  # type: ignore[arg-type]


def test_a_flow_that_is_not_known_is_told_in_every_format(style: Style) -> None:
    model = replace(WHOLE, attenuation=None, flow_not_known="at any layer: frobnicate lies on the way")
    report = Report(models=(model,), files=1)
    for text in (full(report, style), concise(report, style)):
        assert "Net" in text and "the gradient flow is not known at any layer: frobnicate lies on the way" in text
        assert "All clear" not in text
    assert report.to_dict()["models"][0]["flow_not_known"] == model.flow_not_known


def test_a_lone_file_without_a_model_is_told(style: Style) -> None:
    skipped = (Skipped("empty.py", 1, "", "the file is empty", is_model=False),)
    assert full(Report(skipped=skipped, files=1), style) == (
        "skipped: empty.py:1: the file is empty\nNo model found (1 file).\n"
    )


def test_a_near_miss_that_comes_again_and_again_is_told_once(report: Report, style: Style) -> None:
    near = replace(WHOLE, near_misses=("a-rule: nearly",) * 7 + ("another: almost",))
    text = full(replace(report, models=(near,)), replace(style, verbose=True))
    assert text.count("a-rule: nearly") == 1
    assert "did not fire: a-rule: nearly (7 times)\n" in text and "did not fire: another: almost\n" in text
