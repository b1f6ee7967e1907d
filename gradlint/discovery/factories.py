"""Functions of a file that return a model, and top-level names bound to one."""

import ast
from collections.abc import Iterator
from dataclasses import replace

from gradlint.core.target import TargetKind
from gradlint.discovery.modules import Definitions, gives_parameters, is_known_model
from gradlint.discovery.names import Names, flat_statements
from gradlint.discovery.signatures import signature, uses
from gradlint.discovery.values import Candidate

_TRAINING_CALLS = frozenset("backward step zero_grad fit add_argument parse_args DataLoader".split())  # noqa: SIM905
_MODEL_METHODS = ("to", "cuda", "cpu", "train", "eval", "double", "apply", "float")


def find_factories(defs: Definitions, classes: dict[str, ast.ClassDef], names: Names) -> dict[str, ast.FunctionDef]:
    """Functions that return a model, those that return the result of another factory among them."""
    functions = {name: node for name, node in defs.items() if isinstance(node, ast.FunctionDef)}
    found: dict[str, ast.FunctionDef] = {}
    while True:
        known = frozenset(classes) | frozenset(found)
        new = {
            name: node
            for name, node in functions.items()
            if name not in found and _returns_model(node, known, names) and not _trains(node)
        }
        if not new:
            return found
        found.update(new)


def _trains(node: ast.FunctionDef) -> bool:
    """Calling a function that trains, or that parses a command line, is not building a model."""
    if node.name == "main" or node.name.startswith(("test_", "train")):
        return True
    calls = (call.func for call in ast.walk(node) if isinstance(call, ast.Call))
    return any((f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "")) in _TRAINING_CALLS for f in calls)


def _returns_model(node: ast.FunctionDef, known: frozenset[str], names: Names) -> bool:
    if node.returns is not None:
        dotted = node.returns.value if isinstance(node.returns, ast.Constant) else names.dotted(node.returns)
        if isinstance(dotted, str) and (dotted in known or is_known_model(dotted)):
            return True
    assigned: dict[str, ast.expr] = {}
    for statement in _own_statements(node):
        if (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            assigned.setdefault(statement.targets[0].id, statement.value)
    returned = [s.value for s in _own_statements(node) if isinstance(s, ast.Return) and s.value is not None]
    return bool(returned) and all(builds_model(value, assigned, known, names) for value in returned)


def _own_statements(node: ast.FunctionDef) -> Iterator[ast.stmt]:
    queue: list[ast.stmt] = list(node.body)
    while queue:
        statement = queue.pop(0)
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            for block in ("body", "orelse", "finalbody"):
                queue.extend(getattr(statement, block, ()))


def builds_model(value: ast.expr, assigned: dict[str, ast.expr], known: frozenset[str], names: Names) -> bool:
    """Whether an expression is evidently a call that gives a model (`.to(device)` and the like seen through)."""
    if isinstance(value, ast.Name) and value.id in assigned:
        rest = {name: node for name, node in assigned.items() if name != value.id}
        return builds_model(assigned[value.id], rest, known, names)
    if not isinstance(value, ast.Call):
        return False
    dotted = names.dotted(value.func)
    if dotted in known or gives_parameters(dotted):
        return True
    method = value.func
    if isinstance(method, ast.Attribute) and method.attr in _MODEL_METHODS:
        return builds_model(method.value, assigned, known, names)
    return False


def factory_candidate(node: ast.FunctionDef, classes: dict[str, ast.ClassDef], known: frozenset[str]) -> Candidate:
    """Describe a function that returns a model."""
    required, optional = signature(node.args, 0)
    parts = uses(node, known, node.name)
    candidate = Candidate(node.name, TargetKind.FACTORY, node.lineno, node.col_offset + 1, required, optional, parts)
    body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if len(body) == 1 and isinstance(body[0], ast.Return) and isinstance(body[0].value, ast.Call):
        call = body[0].value
        if isinstance(call.func, ast.Name) and call.func.id in classes and not call.args and not call.keywords:
            return replace(candidate, returns=call.func.id)
    return candidate


def find_instances(tree: ast.Module, known: frozenset[str], names: Names) -> list[Candidate]:
    """Module-level names bound to a model; layers that a later one swallows count as used by it."""
    found: dict[str, Candidate] = {}
    for statement in flat_statements(tree.body):
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if len(targets) != 1 or not isinstance(targets[0], ast.Name):
            continue
        name = targets[0].id
        if builds_model(statement.value, {}, known, names) and not names.dotted(_called(statement.value)).endswith(
            "Loss"
        ):
            parts = uses(statement.value, known | frozenset(found), "")
            place = statement.lineno, statement.col_offset + 1
            made = _called_class(statement.value, known)
            found[name] = Candidate(name, TargetKind.INSTANCE, *place, uses=parts, returns=made)
    return list(found.values())


def _called_class(value: ast.expr, known: frozenset[str]) -> str:
    """The candidate that an expression such as `Net(3).to(device)` calls; empty for layers of torch itself."""
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value
    named = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
    return named if named in known else ""


def _called(value: ast.expr) -> ast.expr | None:
    return value.func if isinstance(value, ast.Call) else None
