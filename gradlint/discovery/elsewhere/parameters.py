"""What the parameters of a file's functions are handed: by its calls, by decorators, by their defaults."""

import ast
from collections.abc import Iterator
from typing import Any

from gradlint.discovery.elsewhere.facts import FactFinder, Facts
from gradlint.discovery.elsewhere.settings_files import hydra
from gradlint.discovery.literals import UnreadableError, evaluate, literal


def presets(finder: FactFinder) -> dict[str, Facts]:
    """By function (`Class.method`; `Class` for its constructor): what is known of its parameters."""
    calls = _calls(finder.tree)
    return {name: found for name, node in _functions(finder.tree) if (found := _of(name, node, calls, finder))}


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, ast.FunctionDef):
                    yield node.name if child.name == "__init__" else f"{node.name}.{child.name}", child
    yield from ((node.name, node) for node in tree.body if isinstance(node, ast.FunctionDef))


def _calls(tree: ast.Module) -> dict[str, list[ast.Call]]:
    """Calls by the last part of what they call."""
    found: dict[str, list[ast.Call]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found.setdefault(ast.unparse(node.func).rpartition(".")[2], []).append(node)
    return found


def _of(name: str, node: ast.FunctionDef, calls: dict[str, list[ast.Call]], finder: FactFinder) -> Facts:
    """The last that is found counts: what a call says is nearer to the truth than a default."""
    positional = [argument.arg for argument in node.args.posonlyargs + node.args.args]
    defaults = node.args.defaults
    found = dict(_read(zip(positional[len(positional) - len(defaults) :], defaults, strict=True), finder))
    keyword_only = zip((a.arg for a in node.args.kwonlyargs), node.args.kw_defaults, strict=True)
    found.update(_read(((name, default) for name, default in keyword_only if default is not None), finder))
    for decorator in node.decorator_list:
        found.update(_decorated(decorator, positional, finder))
    if positional[:1] in (["self"], ["cls"]):
        positional = positional[1:]
    for call in reversed(calls.get(name.rpartition(".")[2], [])):  # of several calls, the first
        if not any(isinstance(argument, ast.Starred) for argument in call.args):
            handed = [*zip(positional, call.args, strict=False), *((k.arg, k.value) for k in call.keywords if k.arg)]
            found.update(_read(handed, finder))
    return {name: literal(value) for name, value in found.items()}


def _read(pairs: Any, finder: FactFinder) -> Iterator[tuple[str, Any]]:
    for name, node in pairs:
        try:
            value = evaluate(node, finder.scope)
            literal(value)
        except UnreadableError:
            continue  # only the script itself can know
        yield name, value


def _decorated(decorator: ast.expr, positional: list[str], finder: FactFinder) -> Iterator[tuple[str, Any]]:
    if not isinstance(decorator, ast.Call):
        return
    text = ast.unparse(decorator.func)
    keywords = {keyword.arg: keyword.value for keyword in decorator.keywords}
    try:
        if text in ("hydra.main", "main") and positional:
            yield positional[0], _hydra(keywords, finder)
        elif text.endswith("parametrize") and len(decorator.args) >= 2:
            yield from _parametrized(decorator, finder)
        elif text in ("click.option", "option") and decorator.args and "default" in keywords:
            flags = [evaluate(argument, finder.scope) for argument in decorator.args]
            long = next((flag for flag in flags if flag.startswith("--")), flags[0])
            yield long.lstrip("-").partition("/")[0].replace("-", "_"), evaluate(keywords["default"], finder.scope)
    except UnreadableError:
        return


def _hydra(keywords: dict[str | None, ast.expr], finder: FactFinder) -> dict[str, Any]:
    name = evaluate(keywords.get("config_name") or ast.Constant(None), finder.scope)
    folder = evaluate(keywords.get("config_path") or ast.Constant("."), finder.scope)
    if not isinstance(name, str) or not isinstance(folder, str):
        raise UnreadableError
    return hydra(finder.path.parent / folder, name, finder.resolver.repository)


def _parametrized(decorator: ast.Call, finder: FactFinder) -> Iterator[tuple[str, Any]]:
    """The first set of parameters of a test that can be read."""
    named = evaluate(decorator.args[0], finder.scope)
    names = [name.strip() for name in named.split(",")] if isinstance(named, str) else list(named)
    listed = decorator.args[1]
    for node in listed.elts if isinstance(listed, ast.List | ast.Tuple) else []:
        nodes = node.elts if len(names) > 1 and isinstance(node, ast.Tuple | ast.List) else [node]
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.param":
            nodes = node.args
        found = dict(_read(zip(names, nodes, strict=False), finder))
        if len(found) == len(names):
            yield from found.items()
            return
