"""What the user's own checks ask of an input: `assert H == self.size`, `if x.ndim != 4: raise …`, or only its words."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import FrameType, TracebackType
from typing import Any, Literal

from gradlint.building.failure import is_foreign, text_of

_RANK = re.compile(r"\.dim\(\)|\.ndim\b|len\([\w.]+\.(?:shape|size\(\))\)|\.ndimension\(\)")
_SAFE = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop,
    ast.expr_context, ast.Tuple, ast.List, ast.Slice,
)  # fmt: skip
_CALLS = ("size", "dim", "len", "min", "max", "int", "ndimension")
_MOST_NUMBERS = 6
_LARGEST = 100_000


@dataclass(frozen=True, slots=True)
class Demand:
    """A number that was found, and the one that was asked for."""

    got: int
    wanted: int
    kind: Literal["size", "rank", "multiple"] = "size"
    """Of what: of a dimension, of the dimensions there are, or of a dimension that it has to divide."""


def demands(error: BaseException) -> list[Demand]:
    """What the check that failed asks for, as far as it can be read; likeliest first. Nothing for an error of torch."""
    last = _innermost(error.__traceback__)
    if last is None or is_foreign(last.tb_frame.f_code.co_filename):
        return []
    test, holds = _check(last)
    found = list(_compared(test, last.tb_frame, holds=holds)) if test is not None else []
    return list(dict.fromkeys([*found, *_worded(text_of(error))]))


def _innermost(tb: TracebackType | None) -> TracebackType | None:
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    return tb


def _check(tb: TracebackType) -> tuple[ast.expr | None, bool]:
    """The condition whose failing raised, and whether it had to hold (an assertion) or not (the `if` of a `raise`)."""
    code = tb.tb_frame.f_code
    try:
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None, True
    line = tb.tb_lineno - max(first, 1) + 1
    test, holds = None, True
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or node.lineno):
            return node.test, True
        if isinstance(node, ast.If) and any(
            isinstance(inner, ast.Raise) and inner.lineno <= line <= (inner.end_lineno or inner.lineno)
            for inner in node.body
        ):
            test, holds = node.test, False
    return test, holds


def _compared(test: ast.expr, frame: FrameType, *, holds: bool) -> Iterator[Demand]:
    """Demands of the comparisons in a condition that are not met."""
    wanted_operator = ast.Eq if holds else ast.NotEq
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and all(isinstance(operator, wanted_operator) for operator in node.ops):
            for left, right in pairwise([node.left, *node.comparators]):
                yield from _of_sides(left, right, frame)
        elif not holds and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):  # `if n % 8: raise`
            yield from _of_remainder(node, frame)


def _of_sides(left: ast.expr, right: ast.expr, frame: FrameType) -> Iterator[Demand]:
    if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Mod):
        yield from _of_remainder(left, frame)
        return
    first, second = _value(left, frame), _value(right, frame)
    pairs = zip(_numbers(first), _numbers(second), strict=False)
    kind: Literal["size", "rank"] = "rank" if _RANK.search(f"{ast.unparse(left)} {ast.unparse(right)}") else "size"
    swapped = kind == "rank" and isinstance(left, ast.Constant)
    for a, b in pairs:
        if a != b:
            yield Demand(b, a, kind) if swapped else Demand(a, b, kind)
            if kind == "size":
                yield Demand(b, a, kind)


def _of_remainder(node: ast.BinOp, frame: FrameType) -> Iterator[Demand]:
    for number, unit in zip(_numbers(_value(node.left, frame)), _numbers(_value(node.right, frame)), strict=False):
        if unit > 1 and number % unit:
            yield Demand(number, unit, "multiple")


def _numbers(value: Any) -> list[int]:
    items = value if isinstance(value, tuple | list) else [value]
    return [item for item in items if type(item) is int and 0 < item < _LARGEST]


def _value(node: ast.expr, frame: FrameType) -> Any:
    """The value of a harmless expression where the check was; None for any other."""
    if not all(_is_harmless(part) for part in ast.walk(node)):
        return None
    try:
        expression = compile(ast.Expression(node), "<check>", "eval")
        return eval(expression, frame.f_globals, dict(frame.f_locals))
    except Exception:  # noqa: BLE001 (a property of the user's may raise anything: then nothing is known)
        return None


def _is_harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        return name in _CALLS
    return isinstance(node, _SAFE)


def _worded(text: str) -> Iterator[Demand]:
    """Pairs of the numbers that the message names: which one was found is for the caller to know."""
    numbers = [int(number) for number in dict.fromkeys(re.findall(r"(?<![\w.])\d+(?![\w.]*\w)", text))]
    for got in numbers[:_MOST_NUMBERS]:
        yield from (Demand(got, wanted) for wanted in numbers[:_MOST_NUMBERS] if wanted not in (got, 0))
