"""One cause, one finding."""

from gradlint.core.finding import Cause, Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.worker.causes import merge


def finding(code: str, cause: Cause, nodes: str = "", line: int = 1, severity: Severity = Severity.WARNING) -> Finding:
    place = Site(Location("model.py", line))
    return Finding(code, code.lower(), severity, code, (place,), "Net", cause=cause, attributed=tuple(nodes.split()))


def test_the_higher_ranking_cause_explains_the_other() -> None:
    saturation = finding("GL101", Cause.SATURATION, "s1 s2 s3")
    vanishing = finding("GL102", Cause.FLOW, "s1 l1 s2 l2 s3 l3")
    (only,) = merge([vanishing, saturation])
    assert (only.code, only.consequences) == ("GL101", ("GL102",))


def test_half_of_the_smaller_one_is_enough_and_less_is_not() -> None:
    one = finding("GL101", Cause.SATURATION, "a b c d")
    half = finding("GL102", Cause.FLOW, "a b x y z")
    less = finding("GL201", Cause.FLOW, "d v w")
    assert [f.code for f in merge([one, half, less])] == ["GL101", "GL201"]


def test_consequences_add_up() -> None:
    nodes = "a b"
    found = merge(
        [
            finding("GL107", Cause.FLOW, nodes, severity=Severity.ERROR),
            finding("GL102", Cause.FLOW, nodes),
            finding("GL302", Cause.INITIALISATION, nodes),
        ]
    )
    assert [f.code for f in found] == ["GL302"]
    assert found[0].consequences == ("GL102", "GL107")
    assert found[0].severity is Severity.ERROR


def test_within_a_family_the_smaller_code_explains() -> None:
    (only,) = merge([finding("GL107", Cause.FLOW, "a"), finding("GL102", Cause.FLOW, "a")])
    assert only.code == "GL102"


def test_usage_stands_on_its_own() -> None:
    found = merge([finding("GL501", Cause.USAGE, "a b"), finding("GL102", Cause.FLOW, "a b")])
    assert [f.code for f in found] == ["GL102", "GL501"]
    assert all(not f.consequences for f in found)


def test_nothing_attributed_is_never_merged_and_lines_are_in_order() -> None:
    found = merge([finding("GL503", Cause.SEVERED, line=9), finding("GL301", Cause.INITIALISATION, line=3)])
    assert [f.location.line for f in found] == [3, 9]
