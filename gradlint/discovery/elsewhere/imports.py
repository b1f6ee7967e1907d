"""What a name in one file of a repository stands for, followed through imports and re-exports to its definition."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gradlint.discovery.elsewhere.repository import Repository
from gradlint.discovery.names import FRAMEWORKS, flat_statements

_INSTALLED = FRAMEWORKS | sys.stdlib_module_names | {"numpy", "yaml", "hydra", "omegaconf"}
"""Packages that a file of the repository of the same name stands for only where Python would find it first."""
Chain = tuple[str, ...]
"""A dotted name, part by part."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something is defined: a name in a file of the repository, or a dotted name outside of it."""

    path: Path | None
    name: str


@dataclass(frozen=True, slots=True)
class _Imported:
    level: int
    """Number of dots that a relative import begins with."""
    parts: Chain


class Bindings:
    """What the code of one file binds: by imports anywhere in it, by definitions at its top level."""

    def __init__(self, tree: ast.Module) -> None:
        self.imports: dict[str, list[_Imported]] = {}
        self.public: set[str] = set()
        """Names that are imported at the top level: these other files can import from here."""
        self.stars: list[_Imported] = []
        self.values: dict[str, ast.stmt] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    parts = tuple(alias.name.split("."))
                    self._add(alias.asname or parts[0], _Imported(0, parts if alias.asname else parts[:1]))
            elif isinstance(node, ast.ImportFrom):
                self._from(node)
        for statement in flat_statements(tree.body):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self.public.update(alias.asname or alias.name.partition(".")[0] for alias in statement.names)
            for name in _bound(statement):
                self.values[name] = statement

    def _from(self, node: ast.ImportFrom) -> None:
        parts = tuple(node.module.split(".")) if node.module else ()
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(_Imported(node.level, parts))
            else:
                self._add(alias.asname or alias.name, _Imported(node.level, (*parts, alias.name)))

    def _add(self, name: str, imported: _Imported) -> None:
        self.imports.setdefault(name, []).append(imported)


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        yield statement.target.id


def chain_of(node: ast.AST) -> Chain:
    """Parts of an expression such as `models.nets.Net`; empty for any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


class Resolver:
    """Follows names from file to file without importing anything."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._bindings: dict[Path, Bindings | None] = {}
        self._origins: dict[tuple[Path, Chain, bool], Origin | None] = {}
        self._modules: dict[tuple[Path, int, Chain], Path | None] = {}
        python = [path for path in repository.files if path.suffix == ".py"]
        self._known = frozenset([*python, repository.path])
        self._by_stem: dict[str, list[Path]] = {}
        for path in self._known:
            stem = path.parent.name if path.stem == "__init__" else path.stem
            self._by_stem.setdefault(stem, []).append(path)

    def bindings(self, path: Path) -> Bindings | None:
        """What a file binds; None where it cannot be read."""
        if path not in self._bindings:
            tree = self.repository.tree(path)
            self._bindings[path] = Bindings(tree) if tree is not None else None
        return self._bindings[path]

    def resolve(self, path: Path, chain: Chain, *, within: bool = True) -> Origin | None:
        """Where a dotted name is defined; None where that is not known, or not certain.

        Args:
            path: the file that mentions it.
            chain: the name as it is written there.
            within: whether it is mentioned in that file itself, where imports inside functions count too, or imported
                from there by another one.
        """
        key = (path, chain, within)
        if key not in self._origins:
            self._origins[key] = None  # modules that import a name from each other define it nowhere
            self._origins[key] = self._resolve(path, chain, within=within)
        return self._origins[key]

    def _resolve(self, path: Path, chain: Chain, *, within: bool) -> Origin | None:
        bindings = self.bindings(path)
        if bindings is None or not chain:
            return None
        head, rest = chain[0], chain[1:]
        statement = bindings.values.get(head)
        is_imported = head in bindings.imports and (within or head in bindings.public)
        if statement is not None and not (is_imported and isinstance(statement, ast.Assign)):
            return self._defined(path, statement, chain)
        if is_imported:  # `import model`, and then `model = model.Net()`
            found = {self._imported(path, i.level, (*i.parts, *rest)) for i in bindings.imports[head]}
            found.discard(None)  # of `try: from .model import Net` and `except: from model import Net`, one will do
            return found.pop() if len(found) == 1 else None
        for star in bindings.stars:
            module = self.module(path, star.level, star.parts)
            origin = self.resolve(module, chain, within=False) if module is not None else None
            if origin is not None:
                return origin
        return None

    def _defined(self, path: Path, statement: ast.stmt, chain: Chain) -> Origin | None:
        """A definition, or another name that an assignment gives to something: `Model = Net`."""
        if isinstance(statement, ast.Assign) and (other := chain_of(statement.value)) and other[0] != chain[0]:
            return self.resolve(path, (*other, *chain[1:]))
        return Origin(path, ".".join(chain))

    def _imported(self, path: Path, level: int, parts: Chain) -> Origin | None:
        whole = self.module(path, level, parts)
        for length in range(len(parts) - 1, -1 if level else 0, -1):
            module = self.module(path, level, parts[:length])
            if module is not None:
                origin = self.resolve(module, parts[length:], within=False)
                return origin or (Origin(whole, "") if whole is not None else None)
        if whole is not None:
            return Origin(whole, "")
        return None if level else Origin(None, ".".join(parts))

    def module(self, path: Path, level: int, parts: Chain) -> Path | None:
        """The file of the repository that an import of a module leads to; None for packages from elsewhere."""
        key = (path.parent, level, parts)
        if key not in self._modules:
            self._modules[key] = self._relative(path, level, parts) if level else self._absolute(path, parts)
        return self._modules[key]

    def _relative(self, path: Path, level: int, parts: Chain) -> Path | None:
        folder = path.parent
        for _ in range(level - 1):
            folder = folder.parent
        return self._file(folder, parts)

    def _absolute(self, path: Path, parts: Chain) -> Path | None:
        """From the folders above the importing file; else the one file of the repository that could be meant."""
        if not parts:
            return None
        root = self.repository.root
        for folder in (folder for folder in path.parents if folder.is_relative_to(root)):
            if found := self._file(folder, parts):
                return found
        if parts[0] == root.name and len(parts) > 1 and (found := self._file(root, parts[1:])):
            return found
        if parts[0] in _INSTALLED:
            return None
        tails = ("/" + "/".join(parts) + ".py", "/" + "/".join(parts) + "/__init__.py")
        meant = [known for known in self._by_stem.get(parts[-1], []) if known.as_posix().endswith(tails)]
        return meant[0] if len(meant) == 1 else None

    def _file(self, folder: Path, parts: Chain) -> Path | None:
        module = folder.joinpath(*parts)
        choices = [module / "__init__.py"]
        if parts:
            choices.append(module.with_name(f"{module.name}.py"))
        return next((choice for choice in choices if choice in self._known), None)
