"""Values that can be read off the syntax tree: literals, arithmetic on them, names bound to them."""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

Scope = Mapping[str, ast.expr | None]
"""Expression last assigned to each name (`n`, `self.n`, `args.n`); None where that is not known."""


class UnreadableError(Exception):
    """An expression whose value the syntax tree does not tell."""


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_CASTS: dict[str, Callable[[Any], Any]] = {
    **{"int": int, "float": float, "bool": bool, "tuple": tuple, "list": list, "len": len},
    **{"dict": dict, "vars": dict, "asdict": dict},  # namespaces and dataclasses are read as dictionaries
}
_MOST_LEAVES = 5_000
_LARGEST = 10**12  # no honest argument is larger, and `9 ** 9 ** 9` must not hang the scan


def evaluate(node: ast.expr, scope: Scope, depth: int = 12) -> Any:
    """The value of a literal expression; raises UnreadableError where it depends on anything but literals."""
    if depth == 0:
        raise UnreadableError
    if isinstance(node, ast.Constant) and not isinstance(node.value, bytes | complex) and node.value is not Ellipsis:
        return node.value
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
        text = ast.unparse(node)
        bound = scope.get(text)
        if bound is not None:
            return _changed(evaluate(bound, scope, depth - 1), text, scope, depth)
        if isinstance(node, ast.Name) or text in scope:
            raise UnreadableError
    if isinstance(node, ast.Attribute | ast.Subscript):
        return _part(node, scope, depth)
    if isinstance(node, ast.Tuple | ast.List | ast.Dict):
        return _container(node, scope, depth)
    return _operation(node, scope, depth)


def _part(node: ast.Attribute | ast.Subscript, scope: Scope, depth: int) -> Any:
    """An entry of a list or a dictionary; `settings.width` too: namespaces and their kind are read as dictionaries."""
    whole = evaluate(node.value, scope, depth - 1)
    if isinstance(node, ast.Attribute):
        if not isinstance(whole, dict) or node.attr not in whole:
            raise UnreadableError
        return whole[node.attr]
    key = evaluate(node.slice, scope, depth - 1)
    if not isinstance(whole, dict | list | tuple | str) or not isinstance(key, str | int):
        raise UnreadableError
    try:
        return whole[key]  # type: ignore[index]
    except (LookupError, TypeError) as error:
        raise UnreadableError from error


def _changed(value: Any, text: str, scope: Scope, depth: int) -> Any:
    """A dictionary with the entries that were assigned to it one by one; without those of unknown value."""
    if not isinstance(value, dict):
        return value
    changed = dict(value)
    for written, bound in scope.items():
        if not written.startswith((f"{text}.", f"{text}[")) or bound is None:
            continue
        key = written[len(text) :].removeprefix(".").removeprefix("['").removesuffix("']")
        if key.isidentifier():
            try:
                changed[key] = evaluate(bound, scope, depth - 1)
            except UnreadableError:
                changed.pop(key, None)
    return changed


def _container(node: ast.Tuple | ast.List | ast.Dict, scope: Scope, depth: int) -> Any:
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_key(key, scope, depth): evaluate(value, scope, depth - 1) for key, value in pairs}
    values = elements(node.elts, scope, depth)
    return tuple(values) if isinstance(node, ast.Tuple) else values


def _operation(node: ast.expr, scope: Scope, depth: int) -> Any:
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -number(evaluate(operand, scope, depth - 1))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not evaluate(operand, scope, depth - 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _binary(_BINARY[type(op)], evaluate(left, scope, depth - 1), evaluate(right, scope, depth - 1))
        case ast.Call(func=ast.Name(id=name), args=[only], keywords=[]) if name in _CASTS:
            return _guarded(_CASTS[name], evaluate(only, scope, depth - 1))
    raise UnreadableError


def elements(nodes: list[ast.expr], scope: Scope, depth: int = 12) -> list[Any]:
    """Values of a sequence of expressions, starred ones unpacked."""
    values: list[Any] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            inner = evaluate(node.value, scope, depth - 1)
            if not isinstance(inner, tuple | list):
                raise UnreadableError
            values.extend(inner)
        else:
            values.append(evaluate(node, scope, depth - 1))
    return values


def _key(node: ast.expr | None, scope: Scope, depth: int) -> str:
    key = None if node is None else evaluate(node, scope, depth - 1)
    if not isinstance(key, str):
        raise UnreadableError
    return key


def number(value: Any) -> Any:
    """The value itself, if it is a number."""
    if not isinstance(value, int | float):
        raise UnreadableError
    return value


def _binary(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    small = all(not isinstance(side, int | float) or abs(side) <= 4096 for side in (left, right))
    if function is operator.pow and not (numbers and small and abs(right) <= 16):
        raise UnreadableError
    if not numbers and not small:
        raise UnreadableError  # a list repeated a million times
    value = _guarded(function, left, right)
    if isinstance(value, int | float) and abs(value) > _LARGEST:
        raise UnreadableError
    return value


def _guarded(function: Callable[..., Any], *values: Any) -> Any:
    try:
        return function(*values)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UnreadableError from error


def literal(value: Any) -> ast.expr:
    """The expression of a value; raises UnreadableError where it is too large, or is more than literals."""
    require_small(value)
    return ast.parse(repr(value), mode="eval").body


def require_small(value: Any) -> None:
    """Raise UnreadableError where a value is too large to be spelt out, or is more than literals."""
    if sum(1 for _ in islice(_leaves(value), _MOST_LEAVES + 1)) > _MOST_LEAVES:
        raise UnreadableError


def _leaves(value: Any, depth: int = 20) -> Iterator[Any]:
    """Every part of a value; an alias in YAML counts as often as it is used."""
    if depth == 0 or not (value is None or isinstance(value, bool | int | float | str | list | tuple | dict)):
        raise UnreadableError  # a date, say
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _leaves(item, depth - 1)
