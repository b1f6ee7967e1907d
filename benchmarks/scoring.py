"""How far a predicted flow is from a measured one, as `docs/flow.md` defines it: decades, over modules and parameters.

Figures of several initialisations are compared by their geometric means. Whatever is missing, unknown or wrongly zero
counts as one decade.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from common import quantile
from torch import nn
from torch.utils._pytree import tree_map_only

from gradlint.core.flow import Flow
from gradlint.probe import measure

WRONG = 1.0
"""Decades that a missing, unknown or wrongly zero figure counts."""
ROUNDING = 1e-12
"""Measurements are made in float64. A gradient that is smaller than the model's typical one by this factor is zero in
theory, and what is measured is rounding noise (a bias before batch norm, the bias of attention keys)."""
SINGLE = 1e-6
"""The same of a measurement in float32."""
NOTHING = 1e-5
"""A prediction that is smaller than the typical gradient by this factor says zero where that is the truth: it is the
rounding noise of float32, in which parameters are stored."""

Figures = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Error:
    """One module's or parameter's figure: predicted against measured."""

    name: str
    decades: float
    """Signed: positive where too much was predicted."""
    is_covered: bool
    """False where there is no prediction to compare."""
    scatter: float
    """Standard deviation of the measured figure over the initialisations, in decades."""


@dataclass(frozen=True, slots=True)
class Score:
    """All errors of one kind of figure over one or several models."""

    errors: tuple[Error, ...]

    def at(self, share: float) -> float:
        """Quantile of the absolute error, in decades."""
        return quantile((abs(error.decades) for error in self.errors), share)

    def scatter(self, share: float) -> float:
        """Quantile of the scatter over initialisations, in decades."""
        return quantile((error.scatter for error in self.errors), share)

    @property
    def coverage(self) -> float:
        """Share of the figures for which there is a prediction."""
        return sum(error.is_covered for error in self.errors) / len(self.errors) if self.errors else math.nan

    def worst(self, count: int) -> list[Error]:
        """The largest errors."""
        return sorted(self.errors, key=lambda error: -abs(error.decades))[:count]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The three kinds of figure."""

    activations: Score
    gradients: Score
    parameters: Score


def pooled(comparisons: Iterable[Comparison]) -> Comparison:
    """One comparison of several models."""
    found = list(comparisons)
    return Comparison(
        Score(tuple(error for c in found for error in c.activations.errors)),
        Score(tuple(error for c in found for error in c.gradients.errors)),
        Score(tuple(error for c in found for error in c.parameters.errors)),
    )


def compare(predicted: Sequence[Flow], measured: Sequence[Flow]) -> Comparison:
    """Compare the flows of one architecture over several initialisations, in the same order."""
    return Comparison(
        score([activations(f) for f in predicted], [activations(f) for f in measured]),
        score([gradients(f) for f in predicted], [seen(gradients(f), parameters(f)) for f in measured]),
        score([parameters(f) for f in predicted], [parameters(f) for f in measured]),
    )


def seen(gradients: Figures, parameters: Figures) -> Figures:
    """Measured gradients, None where no hook can have seen them.

    Where a block is computed anew in a backward pass of its own (reversible networks), hooks of the first computation
    fire never: a module's gradient reads zero although its own weights get one. Such modules, and all that read zero
    inside the outermost block around them that reads zero, are no measurement.
    """
    missed = {name.rpartition(".")[0] for name, value in parameters.items() if value}
    blocks = set()
    for module in (name for name in missed if gradients.get(name) == 0.0):
        outer = module
        while gradients.get(outer.rpartition(".")[0]) == 0.0:
            outer = outer.rpartition(".")[0]
        blocks.add(outer)
    inside = tuple(f"{block}." for block in blocks)
    hidden = {name for name, value in gradients.items() if value == 0.0 and f"{name}.".startswith(inside)}
    return {name: None if name in hidden else value for name, value in gradients.items()}


def activations(flow: Flow) -> Figures:
    """Activation RMS of each module."""
    return {name: module.activation_rms for name, module in flow.modules().items()}


def gradients(flow: Flow) -> Figures:
    """Gradient RMS of each module."""
    return {name: module.gradient_rms for name, module in flow.modules().items()}


def parameters(flow: Flow) -> Figures:
    """Gradient RMS of each parameter."""
    return {name: parameter.gradient_rms for name, parameter in flow.parameters().items()}


def score(predicted: Sequence[Figures], measured: Sequence[Figures], *, noise: float = ROUNDING) -> Score:
    """Compare one kind of figure over several initialisations, in the same order.

    Args:
        predicted: one per initialisation.
        measured: one per initialisation.
        noise: relative to a typical figure, what is rounding noise of the measurement.
    """
    usual = min(map(typical, measured))
    floor, zero = noise * usual, NOTHING * usual
    errors = []
    for name in measured[0]:
        truth = [figures.get(name) for figures in measured]
        if any(value is None for value in truth):
            continue  # the module returns no floating tensor: there is nothing to compare
        guess = [figures.get(name) for figures in predicted]
        errors.append(_error(name, guess, [value or 0.0 for value in truth], floor, zero))
    return Score(tuple(errors))


def typical(measured: Figures) -> float:
    """The median of the figures that are not zero."""
    return quantile((value for value in measured.values() if value), 0.5) if any(measured.values()) else 0.0


def rounding(measured: Figures) -> float:
    """The size up to which a figure of a measurement in float64 is rounding noise."""
    return ROUNDING * typical(measured)


def unknown_operators(flow: Flow) -> list[str]:
    """Operators without a rule, each once."""
    return list(dict.fromkeys(f"{u.op} {u.reason}".strip() for u in flow.unknown))


def measurement(model: nn.Module, inputs: Any, seed: int, *, double: bool = True) -> Flow:
    """A measurement, each seed with cotangents of its own; in float64, since float32 rounds (see `ROUNDING`)."""
    given = in_double(inputs) if double else inputs
    args, kwargs = ((), given) if isinstance(given, dict) else (given, {})
    return measure(model.double() if double else model, args, kwargs, seed=seed)


def in_double(inputs: Any) -> Any:
    """Any structure of inputs with its floating tensors in float64."""
    return tree_map_only(torch.Tensor, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, inputs)


def _error(name: str, predicted: Sequence[float | None], measured: Sequence[float], floor: float, zero: float) -> Error:
    truth = [math.log10(value) if value > 0 else -math.inf for value in measured]
    scatter = _deviation(truth)
    known = [value for value in predicted if value is not None and math.isfinite(value)]
    if len(known) < len(measured):
        return Error(name, -WRONG, False, scatter)
    if max(measured) <= floor:
        return Error(name, 0.0 if max(known) <= zero else WRONG, True, 0.0)
    if min(known) <= 0.0 or min(measured) <= 0.0:
        return Error(name, WRONG if min(measured) <= 0.0 else -WRONG, True, scatter)
    guess = [math.log10(value) for value in known]
    return Error(name, _mean(guess) - _mean(truth), True, scatter)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 of one value, or where any is no number."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return 0.0
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
