"""Findings held against a baseline: what is known, new, moved and stale."""

from dataclasses import replace
from pathlib import Path

import pytest

from gradlint.core.finding import Finding, Severity, Verdict
from gradlint.core.location import Location, Site
from gradlint.core.report import SilencedBy
from gradlint.gate import known
from gradlint.gate.baseline import Baseline, Entry
from gradlint.gate.known import Found, Looked, Matched, Run, match, renewed

NAMES = {"GL001": "unanalysable-model", "GL002": "unused-ignore", "GL004": "stale-baseline", "GL101": "saturating"}
WHOLE = Looked(frozenset(["Net"]), is_complete=True)


def found(
    path: str = "a.py", code: str = "GL101", model: str = "Net", module: str = "body", digest: str = "x"
) -> Found:
    place = (Site(Location(path, 3)),)
    return Found(Finding(code, NAMES.get(code, code), Severity.ERROR, "bad", place, model, module), path, digest)


def entry(path: str = "a.py", count: int = 1, **other: str) -> Entry:
    given = {"model": "Net", "module": "body", "rule": "GL101", "hash": "x", **other}
    return Entry(path, count=count, **given)


def baseline(*entries: Entry) -> Baseline:
    return Baseline(Path("/p/known.json"), entries, tuple(range(4, 4 + len(entries))))


def run(*gone: str, codes: str = "GL001 GL002 GL004 GL101", covered: bool = True, **files: Looked) -> Run:
    looked = {f"{name}.py": value for name, value in (files or {"a": WHOLE}).items()}
    return Run(looked, codes.split(), NAMES, is_gone=lambda p: p in gone, is_covered=lambda p: covered)


def counts(matched: Matched, known_entries: Baseline, during: Run) -> tuple[int, int, int]:
    """How many are known, new and stale."""
    return len(matched.known), len(matched.new), len(known.stale(known_entries, matched, during))


@pytest.mark.parametrize(
    "changed", [{"module": "tail"}, {"model": "Other"}, {"digest": "y"}, {"code": "GL001"}], ids=lambda c: next(iter(c))
)
def test_a_fix_and_a_new_defect_do_not_cancel_out(changed: dict[str, str]) -> None:
    lines = baseline(entry())
    assert counts(match(lines, [found()], run()), lines, run()) == (1, 0, 0)
    assert counts(match(lines, [found(**changed)], run()), lines, run()) == (0, 1, 1)


def test_equal_findings_are_counted() -> None:
    lines = baseline(entry(count=2))
    assert counts(match(lines, [found(), found()], run()), lines, run()) == (2, 0, 0)
    assert counts(match(lines, [found(), found(), found()], run()), lines, run()) == (2, 1, 0)
    matched = match(lines, [found()], run())
    (stale,) = known.stale(lines, matched, run())
    assert stale.message == "GL101 in a.py (Net.body): 2 findings are known, 1 is left"
    assert renewed(matched, run(), with_new=False) == [entry()]


def test_lines_of_both_sides_of_a_merge_do_not_add_up() -> None:
    lines = baseline(entry(), entry(), entry(count=2))
    matched = match(lines, [found(), found(), found()], run())
    assert counts(matched, lines, run()) == (2, 1, 0)
    assert renewed(matched, run(), with_new=False) == [entry(count=2)]


def test_a_renamed_file_is_known_by_its_findings() -> None:
    lines, after = baseline(entry("old.py")), run("old.py")
    matched = match(lines, [found()], after)
    assert counts(matched, lines, after) == (1, 0, 0)
    assert [(item.by, item.reason) for item in known.suppressed(matched)] == [
        (SilencedBy.BASELINE, "moved from old.py")
    ]
    assert known.moves(matched) == (
        "a finding of the baseline moved from old.py to a.py; `gradlint baseline prune` writes that down",
    )
    assert renewed(matched, after, with_new=False) == [entry("a.py")]


def test_a_copy_is_new_while_the_original_may_still_be_there() -> None:
    lines = baseline(entry("old.py"))
    assert counts(match(lines, [found()], run()), lines, run()) == (0, 1, 0)  # old.py exists and was not checked
    both = run(a=WHOLE, old=WHOLE)
    assert counts(match(lines, [found("a.py"), found("old.py")], both), lines, both) == (1, 1, 0)
    assert match(lines, [found("a.py"), found("old.py")], both).new == (found("a.py"),)
    half = run(a=WHOLE, old=Looked())  # old.py holds a model that could not be analysed
    assert counts(match(lines, [found()], half), lines, half) == (0, 1, 0)


def test_one_entry_covers_one_of_two_files_that_it_may_have_moved_to() -> None:
    lines, after = baseline(entry("old.py")), run("old.py", a=WHOLE, b=WHOLE)
    matched = match(lines, [found("a.py"), found("b.py")], after)
    assert counts(matched, lines, after) == (1, 1, 0)
    assert matched.new == (found("b.py"),)


@pytest.mark.parametrize(
    ("during", "stale"),
    [
        (run(), 1),
        (run(a=Looked(frozenset(["Net"]))), 1),  # another model of the file failed
        (run(a=Looked(frozenset(["Other"]), is_complete=True)), 1),  # the model is gone
        (run(a=Looked(frozenset(["Other"]))), 0),
        (run(a=Looked(partly=frozenset(["Net"]), is_complete=True)), 0),
        (run(b=WHOLE), 0),
        (run("a.py", b=WHOLE), 1),
        (run("a.py", covered=False, b=WHOLE), 0),
        (run(codes="GL004"), 0),
        (run(codes="GL101"), 0),
        (replace(run(), explained={("a.py", "Net", "GL101")}), 0),
        (replace(run(), explained={("a.py", "Other", "GL101")}), 1),
        (replace(run(b=WHOLE), names={}), 1),
    ],
)
def test_an_entry_is_stale_where_that_is_certain(during: Run, stale: int) -> None:
    lines = baseline(entry())
    matched = match(lines, [], during)
    assert counts(matched, lines, during) == (0, 0, stale)
    if "GL004" in during.codes:
        assert len(renewed(matched, during, with_new=True)) == 1 - stale


def test_a_stale_entry_is_told_at_its_line() -> None:
    lines = baseline(entry("b.py"), entry(), entry(rule="GL999"))
    matched = match(lines, [], run())
    one, two = known.stale(lines, matched, run())
    assert (one.code, one.location) == ("GL004", Location("/p/known.json", 5))
    assert one.message == "GL101 in a.py (Net.body): nothing that counts matches this entry any more"
    assert one.severity is Severity.WARNING
    assert two.message == "GL999 in a.py (Net.body): there is no rule GL999"


def test_a_model_that_is_analysed_at_last_leaves_its_entry_stale() -> None:
    lines = baseline(entry(rule="GL001", module=""))
    during = run(a=Looked(partly=frozenset(["Net"]), is_complete=True))
    assert counts(match(lines, [], during), lines, during) == (0, 0, 1)


def test_what_a_baseline_never_takes_up() -> None:
    refuted = found()
    refuted = replace(refuted, finding=replace(refuted.finding, verdict=Verdict.REFUTED))
    engine = [found(code="GL002", model=""), found(code="GL004")]
    nothing = match(baseline(), [refuted, *engine], run())
    assert renewed(nothing, run(), with_new=True) == []
    by_hand = baseline(entry(rule="GL002", model=""))
    assert len(match(by_hand, engine, run()).new) == 2
    assert len(match(baseline(entry()), [refuted], run()).known) == 1  # its entry is not stale only under --probe
