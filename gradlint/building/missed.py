"""Which arguments a failure of a forward is about: from the expression that failed back to them."""

import ast
import linecache
import textwrap
from collections.abc import Collection, Iterator
from itertools import islice
from types import FrameType, TracebackType

from gradlint.building.failure import is_foreign

_FARTHEST = 3
"""Assignments that are gone back."""


def missed(error: BaseException) -> list[str]:
    """Names of the arguments that were None where the forward failed, of every function that it went through; those of
    the innermost one last. Names of the failing line that are no arguments are among them."""
    frames = [(tb.tb_frame, _expression(tb)) for tb in _tracebacks(error.__traceback__)]
    names: list[str] = []
    wanted: set[str] | None = None
    for frame, expression in reversed(frames):
        if expression is None:
            continue
        found = _names(expression) if wanted is None else _passed(expression, wanted)
        wanted = {name for name in found if name in frame.f_locals and frame.f_locals[name] is None}
        wanted |= {alias for name in wanted for alias in _sources(frame, name)}
        names = [*wanted, *names]
        if not wanted:
            break
    return list(dict.fromkeys(names))


def operands(error: BaseException) -> frozenset[str]:
    """Names of variables and attributes in the innermost expression of the user's that failed."""
    found = [_expression(tb) for tb in _tracebacks(error.__traceback__)]
    last = next((expression for expression in reversed(found) if expression is not None), None)
    leaves = ast.walk(last) if last is not None else ()
    return frozenset(leaf.id if isinstance(leaf, ast.Name) else leaf.attr for leaf in leaves
                     if isinstance(leaf, ast.Name | ast.Attribute))  # fmt: skip


def involved(error: BaseException, forward: ast.AST | None, arguments: Collection[str]) -> list[str]:
    """Arguments of the outermost forward from which the expression at which it failed was computed, the most direct
    ones first."""
    outermost = next((tb for tb in _tracebacks(error.__traceback__) if tb.tb_frame.f_code.co_name == "forward"), None)
    expression = _expression(outermost) if outermost is not None else None
    if outermost is None or expression is None:
        return []
    names = dict.fromkeys(_names(expression))
    for _ in range(_FARTHEST):
        for target, sources in _assignments(forward):
            if target in names and target not in arguments:
                names |= dict.fromkeys(sources)
    return [name for name in names if name in arguments]


def _assignments(forward: ast.AST | None) -> Iterator[tuple[str, set[str]]]:
    """Local names, with the names that they are computed from."""
    for node in ast.walk(forward) if forward is not None else ():
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for leaf in ast.walk(target):
                    if isinstance(leaf, ast.Name):
                        yield leaf.id, _names(node.value)


def _tracebacks(tb: TracebackType | None) -> Iterator[TracebackType]:
    """The frames of the user's code, outermost first."""
    while tb is not None:
        if not is_foreign(tb.tb_frame.f_code.co_filename):
            yield tb
        tb = tb.tb_next


def _expression(tb: TracebackType) -> ast.AST | None:
    """The syntax tree of what a frame was at: the expression that failed, or the call that led to it."""
    code = tb.tb_frame.f_code
    positions = next(islice(code.co_positions(), tb.tb_lasti // 2, None), (None, None, None, None))
    first, last, start, end = positions
    if first is None or last is None or start is None or end is None:
        return None
    lines = [linecache.getline(code.co_filename, number).encode() for number in range(first, last + 1)]
    if not lines:
        return None
    whole = b"".join(lines).decode(errors="ignore")
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    text = b"".join(lines).decode(errors="ignore")
    try:
        found = ast.parse(f"({textwrap.dedent(text)})", mode="eval").body
    except SyntaxError:
        return None
    return _unpacked(found, whole) if isinstance(found, ast.Tuple) else found


def _unpacked(names: ast.Tuple, line: str) -> ast.expr:
    """What is unpacked, where names were at fault that a line binds: `height, width = size`."""
    try:
        statement = ast.parse(textwrap.dedent(line)).body[0]
    except (SyntaxError, IndexError):
        return names
    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == ast.unparse(names):
        return statement.value
    return names


def _names(expression: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}


def _passed(call: ast.AST, parameters: set[str]) -> set[str]:
    """Names that a call hands to the wanted parameters; of those that it hands over by position all."""
    if not isinstance(call, ast.Call):
        return _names(call)
    named = {name for keyword in call.keywords if keyword.arg in parameters for name in _names(keyword.value)}
    if named:
        return named
    return {name for argument in call.args for name in _names(argument)}


def _sources(frame: FrameType, name: str) -> set[str]:
    """Arguments that a local name may stand for, where it is one under another name."""
    arguments = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
    return set() if name in arguments else {a for a in arguments if a in name or name in a}
