"""Configuration classes read as dictionaries: dataclasses, constants in a class, attributes that `__init__` sets."""

import ast
from collections.abc import Iterator
from typing import Any, Protocol

from gradlint.discovery.literals import Scope, UnreadableError, evaluate, literal
from gradlint.discovery.modules import has_method

_DEEPEST = 4


class Home(Protocol):
    """The file that a class is defined in."""

    scope: dict[str, ast.expr | None]

    def definition(self, name: str) -> ast.stmt | None:
        """The statement that defines a name of the file."""


def class_values(node: ast.ClassDef, home: Home) -> dict[str, Any]:
    """Constants of a class; raises UnreadableError where it has none, or is a model."""
    values = _values(node, home, _DEEPEST)
    if not values:
        raise UnreadableError
    return values


def instance_values(node: ast.ClassDef, home: Home, call: ast.Call, scope: Scope) -> dict[str, Any]:
    """Attributes of an instance that a call makes; raises UnreadableError where none is known.

    Args:
        node: the class.
        home: the file that it is defined in.
        call: the call.
        scope: what names mean where the call stands.
    """
    constructor = next((c for c in node.body if isinstance(c, ast.FunctionDef) and c.name == "__init__"), None)
    values = _values(node, home, _DEEPEST)
    if constructor is not None:
        parameters = [argument.arg for argument in constructor.args.posonlyargs + constructor.args.args][1:]
        given = dict(_given(call, parameters, scope))
        values.update(_set_by(constructor, given, home.scope))
    else:
        for name, value in _given(call, _fields(node, home, _DEEPEST), scope):
            values[name] = value
    known = {name: value for name, value in values.items() if value is not _UNKNOWN}
    if not known:
        raise UnreadableError
    return known


_UNKNOWN = object()


def _given(call: ast.Call, parameters: list[str], scope: Scope) -> Iterator[tuple[str, Any]]:
    """Arguments of a call by name; raises UnreadableError where they cannot be told apart."""
    if any(isinstance(argument, ast.Starred) for argument in call.args) or len(call.args) > len(parameters):
        raise UnreadableError
    yield from ((name, _or_unknown(node, scope)) for name, node in zip(parameters, call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg, _or_unknown(keyword.value, scope)
            continue
        unpacked = evaluate(keyword.value, scope)
        if not isinstance(unpacked, dict):
            raise UnreadableError
        yield from unpacked.items()


def _or_unknown(node: ast.expr, scope: Scope) -> Any:
    try:
        return evaluate(node, scope)
    except UnreadableError:
        return _UNKNOWN


def _values(node: ast.ClassDef, home: Home, depth: int) -> dict[str, Any]:
    if has_method(node, "forward") or depth == 0:
        raise UnreadableError
    values: dict[str, Any] = {}
    for base in _bases(node, home):
        values.update(_values(base, home, depth - 1))
    for name, default in _assignments(node):
        found = _UNKNOWN if default is None else _or_unknown(default, home.scope)
        if found is not _UNKNOWN:
            values[name] = found
    return values


def _bases(node: ast.ClassDef, home: Home) -> Iterator[ast.ClassDef]:
    for base in node.bases:
        definition = home.definition(base.id) if isinstance(base, ast.Name) else None
        if isinstance(definition, ast.ClassDef):
            yield definition


def _fields(node: ast.ClassDef, home: Home, depth: int) -> list[str]:
    """Names of the fields of a dataclass, those of its bases first."""
    if depth == 0:
        raise UnreadableError
    inherited = [name for base in _bases(node, home) for name in _fields(base, home, depth - 1)]
    own = [c.target.id for c in node.body if isinstance(c, ast.AnnAssign) and isinstance(c.target, ast.Name)]
    return list(dict.fromkeys(inherited + own))


def _assignments(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
    for child in node.body:
        if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            yield child.target.id, _default(child.value)
        elif isinstance(child, ast.Assign):
            yield from ((target.id, child.value) for target in child.targets if isinstance(target, ast.Name))


def _default(node: ast.expr | None) -> ast.expr | None:
    """The default of a field: `field(default=3)`, `field(default_factory=lambda: [1, 2])`, or as it stands."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] not in ("field", "Field"):
        return node
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    factory = keywords.get("default_factory")
    if isinstance(factory, ast.Lambda):
        return factory.body
    if isinstance(factory, ast.Name) and factory.id in ("list", "dict"):
        return ast.List([], ast.Load()) if factory.id == "list" else ast.Dict([], [])
    return keywords.get("default") or (node.args[0] if node.args else None)


def _set_by(constructor: ast.FunctionDef, given: dict[str, Any], outer: Scope) -> Iterator[tuple[str, Any]]:
    """What `self.width = width` makes of the arguments and their defaults."""
    arguments = constructor.args.posonlyargs + constructor.args.args
    scope: dict[str, ast.expr | None] = dict(outer)
    scope.update((argument.arg, None) for argument in arguments)
    defaults = constructor.args.defaults
    if defaults:
        scope.update(zip((a.arg for a in arguments[-len(defaults) :]), defaults, strict=True))
    for argument, default in zip(constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True):
        scope[argument.arg] = default
    scope.update({name: None if value is _UNKNOWN else literal(value) for name, value in given.items()})
    for statement in constructor.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                    scope[f"self.{target.attr}"] = statement.value
                    yield target.attr, _or_unknown(statement.value, scope)
