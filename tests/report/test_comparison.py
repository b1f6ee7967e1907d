"""The formats of `gradlint diff`, on a comparison made by hand."""

import json
import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gradlint.cli.formats import DIFF_FORMATS
from gradlint.core.architecture import Architecture, ModuleLoss
from gradlint.core.comparison import Comparison, ModelChange, Moved, Shift, Status
from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import ModelSummary, Skipped
from gradlint.core.serialise_comparison import ComparisonDocument
from gradlint.gate.decision import diff_exit_code
from gradlint.report.diff import diff
from gradlint.report.diff_json import diff_json, schema
from gradlint.report.diff_markdown import diff_markdown
from gradlint.report.style import Style

DOCS = Path(__file__).parents[2] / "docs" / "diff-schema.json"
HOSTILE = "net\x1b[31m`|@all\n.py"


def model(attenuation: float | None, *modules: ModuleLoss, name: str = "Net", path: str = "net.py") -> ModelSummary:
    made = Architecture({"Linear": len(modules)}, depth=len(modules), activations={"relu": 2}, modules=modules)
    return ModelSummary(name, path, 4, inputs="(8, 16)", parameters=100, attenuation=attenuation, architecture=made)


def finding(severity: Severity, line: int = 9, message: str = "it starves") -> Finding:
    return Finding("GL101", "saturating-stack", severity, message, (Site(Location("net.py", line, 5)),), model="Net")


@pytest.fixture
def comparison() -> Comparison:
    old = (ModuleLoss("stem", "Linear", 0.5), ModuleLoss("out", "Linear", 0.0))
    new = (ModuleLoss("stem", "Linear", None, is_reached=False), ModuleLoss("head", "Linear", 0.2))
    shifts = (Shift(old[0], new[0]), Shift(None, new[1]), Shift(old[1], None))
    return Comparison(
        "main (1a2b3c4)",
        "the working tree",
        models=(
            ModelChange(Status.CHANGED, model(0.5, *old), model(0.2, *new), shifts),
            ModelChange(Status.ADDED, None, model(None, name="Fresh")),
            ModelChange(Status.UNCHANGED, model(0.5, name="Same"), model(0.5, name="Same")),
        ),
        new=(finding(Severity.ERROR),),
        worse=(Moved(finding(Severity.INFO, 20), finding(Severity.WARNING, 21)),),
        fixed=(finding(Severity.WARNING, 30, "it was mended"),),
        moved=(Moved(finding(Severity.WARNING, 40), finding(Severity.WARNING, 41)),),
        skipped=(Skipped("odd.py", 3, "Odd", "it is odd", "mend it"), Skipped("e.py", 1, "", "empty", is_model=False)),
        files=3,
        left_out=7,
        notes=("a.yaml changed too",),
        lines={("net.py", 9): "    self.body = nn.Sigmoid()"},
    )


def test_text(comparison: Comparison) -> None:
    text = diff(comparison, Style(source=lambda path, line: comparison.lines.get((path, line), "")))
    assert text.splitlines() == [
        "Net  net.py:4  changed",
        "  attenuation  0.5 decades → 0.2 decades (−0.3)",
        "  Since this change no gradient reaches stem.",
        "    stem  Linear  +0.5   no gradient   severed",
        "    head  Linear                +0.2       new",
        "    out   Linear  +0.0                    gone",
        "",
        "Fresh  net.py:4  added",
        "  layers       0",
        "  parameters   100",
        "  depth        0",
        "  skips        0",
        "  norms        0",
        "  activations  2 relu",
        "  attenuation  not known",
        "  inputs       (8, 16)",
        "",
        "new error[GL101]: saturating-stack  Net: it starves",
        " --> net.py:9:5",
        "  |",
        "9 |     self.body = nn.Sigmoid()",
        "  |     ^^^^^^^^^^^^^^^^^^^^^^^^",
        "  |",
        "",
        "was info, now warning[GL101]: saturating-stack  Net: it starves",
        "  --> net.py:21:5",
        "   |",
        "   |",
        "",
        "fixed: net.py:30 GL101 saturating-stack Net: it was mended",
        "moved: net.py:41 GL101 saturating-stack Net: it starves (was net.py:40)",
        "",
        "not analysed: odd.py:3 Odd: it is odd",
        "note: a.yaml changed too",
        "main (1a2b3c4) → the working tree: 1 model added, 1 model changed; findings: 1 new, 1 more severe, 1 fixed,"
        " 1 moved (3 files checked, 7 left out: no change reaches them).",
        "One decade is a factor of ten: a cost of 3 decades leaves a thousandth of the gradient.",
    ]


def test_the_document_fits_its_published_schema(comparison: Comparison) -> None:
    document = json.loads(diff_json(comparison))
    msgspec.convert(document, ComparisonDocument)
    assert DOCS.read_text(encoding="utf-8") == schema()
    assert document["models"][0]["loss"] == "inf"
    assert [part["cost"] for part in document["models"][0]["modules"]] == ["inf", None, None]
    assert document["findings"]["worse"][0]["before"]["severity"] == "info"
    assert document["summary"]["left_out"] == 7


def test_markdown(comparison: Comparison) -> None:
    text = diff_markdown(comparison)
    assert "#### Net — changed\n\n<code>net.py:4</code>\n\n**Since this change no gradient reaches stem.**\n" in text
    assert "| <code>stem</code> | Linear | +0.5 | no gradient | severed |\n" in text
    assert text.count("| GL101 saturating-stack |") == 2
    assert "**Fixed: 1 finding**\n\n- <code>net.py:30</code> GL101 saturating-stack: Net: it was mended\n" in text
    assert "- <code>odd.py:3</code> Odd: it is odd — mend it\n" in text
    many = replace(comparison, models=comparison.models * 300, new=comparison.new * 900, fixed=comparison.fixed * 900)
    assert "further models (" in diff_markdown(many)
    assert len(diff_markdown(many)) < 65_536


@pytest.mark.parametrize("name", DIFF_FORMATS)
def test_hostile_names_stay_text(name: str, comparison: Comparison) -> None:
    before, after = model(0.5, name=HOSTILE), model(0.9, ModuleLoss(HOSTILE, HOSTILE, 0.9), path=HOSTILE)
    change = ModelChange(Status.CHANGED, before, after, (Shift(None, after.architecture.modules[0]),))  # type: ignore[union-attr]
    odd = replace(
        comparison, models=(change,), base=HOSTILE, notes=(HOSTILE,), skipped=(Skipped(*[HOSTILE, 1, "", "x"]),)
    )
    text = DIFF_FORMATS[name](odd, Style())
    assert "\x1b" not in text
    if name == "markdown":
        assert "@all" not in text
        assert not any(line.startswith(".py") for line in text.splitlines())


def test_exit_codes(comparison: Comparison) -> None:
    calm = replace(comparison, new=(), worse=())
    assert diff_exit_code(comparison) == 1
    assert diff_exit_code(comparison, fail_on="never") == 0
    assert diff_exit_code(calm) == 0
    assert diff_exit_code(replace(calm, worse=comparison.worse), fail_on="warning") == 1
    assert diff_exit_code(replace(calm, worse=comparison.worse), fail_on="error") == 0
    assert diff_exit_code(calm, max_loss=1e9) == 1  # a severed layer has lost everything
    small = replace(calm, models=(ModelChange(Status.CHANGED, model(1.0), model(3.0)),))
    assert [diff_exit_code(small, max_loss=limit) for limit in (1.9, 2.1)] == [1, 0]
    lost = replace(calm, models=(*calm.models[1:], ModelChange(Status.UNKNOWN_NOW, model(1.0))))
    assert [diff_exit_code(lost), diff_exit_code(lost, max_loss=9)] == [0, 1]
    assert diff_exit_code(replace(lost, models=lost.models[-1:])) == 2
    assert diff_exit_code(replace(calm, models=(), skipped=())) == 0


def test_the_cost_of_a_change() -> None:
    known, lost, unknown = (ModuleLoss("a", "Linear", *values) for values in ((1.0,), (None, False), (None,)))
    costs = [Shift(*sides).cost for sides in ((known, lost), (lost, known), (known, unknown), (None, known))]
    assert costs == [math.inf, -math.inf, None, None]
