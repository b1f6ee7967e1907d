"""A user's file, its definitions executed and everything else kept back until something asks for it."""

import ast
import builtins
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from gradlint.building.built import Doubt
from gradlint.building.packages import fill_package
from gradlint.building.sites import SiteRecorder
from gradlint.core.location import Location
from gradlint.discovery.initialising import Functions, starts
from gradlint.discovery.names import bound_names, flat_statements, free_names, mentions


@dataclass
class Namespace:
    """The module object of a checked file. Statements that were kept back run once, when `require` needs them."""

    path: str
    """As the user gave it: what locations carry."""
    module: ModuleType
    tree: ast.Module
    folders: list[str]
    """Where the file's siblings are found."""
    flags: int
    """Compiler flags of its `from __future__` imports."""
    held: list[ast.stmt] = field(default_factory=list)
    """Top-level statements that have not been run, in order."""
    stale: bool = False
    """Whether a statement was left half-way, by an exception or because the model turned out to be large."""
    missing: dict[str, str] = field(default_factory=dict)
    """Packages and modules that the file imports and that are stood in for, with the reason where they are installed
    and of no use."""
    assumed: dict[int, str] = field(default_factory=dict)
    """By line: assignments in a branch that was taken because no other one is, as in `nc = 3`."""
    sites: SiteRecorder | None = None
    """Where the modules made so far were made; the models of one file may share some."""

    def run(self, statement: ast.stmt) -> None:
        """Execute one top-level statement in the module."""
        exec(self._compile(ast.Module([statement], []), "exec"), self.module.__dict__)

    def _compile(self, node: ast.Module | ast.Expression, mode: str) -> CodeType:
        code = compile(node, self.path, mode, flags=self.flags, dont_inherit=True)
        assert isinstance(code, CodeType)
        return code

    def require(self, names: Iterable[str]) -> None:
        """Run those of the statements kept back that the given names depend on, in the order of the file."""
        needed, reached = self._closure(names)
        for statement in [s for s in self.held if s in needed]:
            self.stale = True
            self.run(statement)
            self.stale = False
            self.held.remove(statement)
            self._assume(statement, reached)

    def _assume(self, statement: ast.stmt, names: set[str]) -> None:
        """Where no branch of an `if` was taken, as the command line is empty, these names get what the first says."""
        if not isinstance(statement, ast.If):
            return
        for inner in flat_statements([statement]):
            match inner:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant()):
                    if name in names and name not in self.module.__dict__:
                        self.run(inner)
                        self.assumed[inner.lineno] = ast.unparse(inner)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the module, with what it depends on."""
        node = ast.parse(expression, mode="eval")
        self.require(mentions(node))
        for name in mentions(node):
            self._import_inner(name)
        return eval(self._compile(node, "eval"), self.module.__dict__)

    def _import_inner(self, name: str) -> None:
        """A name that only the main block, or a function, imports."""
        if name in self.module.__dict__ or hasattr(builtins, name):
            return
        imports = (node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom))
        for node in imports:
            if name in [alias.asname or alias.name.partition(".")[0] for alias in node.names]:
                try:
                    return self.run(node)
                except ImportError as error:
                    if not fill_package(error):
                        raise
                    return self.run(node)

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What was assumed while statements ran."""
        says = "{} is assumed: without a command line no branch gives it a value"
        return tuple(Doubt(says.format(text), Location(self.path, line)) for line, text in self.assumed.items())

    def source_folder(self) -> Path:
        """Folder of the file."""
        return Path(self.path).resolve().parent

    def _closure(self, names: Iterable[str]) -> tuple[list[ast.stmt], set[str]]:
        """Statements kept back that bind or change a name which the given ones reach through the file's definitions,
        and all names so reached.
        """
        definitions: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            if statement not in self.held:
                for name in bound_names([statement]):
                    definitions.setdefault(name, []).append(statement)
        functions = {s.name: s for found in definitions.values() for s in found if isinstance(s, ast.FunctionDef)}
        needed: list[ast.stmt] = []
        seen: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name in seen:
                continue
            seen.add(name)
            for statement in definitions.get(name, []):
                queue.extend(free_names(statement))
            for statement in self.held:
                if statement not in needed and concerns(statement, name, functions):
                    needed.append(statement)
                    queue.extend(mentions(statement))
        return needed, seen


_INITIALISING = (
    *("apply", "append", "extend", "insert", "add_module", "register_buffer", "update", "setdefault"),
    *("add_argument", "set_defaults"),
)
_TRAINING = ("backward", "step", "zero_grad")


def concerns(statement: ast.stmt, name: str, functions: Functions) -> bool:
    """Whether a statement binds a name, or does to the thing under that name what builds or initialises it."""
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    if any(isinstance(call.func, ast.Attribute) and call.func.attr in _TRAINING for call in calls):
        return False
    if isinstance(statement, ast.For | ast.With):
        return (
            name in _assigned(statement)
            or _loops_over(statement, name)
            or any(_changes(c, name, functions) for c in calls)
        )
    if name in bound_names([statement]):
        return True
    if isinstance(statement, ast.Assign):
        return any(_root(target) == name for target in statement.targets)
    return isinstance(statement, ast.Expr) and any(_changes(call, name, functions) for call in calls)


def _assigned(statement: ast.stmt) -> set[str]:
    """Names that a loop's body assigns (what it runs over is of no use to anyone else)."""
    return {
        leaf.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Assign | ast.AugAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for leaf in ast.walk(target)
        if isinstance(leaf, ast.Name)
    }


def _loops_over(statement: ast.For | ast.With, name: str) -> bool:
    """`for p in model.parameters(): nn.init.zeros_(p)`."""
    if not isinstance(statement, ast.For) or _root(statement.iter) != name:
        return False
    calls = [node for child in statement.body for node in ast.walk(child) if isinstance(node, ast.Call)]
    return any(isinstance(call.func, ast.Attribute) and call.func.attr.endswith("_") for call in calls)


def _changes(call: ast.Call, name: str, functions: Functions) -> bool:
    if not isinstance(call.func, ast.Attribute):
        handed = any(isinstance(argument, ast.Name) and argument.id == name for argument in call.args)
        return handed and starts(call.func, functions)
    method = call.func.attr
    if _root(call.func.value) == name and (
        method in _INITIALISING or method.startswith("register") or method.endswith("_")
    ):
        return True
    inits = method.endswith("_") and "init" in ast.unparse(call.func)
    return inits and any(_root(argument) == name for argument in call.args)


def _root(node: ast.AST) -> str:
    """The name that an expression such as `model[1].parameters()` starts from."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
