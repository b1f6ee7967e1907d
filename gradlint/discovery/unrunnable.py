"""Why a file, or a module class of it, holds no model of its own: what is missing, and on which line."""

import ast
import difflib
import re
from dataclasses import dataclass

from gradlint.core.target import TargetKind
from gradlint.discovery.modules import definitions, is_torch_module
from gradlint.discovery.names import Names, flat_statements, is_main_block
from gradlint.discovery.values import Candidate, FileScan

_MODULE_WORDS = ("nn", "ScriptModule")
"""Without one of them no name of a file means a module class of torch, and its tree need not be walked."""
_WHOLE = re.compile(r"\bnn\b|\bScriptModule\b")


@dataclass(frozen=True, slots=True)
class Unrunnable:
    """A class that has no forward pass to follow."""

    name: str
    line: int
    reason: str
    remedy: str


def unrunnable(scan: FileScan, *, alone: bool = True) -> tuple[Unrunnable, ...]:
    """The classes of a file that have no forward of their own, nor inherit one; in order of definition.

    Args:
        scan: the file.
        alone: name all of them, as no other class of the file is a model; otherwise only those that are neither losses
            nor the base or a part of one that is.
    """
    classes = {name: node for name, node in _definitions(scan).items() if isinstance(node, ast.ClassDef)}
    silent = [c for c in scan.candidates if c.kind is TargetKind.CLASS and not c.runs and c.name in classes]
    if not alone:
        served = {name for candidate in scan.candidates for name in (*candidate.uses, *candidate.bases)}
        silent = [c for c in silent if c.name not in served and _computes(classes[c.name])]
    return tuple(_explained(candidate, classes) for candidate in silent)


def _computes(node: ast.ClassDef) -> bool:
    """Whether a class computes something in methods of other names than forward."""
    methods = {child.name for child in node.body if isinstance(child, ast.FunctionDef)}
    return "forward" not in methods and bool(_methods_with_inputs(node))


def _methods_with_inputs(node: ast.ClassDef) -> list[str]:
    """Public methods that are given something, the constructor apart."""
    methods = [child for child in node.body if isinstance(child, ast.FunctionDef) and not child.name.startswith("_")]
    return [method.name for method in methods if len(method.args.args) > 1]


def why_none(tree: ast.Module, names: Names, source: str) -> str:
    """Why a file holds nothing that could be a model; `source` is its text."""
    if not tree.body:
        return "the file is empty"
    if not names.framework:
        return "imports neither torch nor a framework built on it"
    is_near = any(word in source for word in _MODULE_WORDS) and _WHOLE.search(source)  # searching costs a hundredfold
    hidden = _hidden(tree, names) if is_near else ""
    return hidden or "defines no nn.Module, no function that returns one and no name bound to one"


def _hidden(tree: ast.Module, names: Names) -> str:
    """Where a file makes modules of torch all the same; empty where nowhere."""
    for statement in flat_statements(tree.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            _is_hidden_model(node, names) for node in ast.walk(statement)
        ):
            return "its models are local to a function: define them, or one that returns them, at the top level"
        if isinstance(statement, ast.ClassDef) and any(_makes_layers(node, names) for node in ast.walk(statement)):
            bases = ", ".join(ast.unparse(base) for base in statement.bases) or "nothing"
            about = f"{statement.name} in line {statement.lineno} makes layers, but derives from {bases}"
            return f"{about}, which is not known to be an nn.Module: name it, as in model.py:{statement.name}"
    main = [node for statement in tree.body if is_main_block(statement) for node in ast.walk(statement)]
    if any(_is_hidden_model(node, names) for node in main):
        return "its models are made in its main block only: define them, or one that returns them, at the top level"
    return ""


def _makes_layers(node: ast.AST, names: Names) -> bool:
    return isinstance(node, ast.Call) and is_torch_module(names.dotted(node.func))


def _is_hidden_model(node: ast.AST, names: Names) -> bool:
    if isinstance(node, ast.Call):
        return names.dotted(node.func) == "torch.nn.Sequential"
    return isinstance(node, ast.ClassDef) and any(is_torch_module(names.dotted(base)) for base in node.bases)


def _definitions(scan: FileScan) -> dict[str, ast.ClassDef | ast.FunctionDef]:
    return definitions(scan.tree) if scan.tree is not None else {}


def _explained(candidate: Candidate, classes: dict[str, ast.ClassDef]) -> Unrunnable:
    lineage = [classes[name] for name in (candidate.name, *candidate.bases) if name in classes]
    methods = [child for node in lineage for child in node.body if isinstance(child, ast.FunctionDef)]
    name = candidate.name
    forward = next((method for method in methods if method.name == "forward"), None)
    if forward is not None and candidate.name.endswith("Loss"):
        reason, remedy = "it is a loss: it judges a model, and is none", "check the model that it judges"
        return Unrunnable(name, candidate.line, reason, remedy)
    if forward is not None:
        reason = "its forward computes nothing: a subclass has to define it"
        return Unrunnable(name, candidate.line, reason, "check the file that defines the subclass")
    others = [method for node in lineage for method in _methods_with_inputs(node)]
    instead = f" (it has {', '.join(dict.fromkeys(others))})" if others else ""
    reason = f"it defines no forward, so there is no forward pass to follow{instead}"
    close = difflib.get_close_matches("forward", [method.name for method in methods], n=1, cutoff=0.8)
    if close:
        line = next(method.lineno for method in methods if method.name == close[0])
        return Unrunnable(name, line, reason, f'is "{close[0]}" in line {line} meant to be forward?')
    return Unrunnable(name, candidate.line, reason, "give it a forward, or check the class that has one")
