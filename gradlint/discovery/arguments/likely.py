"""Likely values of a constructor's parameters, read off the code alone: numbers, lists of them, flags and texts."""

import ast
from collections.abc import Callable
from typing import Any

from gradlint.discovery.arguments.conventions import ACTIVATION, CONFIG, NORM, PART
from gradlint.discovery.arguments.sizes import size_of, text_of
from gradlint.discovery.arguments.usage import Kind, Usage, annotated, usage_of
from gradlint.discovery.arguments.variations import VARIATIONS
from gradlint.discovery.modules import Definitions
from gradlint.discovery.values import Candidate

_FIRST = VARIATIONS[0]
_SIZED = (Kind.NUMBER, Kind.FRACTION, Kind.SEQUENCE)


def likely_arguments(candidate: Candidate, known: Definitions) -> dict[str, Any]:
    """Values for what a model requires; what takes an object, a class or a module is left out.

    Args:
        candidate: the model.
        known: the classes and functions of its file.
    """
    lineage = [known[name] for name in (candidate.name, *candidate.bases) if name in known]
    owner = next((node for node in lineage if _function_of(node) is not None), None)
    function = _function_of(owner) if owner is not None else None
    if function is None:
        return {}
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = {argument.arg: argument.annotation for argument in arguments}
    values = {
        name: _likely(name, annotations.get(name), usage_of(name, owner, _positions(known)))
        for name in candidate.required
    }
    return {name: value for name, value in values.items() if value is not None}


def _likely(name: str, annotation: ast.expr | None, usage: Usage) -> Any:
    said = annotated(ast.unparse(annotation)) if annotation is not None else Kind.UNKNOWN
    if annotation is not None and said is Kind.UNKNOWN:
        return None  # a class of the user's
    kind = usage.kind if said is Kind.UNKNOWN else said
    if kind is Kind.FLAG:
        return False
    if kind is Kind.TEXT:
        return text_of(name, usage)
    if kind in _SIZED or (kind is Kind.UNKNOWN and not _is_object(name, usage)):
        return size_of(name, kind, usage, _FIRST, lambda: _FIRST.image)
    return None


def _is_object(name: str, usage: Usage) -> bool:
    """Whether a name stands for a class, a module or settings, unless a layer of torch gets it as a number."""
    if NORM.fullmatch(name) or ACTIVATION.fullmatch(name):
        return True
    is_part = all(PART.fullmatch(seen) for seen in (name, *usage.names))
    return is_part or (not usage.names and bool(CONFIG.fullmatch(name)))


def _function_of(node: ast.ClassDef | ast.FunctionDef) -> ast.FunctionDef | None:
    if isinstance(node, ast.FunctionDef):
        return node
    return next((child for child in node.body if isinstance(child, ast.FunctionDef) and child.name == "__init__"), None)


def _positions(known: Definitions) -> Callable[[str], tuple[str, ...]]:
    """Names of the positional parameters of something that the file defines."""

    def positions(function: str) -> tuple[str, ...]:
        node = known.get(function)
        called = _function_of(node) if node is not None else None
        if called is None:
            return ()
        names = tuple(argument.arg for argument in (*called.args.posonlyargs, *called.args.args))
        return names[1:] if isinstance(node, ast.ClassDef) else names

    return positions
