"""Inputs that the file computes by harmless expressions: evaluated once, in the file's namespace."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gradlint.building.failure import describe
from gradlint.building.namespace import Namespace
from gradlint.building.seeds import seed_for
from gradlint.building.surroundings import as_script, seeded
from gradlint.core.target import InputSpec, Target
from gradlint.discovery.names import mentions


def with_values(target: Target, namespace: Namespace) -> Target:
    """The target with a value in place of every expression among its inputs; without inputs where one of them fails."""
    if not any(spec.dtype == "expression" for spec in target.inputs or ()):
        return target
    specs: list[InputSpec] = []
    with as_script(namespace.source_folder(), namespace.folders), seeded(seed_for("inputs")), torch.no_grad():
        for spec in target.inputs or ():
            try:
                specs.append(_valued(spec, namespace) if spec.dtype == "expression" else spec)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 (the user's code may raise anything; the reader is told)
                place, _, line = target.inputs_from.removeprefix("as in ").rpartition(":")
                if place != Path(target.path).name:  # another file feeds it so, in surroundings that this one lacks
                    return replace(target, inputs=None, inputs_from="")
                return replace(target, inputs=None, inputs_from="", unread_feed=int(line), unread_why=describe(error))
    return replace(target, inputs=tuple(specs))


def _valued(spec: InputSpec, namespace: Namespace) -> InputSpec:
    tree = ast.parse(spec.value)
    namespace.require(mentions(tree))
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    scope: dict[str, Any] = dict(vars(namespace.module))
    exec(compile(tree, "<inputs>", "exec", dont_inherit=True), scope)
    value = eval(compile(ast.Expression(last.value), "<inputs>", "eval", dont_inherit=True), scope)
    return InputSpec((), "literal", spec.name, value=value)
