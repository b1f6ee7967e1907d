"""Plots of the accuracy over the zoos."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from accuracy_report import Judged
from common import quantile
from svg import DARK, INK, PALE, RED, text, write

KINDS = (("activations", "activation RMS"), ("gradients", "gradient RMS"), ("parameters", "parameter gradient RMS"))
SIDE, MARGIN, CELL, SHADES = 256, 48, 4, 8
MEETS = {"Sequential", "ModuleList", "Identity", "Dropout"}
"""Containers and what changes nothing: no operators."""


def scatter(judged: Iterable[Judged], path: Path) -> None:
    """Predicted against measured, as the density of modules and parameters on a grid of decades."""
    panels, models = [], list(judged)
    for place, (kind, title) in enumerate(KINDS):
        panels.append(_panel(_pairs(models, kind), title, MARGIN + place * (SIDE + MARGIN)))
    write(path, len(KINDS) * (SIDE + MARGIN) + MARGIN, SIDE + 2 * MARGIN, panels)


def operators(judged: Iterable[Judged], path: Path, count: int = 24) -> None:
    """Median and 95th percentile of the gradient's error by class of module, the most frequent classes."""
    errors: dict[str, list[float]] = defaultdict(list)
    for model in judged:
        for error in model.found.gradients.errors:
            errors[model.record.kinds.get(error.name, "")].append(abs(error.decades))
    wanted = Counter({name: len(found) for name, found in errors.items() if name and name not in MEETS})
    chosen = sorted((name for name, _ in wanted.most_common(count)), key=lambda name: -quantile(errors[name], 0.95))
    rows = [_bar(place, name, errors[name]) for place, name in enumerate(chosen)]
    note = text(
        200, 14, "gradient error in decades: median (dark), 95th percentile (pale); red line: 0.30", anchor="start"
    )
    bottom = 26 + 18 * len(chosen)
    bound = f'<line x1="{200 + 0.3 * 400}" y1="20" x2="{200 + 0.3 * 400}" y2="{bottom}" stroke="{RED}"/>'
    write(path, 680, bottom + 10, [note, *rows, bound])


def _pairs(models: Sequence[Judged], kind: str) -> list[tuple[float, float]]:
    """log10 of measured and predicted geometric means, where both are numbers."""
    found = []
    for model in models:
        record = model.record
        measured, predicted = record.measured[: record.seeds], record.predicted[: record.seeds]
        for name in measured[0][kind] if measured and not record.failed else ():
            logs = [_mean_log([figures[kind].get(name) for figures in side]) for side in (measured, predicted)]
            if logs[0] is not None and logs[1] is not None:
                found.append((logs[0], logs[1]))
    return found


def _mean_log(values: Sequence[float | None]) -> float | None:
    if any(value is None or not 0 < value < math.inf for value in values):
        return None
    return sum(math.log10(value) for value in values if value) / len(values)


def _panel(pairs: Sequence[tuple[float, float]], title: str, left: int) -> str:
    low, high = _range([value for pair in pairs for value in pair])
    unit = SIDE / (high - low)
    counts = Counter((int((x - low) * unit / CELL), int((y - low) * unit / CELL)) for x, y in pairs)
    top = math.log1p(max(counts.values(), default=1))
    shades: dict[int, list[str]] = defaultdict(list)
    for (i, j), n in sorted(counts.items()):
        if 0 <= i < SIDE // CELL and 0 <= j < SIDE // CELL:
            shade = math.ceil(SHADES * math.log1p(n) / top)
            shades[shade].append(f"M{left + i * CELL} {MARGIN + SIDE - (j + 1) * CELL}h{CELL}v{CELL}h-{CELL}z")
    drawn = [
        f'<path fill="{DARK}" fill-opacity="{shade / SHADES:.2f}" d="{"".join(cells)}"/>'
        for shade, cells in sorted(shades.items())
    ]
    frame = f'<rect x="{left}" y="{MARGIN}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{INK}"/>'
    line = (
        f'<line x1="{left}" y1="{MARGIN + SIDE}" x2="{left + SIDE}" y2="{MARGIN}" stroke="{RED}" stroke-width="0.7"/>'
    )
    marks = [
        _ticks(value, left, (value - low) * unit)
        for value in range(math.ceil(low), math.floor(high) + 1, _step(high - low))
    ]
    words = [
        text(left + SIDE / 2, MARGIN - 12, f"{title} ({len(pairs)})"),
        text(left + SIDE / 2, MARGIN + SIDE + 32, "log10 measured"),
    ]
    return "\n".join([*drawn, frame, line, *marks, *words])


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the axes: all but a thousandth at either end, in whole decades."""
    if not values:
        return -1.0, 1.0
    return math.floor(quantile(values, 0.001)), math.ceil(quantile(values, 0.999)) + 0.0


def _step(decades: float) -> int:
    return max(1, round(decades / 6))


def _ticks(value: int, left: float, offset: float) -> str:
    below = text(left + offset, MARGIN + SIDE + 15, str(value))
    return below + "\n" + text(left - 5, MARGIN + SIDE - offset + 4, str(value), anchor="end")


def _bar(place: int, name: str, errors: Sequence[float]) -> str:
    y, median, high = 26 + 18 * place, quantile(errors, 0.5), quantile(errors, 0.95)
    wide, dark = (min(value, 1.0) * 400 for value in (high, median))
    return "\n".join(
        [
            text(194, y + 11, f"{name} ({len(errors)})", anchor="end"),
            f'<rect x="200" y="{y}" width="{wide:.1f}" height="13" fill="{PALE}"/>',
            f'<rect x="200" y="{y}" width="{dark:.1f}" height="13" fill="{DARK}"/>',
            text(206 + wide, y + 11, f"{median:.2f} / {high:.2f}", anchor="start"),
        ]
    )
