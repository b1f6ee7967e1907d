"""Two revisions checked by the same workers, and their findings held against each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradlint.core.comparison import ModelChange, Status
from gradlint.core.finding import Finding, Verdict
from gradlint.engine.collect import Job
from gradlint.engine.gating import Gathered
from gradlint.engine.revisions.sides import Side, Sides
from gradlint.engine.run import Crew, Progress, crew, look
from gradlint.gate.baseline import Baseline, Entry, Key
from gradlint.gate.known import Found, Matched, Run
from gradlint.gate.pairing import Placed, change_of, pair
from gradlint.registry import Selection

Place = tuple[str, Key]
_ANY = "known"
"""A name for the baseline that the base amounts to; it is never written."""


@dataclass(frozen=True, slots=True)
class Both:
    """What came of the two revisions."""

    sides: Sides
    before: Gathered
    after: Gathered


@dataclass(frozen=True, slots=True)
class Held:
    """The head's findings held against the base's."""

    matched: Matched
    run: Run
    origins: dict[Place, list[Found]]
    """The base's findings by the place at which the head would have them."""


def check_both(
    sides: Sides, before: Sequence[Job], after: Sequence[Job], selection: Selection, progress: Progress | None
) -> Both:
    """Look at the given files of both revisions."""
    if progress is not None:
        progress.begin(len(before) + len(after))
    with crew(sides.head.config, len(before) + len(after)) as workers:
        return Both(
            sides,
            _gathered(sides.base, before, selection, workers, progress),
            _gathered(sides.head, after, selection, workers, progress),
        )


def _gathered(
    side: Side, jobs: Sequence[Job], selection: Selection, workers: Crew, progress: Progress | None
) -> Gathered:
    results = tuple(look(jobs, side.config, selection, workers, progress))
    return Gathered((str(side.root),), tuple(jobs), (), results, side.config, selection)


def changes_of(both: Both) -> tuple[ModelChange, ...]:
    """What became of each model."""
    before, after = _placed(both.sides.base, both.before), _placed(both.sides.head, both.after)
    return tuple(_status(change_of(old, new), old, new, both) for old, new in pair(before, after, both.sides.renamed))


def _placed(side: Side, gathered: Gathered) -> list[Placed]:
    return [Placed(side.relative(result.path), model) for result in gathered.results for model in result.models]


def _status(change: ModelChange, old: Placed | None, new: Placed | None, both: Both) -> ModelChange:
    """A model that could not be analysed on one side is neither added nor removed."""
    if old is None and new is not None and _is_unanalysed(new, both.sides.base, both.before, back=True, both=both):
        return ModelChange(Status.UNKNOWN_BEFORE, None, change.after)
    if new is None and old is not None and _is_unanalysed(old, both.sides.head, both.after, back=False, both=both):
        return ModelChange(Status.UNKNOWN_NOW, change.before, None)
    return change


def _is_unanalysed(model: Placed, side: Side, gathered: Gathered, *, back: bool, both: Both) -> bool:
    renamed = both.sides.renamed
    names = {new: old for old, new in renamed.items()} if back else renamed
    path = names.get(model.path, model.path)
    return any(
        item.is_model and item.name in ("", model.summary.name) and side.relative(result.path) == path
        for result in gathered.results
        for item in result.skipped
    )


def hold(both: Both) -> Held:
    """Hold findings against each other as a baseline would, had it been written at the base."""
    sides = both.sides
    names = {
        (old.path, old.summary.name): (new.path, new.summary.name)
        for old, new in pair(_placed(sides.base, both.before), _placed(sides.head, both.after), sides.renamed)
        if old is not None and new is not None
    }
    origins: dict[Place, list[Found]] = {}
    for item in both.before.found(Baseline(sides.base.root / _ANY)):
        if item.finding.verdict is Verdict.REFUTED:
            continue
        own = (item.path, item.finding.model)
        path, model = names.get(own, (sides.renamed.get(item.path, item.path), item.finding.model))
        code, _, module, digest = item.key
        origins.setdefault((path, (code, model, module, digest)), []).append(item)
    entries = tuple(
        Entry(path, model, module, code, digest, len(found))
        for (path, (code, model, module, digest)), found in origins.items()
    )
    baseline = Baseline(sides.head.root / _ANY, entries)
    matched, run = both.after.matched(baseline, never=frozenset())
    return Held(matched, run, origins)


def origin_of(held: Held, item: Found, place: str, used: dict[Place, int]) -> Found:
    """The base's finding that a known one was; of several alike each is taken once."""
    found = held.origins[place, item.key]
    number = used.get((place, item.key), 0)
    used[place, item.key] = number + 1
    return found[min(number, len(found) - 1)]


def fixed(held: Held, used: dict[Place, int]) -> list[Finding]:
    """The base's findings that are no more, where that is certain."""
    gone = []
    for entry, left in held.matched.left.items():
        if held.run.can_judge(entry):
            found = held.origins[entry.path, entry.key]
            start = used.get((entry.path, entry.key), 0)
            gone += [item.finding for item in found[start : start + left]]
    return gone
