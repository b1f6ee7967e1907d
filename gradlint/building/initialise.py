"""Carry out what the file does to a model's weights after its construction, in the file's own namespace."""

import ast
from typing import Any

import torch
from torch import nn

from gradlint.building.built import Doubt
from gradlint.building.failure import describe
from gradlint.building.guard import TooLargeError
from gradlint.building.namespace import Namespace
from gradlint.building.seeds import seed_for
from gradlint.building.surroundings import as_script, seeded
from gradlint.core.location import Location
from gradlint.core.target import Initialiser, Target
from gradlint.discovery.names import mentions

_FUNCTION = "__initialise__"


def initialise(model: nn.Module, target: Target, namespace: Namespace) -> tuple[Doubt, ...]:
    """Initialise a built model as its file does; what cannot be carried out is told."""
    doubts: list[Doubt] = []
    with as_script(namespace.source_folder(), namespace.folders), seeded(seed_for("initialisers")):
        for initialiser in target.initialisers:
            why_not = initialiser.why_not or _carried_out(model, initialiser, namespace)
            if why_not:
                text = f"initialisation in line {initialiser.line} not applied: {why_not}"
                doubts.append(Doubt(text, Location(target.path, initialiser.line)))
    return tuple(doubts)


def _carried_out(model: nn.Module, initialiser: Initialiser, namespace: Namespace) -> str:
    """Why it failed; empty where it did not."""
    body = ast.parse(initialiser.code).body
    signature = ast.arguments(posonlyargs=[], args=[ast.arg("__model__")], kwonlyargs=[], kw_defaults=[], defaults=[])
    function = ast.FunctionDef(_FUNCTION, signature, body, [], lineno=1, col_offset=0)
    tree = ast.fix_missing_locations(ast.Module([function], []))
    found: dict[str, Any] = {}
    try:
        namespace.require(mentions(tree))
        code = compile(tree, f"<initialisation in line {initialiser.line}>", "exec", dont_inherit=True)
        exec(code, vars(namespace.module), found)
        with torch.no_grad():
            found[_FUNCTION](model)
    except (TooLargeError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 (the user's code may raise anything; the reader is told)
        return describe(error)
    return ""
