"""Where the parts of a live model were probably made: read from the source of the class that holds them."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import replace

from gradlint.core.location import Location

Parts = dict[str, Location]
"""Path of a part inside its class (`body`, `body.0`) → the expression that makes it."""


def class_line(cls: type) -> Location | None:
    """The line of a class statement (below its decorators), where Python can find its source."""
    try:
        path = inspect.getsourcefile(cls)
        lines, first = inspect.getsourcelines(cls)
    except (OSError, TypeError):
        return None
    below = next((index for index, line in enumerate(lines) if line.lstrip().startswith("class ")), 0)
    return Location(path, max(first, 1) + below) if path else None


def parts_of(cls: type) -> Parts:
    """Expressions that a class's constructor assigns to attributes; the arguments of a Sequential are its parts.

    An attribute that is assigned twice is left out: which assignment counted cannot be read.
    """
    start = class_line(cls)
    if start is None:
        return {}
    try:
        lines, first = inspect.getsourcelines(cls)
        start, source = replace(start, line=max(first, 1)), "".join(lines)
        tree = ast.parse(textwrap.dedent(source))
    except (OSError, SyntaxError):
        return {}
    indent = len(source) - len(source.lstrip())
    found: Parts = {}
    twice: set[str] = set()
    for name, value, context in _assignments(tree):
        for path, node in _nested(name, value):
            twice.update({path} & found.keys())
            found[path] = _place(node, start, indent, f"{cls.__qualname__}.{context}")
    return {path: place for path, place in found.items() if path not in twice}


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr, str]]:
    """Attribute name, assigned expression and method of every `self.name = expression`."""
    methods = [node for statement in tree.body for node in ast.iter_child_nodes(statement)]
    for method in methods:
        if not isinstance(method, ast.FunctionDef):
            continue
        for node in ast.walk(method):
            match node:
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                    yield name, value, method.name


def _nested(path: str, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """An expression with the arguments of the `nn.Sequential` or `nn.ModuleList` that it calls."""
    yield path, value
    if not isinstance(value, ast.Call) or not ast.unparse(value.func).endswith(("Sequential", "ModuleList")):
        return
    arguments = value.args
    if len(arguments) == 1 and isinstance(arguments[0], ast.List):
        arguments = arguments[0].elts
    if not any(isinstance(argument, ast.Starred) for argument in arguments):
        for index, argument in enumerate(arguments):
            yield from _nested(f"{path}.{index}", argument)


def _place(node: ast.expr, start: Location, indent: int, context: str) -> Location:
    line = start.line + node.lineno - 1
    end = node.end_col_offset + indent + 1 if node.end_lineno == node.lineno and node.end_col_offset else None
    return Location(start.path, line, node.col_offset + indent + 1, end, context)
