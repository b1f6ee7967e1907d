"""Registries: tables in which a class stands beside the settings that it is built with."""

import ast
from collections.abc import Iterator

from gradlint.core.target import TargetKind
from gradlint.discovery.notebook import Notebook
from gradlint.discovery.values import Candidate, Construction


def registered(tree: ast.Module, notebook: Notebook) -> Iterator[Construction]:
    """Constructions that dictionaries describe: `{"encoder": ResNetEncoder, "params": {"depth": 18}}`.

    The settings are a dictionary beside the class whose keys are all that its constructor requires, and possibly more.
    """
    classes = {name: c for name, c in notebook.candidates.items() if c.kind is TargetKind.CLASS and c.required}
    for entry in ast.walk(tree) if classes else ():
        if not isinstance(entry, ast.Dict):
            continue
        named = [classes[v.id] for v in entry.values if isinstance(v, ast.Name) and v.id in classes]
        settings = [keywords for value in entry.values if (keywords := _keywords(value)) is not None]
        for keywords in settings if len(named) == 1 else ():
            if set(named[0].required) <= {keyword.arg for keyword in keywords}:
                yield _construction(named[0], keywords, entry, notebook)


def _keywords(node: ast.expr) -> list[ast.keyword] | None:
    """A dictionary as the keywords of a call; None where it is none."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return node.keywords
    if not isinstance(node, ast.Dict):
        return None
    names = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        return None
    return [ast.keyword(str(name), value) for name, value in zip(names, node.values, strict=True)]


def _construction(
    candidate: Candidate, keywords: list[ast.keyword], entry: ast.Dict, notebook: Notebook
) -> Construction:
    call = ast.copy_location(ast.Call(ast.Name(candidate.name, ast.Load()), [], keywords), entry)
    args, kwargs = notebook.arguments(ast.fix_missing_locations(call), {}, {})
    return Construction(candidate.name, entry.lineno, args, kwargs)
