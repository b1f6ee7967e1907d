"""`measure`: the flow of a live model, from a real forward and backward pass."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from gradlint.core.flow import Flow
from gradlint.probe.run import measure_run
from gradlint.probe.steps import has_recurrence, measure_times


def measure(model: nn.Module, args: Any, kwargs: Mapping[str, Any] | None = None, *, seed: int = 0) -> Flow:
    """Measure activation and gradient RMS of every module and parameter.

    Training mode, dropout as identity; independent standard normal cotangents on every floating tensor of the output
    (aliases once, caches left out). Gradients are those that arrive at a module's first floating output as returned;
    several calls are pooled, modules never called are absent, 0.0 means that nothing arrives.

    Args:
        model: on any device; left exactly as found, also after an exception.
        args: positional inputs (a tuple or list, or the only input), used as given.
        kwargs: keyword inputs.
        seed: of the cotangents and of whatever the forward draws.

    Returns:
        The same structure that the prediction has; `nodes` is empty, `times` holds the recurrences found.

    Raises:
        Exception: whatever the model's forward raises.
    """
    run = measure_run(model, args, kwargs, seed=seed)
    flow = run.flow()
    if not has_recurrence(model, flow):
        return flow
    return dataclasses.replace(flow, times=measure_times(model, args, kwargs, seed=seed))
