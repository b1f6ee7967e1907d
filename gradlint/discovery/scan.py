"""Scan one file: candidates, how it builds and feeds them, its losses and its optimiser. Nothing is imported or run."""

import ast
import warnings

from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location
from gradlint.core.target import LossUse
from gradlint.discovery.candidates import find_candidates
from gradlint.discovery.command_line import command_line_defaults
from gradlint.discovery.flow_values import ModelValue, Value
from gradlint.discovery.initialising import trains
from gradlint.discovery.modules import definitions
from gradlint.discovery.names import FRAMEWORKS, Names, flat_statements, is_main_block, returned_names
from gradlint.discovery.notebook import Notebook
from gradlint.discovery.roots import principal
from gradlint.discovery.unrunnable import why_none
from gradlint.discovery.usage import Follower
from gradlint.discovery.values import Candidate, FileScan

_SGD = frozenset("SGD ASGD LBFGS Rprop".split())  # noqa: SIM905
_LARGE = 200_000
"""Characters from which a text is searched for the words that any model needs before it is parsed: data, mostly."""
_WORDS = (*FRAMEWORKS, "Module", "PreTrainedModel", "forward")
_MODEL_PARAMETERS = ("model", "net", "network", "self.model", "self.net")


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
        return FileScan(path, False, why_none(tree, names), tree=tree)
    functions = {name: node for name, node in definitions(tree).items() if isinstance(node, ast.FunctionDef)}
    notebook = Notebook(path, names, candidates, functions)
    sole = _sole_model(candidates)
    for records in (False, True):  # the first pass learns which models functions are handed
        _follow_file(tree, notebook, records=records, sole=sole)
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


def _follow_file(tree: ast.Module, notebook: Notebook, *, records: bool, sole: str) -> None:
    module = Follower(notebook, outer=command_line_defaults(tree), records=records, top=True)
    module.follow([s for s in tree.body if not is_main_block(s)])
    for statement in tree.body:
        if is_main_block(statement):
            assert isinstance(statement, ast.If)
            block = Follower(notebook, outer=module.scope, values=module.values, records=records)
            block.follow(statement.body)
    for statement in flat_statements(tree.body):
        if isinstance(statement, ast.FunctionDef):
            _follow_function(statement, module, notebook, records=records, sole=sole)
        elif isinstance(statement, ast.ClassDef):
            _follow_class(statement, module, notebook, records=records, sole=sole)


def _follow_function(
    node: ast.FunctionDef,
    module: Follower,
    notebook: Notebook,
    *,
    records: bool,
    sole: str,
    attributes: dict[str, Value] | None = None,
    owner: str = "",
    called: str = "",
) -> Follower:
    parameters = [argument.arg for argument in node.args.posonlyargs + node.args.args + node.args.kwonlyargs]
    values: dict[str, Value] = {**module.values, **(attributes or {})}
    outer = {**module.scope, **dict.fromkeys(parameters)}
    positions = parameters[1:] if attributes is not None else parameters
    for name in parameters:
        if name != "self":
            values[name] = _parameter(called or node.name, name, positions, notebook, sole)
    is_forward = bool(owner) and node.name == "forward"
    returned = frozenset(returned_names(node)) if is_forward else frozenset()
    inside = owner or (node.name if node.name in notebook.candidates else "")
    follower = Follower(
        notebook,
        outer=outer,
        values=values,
        records=records,
        returned=returned,
        owner=inside,
        within=(f"{owner}.{node.name}:{node.lineno}",),
        trained=trains(node),
    )
    follower.follow(node.body)
    return follower


def _parameter(function: str, name: str, positions: list[str], notebook: Notebook, sole: str) -> Value:
    """The model that a parameter stands for: what the file's own calls hand over, else the only model there is."""
    position = str(positions.index(name)) if name in positions else ""
    handed = notebook.handed.get((function, name), set()) | notebook.handed.get((function, position), set())
    if len(handed) == 1:
        return ModelValue(next(iter(handed)))
    return ModelValue(sole) if not handed and sole and name in _MODEL_PARAMETERS else None


def _follow_class(node: ast.ClassDef, module: Follower, notebook: Notebook, *, records: bool, sole: str) -> None:
    """The constructor first, then the other methods with what it bound to `self`."""
    own = node.name if node.name in notebook.candidates else ""
    methods = [child for child in node.body if isinstance(child, ast.FunctionDef)]
    methods.sort(key=lambda method: method.name not in ("__init__", "setUp", "setup"))
    attributes: dict[str, Value] = {"self": ModelValue(own)} if own else {}
    for method in methods:
        follower = _follow_function(
            method,
            module,
            notebook,
            records=records,
            sole=sole,
            attributes=dict(attributes),
            owner=own,
            called=node.name if method.name == "__init__" else f"{node.name}.{method.name}",
        )
        found = {key: value for key, value in follower.values.items() if key.startswith("self.") and value is not None}
        attributes.update({key: _through_forward(node, key, value, own) for key, value in found.items()})


def _through_forward(node: ast.ClassDef, key: str, value: Value, own: str) -> Value:
    """A part whose output is what the class's own forward returns counts as the class itself."""
    if not own or not isinstance(value, ModelValue):
        return value
    forward = next((c for c in node.body if isinstance(c, ast.FunctionDef) and c.name == "forward"), None)
    last = forward.body[-1] if forward is not None else None
    if isinstance(last, ast.Return) and isinstance(last.value, ast.Call) and ast.unparse(last.value.func) == key:
        return ModelValue(own)
    return value


def _losses(notebook: Notebook) -> tuple[LossUse, ...]:
    applied = list(notebook.losses.values())
    applied_names = {loss.name for loss in applied}
    for loss in notebook.unapplied.values():
        if loss.name not in applied_names:
            applied.append(LossUse(loss.name, notebook.path, loss.line, loss.column))
    return tuple(sorted(applied, key=lambda loss: (loss.line, loss.column)))


def _optimizer(tree: ast.Module, names: Names) -> str | None:
    families = set()
    for node in ast.walk(tree):
        dotted = names.dotted(node.func) if isinstance(node, ast.Call) else ""
        head, _, last = dotted.rpartition(".")
        if head.startswith("torch.optim") and last[:1].isupper() and "lr_scheduler" not in head:
            families.add("sgd" if last in _SGD else "adam")
    return families.pop() if len(families) == 1 else None
