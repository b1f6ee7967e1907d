"""What the formats of `gradlint diff` share: figures on both sides, sentences, counts."""

import math
from collections.abc import Iterator, Mapping

from gradlint.core.architecture import Architecture
from gradlint.core.comparison import Comparison, ModelChange, Shift, Status
from gradlint.core.report import ModelSummary
from gradlint.report.style import count, plain

_SHOWN_CLASSES = 6
Row = tuple[str, str, str, str]
"""A figure's name, what it was, what it is, and what that makes."""


def figures(change: ModelChange) -> Iterator[Row]:
    """Figures that differ; all of them of a model that is new or gone."""
    old, new = change.before, change.after
    before, after = _made(old), _made(new)
    rows: list[Row] = [
        ("layers", *_two(before.size, after.size), by_class(before.layers, after.layers)),
        ("parameters", *_two(old.parameters if old else 0, new.parameters if new else 0), _share(old, new)),
        ("depth", *_two(before.depth, after.depth), ""),
        ("skips", *_two(before.skips, after.skips), ""),
        ("norms", *_two(before.norms, after.norms), ""),
        ("activations", _counted(before.activations), _counted(after.activations), ""),
        ("attenuation", attenuation(old), attenuation(new), _decades_more(old, new)),
        ("inputs", old.inputs if old else "", new.inputs if new else "", ""),
    ]
    for name, was, now, more in rows:
        if old is None or new is None:
            yield (name, was if old else "", now if new else "", more)
        elif was != now or more:
            yield (name, was, now, more)


def _made(model: ModelSummary | None) -> Architecture:
    return (model.architecture if model is not None else None) or Architecture()


def _two(before: int, after: int) -> tuple[str, str]:
    return f"{before:,}", f"{after:,}"


def by_class(before: dict[str, int], after: dict[str, int]) -> str:
    """`+3 Linear, −3 LayerNorm`; empty where nothing differs."""
    names = sorted(before | after, key=lambda name: (-abs(after.get(name, 0) - before.get(name, 0)), name))
    parts = [
        f"{'+' if more > 0 else '−'}{abs(more)} {name}"
        for name in names
        if (more := after.get(name, 0) - before.get(name, 0))
    ]
    left = [f"{len(parts) - _SHOWN_CLASSES} more"] if len(parts) > _SHOWN_CLASSES else []
    return ", ".join(parts[:_SHOWN_CLASSES] + left)


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in kinds.items())


def _share(before: ModelSummary | None, after: ModelSummary | None) -> str:
    if before is None or after is None or not before.parameters or before.parameters == after.parameters:
        return ""
    share = 100 * (after.parameters - before.parameters) / before.parameters
    return (
        f"{share:+.1f} %".replace("-", "−")
        if abs(share) < 1_000
        else f"{after.parameters / before.parameters:.1f} times"
    )


def attenuation(model: ModelSummary | None) -> str:
    """Decades at the worst-fed layer, for people; empty where there is no model."""
    if model is None:
        return ""
    if model.attenuation is not None:
        return f"{_number(model.attenuation)} decades"
    parts = model.architecture.modules if model.architecture is not None else ()
    return "no gradient at some layers" if any(not part.is_reached for part in parts) else "not known"


def _decades_more(before: ModelSummary | None, after: ModelSummary | None) -> str:
    if before is None or after is None or before.attenuation is None or after.attenuation is None:
        return ""
    more = after.attenuation - before.attenuation
    return signed(more) if abs(more) >= 0.05 else ""


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def signed(decades: float) -> str:
    """`+3.1`, `−0.2`."""
    return f"{decades:+.1f}".replace("-", "−")


def verdict(change: ModelChange) -> str:
    """The one sentence that a reviewer needs; empty where nothing is lost or won."""
    worst = change.worst
    if worst is not None:
        where = worst.path or "(model)"
        if worst.cost == math.inf:
            return f"Since this change no gradient reaches {where}."
        return f"This change costs {_number(worst.cost or 0.0)} decades at {where}."
    gaining = [shift for shift in change.shifts if shift.cost is not None]
    best = min(gaining, key=lambda shift: shift.cost or 0.0, default=None)
    if best is None or best.cost is None:
        return ""
    where = best.path or "(model)"
    if best.cost == -math.inf:
        return f"Since this change the gradient reaches {where} again."
    return f"This change wins {_number(-best.cost)} decades at {where}."


def shift_row(shift: Shift) -> tuple[str, str, str, str, str]:
    """Module, class, decades before, decades now, and the difference."""
    old, new = shift.before, shift.after
    classes = dict.fromkeys(part.class_name for part in (old, new) if part is not None)
    sides = ["" if part is None else _loss(part.attenuation, part.is_reached) for part in (old, new)]
    if shift.cost is None:
        more = "new" if old is None else "gone" if new is None else ""
    else:
        more = signed(shift.cost) if math.isfinite(shift.cost) else "severed" if shift.cost > 0 else "reached again"
    return (shift.path or "(model)", " → ".join(classes), sides[0], sides[1], more)


def _loss(decades: float | None, is_reached: bool) -> str:
    if not is_reached:
        return "no gradient"
    return "not known" if decades is None else signed(decades)


def title(change: ModelChange) -> str:
    """The model, and where it was before."""
    old, new = change.before, change.after
    if old is None or new is None or (old.path, old.name) == (new.path, new.name):
        return plain(change.model.name)
    was = old.name if old.path == new.path else f"{old.path}:{old.name}"
    return plain(f"{new.name} (was {was})")


def summary(comparison: Comparison) -> str:
    """One line: what was compared, and how much of what was found."""
    parts = []
    for status in Status:
        number = sum(1 for change in comparison.models if change.status is status)
        if number and status is not Status.UNCHANGED:
            parts.append(f"{count(number, 'model')} {status.value}")
    models = ", ".join(parts) or "no model has changed"
    found = [
        f"{len(items)} {word}"
        for items, word in (
            (comparison.new, "new"),
            (comparison.worse, "more severe"),
            (comparison.fixed, "fixed"),
            (comparison.moved, "moved"),
        )
        if items
    ]
    findings = f"; findings: {', '.join(found)}" if found else "; no new finding"
    same = f", {comparison.left_out} left out: no change reaches them" if comparison.left_out else ""
    files = f" ({count(comparison.files, 'file')} checked{same})"
    return plain(f"{comparison.base} → {comparison.head}: {models}{findings}{files}.")
