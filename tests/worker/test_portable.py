"""Arguments that JSON would bend."""

import math

from gradlint.core.report import Skipped
from gradlint.core.target import Target
from gradlint.worker.messages import HEADER, Result, TargetResult, decode_message, encode
from gradlint.worker.portable import portable


def sent(value: object) -> object:
    (carried,) = portable(Target("m.py", "Net", 1, args=(value,))).args or ()
    if isinstance(carried, dict) and set(carried) == {"expression"}:
        return eval(carried["expression"])
    return carried


def test_every_literal_arrives_as_it_was() -> None:
    for value in (1, "a", None, True, 2.5, [1, [2]], {"a": 1}, (3,), (), [1, (2, 3)], {1: (2,)}, {"k": (math.inf,)}):
        assert sent(value) == value
        assert type(sent(value)) is type(value)
    assert math.isnan(sent(math.nan))  # type: ignore[arg-type]
    assert portable(Target("m.py", "Net", 1, kwargs={"size": (3, 3)})).kwargs == {"size": {"expression": "(3, 3, )"}}


def test_plain_values_and_expressions_are_left_alone() -> None:
    target = Target("m.py", "Net", 1, args=({"expression": "Config()"}, [1, 2]), kwargs={"x": 1.0})
    assert portable(target) == target
    assert portable(Target("m.py", "Net", 1)).args is None


def test_half_a_surrogate_pair_breaks_no_answer() -> None:
    result = Result(TargetResult(skipped=(Skipped("m.py", 1, "Net", "bad \ud800 text"),)))
    decoded = decode_message(encode(result)[HEADER.size :])
    assert isinstance(decoded, Result)
    assert decoded.result.skipped[0].reason == "bad ? text"
