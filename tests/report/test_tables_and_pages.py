"""Tables of the flow, pages of rules, the settings in force."""

from collections.abc import Iterable
from typing import ClassVar

import tomli

from gradlint.api import Finding, Rule, RuleContext
from gradlint.config import KEYS, from_options
from gradlint.core.report import ModelSummary
from gradlint.core.table import Figure, FlowTable, LayerRow, TimeRow, TimeTable
from gradlint.report.page import overview, page
from gradlint.report.settings import settings
from gradlint.report.table import table

MODEL = ModelSummary("Net", "m.py", 3, inputs="(4, 8) float32", nodes=5, parameters=120, attenuation=2.0)


def rows(text: str, first: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip().startswith(first)]


def test_layers_stand_in_order_with_their_figures() -> None:
    first = LayerRow("body.0", "Linear", 1, Figure(1.0, 1e-4, 4.0, 0.002))
    second = LayerRow("", "Net", 2, Figure(0.5, 0.0, None))
    text = table(FlowTable(MODEL, (first, second)))
    assert rows(text, "body.0") == [["body.0", "Linear", "1", "1.00e+00", "1.00e-04", "+4.00", "2.00e-03", "█" * 20]]
    assert rows(text, "(model)") == [["(model)", "Net", "2", "5.00e-01", "0", "–", "–", "0"]]
    assert "largest attenuation: 2.00 decades" in text


def test_a_guess_is_told_above_the_figures_in_one_line() -> None:
    text = table(FlowTable(MODEL, (LayerRow("a", "Linear", 1, None),), doubts=("these are a guess:\nn=8", "unread")))
    above = text.partition("Linear")[0]
    assert "\nin doubt: these are a guess: n=8\nin doubt: unread\n" in above


def test_growth_is_summed_up_beside_what_is_lost() -> None:
    layers = (LayerRow("embed", "Embedding", 1, Figure(1.0, 4e6, -6.6)), LayerRow("o", "Linear", 1, Figure(1, 1, 2.0)))
    text = table(FlowTable(MODEL, layers))
    assert "largest attenuation: 2.00 decades; largest growth: 6.60 decades at embed" in text


def test_measured_figures_stand_beside_the_predicted_ones() -> None:
    layer = LayerRow("head", "Linear", 1, Figure(1.0, 1.0, 0.0), Figure(1.1, 0.9, 0.05))
    text = table(FlowTable(MODEL, (layer,), is_measured=True))
    assert rows(text, "head")[0][:9] == [
        "head",
        "Linear",
        "1",
        "1.00e+00",
        "1.10e+00",
        "1.00e+00",
        "9.00e-01",
        "+0.00",
        "+0.05",
    ]


def test_long_recurrences_show_some_steps_the_ends_among_them() -> None:
    steps = tuple(TimeRow(step + 1, 0.5 ** (100 - step), None) for step in range(100))
    text = table(FlowTable(MODEL, (), (TimeTable("rnn", "rnn_tanh", 100, -0.301, None, steps),)))
    assert "rnn (rnn_tanh, 100 steps): -0.301 decades per step back" in text
    shown = [int(row[0]) for row in (line.split() for line in text.splitlines()) if row and row[0].isdigit()]
    assert (len(shown), shown[0], shown[-1]) == (24, 1, 100)


def test_a_recurrence_that_is_called_again_and_again_has_one_table() -> None:
    calls = tuple(TimeTable("rnn", "rnn_tanh", 1, -0.3, None, (TimeRow(1, 0.5, None),)) for _ in range(40))
    text = table(FlowTable(MODEL, (), calls))
    assert text.count("decades per step back\n") == 1
    assert "rnn (rnn_tanh, 1 step, the first of 40 calls): -0.300 decades per step back" in text


def test_a_legend_says_what_the_columns_are() -> None:
    layer = LayerRow("head", "Linear", 1, Figure(1.0, 1.0, 0.0))
    text = table(FlowTable(MODEL, (layer,)))
    for word in ("activation, gradient: typical size", "update ratio:", "attenuation: how much gradient is lost"):
        assert word in text
    assert "+3 leaves a thousandth, −1 means ten times more" in text
    assert "∂L/∂h, ∂L/∂x:" not in text and "measured:" not in text
    time = TimeTable("rnn", "rnn_tanh", 1, -0.3, None, (TimeRow(1, 0.5, None),))
    text = table(FlowTable(MODEL, (layer,), (time,), is_measured=True))
    assert "∂L/∂h, ∂L/∂x:" in text and "measured:" in text


class Example(Rule):
    """What it does.

    More of it.
    """

    code: ClassVar[str] = "GL999"
    name: ClassVar[str] = "an-example"
    summary: ClassVar[str] = "Shows a page"
    level: ClassVar[str] = "preview"

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        return ()


def test_pages() -> None:
    expected = "# GL999 an-example\n\nShows a page\n\nLevel: preview\n\nWhat it does.\n\nMore of it.\n"
    assert page(Example()) == expected
    assert overview((Example(),)) == "GL999  an-example  Shows a page (preview)\n"


def test_settings_are_toml_that_gives_the_same_settings() -> None:
    given = from_options(select=["GL1"], timeout=3, rules={"a-rule": {"x": 1.5}}, targets=[{"target": "m.py:N"}])
    text = settings(given)
    read = tomli.loads(text)
    assert set(read) < set(KEYS)
    again = from_options(**{key.replace("-", "_"): value for key, value in read.items()})
    assert again == given
