"""Containers that statements fill piece by piece: what they were assigned at first says nothing of what they hold."""

import ast
from collections.abc import Iterator

_FILLING = frozenset(["append", "extend", "insert", "update", "add", "setdefault", "pop", "add_argument"])


def filled(statement: ast.stmt) -> Iterator[ast.expr]:
    """Containers that one statement changes: `words[word] = len(words)`, `layers.append(layer)`.

    Entries of a literal name (`settings["width"] = 3`) are read as such elsewhere.
    """
    match statement:
        case ast.Assign(targets=targets):
            subscripts = (target for target in targets if isinstance(target, ast.Subscript))
            yield from (target.value for target in subscripts if not isinstance(target.slice, ast.Constant))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=container, attr=method))) if method in _FILLING:
            yield container
