"""Candidate models of a file: module classes, functions that return one, and names bound to one."""

import ast
from collections.abc import Iterator
from dataclasses import replace

from gradlint.core.target import TargetKind
from gradlint.discovery.names import Names, flat_statements, mentions
from gradlint.discovery.values import Candidate

_TORCH_NOT_MODULES = ("torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.parallel")
_NOT_MODELS = ("DataModule", "Function", "Dataset", "Sampler", "Optimizer", "Scheduler", "Loss", "Callback", "Config")
_TRAINING_CALLS = frozenset(["backward", "step", "zero_grad", "fit", "add_argument", "parse_args", "DataLoader"])


def is_torch_module(dotted: str) -> bool:
    """Whether a dotted name is a module class of torch itself."""
    head, _, last = dotted.rpartition(".")
    if dotted in ("torch.jit.ScriptModule", "torch.nn.parallel.DataParallel"):
        return True
    container = dotted.startswith("torch.nn.") and not dotted.startswith(_TORCH_NOT_MODULES)
    return container and last[:1].isupper() and not last.startswith(("Parameter", "Buffer")) and bool(head)


def is_known_model(dotted: str) -> bool:
    """Whether a dotted name is a module class (or model function) of a framework."""
    package, last = dotted.partition(".")[0], dotted.rpartition(".")[2]
    if is_torch_module(dotted):
        return True
    if package in ("lightning", "pytorch_lightning") and last == "LightningModule":
        return True
    if package == "torchvision" and dotted.startswith("torchvision.models"):
        return True
    if dotted == "timm.create_model":
        return True
    return package == "transformers" and ("PreTrainedModel" in last or last.endswith("Model") or "For" in last)


def _unknown_base(dotted: str, has_forward: bool) -> bool:
    """Whether an imported class that nothing is known of is plausibly a module."""
    last = dotted.rpartition(".")[2]
    if last.endswith(_NOT_MODELS) or dotted.startswith(("torch.", "numpy.", "typing.", "enum.", "abc.")):
        return False
    return last.endswith(("Module", "PreTrainedModel")) or (has_forward and "." in dotted)


def definitions(tree: ast.Module) -> dict[str, ast.ClassDef | ast.FunctionDef]:
    """Top-level classes and functions by name (the last one of each name counts)."""
    found: dict[str, ast.ClassDef | ast.FunctionDef] = {}
    for statement in flat_statements(tree.body):
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            found.pop(statement.name, None)
            found[statement.name] = statement
    return found


def module_classes(defs: dict[str, ast.ClassDef | ast.FunctionDef], names: Names) -> dict[str, ast.ClassDef]:
    """Classes that could be `nn.Module`s, those that derive from another candidate of the file among them."""
    classes = {name: node for name, node in defs.items() if isinstance(node, ast.ClassDef)}
    found: dict[str, ast.ClassDef] = {}
    while True:
        new = {
            name: node
            for name, node in classes.items()
            if name not in found and any(_is_module_base(base, node, names, classes, found) for base in node.bases)
        }
        if not new:
            return {name: node for name, node in classes.items() if name in found}
        found.update(new)


def _is_module_base(
    base: ast.expr, node: ast.ClassDef, names: Names, classes: dict[str, ast.ClassDef], found: dict[str, ast.ClassDef]
) -> bool:
    if isinstance(base, ast.Name) and base.id in classes and base.id not in names.aliases:
        return base.id in found
    dotted = names.dotted(base)
    return is_known_model(dotted) or _unknown_base(dotted, _has_method(node, "forward"))


def _has_method(node: ast.ClassDef, name: str) -> bool:
    return any(isinstance(child, ast.FunctionDef) and child.name == name for child in node.body)


def find_candidates(tree: ast.Module, names: Names) -> tuple[Candidate, ...]:
    """Classes, factories and module-level instances, in order of definition."""
    defs = definitions(tree)
    classes = module_classes(defs, names)
    factories = _factories(defs, classes, names)
    known = frozenset(classes) | frozenset(factories)
    found = [_class_candidate(node, classes, defs, known, names) for node in classes.values()]
    found += [_factory_candidate(node, classes, known) for node in factories.values()]
    found += _instances(tree, known, names)
    return tuple(sorted(found, key=lambda candidate: candidate.line))


def _uses(node: ast.AST, known: frozenset[str], own: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in mentions(node) if name in known and name != own))


def _signature(arguments: ast.arguments, skip: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    positional = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    required = positional[skip:first_default]
    optional = positional[max(first_default, skip) :]
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        (required if default is None else optional).append(argument.arg)
    return tuple(required), tuple(optional)


def _ancestors(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    seen = {node.name}
    queue = [node]
    while queue:
        current = queue.pop(0)
        yield current
        for base in current.bases:
            if isinstance(base, ast.Name) and base.id in classes and base.id not in seen:
                seen.add(base.id)
                queue.append(classes[base.id])


def _class_candidate(
    node: ast.ClassDef,
    classes: dict[str, ast.ClassDef],
    defs: dict[str, ast.ClassDef | ast.FunctionDef],
    known: frozenset[str],
    names: Names,
) -> Candidate:
    lineage = list(_ancestors(node, classes))
    constructor = next(
        (c for a in lineage for c in a.body if isinstance(c, ast.FunctionDef) and c.name == "__init__"), None
    )
    required, optional = _signature(constructor.args, 1) if constructor else ((), ())
    return Candidate(
        node.name,
        TargetKind.CLASS,
        node.lineno,
        node.col_offset + 1,
        required,
        optional,
        uses=_uses(node, known, node.name),
        bases=tuple(ancestor.name for ancestor in lineage[1:]),
        runs=_runs(lineage, classes, names),
        config=_config(constructor, required, defs),
    )


def _runs(lineage: list[ast.ClassDef], classes: dict[str, ast.ClassDef], names: Names) -> bool:
    """Whether a forward is defined in the file, or inherited from a class that has one."""
    for ancestor in lineage:
        forward = next((c for c in ancestor.body if isinstance(c, ast.FunctionDef) and c.name == "forward"), None)
        if forward is not None:
            return not _only_raises(forward)
        for base in ancestor.bases:
            dotted = names.dotted(base)
            if dotted in classes or dotted.endswith((".Module", ".ModuleList", ".ModuleDict", ".ABC", ".Generic")):
                continue
            if is_known_model(dotted) or "." in dotted:
                return True
    return any(_has_method(ancestor, "__call__") for ancestor in lineage)


def _only_raises(forward: ast.FunctionDef) -> bool:
    body = [s for s in forward.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return all(isinstance(statement, ast.Raise | ast.Pass) for statement in body)


def _config(
    constructor: ast.FunctionDef | None,
    required: tuple[str, ...],
    defs: dict[str, ast.ClassDef | ast.FunctionDef],
) -> str:
    """`GPTConfig()` for `def __init__(self, config)` where the file defines exactly one such class with defaults."""
    if constructor is None or len(required) != 1:
        return ""
    argument = next(
        a
        for a in constructor.args.posonlyargs + constructor.args.args + constructor.args.kwonlyargs
        if a.arg == required[0]
    )
    annotated = argument.annotation.id if isinstance(argument.annotation, ast.Name) else ""
    configs = [
        n
        for n, d in defs.items()
        if isinstance(d, ast.ClassDef) and n.endswith(("Config", "Args", "Params", "Settings"))
    ]
    fits = annotated if annotated in configs else ""
    if not fits and required[0] in ("config", "cfg", "args", "params", "hparams", "conf") and len(configs) == 1:
        fits = configs[0]
    node = defs.get(fits)
    return f"{fits}()" if isinstance(node, ast.ClassDef) and _all_defaults(node) else ""


def _all_defaults(node: ast.ClassDef) -> bool:
    constructor = next((c for c in node.body if isinstance(c, ast.FunctionDef) and c.name == "__init__"), None)
    if constructor is not None:
        return not _signature(constructor.args, 1)[0]
    return all(child.value is not None for child in node.body if isinstance(child, ast.AnnAssign))


def _factories(
    defs: dict[str, ast.ClassDef | ast.FunctionDef], classes: dict[str, ast.ClassDef], names: Names
) -> dict[str, ast.FunctionDef]:
    """Functions that return a model, those that return the result of another factory among them."""
    functions = {name: node for name, node in defs.items() if isinstance(node, ast.FunctionDef)}
    found: dict[str, ast.FunctionDef] = {}
    while True:
        known = frozenset(classes) | frozenset(found)
        new = {
            name: node
            for name, node in functions.items()
            if name not in found and not _trains(node) and _returns_model(node, known, names)
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
            queue.extend(child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt))


def builds_model(value: ast.expr, assigned: dict[str, ast.expr], known: frozenset[str], names: Names) -> bool:
    """Whether an expression is evidently a call that gives a model (`.to(device)` and the like seen through)."""
    if isinstance(value, ast.Name) and value.id in assigned:
        rest = {name: node for name, node in assigned.items() if name != value.id}
        return builds_model(assigned[value.id], rest, known, names)
    if not isinstance(value, ast.Call):
        return False
    dotted = names.dotted(value.func)
    if dotted in known or is_known_model(dotted):
        return True
    method = value.func
    if isinstance(method, ast.Attribute) and method.attr in (
        "to",
        "cuda",
        "cpu",
        "train",
        "eval",
        "double",
        "apply",
        "float",
    ):
        return builds_model(method.value, assigned, known, names)
    return False


def _factory_candidate(node: ast.FunctionDef, classes: dict[str, ast.ClassDef], known: frozenset[str]) -> Candidate:
    required, optional = _signature(node.args, 0)
    uses = _uses(node, known, node.name)
    candidate = Candidate(node.name, TargetKind.FACTORY, node.lineno, node.col_offset + 1, required, optional, uses)
    body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if len(body) == 1 and isinstance(body[0], ast.Return) and isinstance(body[0].value, ast.Call):
        call = body[0].value
        if isinstance(call.func, ast.Name) and call.func.id in classes and not call.args and not call.keywords:
            return replace(candidate, returns=call.func.id)
    return candidate


def _instances(tree: ast.Module, known: frozenset[str], names: Names) -> list[Candidate]:
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
            uses = _uses(statement.value, known | frozenset(found), "")
            found[name] = Candidate(name, TargetKind.INSTANCE, statement.lineno, statement.col_offset + 1, uses=uses)
    return list(found.values())


def _called(value: ast.expr) -> ast.expr | None:
    return value.func if isinstance(value, ast.Call) else None
