"""Constructor arguments as building can use them: literals, else expressions over the file's own top-level names."""

import ast
from typing import Any

from gradlint.discovery.literals import Scope, UnreadableError, evaluate
from gradlint.discovery.names import Names, mentions

BUILTINS = frozenset("dict list tuple set int float bool str range len max min sum".split())  # noqa: SIM905
LONGEST = 2000

Arguments = tuple[tuple[Any, ...] | None, dict[str, Any]]


def constructor_arguments(call: ast.Call, scope: Scope, local: dict[str, ast.expr], names: Names) -> Arguments:
    """Positional and keyword arguments of a call; (None, {}) where one of them cannot be read.

    Args:
        call: the call of a class or factory.
        scope: what names in sight are bound to, as far as that is known.
        local: names that exist only where the call stands: they are replaced by what they were assigned.
        names: the file's imports and top-level names.
    """
    try:
        args = tuple(item for node in call.args for item in _argument(node, scope, local, names))
        kwargs: dict[str, Any] = {}
        for keyword in call.keywords:
            if keyword.arg is None:
                kwargs.update(_mapping(keyword.value, scope))
            else:
                (kwargs[keyword.arg],) = _argument(keyword.value, scope, local, names)
    except UnreadableError:
        return None, {}
    return args, kwargs


def _mapping(node: ast.expr, scope: Scope) -> dict[str, Any]:
    value = evaluate(node, scope)
    if not isinstance(value, dict):
        raise UnreadableError
    return value


def _argument(node: ast.expr, scope: Scope, local: dict[str, ast.expr], names: Names) -> list[Any]:
    if isinstance(node, ast.Starred):
        unpacked = evaluate(node.value, scope)
        if not isinstance(unpacked, tuple | list):
            raise UnreadableError
        return list(unpacked)
    try:
        return [evaluate(node, scope)]
    except UnreadableError:
        return [{"expression": _expression(node, local, names)}]


def _expression(node: ast.expr, local: dict[str, ast.expr], names: Names) -> str:
    """Source text that means the same at the file's top level."""
    if any(isinstance(leaf, ast.Lambda | ast.Await | ast.Yield | ast.NamedExpr) for leaf in ast.walk(node)):
        raise UnreadableError
    tree = inlined(node, local)
    known = names.top | BUILTINS
    text = ast.unparse(tree)
    named = list(mentions(tree))
    if not named or len(text) > LONGEST or any(name not in known for name in named):
        raise UnreadableError
    return text


def inlined(node: ast.expr, local: dict[str, ast.expr], depth: int = 5) -> ast.expr:
    """A copy of an expression in which local names are replaced by what they were assigned, a few levels deep."""
    copy = ast.parse(ast.unparse(node), mode="eval").body
    replaced = _Inline(local, depth).visit(copy)
    assert isinstance(replaced, ast.expr)
    for leaf in ast.walk(replaced):
        ast.copy_location(leaf, node)
    return replaced


class _Inline(ast.NodeTransformer):
    def __init__(self, local: dict[str, ast.expr], depth: int) -> None:
        self.local = local
        self.depth = depth

    def visit_Name(self, node: ast.Name) -> ast.expr:  # the name is NodeTransformer's
        bound = self.local.get(node.id)
        if bound is None:
            return node
        if self.depth == 0:
            raise UnreadableError
        rest = {name: expression for name, expression in self.local.items() if name != node.id}
        return inlined(bound, rest, self.depth - 1)
