"""Scan one file: candidates, how it builds and feeds them, its losses and its optimiser. Nothing is imported or run."""

import ast
import warnings

from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location
from gradlint.core.target import LossUse
from gradlint.discovery.candidates import find_candidates
from gradlint.discovery.following import follow_file
from gradlint.discovery.modules import definitions
from gradlint.discovery.names import FRAMEWORKS, Names
from gradlint.discovery.notebook import Notebook
from gradlint.discovery.registries import registered
from gradlint.discovery.roots import principal
from gradlint.discovery.unrunnable import why_none
from gradlint.discovery.values import Candidate, FileScan

_SGD = frozenset("SGD ASGD LBFGS Rprop".split())  # noqa: SIM905
_LARGE = 200_000
"""Characters from which a text is searched for the words that any model needs before it is parsed: data, mostly."""
_WORDS = (*FRAMEWORKS, "Module", "PreTrainedModel", "forward")


def scan_file(path: str, source: str) -> FileScan:
    """Read a Python file's syntax tree.

    Args:
        path: the path that locations will carry.
        source: the file's text.

    Raises:
        AnalysisError: (stage "parse") where the text is no valid Python.
    """
    if len(source) > _LARGE and not _mentions_models(source):
        return FileScan(path, False, "mentions neither torch, nor a framework built on it, nor a class with a forward")
    tree = _parse(path, source)
    names = Names(tree)
    candidates = find_candidates(tree, names)
    if not candidates:
        return FileScan(path, False, why_none(tree, names, source), tree=tree)
    functions = {name: node for name, node in definitions(tree).items() if isinstance(node, ast.FunctionDef)}
    notebook = Notebook(path, names, candidates, functions)
    sole = _sole_model(candidates)
    for records in (False, True):  # the first pass learns which models functions are handed
        follow_file(tree, notebook, records=records, sole=sole)
    notebook.constructions += registered(tree, notebook)
    return FileScan(
        path,
        True,
        candidates=candidates,
        constructions=tuple(notebook.constructions),
        losses=_losses(notebook),
        initialisers=notebook.initialisers,
        optimizer=_optimizer(tree, names),
        tree=tree,
    )


def _parse(path: str, source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in a user's string is no concern of ours
            return ast.parse(source, filename=path)
    except SyntaxError as error:
        place = Location(path, error.lineno or 1, max(error.offset or 1, 1))
        raise AnalysisError(f"not valid Python: {error.msg}", stage="parse", location=place) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise AnalysisError(f"cannot be parsed: {error}", stage="parse", location=Location(path, 1)) from error


def _mentions_models(source: str) -> bool:
    """Whether a text holds any of the words without which nothing in it can be a candidate."""
    return any(word in source for word in _WORDS)


def _sole_model(candidates: tuple[Candidate, ...]) -> str:
    roots = [candidate.name for candidate in principal(candidates)]
    return roots[0] if len(roots) == 1 else ""


def _losses(notebook: Notebook) -> tuple[LossUse, ...]:
    applied = list(notebook.losses.values())
    applied_names = {loss.name for loss in applied}
    for loss in notebook.unapplied.values():
        if loss.name not in applied_names:
            applied.append(LossUse(loss.name, notebook.path, loss.line, loss.column))
    return tuple(sorted(applied, key=lambda loss: (loss.line, loss.column)))


def optimizers(tree: ast.Module, names: Names) -> frozenset[str]:
    """Families of the optimisers that a file makes: "sgd", "adam", both or neither."""
    families = set()
    for node in ast.walk(tree):
        dotted = names.dotted(node.func) if isinstance(node, ast.Call) else ""
        head, _, last = dotted.rpartition(".")
        if head.startswith("torch.optim") and last[:1].isupper() and "lr_scheduler" not in head:
            families.add("sgd" if last in _SGD else "adam")
    return frozenset(families)


def _optimizer(tree: ast.Module, names: Names) -> str | None:
    families = optimizers(tree, names)
    return next(iter(families)) if len(families) == 1 else None
