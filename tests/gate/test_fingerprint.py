"""The hash of what a finding is about."""

import pytest

from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.gate.fingerprint import Fingerprints

SOURCE = '''class Net(Module):
    """A model."""

    def __init__(self, width):
        self.body = Sequential(Linear(width, 8), Sigmoid())
        for _ in range(4):
            self.body.append(Tanh())

    def forward(self, x):
        return self.body(x)
'''


def finding(*lines: int, code: str = "GL101", stage: str = "", column: int = 1) -> Finding:
    sites = tuple(Site(Location("m.py", line, column)) for line in lines)
    return Finding(code, "x", Severity.ERROR, "bad", sites, model="Net", predicted={"stage": stage})


def printed(source: str, *lines: int, **about: object) -> str:
    return Fingerprints(lambda path: source).of(finding(*lines, **about))  # type: ignore[arg-type]


REFORMATTED = """import os


# a comment
class Net(
    Module,
):
    # another

    def __init__(self, width):
        self.body = Sequential(
            Linear(width, 8),  # first
            (Sigmoid()),
        )
        for _ in range( 4 ): self.body.append(Tanh())

    def forward(self, x): return (self.body(x))
"""


@pytest.mark.parametrize(("before", "after"), [((5,), (12,)), ((1,), (7,)), ((7, 10), (15, 17)), ((6,), (15,))])
def test_moved_and_reformatted_lines_keep_it(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    column = 39 if before == (7, 10) else 9  # of two statements on one line the column tells
    at = tuple(Site(Location("m.py", line, column if line == 15 else 40)) for line in after)
    moved = Finding("GL101", "x", Severity.ERROR, "bad", at, model="Net")
    assert Fingerprints(lambda path: REFORMATTED).of(moved) == printed(SOURCE, *before)


def test_line_ends_do_not_count() -> None:
    assert printed(SOURCE.replace("\n", "\r\n"), 5) == printed(SOURCE, 5)


@pytest.mark.parametrize(
    ("old", "new"),
    [("Sigmoid()", "ReLU()"), ("Linear(width, 8)", "Linear(width, 9)"), ("self.body =", "self.tail =")],
)
def test_another_statement_has_another(old: str, new: str) -> None:
    assert printed(SOURCE.replace(old, new), 5) != printed(SOURCE, 5)


def test_what_stands_inside_or_elsewhere_does_not_count() -> None:
    changed = SOURCE.replace("Sigmoid()", "ReLU()").replace("self.body(x)", "self.body(x) + 1")
    for line in (1, 4, 6):
        assert printed(changed, line) == printed(SOURCE, line)
    assert printed(changed, 10) != printed(SOURCE, 10)


def test_every_line_that_the_finding_names_counts_once_and_in_any_order() -> None:
    assert printed(SOURCE, 5, 10) == printed(SOURCE, 10, 5, 5) != printed(SOURCE, 5)


def test_a_model_that_fails_at_another_stage_is_another_finding() -> None:
    one, other = (printed(SOURCE, 5, code="GL001", stage=stage) for stage in ("build", "feed"))
    assert one != other
    assert printed(SOURCE, 5, stage="build") == printed(SOURCE, 5, stage="feed")


def test_a_file_that_does_not_parse_goes_by_its_line() -> None:
    broken = "x = 1\ndef  (\n"
    assert printed(broken, 2) == printed("\n\n   def (\n", 3) != printed(broken, 1)
    assert printed("", 7) == printed(broken, 99)


def test_an_endless_expression_goes_by_its_line() -> None:
    long = "x = " + " + ".join(["1"] * 3000) + "\n"
    assert printed(long, 1) != printed("x = 1\n", 1)


def test_it_is_the_same_on_every_machine_and_python() -> None:
    """Baselines are shared: a new value here makes every one of them stale."""
    assert printed(SOURCE, 5, 10) == "ca302a3910b40e41"
    assert printed("f'{x!r:>{w}}' + b'a' + ... + None + 1e5 + 'é'\n", 1) == "ed51f78cb811c5e7"
