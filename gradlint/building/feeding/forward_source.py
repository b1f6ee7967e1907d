"""Read a forward's own source: which argument goes into which layer, and which is walked along time."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Argument:
    """One required argument of a forward."""

    name: str
    keyword_only: bool = False
    annotation: str = ""
    consumers: tuple[str, ...] = ()
    """Attribute paths of the submodules that it is passed to (`encoder`, `layers.0`), in order."""
    time_first: bool = False
    """Whether the code walks along its first dimension."""


def required_arguments(model: nn.Module) -> list[Argument]:
    """The arguments that a forward cannot do without; one named "x" for `forward(*args)`."""
    try:
        parameters = list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return [Argument("x")]
    variable = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not required:
        named = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        required = named[:1]
        if not required:
            return [Argument("x")] if variable else []
    function = function_tree(type(model), "forward")
    return [_argument(model, p, function) for p in required]


def optional_arguments(model: nn.Module) -> list[Argument]:
    """The arguments of a forward whose default is None; some of them it cannot do without all the same."""
    try:
        parameters = list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return []
    function = function_tree(type(model), "forward")
    return [replace(_argument(model, p, function), keyword_only=True) for p in parameters if p.default is None]


def _argument(model: nn.Module, parameter: inspect.Parameter, function: ast.FunctionDef | None) -> Argument:
    annotation = "" if parameter.annotation is parameter.empty else str(parameter.annotation)
    keyword_only = parameter.kind is parameter.KEYWORD_ONLY
    if function is None:
        return Argument(parameter.name, keyword_only, annotation)
    consumers = tuple(consumers_in(type(model), function, parameter.name))
    return Argument(parameter.name, keyword_only, annotation, consumers, walks_time_first(function, parameter.name))


def forward_text(owner: type) -> str:
    """Source of a class's forward, empty where there is none."""
    return _source(getattr(owner, "forward", None))


@functools.lru_cache(maxsize=256)
def _source(function: Callable[..., Any] | None) -> str:
    try:
        return inspect.getsource(function) if function is not None else ""
    except (OSError, TypeError, AttributeError):
        return ""


def forward_tree(model: nn.Module) -> ast.FunctionDef | None:
    """Syntax tree of a model's forward; None where there is no source."""
    return function_tree(type(model), "forward")


def function_tree(owner: type, name: str) -> ast.FunctionDef | None:
    """Syntax tree of a method, type comments included; None where there is no source."""
    text = textwrap.dedent(_source(getattr(owner, name, None)))
    try:
        tree = ast.parse(text, type_comments="# type: (" in text)
    except SyntaxError:
        return None
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)


def consumers_in(owner: type, function: ast.FunctionDef, name: str, depth: int = 2) -> list[str]:
    """Submodules that are called with an argument, or with what its own methods make of it."""
    alive = {name}
    found: list[str] = []
    for node in _in_order(function):
        if isinstance(node, ast.Assign) and _derives(node.value, alive):
            alive.update(leaf.id for target in node.targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name))
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and _derives(node.iter, alive):
            alive.add(node.target.id)
        if not isinstance(node, ast.Call) or not any(_derives(argument, alive) for argument in node.args):
            continue
        path = _self_path(node.func)
        if not path:
            continue
        inner = function_tree(owner, path) if depth and "." not in path else None
        if inner is None:
            found.append(path)
        else:
            position = next(i for i, argument in enumerate(node.args) if _derives(argument, alive))
            parameters = [argument.arg for argument in inner.args.args]
            if position + 1 < len(parameters):
                found.extend(consumers_in(owner, inner, parameters[position + 1], depth - 1))
    return list(dict.fromkeys(found))


def _in_order(function: ast.FunctionDef) -> list[ast.Assign | ast.For | ast.Call]:
    """Nodes in the order of the text: inner calls stand before the assignment that binds their result."""
    nodes: list[ast.Assign | ast.For | ast.Call] = [
        node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.For | ast.Call)
    ]
    return sorted(nodes, key=lambda node: (node.lineno, not isinstance(node, ast.Call)))


def _derives(node: ast.expr, alive: set[str]) -> bool:
    """Whether an expression is a name, or a reshape, part or method result of one."""
    while True:
        match node:
            case ast.Name(id=name):
                return name in alive
            case ast.Subscript(value=inner) | ast.Starred(value=inner):
                node = inner
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch" | "F"))) if node.args:
                node = node.args[0]
            case ast.Call(func=ast.Attribute(value=inner)) if _self_path(node.func) == "":
                node = inner
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return any(_derives(element, alive) for element in elements)
            case _:
                return False


def _self_path(node: ast.expr) -> str:
    """`encoder.layers.0` for `self.encoder.layers[0]`; empty for anything that does not start at self."""
    parts: list[str] = []
    while True:
        match node:
            case ast.Attribute(value=inner, attr=attr):
                parts.append(attr)
                node = inner
            case ast.Subscript(value=inner, slice=ast.Constant(value=int(index))):
                parts.append(str(index))
                node = inner
            case ast.Subscript(value=inner):
                parts.append("0")
                node = inner
            case ast.Name(id="self"):
                return ".".join(reversed(parts))
            case _:
                return ""


def walks_time_first(function: ast.FunctionDef, name: str) -> bool:
    """Whether a loop goes over `x` itself, `range(x.size(0))`, `range(len(x))` or `range(x.shape[0])`."""
    wanted = {name, f"range({name}.size(0))", f"range(len({name}))", f"range({name}.shape[0])", f"enumerate({name})"}
    return any(isinstance(node, ast.For) and ast.unparse(node.iter) in wanted for node in ast.walk(function))
