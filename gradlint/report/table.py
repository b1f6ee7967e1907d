"""The flow of one model as tables: per layer, and per time step of each recurrence."""

import io
import math
from collections.abc import Iterator, Sequence

from gradlint.core.table import Figure, FlowTable, LayerRow, TimeTable
from gradlint.report.notes import origin
from gradlint.report.style import Style, console, count, plain

_BAR = 20
_MOST_STEPS = 24


def table(flow: FlowTable, style: Style | None = None) -> str:
    """Activation and gradient RMS, attenuation in decades and update ratio of every layer, in order of execution."""
    from rich.text import Text

    style = style or Style()
    sink = io.StringIO()
    out = console(style, sink)
    model = flow.model
    out.print(Text(plain(f"{model.name}  {model.file}:{model.line}"), "bold"))
    facts = f"{model.parameters:,} parameters; {count(model.nodes, 'node')}"
    out.print(Text(plain(f"built {origin(model)}; {facts}")))
    for doubt in flow.doubts:
        out.print(Text(plain(f"in doubt: {doubt}"), "yellow"))
    _print(out, _layers(flow), style)
    for time, calls in _once(flow.times):
        gain = "unknown" if time.gain is None else f"{time.gain:+.3f}"
        measured = "" if time.measured_gain is None else f" (measured {time.measured_gain:+.3f})"
        about = f"{time.cell}, {count(time.steps, 'step')}{calls}"
        title = f"{time.module or model.name} ({about}): {gain}{measured} decades per step back"
        out.print(Text(plain(title), "bold"))
        _print(out, _steps(time, flow.is_measured), style)
    if model.gap:
        out.print(Text(plain(model.gap), "yellow"))
    if model.attenuation is not None:
        out.print(Text(_extremes(flow, model.attenuation)))
    for line in _legend(flow):
        out.print(Text(line, "dim"))
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines()) + "\n"


def _once(times: Sequence[TimeTable]) -> Iterator[tuple[TimeTable, str]]:
    """One table per module, cell and number of steps: the first; the others of that kind are counted."""
    kinds: dict[tuple[str, str, int], list[TimeTable]] = {}
    for time in times:
        kinds.setdefault((time.module, time.cell, time.steps), []).append(time)
    for alike in kinds.values():
        yield alike[0], f", the first of {len(alike)} calls" if len(alike) > 1 else ""


def _extremes(flow: FlowTable, attenuation: float) -> str:
    """What is lost at most on the way back and, where the gradient also grows, what is won at most and where."""
    text = f"largest attenuation: {attenuation:.2f} decades"
    known = [(layer.predicted.attenuation, layer.path) for layer in flow.layers if layer.predicted is not None]
    growth, path = max(((-lost, path) for lost, path in known if lost is not None), default=(0.0, ""))
    return f"{text}; largest growth: {growth:.2f} decades at {path or '(model)'}" if growth > 0 else text


def _legend(flow: FlowTable) -> Iterator[str]:
    """What the columns are, for people who never heard of them."""
    yield (
        "activation, gradient: typical size (root mean square, RMS) of what a layer returns and of the gradient that"
        " reaches it; update ratio: its weights' gradient relative to the weights."
    )
    yield (
        "attenuation: how much gradient is lost between the model's output and the layer, in decades (powers of ten):"
        " +3 leaves a thousandth, −1 means ten times more."
    )
    if flow.times:
        yield (
            "∂L/∂h, ∂L/∂x: gradient at each step's state and input; decades per step back: negative is lost at every"
            " step, positive is won."
        )
    if flow.is_measured:
        yield "measured: the same figure by a real backward pass, beside the predicted one."


def _print(out: object, rows: Sequence[Sequence[str]], style: Style) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    assert isinstance(out, Console)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, title in enumerate(rows[0]):
        is_text = title in ("layer", "class", "gradient, log scale")
        grid.add_column(title, justify="left" if is_text else "right", no_wrap=style.width is None or number > 0)
    for row in rows[1:]:
        grid.add_row(*(Text(plain(cell)) for cell in row))
    out.print(grid)


def _layers(flow: FlowTable) -> list[list[str]]:
    """Header and one row per layer; measured figures stand beside the predicted ones."""
    measured = flow.is_measured
    names = ("activation", "gradient", "attenuation", "update ratio")
    header = ["layer", "class", "calls"]
    for name in names:
        header += [name, "measured"] if measured else [name]
    rows = [[*header, "gradient, log scale"]]
    scale = _scale([_gradient(layer, measured) for layer in flow.layers])
    for layer in flow.layers:
        row = [layer.path or "(model)", layer.class_name, str(layer.calls)]
        predicted, real = _cells(layer.predicted), _cells(layer.measured)
        for index in range(len(names)):
            row += [predicted[index], real[index]] if measured else [predicted[index]]
        rows.append([*row, _bar(_gradient(layer, measured), scale)])
    return rows


def _cells(figure: Figure | None) -> tuple[str, str, str, str]:
    if figure is None:
        return ("–", "–", "–", "–")
    attenuation = "–" if figure.attenuation is None else f"{figure.attenuation:+.2f}"
    return (_number(figure.activation_rms), _number(figure.gradient_rms), attenuation, _number(figure.update_ratio))


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.2e}"


def _gradient(layer: LayerRow, measured: bool) -> float | None:
    figure = layer.measured if measured else layer.predicted
    return figure.gradient_rms if figure is not None else None


def _scale(values: Sequence[float | None]) -> tuple[float, float]:
    """Smallest and largest exponent of the gradients that are neither zero nor unknown."""
    exponents = [math.log10(value) for value in values if value]
    return (min(exponents), max(exponents)) if exponents else (0.0, 0.0)


def _bar(value: float | None, scale: tuple[float, float]) -> str:
    if value is None:
        return "?"
    if value <= 0:
        return "0"
    low, high = scale
    share = 1.0 if high - low < 1e-9 else (math.log10(value) - low) / (high - low)
    return "█" * max(1, round(share * _BAR))


def _steps(time: TimeTable, measured: bool) -> list[list[str]]:
    """Header and at most `_MOST_STEPS` steps, evenly spread, the first and the last among them."""
    header = ["step", "∂L/∂h", "measured", "∂L/∂x", "measured"] if measured else ["step", "∂L/∂h", "∂L/∂x"]
    rows = [[*header, "gradient, log scale"]]
    scale = _scale([row.measured_hidden if measured else row.hidden for row in time.rows])
    chosen = _spread(len(time.rows))
    for index in chosen:
        row = time.rows[index]
        hidden = [_number(row.hidden), _number(row.measured_hidden)] if measured else [_number(row.hidden)]
        inputs = [_number(row.input), _number(row.measured_input)] if measured else [_number(row.input)]
        bar = _bar(row.measured_hidden if measured else row.hidden, scale)
        rows.append([str(row.step), *hidden, *inputs, bar])
    return rows


def _spread(length: int) -> list[int]:
    if length <= _MOST_STEPS:
        return list(range(length))
    return sorted({round(i * (length - 1) / (_MOST_STEPS - 1)) for i in range(_MOST_STEPS)})
