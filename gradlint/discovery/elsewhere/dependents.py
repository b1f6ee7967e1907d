"""Which files of a repository import given ones, directly or through others. Nothing is imported or run."""

import ast
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from gradlint.discovery.cells import SUFFIX
from gradlint.discovery.elsewhere.imports import Resolver
from gradlint.discovery.elsewhere.repository import Bounds, Repository

_BOUNDS = Bounds(files=50_000, entries=1_000_000, read=1_000_000_000, seconds=60.0)
"""Wide: what the search leaves out is not checked, while a file that it reads in vain costs a millisecond."""


@dataclass(frozen=True, slots=True)
class Dependents:
    """The files that import others, in alphabetical order."""

    files: tuple[Path, ...]
    is_complete: bool
    """False where the repository is so large that not all of its files were read."""


@dataclass(frozen=True, slots=True)
class _Imports:
    """The files of the repository that one file imports from."""

    means: frozenset[Path]
    """Files that define what it imports."""
    passes: frozenset[Path]
    """Files that only hand that on: they matter where they change themselves, not where what they import does."""


def dependents_of(changed: Set[Path], root: Path, bounds: Bounds = _BOUNDS) -> Dependents:
    """Files below a folder that import one of the given ones, or one that does, and so on; the given ones apart.

    A name that a package hands on (`from .blocks import Block` in its `__init__.py`) leads to the file that defines it:
    not everything that imports the package depends on everything in it. `import package` does.

    Args:
        changed: resolved paths.
        root: of the repository.
        bounds: what the search may cost.
    """
    if not changed:
        return Dependents((), is_complete=True)
    repository = Repository(min(changed), bounds, root=root)
    resolver = Resolver(repository)
    texts = {path: repository.text(path) for path in repository.files if path.suffix in (".py", SUFFIX)}
    imports: dict[Path, _Imports] = {}
    found: set[Path] = set()
    frontier = set(changed)
    while frontier:
        new = set()
        for path in _mentioning(frontier, texts):
            if path in found or path in changed:
                continue
            if path not in imports:
                imports[path] = _imports(path, resolver)
            if imports[path].means & (changed | found) or imports[path].passes & changed:
                new.add(path)
        found |= new
        frontier = new
    return Dependents(tuple(sorted(found)), is_complete=repository.is_whole and not repository.exhausted)


def _mentioning(wanted: Iterable[Path], texts: dict[Path, str | None]) -> Iterator[Path]:
    """Files whose text holds the last part of a module's name, without which it cannot be imported from outside.

    Inside of a package, `from . import name` names it by a dot.
    """
    words = {_last_name(path) for path in wanted}
    packages = [path.parent for path in wanted if path.stem == "__init__"]
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, sorted(words)))})\b")
    for path, text in texts.items():
        if text is not None and (pattern.search(text) or any(path.is_relative_to(folder) for folder in packages)):
            yield path


def _last_name(path: Path) -> str:
    return path.parent.name if path.stem == "__init__" else path.stem


def _imports(path: Path, resolver: Resolver) -> _Imports:
    tree = resolver.repository.tree(path)
    means: set[Path] = set()
    passes: set[Path] = set()
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Import):
            for alias in node.names:
                means |= _longest(path, tuple(alias.name.split(".")), resolver)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                defined, handed_on = _from(path, node, alias, resolver)
                means |= defined
                passes |= handed_on
    return _Imports(frozenset(means), frozenset(passes))


def _longest(path: Path, parts: tuple[str, ...], resolver: Resolver) -> set[Path]:
    """What `import a.b.c` means: of a, a.b and a.b.c the last that is a file of the repository."""
    modules = (resolver.module(path, 0, parts[:length]) for length in range(len(parts), 0, -1))
    return {found} if (found := next((module for module in modules if module is not None), None)) else set()


def _from(path: Path, node: ast.ImportFrom, alias: ast.alias, resolver: Resolver) -> tuple[set[Path], set[Path]]:
    """The files that define and that hand on what `from module import name` means."""
    parts = tuple(node.module.split(".")) if node.module else ()
    module = resolver.module(path, node.level, parts)
    package = {module} if module is not None else set()
    submodule = resolver.module(path, node.level, (*parts, alias.name)) if alias.name != "*" else None
    if submodule is not None:
        return {submodule}, package
    if alias.name == "*":
        return package, set()
    origin = resolver.resolve(path, (alias.asname or alias.name,))
    if origin is None or origin.path is None or origin.path in (module, path):
        return package, set()
    return {origin.path}, package
