"""Paths as scripts write them: `open("config.yaml")`, `Path(__file__).parent / "config.yaml"`."""

import ast
from pathlib import Path

from gradlint.discovery.literals import Scope, UnreadableError, evaluate

_SAME = frozenset("open Path resolve absolute abspath expanduser read_text read_bytes realpath read str".split())  # noqa: SIM905


def path_of(node: ast.expr, scope: Scope, file: Path, root: Path) -> Path:
    """The file that an expression in `file` names, as a path or opened; raises UnreadableError.

    A relative path is taken from the folder of the file where that leads to something, else from the root.
    """
    path = _path(node, scope, file, 8)
    if path.is_absolute():
        return path
    return next((folder / path for folder in (file.parent, root) if (folder / path).is_file()), root / path)


def _path(node: ast.expr, scope: Scope, file: Path, depth: int) -> Path:
    if depth == 0:
        raise UnreadableError
    match node:
        case ast.Name(id="__file__"):
            return file
        case ast.Name(id=name) if (bound := scope.get(name)) is not None:
            return _path(bound, scope, file, depth - 1)
        case ast.Call(func=function, args=arguments):
            return _called(ast.unparse(function).rpartition(".")[2], function, arguments, scope, file, depth)
        case ast.Attribute(value=value, attr="parent"):
            return _path(value, scope, file, depth - 1).parent
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _path(left, scope, file, depth - 1) / _path(right, scope, file, depth - 1)
    value = evaluate(node, scope)
    if not isinstance(value, str):
        raise UnreadableError
    return Path(value)


def _called(name: str, function: ast.expr, arguments: list[ast.expr], scope: Scope, file: Path, depth: int) -> Path:
    if name == "dirname" and arguments:
        return _path(arguments[0], scope, file, depth - 1).parent
    if name == "join":
        return Path(*(_path(argument, scope, file, depth - 1) for argument in arguments))
    if name in _SAME and arguments:
        return _path(arguments[0], scope, file, depth - 1)
    if (name in _SAME or name == "open") and isinstance(function, ast.Attribute):
        return _path(function.value, scope, file, depth - 1)
    raise UnreadableError
