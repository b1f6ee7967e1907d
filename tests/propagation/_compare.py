"""Predicted flow against a real forward and backward pass: the one comparison that all transfer rules are held to.

A case is a small model, built from several seeds. For every module's activation and gradient and for every parameter's
gradient the geometric mean of predicted / measured must be one, up to three times its standard error over the seeds
(bounded, so that scatter excuses little) plus the case's margin. Nothing may be unknown, and nothing may vanish on one
side only.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.building import adopt
from gradlint.building.built import Fed
from gradlint.core.flow import Flow
from gradlint.probe import measure
from gradlint.propagation import propagate
from gradlint.tracing import trace

MOST_CHANCE = 0.05
"""Decades that scatter may add at most."""
ROUNDING = 1e-6
"""Figures below this share of the largest of their kind are zero but for rounding (a bias in front of a norm)."""


@dataclass(frozen=True, slots=True)
class Ids:
    """An integer input: ids drawn evenly below `below`."""

    shape: tuple[int, ...]
    below: int


Given = tuple[int, ...] | Ids | Callable[[], Any]
"""A shape stands for a standard normal tensor; a callable gives the input itself."""


@dataclass(frozen=True, slots=True)
class Case:
    """One model, its inputs, and how far from one the geometric mean of predicted / measured may be."""

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[Given, ...]
    within: float = 0.04
    """Decades, beside the standard error."""
    seeds: int = 3


def each(*tables: Sequence[Case]) -> pytest.MarkDecorator:
    """Parametrise a test over the cases of tables."""
    cases = [case for cases in tables for case in cases]
    assert len({case.name for case in cases}) == len(cases), "two cases of one name"
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def draw(given: Given) -> Any:
    """One input."""
    if isinstance(given, Ids):
        return torch.randint(given.below, given.shape)
    return given() if callable(given) else torch.randn(given)


def predict(model: nn.Module, *args: Any, **kwargs: Any) -> Flow:
    """The predicted flow of a live model."""
    built = adopt(model)
    return propagate(trace(built, Fed(args, kwargs)), built.values)


Figures = Mapping[str, float | None]


def _relative(flow: Flow, gradient: float | None) -> float | None:
    return None if gradient is None else gradient / flow.output_gradient_rms


def figures(flow: Flow) -> dict[str, float | None]:
    """Every figure that a flow and a measurement share; gradients relative to the gradient at the outputs."""
    found: dict[str, float | None] = {}
    for path, module in flow.modules().items():
        found[f"activation of {path or 'the model'}"] = module.activation_rms
        found[f"gradient at {path or 'the model'}"] = _relative(flow, module.gradient_rms)
    for name, parameter in flow.parameters().items():
        found[f"gradient of {name}"] = _relative(flow, parameter.gradient_rms)
    return found


@dataclass
class Compared:
    """log10 predicted / measured of one figure, over seeds."""

    name: str
    elements: float = math.inf
    """Numbers of which the figure is the root mean square: few of them scatter, whatever three seeds may show."""
    errors: list[float] = field(default_factory=list)
    predicted: list[float | None] = field(default_factory=list)
    measured: list[float | None] = field(default_factory=list)

    def add(self, predicted: float | None, measured: float | None) -> None:
        """One more seed."""
        self.predicted.append(predicted)
        self.measured.append(measured)
        if predicted is None or measured is None:
            self.errors.append(0.0 if predicted is measured else math.inf)
        elif predicted == 0 or measured == 0:
            self.errors.append(0.0 if predicted == measured else math.inf)
        else:
            self.errors.append(math.log10(predicted / measured))

    @property
    def error(self) -> float:
        """Decades between the geometric means."""
        return statistics.fmean(self.errors)

    @property
    def chance(self) -> float:
        """Standard error of `error`."""
        spread = statistics.stdev(self.errors) if len(self.errors) > 1 and math.isfinite(self.error) else 0.0
        least = 1 / (math.log(10) * math.sqrt(2 * self.elements))
        return max(spread, least) / math.sqrt(len(self.errors))

    def excess(self, within: float) -> float:
        """How far the error exceeds what is allowed."""
        return abs(self.error) - within - min(3 * self.chance, MOST_CHANCE)

    def __str__(self) -> str:
        shown = (["-" if v is None else f"{v:.4g}" for v in side] for side in (self.predicted, self.measured))
        pairs = ", ".join(map("/".join, zip(*shown, strict=True)))
        return f"{self.name}: {self.error:+.3f} ± {self.chance:.3f} decades (predicted/measured {pairs})"


def compared(case: Case, first: int = 0) -> Iterator[Compared]:
    """Every figure of a case, predicted and measured from each of its seeds, counted from `first`."""
    rows: dict[str, Compared] = {}
    for seed in range(first, first + case.seeds):
        torch.manual_seed(seed)
        model = case.make()
        args = tuple(draw(given) for given in case.inputs)
        predicted = predict(model, *args)
        assert not predicted.unknown, predicted.unknown
        expected, seen = figures(measure(model, args, seed=seed)), figures(predicted)
        assert seen.keys() == expected.keys()
        sizes = {f"gradient of {name}": p.numel() for name, p in model.named_parameters()}
        for name in expected:
            row = rows.setdefault(name, Compared(name, sizes.get(name, math.inf)))
            row.add(_unrounded(seen, name), _unrounded(expected, name))
    yield from rows.values()


def _unrounded(found: Figures, name: str) -> float | None:
    """A figure, zero where it is rounding."""
    value, kind = found[name], name.split()[:2]
    largest = max((v or 0.0) for other, v in found.items() if other.split()[:2] == kind)
    return 0.0 if value is not None and value < ROUNDING * largest else value


def check(case: Case) -> None:
    """Fail with every figure that is further off than the case allows."""
    rows = list(compared(case))
    assert rows
    off = [str(row) for row in rows if not row.excess(case.within) <= 0]
    assert not off, "\n".join([f"{case.name}, within {case.within}:", *off])
