"""Comments that silence findings, and comments that silence nothing."""

from collections.abc import Sequence

import pytest

from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.gate.suppressions import Gated, apply, read_ignores

NAMES = {"GL001": "unanalysable-model", "GL002": "unused-ignore", "GL101": "saturating-stack", "GL102": "vanishing"}


def finding(code: str = "GL101", *lines: int, path: str = "m.py", consequences: tuple[str, ...] = ()) -> Finding:
    sites = tuple(Site(Location(path, line)) for line in lines or (1,))
    return Finding(code, NAMES[code], Severity.ERROR, "bad", sites, model="Net", consequences=consequences)


def gate(
    source: str, *findings: Finding, judged: Sequence[str] = tuple(NAMES), others: dict[str, str] | None = None
) -> Gated:
    texts = {"m.py": source, **(others or {})}
    sites = {"Net": Location("m.py", 1)}
    return apply(findings, "m.py", lambda path: texts.get(path, ""), names=NAMES, judged=judged, class_sites=sites)


SOURCE = """class Net(Module):{header}
    def __init__(self):
        self.body = Sequential({inline}
            Sigmoid(),{inside}
        )
        {above}
        self.head = Linear(2, 2)
    def forward(self, x):
        return self.head(x){forward}
"""


def source(**comments: str) -> str:
    spaced = {key: "  " + value for key, value in comments.items()}
    return SOURCE.format(**{**dict.fromkeys(["header", "inline", "inside", "above", "forward"], ""), **spaced})


@pytest.mark.parametrize(
    ("comments", "line"),
    [
        ({"forward": "# gradlint: ignore[GL101] it is meant"}, 9),
        ({"header": "# gradlint: ignore[GL101] it is meant"}, 9),
        ({"inside": "# gradlint: ignore[GL101] it is meant"}, 4),
        ({"inside": "# gradlint: ignore[GL101] it is meant"}, 3),
        ({"inline": "#gradlint:ignore[ GL101 ] it is meant"}, 4),
        ({"above": "# gradlint: ignore[GL101] it is meant"}, 7),
        ({"forward": "# gradlint: ignore[GL102, saturating-stack] it is meant"}, 9),
        ({"forward": "# gradlint: file-ignore[GL101] it is meant"}, 4),
    ],
)
def test_a_comment_on_the_line_the_constructor_or_the_class_silences(comments: dict[str, str], line: int) -> None:
    gated = gate(source(**comments), finding("GL101", line), judged=())
    assert gated.findings == ()
    (silenced,) = gated.suppressed
    assert silenced.reason == "it is meant"


INHERITED = """class Root(Module):  # gradlint: ignore[GL102] root
    def __init__(self):
        self.body = Sigmoid()
class Base(Root):  # gradlint: ignore[GL101] base
    def __init__(self):
        self.head = Sigmoid()
class Net(Base):
    pass
"""


@pytest.mark.parametrize(
    ("code", "line", "silenced"),
    [("GL101", 6, True), ("GL102", 3, True), ("GL101", 3, False), ("GL101", 7, False), ("GL102", 6, False)],
)
def test_a_comment_on_a_base_class_holds_for_what_is_found_in_its_lines(code: str, line: int, silenced: bool) -> None:
    texts, sites = {"m.py": INHERITED}, {"Net": Location("m.py", 7)}
    gated = apply([finding(code, line)], "m.py", texts.__getitem__, names=NAMES, judged=(), class_sites=sites)
    assert bool(gated.suppressed) == silenced


def test_any_site_of_a_finding_will_do_in_any_file() -> None:
    other = "x = Sigmoid()  # gradlint: ignore[GL101]\n"
    two_sites = Finding(
        "GL101", "saturating-stack", Severity.ERROR, "bad", (Site(Location("m.py", 3)), Site(Location("o.py", 1)))
    )
    assert gate(source(), two_sites, others={"o.py": other}).findings == ()


@pytest.mark.parametrize(
    "comments", [{"forward": "# gradlint: ignore[GL102] no"}, {"inside": "# gradlint: ignore[GL101] no"}]
)
def test_other_rules_and_other_lines_are_left_alone(comments: dict[str, str]) -> None:
    assert gate(source(**comments), finding("GL101", 9), judged=()).findings == (finding("GL101", 9),)


def messages(gated: Gated) -> list[tuple[str, int, str]]:
    return [(f.message, f.location.line, f.sites[0].label) for f in gated.findings if f.code == "GL002"]


def test_an_idle_comment_is_reported() -> None:
    gated = gate(source(forward="# gradlint: ignore[GL101] old"))
    assert messages(gated) == [("ignore[GL101] silences nothing", 9, "remove the comment")]
    assert gated.findings[0].severity is Severity.WARNING
    assert gated.findings[0].location.column == 30


def test_a_file_ignore_holds_for_all_of_its_file_and_is_told_where_it_is_idle() -> None:
    text = "# gradlint: file-ignore[GL101] a gallery of bad examples\n" + source()
    assert len(gate(text, finding("GL101", 4), finding("GL101", 9)).suppressed) == 2
    assert messages(gate(text)) == [("file-ignore[GL101] silences nothing", 1, "remove the comment")]
    elsewhere = gate("x = 1\n", finding("GL101", 1, path="o.py"), others={"o.py": text})
    assert (len(elsewhere.suppressed), elsewhere.findings) == (1, ())


def test_blanket_ignores_are_refused() -> None:
    gated = gate(source(forward="# gradlint: ignore"), finding("GL101", 9))
    assert messages(gated) == [
        (
            '"gradlint: ignore" silences nothing: it must name the rules',
            9,
            "write `# gradlint: ignore[GL101] why it is meant`",
        )
    ]
    assert len(gated.findings) == 2


def test_unknown_codes_and_verbs_are_reported() -> None:
    assert messages(gate(source(forward="# gradlint: ignore[vanishin] x")))[0][2] == 'did you mean "vanishing"?'
    assert messages(gate(source(forward="# gradlint: ignore[GL1] x")))[0][0].startswith('"GL1" is no rule')
    assert messages(gate(source(forward="# gradlint: ignroe[GL101] x")))[0][0] == '"gradlint: ignroe" is not understood'


def test_rules_that_did_not_run_and_consequences_are_not_called_idle() -> None:
    assert gate(source(forward="# gradlint: ignore[GL101] x"), judged=["GL002"]).findings == ()
    cause = finding("GL101", 9, consequences=("GL102",))
    assert gate(source(forward="# gradlint: ignore[GL102] x"), cause).findings == (cause,)


def test_idle_comments_can_be_kept_deliberately() -> None:
    assert gate(source(forward="# gradlint: ignore[GL101, GL002] x")).findings == ()


def test_comments_in_strings_are_no_comments() -> None:
    assert read_ignores("m.py", 'x = "# gradlint: ignore[GL101]"\n') == ()


def test_a_file_that_does_not_tokenize_gives_what_stands_before_the_error() -> None:
    assert len(read_ignores("m.py", "x = 1  # gradlint: ignore[GL101]\ny = (\n")) == 1
