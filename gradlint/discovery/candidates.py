"""Candidate models of a file: module classes, functions that return one, and names bound to one."""

import ast
from collections import Counter
from collections.abc import Iterator

from gradlint.core.target import TargetKind
from gradlint.discovery.abstract import is_abstract
from gradlint.discovery.entering import ENTRIES, called_names, is_placeholder, others, runs_own_parts
from gradlint.discovery.factories import factory_candidate, find_factories, find_instances
from gradlint.discovery.modules import (
    Definitions,
    definitions,
    has_method,
    is_known_model,
    module_classes,
)
from gradlint.discovery.names import Names, mentions
from gradlint.discovery.signatures import signature, uses
from gradlint.discovery.values import Candidate

_CONFIG_CLASSES = ("Config", "Args", "Params", "Settings", "Hparams", "HParams")
_CONFIG_PARAMETERS = ("config", "cfg", "args", "params", "hparams", "conf", "settings", "opt")
_NOT_MODELS = ("Loss", "Criterion", "Metric")


def find_candidates(tree: ast.Module, names: Names) -> tuple[Candidate, ...]:
    """Classes, factories and module-level instances, in order of definition."""
    defs = definitions(tree)
    classes = module_classes(defs, names)
    if not classes and not names.framework:  # nothing that a function or a name could stand for
        return ()
    factories = find_factories(defs, classes, names)
    known = frozenset(classes) | frozenset(factories)
    counts = Counter(mentions(tree)) if classes else Counter()
    called = called_names(tree) if classes else frozenset()
    found = [_class_candidate(node, classes, defs, known, names, counts, called) for node in classes.values()]
    found += [factory_candidate(node, classes, known) for node in factories.values()]
    found += find_instances(tree, known, names)
    return tuple(sorted(found, key=lambda candidate: candidate.line))


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((child for child in node.body if isinstance(child, ast.FunctionDef) and child.name == name), None)


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
    defs: Definitions,
    known: frozenset[str],
    names: Names,
    counts: Counter[str],
    called: frozenset[str],
) -> Candidate:
    lineage = list(_ancestors(node, classes))
    constructor = next((method for ancestor in lineage if (method := _method(ancestor, "__init__"))), None)
    required, optional = signature(constructor.args, 1) if constructor else ((), ())
    return Candidate(
        node.name,
        TargetKind.CLASS,
        node.lineno,
        node.col_offset + 1,
        required,
        optional,
        uses=uses(node, known, node.name),
        bases=tuple(ancestor.name for ancestor in lineage[1:]),
        runs=_runs(lineage, classes, names, called),
        config=_config(constructor, required, defs),
        mentioned=counts[node.name] > sum(name == node.name for name in mentions(node)),
    )


def _runs(lineage: list[ast.ClassDef], classes: dict[str, ast.ClassDef], names: Names, called: frozenset[str]) -> bool:
    """Whether a forward is defined in the file, or inherited from a class that has one. Losses judge models."""
    if lineage[0].name.endswith(_NOT_MODELS):
        return False
    for ancestor in lineage:
        forward = _method(ancestor, "forward")
        if forward is not None and is_placeholder(forward):
            return _is_entered(lineage, called)
        if forward is not None:
            return not is_abstract(forward, lineage, names)
        for base in ancestor.bases:
            dotted = names.dotted(base)
            if dotted in classes or dotted.endswith((".Module", ".ModuleList", ".ModuleDict", ".ABC", ".Generic")):
                continue
            if is_known_model(dotted) or "." in dotted:
                return True
    if any(has_method(ancestor, "__call__") for ancestor in lineage):
        return True
    entered = (method for ancestor in lineage for name in ENTRIES if (method := _method(ancestor, name)) is not None)
    return any(runs_own_parts(method) for method in entered) or _is_entered(lineage, called)


def _is_entered(lineage: list[ast.ClassDef], called: frozenset[str]) -> bool:
    """Whether the file makes such an object, and calls a method of it that runs the model under another name."""
    if lineage[0].name not in called:
        return False
    methods = [child for node in lineage for child in node.body if isinstance(child, ast.FunctionDef)]
    return any(name in called for name in others(methods))


def _config(
    constructor: ast.FunctionDef | None,
    required: tuple[str, ...],
    defs: Definitions,
) -> str:
    """`GPTConfig()` for `def __init__(self, config)` where the file defines exactly one such class with defaults."""
    if constructor is None or len(required) != 1:
        return ""
    arguments = constructor.args.posonlyargs + constructor.args.args + constructor.args.kwonlyargs
    argument = next(argument for argument in arguments if argument.arg == required[0])
    annotated = argument.annotation.id if isinstance(argument.annotation, ast.Name) else ""
    configs = [name for name, node in defs.items() if isinstance(node, ast.ClassDef) and name.endswith(_CONFIG_CLASSES)]
    fits = annotated if annotated in defs else ""
    if not fits and required[0] in _CONFIG_PARAMETERS and len(configs) == 1:
        fits = configs[0]
    node = defs.get(fits)
    return f"{fits}()" if isinstance(node, ast.ClassDef) and _all_defaults(node) else ""


def _all_defaults(node: ast.ClassDef) -> bool:
    constructor = _method(node, "__init__")
    if constructor is not None:
        return not signature(constructor.args, 1)[0]
    return all(child.value is not None for child in node.body if isinstance(child, ast.AnnAssign))
