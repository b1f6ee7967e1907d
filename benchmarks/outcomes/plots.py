"""The plot of docs/truth.md: what was predicted against what became of the networks."""

from collections.abc import Sequence
from pathlib import Path

from svg import AMBER, DARK, INK, RED, text, write

from gradlint_rules.thresholds import (
    EFFORT_HANDICAPS_ADAM,
    EFFORT_HANDICAPS_SGD,
    EFFORT_STOPS_ADAM,
    EFFORT_STOPS_SGD,
)
from outcomes.labels import Label
from outcomes.report import ERROR, Case
from outcomes.verdicts import level

SIDE, MARGIN, MOST = 300, 48, 6.0
"""Pixels of a panel and around it; efforts beyond MOST stand at its right edge."""
COLOURS = {Label.TRAINS: DARK, Label.HANDICAPPED: AMBER, Label.FAILS: RED}
LIMITS = {
    "sgd": (EFFORT_HANDICAPS_SGD, EFFORT_STOPS_SGD, "SGD"),
    "adam": (EFFORT_HANDICAPS_ADAM, EFFORT_STOPS_ADAM, "Adam"),
}


def outcomes(cases: Sequence[Case], path: Path) -> None:
    """Predicted effort against the share of the healthy sibling's gain; colour: outcome; ring: said to be an error."""
    panels = [_panel(cases, setting, MARGIN + i * (SIDE + MARGIN)) for i, setting in enumerate(LIMITS)]
    legend = [
        f'<circle cx="{MARGIN + 6 + 130 * i}" cy="12" r="4" fill="{colour}"/>'
        + text(MARGIN + 16 + 130 * i, 16, label.value, anchor="start")
        for i, (label, colour) in enumerate(COLOURS.items())
    ]
    ring = f'<circle cx="{MARGIN + 396}" cy="12" r="6" fill="none" stroke="{INK}"/>'
    words = text(MARGIN + 408, 16, "error; dashed: from here handicapped, does not train", anchor="start")
    write(path, 2 * (SIDE + MARGIN) + MARGIN, SIDE + 2 * MARGIN, [*legend, ring, words, *panels])


def _panel(cases: Sequence[Case], setting: str, left: int) -> str:
    dots = [_dot(case, setting, left) for case in cases if case.labels[setting] is not None]
    frame = f'<rect x="{left}" y="{MARGIN}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{INK}"/>'
    *limits, name = LIMITS[setting]
    lines = [_line(left + float(limit) / MOST * SIDE) for limit in limits]
    ticks = [text(left + i / MOST * SIDE, MARGIN + SIDE + 15, str(i)) for i in range(int(MOST) + 1)]
    sides = [text(left - 5, MARGIN + SIDE * (1 - i / 2) + 4, f"{i / 2:g}", anchor="end") for i in range(3)]
    below = text(left + SIDE / 2, MARGIN + SIDE + 32, f"predicted effort with {name}, decades")
    above = text(left + SIDE / 2, MARGIN - 8, f"share of the sibling's gain after 300 steps ({len(dots)} networks)")
    return "\n".join([frame, *lines, *dots, *ticks, *sides, below, above])


def _line(x: float) -> str:
    return f'<line x1="{x:.0f}" y1="{MARGIN}" x2="{x:.0f}" y2="{MARGIN + SIDE}" stroke="{INK}" stroke-dasharray="4 3"/>'


def _dot(case: Case, setting: str, left: int) -> str:
    effort = min(MOST, float(case.said["figures"].get(setting, 0.0)))
    x, y = left + effort / MOST * SIDE, MARGIN + SIDE * (1 - case.gains[setting])
    label = case.labels[setting]
    assert label is not None
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[label]}" fill-opacity="0.7"/>'
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="{INK}" stroke-width="0.7"/>'
    return dot + ring if level(case.said[setting]) >= ERROR else dot
