"""What code reads of a module that it is handed: a stand-in has to have that."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from gradlint.building.guessing.objects import asked_attributes
from gradlint.building.guessing.signature import positional
from gradlint.discovery.arguments.usage import definition_of

_OF_ANY = frozenset(dir(nn.Module)) | frozenset(vars(nn.Module()))
_DEPTH = 3


def attributes_read(
    name: str, tree: ast.AST | None, known: Callable[[str], Any], depth: int = _DEPTH
) -> frozenset[str]:
    """Attributes of a parameter that code reads, those of every module apart; in what it hands it to, too.

    Args:
        name: the parameter.
        tree: the class or function that takes it.
        known: the class or function of a name in the module of that code; None where it has none.
        depth: how far to follow calls.
    """
    if tree is None:
        return frozenset()
    optional = set(asked_attributes(tree))
    found = set(_own(name, tree)) - optional - _OF_ANY
    for callee, parameter in _handed(name, tree, known) if depth else ():
        found |= attributes_read(parameter, definition_of(callee, {}), _names_beside(callee), depth - 1)
    return frozenset(found)


def _own(name: str, tree: ast.AST) -> Iterator[str]:
    kept = (name, f"self.{name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and ast.unparse(node.value) in kept:
            yield node.attr


def _handed(name: str, tree: ast.AST, known: Callable[[str], Any]) -> Iterator[tuple[Any, str]]:
    """Callables of the same module that get the parameter, and under which name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        callee = known(node.func.id)
        if not inspect.isfunction(callee) and not inspect.isclass(callee):
            continue
        names = positional(callee)
        for place, value in enumerate(node.args):
            if isinstance(value, ast.Name) and value.id == name and place < len(names):
                yield callee, names[place]
        for keyword in node.keywords:
            if keyword.arg and isinstance(keyword.value, ast.Name) and keyword.value.id == name:
                yield callee, keyword.arg


def _names_beside(thing: Any) -> Callable[[str], Any]:
    home = sys.modules.get(getattr(thing, "__module__", ""))
    return vars(home).get if home is not None else (lambda name: None)


def provided(cls: type) -> frozenset[str]:
    """Attributes that the instances of a class have: those of the class, and what its methods assign to `self`."""
    found = set(dir(cls))
    for ancestor in cls.__mro__:
        if issubclass(ancestor, nn.Module) and not ancestor.__module__.startswith("torch."):
            found |= set(_assigned(ancestor))
    return frozenset(found)


def _assigned(cls: type) -> Iterator[str]:
    tree = definition_of(cls, {})
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Call(
                func=ast.Attribute(attr="register_buffer" | "register_parameter" | "add_module"),
                args=[ast.Constant(value=str() as name), *_],
            ):
                yield name
