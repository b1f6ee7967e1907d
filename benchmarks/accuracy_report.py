"""What a run over the zoos found, as tables: by library, by operator, by model."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from accuracy_store import Record
from common import quantile, table
from scoring import Comparison, Error, Score, pooled

JUMP = 0.1
"""Decades between one module and the next from which on the operator between them is held to be off."""
MODEL = 0.2
"""Median of a model beyond which it is named."""

AIMS = {"activations": (0.05, 0.3), "gradients": (0.05, 0.3), "parameters": (0.1, 0.4)}
"""Median and 95th percentile to reach over all modules of all models, in decades."""
LIBRARY = (
    "library", "models", "modules", "coverage", "forward median / p95", "backward median / p95",
    "parameters median / p95", "scatter median / p95", f"models with a median above {MODEL}",
)  # fmt: skip
OPERATOR = (
    "operator", "modules", "models", "forward median / p95", "backward median / p95", "first jumps forward",
    "first jumps backward",
)  # fmt: skip
PER_MODEL = (
    "model", "modules", "seeds", "forward median / p95", "backward median / p95", "parameters median / p95", "scatter",
    "forward off first at", "backward off first at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A record, and what it comes to."""

    record: Record
    found: Comparison
    forward: str
    """The module at which the error of the activations first jumps; empty where none does."""
    backward: str

    @property
    def medians(self) -> tuple[float, float]:
        """Forward and backward."""
        return self.found.activations.at(0.5), self.found.gradients.at(0.5)

    @property
    def is_off(self) -> bool:
        """Whether a median is beyond what is aimed at for every model."""
        return any(median > MODEL for median in self.medians)


def judge(record: Record) -> Judged:
    """Errors of a model, and where they begin."""
    found = record.comparison()
    order = list(record.kinds)
    return Judged(record, found, first_jump(found.activations, order), first_jump(found.gradients, order[::-1]))


def first_jump(score: Score, order: Sequence[str]) -> str:
    """The first module whose error differs from that of the module before it by more than `JUMP`.

    Args:
        score: errors by module.
        order: the modules as the signal meets them: as they return, for gradients from the end.
    """
    errors = {error.name: error for error in score.errors}
    before: Error | None = None
    for name in order:
        error = errors.get(name)
        if error is None:
            continue
        if not error.is_covered or abs(error.decades - (before.decades if before else 0.0)) > JUMP:
            return name
        before = error
    return ""


def libraries(judged: Iterable[Judged]) -> str:
    """One row per library, and one of all of them."""
    groups: dict[str, list[Judged]] = defaultdict(list)
    for model in judged:
        groups[model.record.library].append(model)
    rows = [_library(name, models) for name, models in groups.items()]
    if len(groups) > 1:
        rows.append(_library("all", [model for models in groups.values() for model in models]))
    return table(LIBRARY, rows)


def _library(name: str, models: Sequence[Judged]) -> list[str]:
    found = pooled(model.found for model in models)
    off = [model.record.name for model in sorted(models, key=lambda m: -max(m.medians)) if model.is_off]
    named = f"{len(off)}: {', '.join(off[:8])}{' …' if len(off) > 8 else ''}" if off else "none"
    return [
        name, str(len(models)), str(len(found.gradients.errors)), f"{found.gradients.coverage:.1%}",
        *map(_pair, (found.activations, found.gradients, found.parameters)), _scatter(found.gradients), named,
    ]  # fmt: skip


def misses(judged: Sequence[Judged]) -> list[str]:
    """In words what is aimed at and not reached."""
    found = pooled(model.found for model in judged)
    said = [
        f"{kind}: {name} {score.at(share):.3f}, to reach {aim:g}"
        for kind, aims in AIMS.items()
        for score in [getattr(found, kind)]
        for name, share, aim in zip(("median", "95th percentile"), (0.5, 0.95), aims, strict=True)
        if not score.at(share) <= aim
    ]
    off = sum(model.is_off for model in judged)
    return [*said, *([f"{off} models with a median above {MODEL}, to reach 0"] if off else [])]


def models(judged: Iterable[Judged]) -> str:
    """One row per model."""
    return table(PER_MODEL, map(_model, judged))


def _model(model: Judged) -> list[str]:
    record, found = model.record, model.found
    name = f"{record.name} **failed**: {record.failed}" if record.failed else record.name
    return [
        name, str(len(found.gradients.errors)), str(record.seeds),
        *map(_pair, (found.activations, found.gradients, found.parameters)), f"{found.gradients.scatter(0.5):.2f}",
        _place(record, model.forward), _place(record, model.backward),
    ]  # fmt: skip


def _place(record: Record, name: str) -> str:
    return record.kinds[name] if name else ""


@dataclass(slots=True)
class Kind:
    """What is found at all modules of one class."""

    models: set[str] = field(default_factory=set)
    forward: list[Error] = field(default_factory=list)
    backward: list[Error] = field(default_factory=list)
    jumps: list[int] = field(default_factory=lambda: [0, 0])


def operators(judged: Iterable[Judged], least: int = 20, count: int = 40) -> str:
    """One row per class of modules, worst 95th percentile of the gradients first.

    Args:
        judged: the models.
        least: modules that a class must have.
        count: rows.
    """
    kinds: dict[str, Kind] = defaultdict(Kind)
    for model in judged:
        _sort(model, kinds)
    chosen = {name: kind for name, kind in kinds.items() if len(kind.backward) >= least or sum(kind.jumps) > 1}
    ordered = sorted(chosen.items(), key=lambda item: -_size(item[1].backward, 0.95))[:count]
    return table(OPERATOR, [_operator(name, kind) for name, kind in ordered])


def _sort(model: Judged, kinds: dict[str, Kind]) -> None:
    names = model.record.kinds
    for place, score in enumerate((model.found.activations, model.found.gradients)):
        for error in score.errors:
            kind = kinds[names.get(error.name, "(not run)")]
            (kind.backward if place else kind.forward).append(error)
            kind.models.add(model.record.name)
    for place, name in enumerate((model.forward, model.backward)):
        if name:
            kinds[names[name]].jumps[place] += 1


def _operator(name: str, kind: Kind) -> list[str]:
    forward, backward = Score(tuple(kind.forward)), Score(tuple(kind.backward))
    return [
        name,
        str(len(kind.backward)),
        str(len(kind.models)),
        _pair(forward),
        _pair(backward),
        *map(str, kind.jumps),
    ]


def _size(errors: Sequence[Error], share: float) -> float:
    return quantile((abs(error.decades) for error in errors), share)


def _pair(score: Score) -> str:
    return _two(score.at)


def _scatter(score: Score) -> str:
    return _two(score.scatter)


def _two(figure: Callable[[float], float]) -> str:
    median, high = figure(0.5), figure(0.95)
    return "–" if math.isnan(median) else f"{median:.2f} / {high:.2f}"
