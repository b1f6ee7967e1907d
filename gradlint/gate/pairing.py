"""Which model of one revision is which of the other, and what has changed between them."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from gradlint.core.architecture import Architecture, ModuleLoss
from gradlint.core.comparison import NOTICED, ModelChange, Shift, Status
from gradlint.core.report import ModelSummary

_FIGURES = ("parameters", "attenuation", "unknown_operators", "flow_not_known", "inputs")
"""Of a summary, besides the architecture: what makes two models differ."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A model with the file that it was found in, relative to its revision."""

    path: str
    summary: ModelSummary


Pairs = list[tuple[Placed | None, Placed | None]]


def pair(before: Sequence[Placed], after: Sequence[Placed], renamed: Mapping[str, str]) -> Pairs:
    """By file and name; else by name, where only one of that name is left on each side; else by equal structure.

    Args:
        before: models of the base.
        after: models as they are now, whose order is kept; what is gone comes last.
        renamed: new path of files that git takes to be renamed.
    """
    found: dict[int, Placed] = {}
    left = list(before)
    keys: tuple[Callable[[Placed], Hashable], ...] = (
        lambda item: (item.path, item.summary.name),
        lambda item: item.summary.name,
        lambda item: (item.path, _structure(item.summary)),
        lambda item: _structure(item.summary),
    )
    moved = {id(item): Placed(renamed.get(item.path, item.path), item.summary) for item in before}
    for key in keys:
        old = _only(left, lambda item, key=key: key(moved[id(item)]))  # type: ignore[misc]
        new = _only([item for number, item in enumerate(after) if number not in found], key)
        for number, item in enumerate(after):
            match = old.get(key(item))
            if number not in found and match is not None and new.get(key(item)) is item:
                found[number] = match
                left.remove(match)
    pairs: Pairs = [(found.get(number), item) for number, item in enumerate(after)]
    return pairs + [(item, None) for item in left]


def _only(items: Sequence[Placed], key: Callable[[Placed], Hashable]) -> dict[Hashable, Placed]:
    """Items whose key is theirs alone; an empty key is no key."""
    counts = Counter(map(key, items))
    return {key(item): item for item in items if key(item) and counts[key(item)] == 1}


def _structure(model: ModelSummary) -> Hashable:
    """What two models that differ in nothing but their names have in common; None for a model of hardly a layer."""
    made = model.architecture
    if made is None or len(made.modules) < 2:
        return None
    modules = tuple((part.path, part.class_name) for part in made.modules)
    return (model.parameters, made.depth, made.skips, tuple(made.layers.items()), modules)


def change_of(before: Placed | None, after: Placed | None) -> ModelChange:
    """What has changed between two models, either of which may not be."""
    if before is None or after is None:
        status = Status.ADDED if before is None else Status.REMOVED
        return ModelChange(status, before.summary if before else None, after.summary if after else None)
    old, new = before.summary, after.summary
    shifts = _shifts(old.architecture or Architecture(), new.architecture or Architecture())
    is_same = not shifts and all(_figure(old, name) == _figure(new, name) for name in _FIGURES)
    if not is_same or _counts(old) != _counts(new):
        status = Status.CHANGED
    else:
        status = Status.UNCHANGED if (before.path, old.name) == (after.path, new.name) else Status.RENAMED
    return ModelChange(status, old, new, shifts)


def _figure(model: ModelSummary, name: str) -> object:
    value = getattr(model, name)
    return round(value, 1) if isinstance(value, float) else value


def _counts(model: ModelSummary) -> object:
    made = model.architecture or Architecture()
    return (made.layers, made.depth, made.skips, made.norms, made.activations)


def _shifts(before: Architecture, after: Architecture) -> tuple[Shift, ...]:
    old = {part.path: part for part in before.modules}
    new = {part.path: part for part in after.modules}
    paths = [*new, *(path for path in old if path not in new)]
    found = [Shift(old.get(path), new.get(path)) for path in paths]
    return tuple(sorted(filter(_is_noticed, found), key=lambda shift: -_cost(shift)))


def _is_noticed(shift: Shift) -> bool:
    if shift.before is None or shift.after is None or shift.before.class_name != shift.after.class_name:
        return True
    if shift.cost is None:
        return _is_known(shift.before) != _is_known(shift.after)
    return abs(shift.cost) >= NOTICED


def _is_known(part: ModuleLoss) -> bool:
    return part.attenuation is not None or not part.is_reached


def _cost(shift: Shift) -> float:
    """Rounded as it is printed: of modules that lose the same, the first one of the model comes first."""
    return 0.0 if shift.cost is None else round(shift.cost, 1)
