"""What is wrong with a live model, as `gradlint check` would print it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import gradlint
from gradlint.core.errors import UsageError
from gradlint.gate.decision import ExitCode, exit_code
from gradlint.report.full import full
from gradlint.report.style import Style, count

if TYPE_CHECKING:
    from torch import nn

    from gradlint.core.flow import Flow

_LISTED = 8


def why_not(
    model: "nn.Module",
    inputs: Any,
    max_attenuation: float | None,
    fail_on: str,
    *,
    measured: bool,
    options: Mapping[str, Any],
) -> str:
    """Why an assertion about a model fails, in words; empty where it holds. Arguments: see `assert_gradients_flow`."""
    if max_attenuation is not None and not max_attenuation >= 0:
        raise UsageError(f"max_attenuation: {max_attenuation} is no number of decades", remedy="max_attenuation=3.0")
    report = gradlint.check_model(model, inputs, **{"probe": measured, **options})
    if exit_code(report, fail_on=fail_on) is not ExitCode.CLEAN:
        return full(report, Style(quiet=bool(report.findings))).rstrip()
    if max_attenuation is None:
        return ""
    flow = gradlint.measure(model, inputs) if measured else gradlint.flow(model, inputs)
    return "\n".join(_excess(flow, max_attenuation, measured=measured))


def _excess(flow: "Flow", limit: float, *, measured: bool) -> Iterator[str]:
    """What is wrong with the attenuation of single modules; nothing where all of them stay below the limit."""
    found = {path: flow.module_flows[path].attenuation for path in flow.parametrised if path in flow.module_flows}
    unknown = sorted(path for path, lost in found.items() if lost is None)
    over = sorted((-lost, path) for path, lost in found.items() if lost is not None and lost > limit)
    if over:
        verb = "measured" if measured else "predicted"
        yield f"{count(len(over), 'module')} with more than {limit:g} decades of gradient lost on the way back, {verb}:"
        yield from (f"    {-lost:6.1f} decades at {path or 'the model itself'}" for lost, path in over[:_LISTED])
        if len(over) > _LISTED:
            yield f"    … and {len(over) - _LISTED} more"
        yield "One decade is a factor of ten: a loss of 3 decades leaves a thousandth of the gradient."
    if unknown and not measured:
        yield f"the gradient at {', '.join(unknown[:_LISTED])} cannot be predicted; measured=True measures it"
