"""The flow of an examined model as a table, predicted and (where asked for) measured."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradlint import probe
from gradlint.core.errors import AnalysisError
from gradlint.core.flow import Flow, TimeFlow
from gradlint.core.table import Figure, FlowTable, LayerRow, TimeRow, TimeTable
from gradlint.worker.doubts import doubts_on

if TYPE_CHECKING:
    from gradlint.worker.analysis import Examined


def table_of(examined: "Examined", *, measured: bool) -> FlowTable:
    """One row per module that computes something itself, in order of its first call, and one table per recurrence.

    Raises:
        AnalysisError: (stage "probe") where a measurement is asked for and no real model or no input is at hand.
    """
    real = _measure(examined) if measured else None
    rows = tuple(_row(examined, path, real) for path in _paths(examined))
    by_place = {(flow.module, flow.name): flow for flow in real.times} if real is not None else {}
    by_module = {flow.module: flow for flow in real.times} if real is not None else {}
    times = tuple(
        _times(flow, by_place.get((flow.module, flow.name)) or by_module.get(flow.module))
        for flow in examined.flow.times
    )
    doubts = tuple(doubt.text for doubt in doubts_on(examined.target, examined.built, examined.fed))
    return FlowTable(examined.summary(), rows, times, is_measured=measured, doubts=doubts)


def _measure(examined: "Examined") -> Flow:
    if examined.built.fake_mode is not None:
        reason = "the model is too large to be built with real memory here, so it cannot be measured"
        raise AnalysisError(reason, stage="probe", remedy="gradlint flow shows what is predicted")
    if examined.fed is None:
        reason = "no example inputs were found, so the model cannot be run"
        raise AnalysisError(reason, stage="feed")
    return probe.measure(examined.built.model, examined.fed.args, dict(examined.fed.kwargs))


def _paths(examined: "Examined") -> list[str]:
    modules = examined.built.modules
    called = dict.fromkeys(call.module for call in examined.graph.view.calls)
    ordered = [*called, *(path for path in examined.flow.module_flows if path not in called)]
    own = [path for path in ordered if path in modules and path in examined.flow.module_flows]
    order = {path: index for index, path in enumerate(modules)}
    leaves = [path for path in own if modules[path].parameters or not modules[path].children]
    first = {call.module: call.first for call in reversed(examined.graph.view.calls)}
    return sorted(leaves, key=lambda path: (first.get(path, math.inf), order[path]))


def _row(examined: "Examined", path: str, real: Flow | None) -> LayerRow:
    calls = examined.flow.module_flows[path].calls
    measured = _figure(examined, path, real) if real is not None else None
    return LayerRow(
        path, examined.built.modules[path].class_name, calls, _figure(examined, path, examined.flow), measured
    )


def _figure(examined: "Examined", path: str, flow: Flow) -> Figure | None:
    module = flow.module_flows.get(path)
    if module is None:
        return None
    return Figure(
        _finite(module.activation_rms),
        _finite(module.gradient_rms),
        _finite(module.attenuation),
        _update_ratio(examined, path, flow),
    )


def _update_ratio(examined: "Examined", path: str, flow: Flow) -> float | None:
    """RMS ∇W / RMS W pooled over the parameters that a module owns itself."""
    gradient = value = 0.0
    for name in examined.built.modules[path].parameters:
        parameter = flow.parameter_flows.get(name)
        shape = examined.built.values[name].shape if name in examined.built.values else ()
        if parameter is None or parameter.gradient_rms is None or parameter.value_rms is None:
            return None
        gradient += math.prod(shape) * parameter.gradient_rms**2
        value += math.prod(shape) * parameter.value_rms**2
    return _finite(math.sqrt(gradient / value)) if value else None


def _times(predicted: TimeFlow, real: TimeFlow | None) -> TimeTable:
    rows = [
        TimeRow(
            step + 1,
            _at(predicted.hidden, step),
            _at(predicted.inputs, step),
            _at(real.hidden, step) if real is not None else None,
            _at(real.inputs, step) if real is not None else None,
        )
        for step in range(max(len(predicted.hidden), len(predicted.inputs)))
    ]
    gain = _finite(predicted.gain)
    measured_gain = _finite(real.gain) if real is not None else None
    return TimeTable(predicted.module, predicted.cell, predicted.steps, gain, measured_gain, tuple(rows))


def _at(values: Sequence[float], step: int) -> float | None:
    return _finite(values[step]) if step < len(values) else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
