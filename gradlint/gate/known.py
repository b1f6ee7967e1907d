"""Which findings a baseline knows, which of its entries nothing matches any more, and the baseline as it should be."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gradlint.core.finding import Finding, Severity, Verdict
from gradlint.core.location import Location, Site
from gradlint.core.report import SilencedBy, Suppressed
from gradlint.gate.baseline import Baseline, Entry, Key
from gradlint.registry import STALE_BASELINE, UNANALYSABLE, UNUSED_IGNORE

NEVER_KNOWN = frozenset([UNUSED_IGNORE[0], STALE_BASELINE[0]])
"""Codes of findings about comments, overrides and the baseline itself: to take those away is the remedy."""


@dataclass(frozen=True, slots=True)
class Looked:
    """How far one file was looked at."""

    analysed: frozenset[str] = frozenset()
    """Models of which everything is known."""
    partly: frozenset[str] = frozenset()
    """Models whose flow is not known: that a rule is silent there says nothing."""
    is_complete: bool = False
    """Whether every model of the file was analysed."""


@dataclass(frozen=True, slots=True)
class Run:
    """What can be said of entries after a run. Paths are as the baseline's entries name them."""

    files: Mapping[str, Looked]
    codes: Collection[str]
    """Rules that ran."""
    names: Mapping[str, str]
    """All rules that there are."""
    is_gone: Callable[[str], bool] = lambda path: False
    """Whether a file is no longer there."""
    is_covered: Callable[[str], bool] = lambda path: False
    """Whether the run would have checked a file, were it there."""
    explained: Collection[tuple[str, str, str]] = ()
    """Path, model and rule of what other findings explain now."""

    def can_judge(self, entry: Entry) -> bool:
        """Whether an entry that nothing matches is stale for certain."""
        if entry.rule not in self.names:
            return True
        if entry.rule not in self.codes or (entry.path, entry.model, entry.rule) in self.explained:
            return False
        looked = self.files.get(entry.path)
        if looked is None:
            return self.is_gone(entry.path) and self.is_covered(entry.path)
        if entry.model in looked.partly:
            return entry.rule == UNANALYSABLE[0]
        return looked.is_complete or entry.model in looked.analysed

    def may_have_moved(self, entry: Entry) -> bool:
        """Whether what an entry speaks of cannot be where it was: else its twin elsewhere is new."""
        looked = self.files.get(entry.path)
        return self.is_gone(entry.path) if looked is None else looked.is_complete


@dataclass(frozen=True, slots=True)
class Found:
    """One finding, the file of its model as the baseline would name it, and the hash of what it is about."""

    finding: Finding
    path: str
    hash: str

    @property
    def is_takeable(self) -> bool:
        """Whether a baseline may take it up."""
        return self.finding.code not in NEVER_KNOWN and self.finding.verdict is not Verdict.REFUTED

    @property
    def key(self) -> Key:
        """What makes it the same finding, wherever it stands."""
        return (self.finding.code, self.finding.model, self.finding.module, self.hash)


@dataclass(frozen=True, slots=True)
class Matched:
    """Findings and entries, held against each other."""

    new: tuple[Found, ...] = ()
    known: tuple[tuple[Found, str], ...] = ()
    """Each with the path that it was last seen at."""
    left: Mapping[Entry, int] = field(default_factory=dict)
    """How many findings of each entry were not found, where that is some."""


def match(baseline: Baseline, found: Sequence[Found], run: Run, never: Collection[str] = NEVER_KNOWN) -> Matched:
    """Hold findings against entries: first in the same file, then in files that they may have moved from.

    Args:
        baseline: the entries.
        found: the findings.
        run: what can be said of entries.
        never: codes that no entry makes known.
    """
    counts: dict[tuple[str, Key], int] = {}
    for entry in baseline.entries:  # branches that were merged may both hold an entry: not twice as many findings
        counts[entry.path, entry.key] = max(entry.count, counts.get((entry.path, entry.key), 0))
    sources: dict[Key, list[str]] = {}
    for entry in sorted(set(baseline.entries)):
        if run.may_have_moved(entry) and entry.path not in sources.setdefault(entry.key, []):
            sources[entry.key].append(entry.path)
    known: dict[int, str] = {}
    for places in (lambda item: [item.path], lambda item: sources.get(item.key, [])):
        for number, item in enumerate(found):
            place = next((path for path in places(item) if counts.get((path, item.key), 0) > 0), None)
            if place is not None and number not in known and item.finding.code not in never:
                known[number] = place
                counts[place, item.key] -= 1
    return Matched(
        tuple(item for number, item in enumerate(found) if number not in known),
        tuple((found[number], known[number]) for number in sorted(known)),
        {Entry(path, *_fields(key)): count for (path, key), count in counts.items() if count},
    )


def _fields(key: Key) -> tuple[str, str, str, str]:
    rule, model, module, digest = key
    return (model, module, rule, digest)


def suppressed(matched: Matched, by: SilencedBy = SilencedBy.BASELINE) -> tuple[Suppressed, ...]:
    """What is known, with where it was before."""
    return tuple(
        Suppressed(item.finding, "" if before == item.path else f"moved from {before}", by)
        for item, before in matched.known
    )


def moves(matched: Matched) -> tuple[str, ...]:
    """One note for each file that findings have moved to."""
    moved = Counter((before, item.path) for item, before in matched.known if before != item.path)
    return tuple(
        f"{'a finding' if count == 1 else f'{count} findings'} of the baseline moved from {before} to {path};"
        " `gradlint baseline prune` writes that down"
        for (before, path), count in sorted(moved.items())
    )


def stale(baseline: Baseline, matched: Matched, run: Run) -> tuple[Finding, ...]:
    """A finding for each entry that covers more than there is."""
    if STALE_BASELINE[0] not in run.codes:
        return ()
    lines: dict[tuple[str, Key], int] = {}
    totals: dict[tuple[str, Key], int] = {}
    for entry, line in zip(baseline.entries, baseline.lines, strict=True):
        place = (entry.path, entry.key)
        if entry.count > totals.get(place, 0):
            lines[place], totals[place] = line, entry.count
    gone = [(lines[entry.path, entry.key], entry, left) for entry, left in matched.left.items() if run.can_judge(entry)]
    return tuple(
        _complaint(entry, left, totals[entry.path, entry.key], Location(str(baseline.path), line), run)
        for line, entry, left in sorted(gone)
    )


def _complaint(entry: Entry, left: int, total: int, where: Location, run: Run) -> Finding:
    code, name = STALE_BASELINE
    about = ".".join(part for part in (entry.model, entry.module) if part)
    subject = f"{entry.rule} in {entry.path}" + (f" ({about})" if about else "")
    if entry.rule not in run.names:
        message = f"{subject}: there is no rule {entry.rule}"
    elif left < total:
        message = f"{subject}: {total} findings are known, {total - left} {'is' if total - left == 1 else 'are'} left"
    else:
        message = f"{subject}: nothing that counts matches this entry any more"
    label = "take it out: gradlint baseline prune"
    return Finding(code, name, Severity.WARNING, message, (Site(where, label),), model=entry.model)


def renewed(matched: Matched, run: Run, *, with_new: bool) -> list[Entry]:
    """The entries of a baseline that fits the run: moved ones at their new place, stale ones out.

    Args:
        matched: findings and entries, held against each other.
        run: what can be said of entries; those that cannot be judged stay.
        with_new: take up new findings as well.
    """
    counts: Counter[tuple[str, Key]] = Counter()
    for item, _ in matched.known:
        counts[item.path, item.key] += 1
    for entry, left in matched.left.items():
        if not run.can_judge(entry):
            counts[entry.path, entry.key] += left
    for item in matched.new if with_new else ():
        if item.is_takeable:
            counts[item.path, item.key] += 1
    return [Entry(path, *_fields(key), count) for (path, key), count in counts.items()]
