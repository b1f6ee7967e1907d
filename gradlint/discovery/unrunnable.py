"""Why none of a file's module classes is a model of its own: what is missing, and on which line."""

import ast
import difflib
from dataclasses import dataclass

from gradlint.core.target import TargetKind
from gradlint.discovery.modules import definitions
from gradlint.discovery.values import Candidate, FileScan


@dataclass(frozen=True, slots=True)
class Unrunnable:
    """A class that has no forward pass to follow."""

    name: str
    line: int
    reason: str
    remedy: str


def unrunnable(scan: FileScan) -> tuple[Unrunnable, ...]:
    """The classes of a file that have no forward of their own, nor inherit one; in order of definition."""
    classes = {name: node for name, node in _definitions(scan).items() if isinstance(node, ast.ClassDef)}
    silent = [c for c in scan.candidates if c.kind is TargetKind.CLASS and not c.runs and c.name in classes]
    return tuple(_explained(candidate, classes) for candidate in silent)


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
    reason = "it defines no forward, so there is no forward pass to follow"
    close = difflib.get_close_matches("forward", [method.name for method in methods], n=1, cutoff=0.8)
    if close:
        line = next(method.lineno for method in methods if method.name == close[0])
        return Unrunnable(name, line, reason, f'is "{close[0]}" in line {line} meant to be forward?')
    return Unrunnable(name, candidate.line, reason, "give it a forward, or check the class that has one")
