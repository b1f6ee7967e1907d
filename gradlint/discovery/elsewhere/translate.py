"""Constructor arguments and inputs of another file, said in the names of the file that defines the model."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradlint.core.target import InputSpec, TargetKind, Unsaid
from gradlint.discovery.elsewhere.imports import Chain, Resolver, chain_of
from gradlint.discovery.elsewhere.settings import CHANGED, spelt
from gradlint.discovery.expressions import BUILTINS, LONGEST, Arguments, inlined
from gradlint.discovery.harmless import NOT_CALLED
from gradlint.discovery.literals import Scope, UnreadableError, evaluate
from gradlint.discovery.names import Names
from gradlint.discovery.notebook import Notebook
from gradlint.discovery.values import Candidate

MARK = "_of_the_checked_file_"
"""Put before names of the checked file in the tree of another one, which may bind the same names to other things."""
_CHANGED = f"{MARK}changed"
_PURE = frozenset("torch math functools collections types".split())  # noqa: SIM905
_NOT_SAID = (ast.Lambda, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.comprehension)


class Marker(ast.NodeTransformer):
    """Puts a marked name in place of every expression that stands for something the checked file defines."""

    def __init__(self, path: Path, checked: Path, resolver: Resolver, bare: frozenset[str]) -> None:
        self.path = path
        self.checked = checked
        self.resolver = resolver
        self.bare = bare
        """Names that stand for those of the checked file even where they are not imported."""
        self.found: set[str] = set()
        self._known: dict[Chain, str] = {}

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        name = self._name(chain_of(node))
        return self._marked(node, name) if name else self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        name = self._name((node.id,)) if isinstance(node.ctx, ast.Load) else ""
        return self._marked(node, name) if name else node

    def _marked(self, node: ast.expr, name: str) -> ast.AST:
        self.found.add(name)
        return ast.copy_location(ast.Name(f"{MARK}{name}", ast.Load()), node)

    def _name(self, chain: Chain) -> str:
        """The name in the checked file; empty where an expression stands for something else."""
        if chain and chain not in self._known:
            origin = self.resolver.resolve(self.path, chain)
            is_checked = origin is not None and origin.path == self.checked and "." not in origin.name
            self._known[chain] = origin.name if origin is not None and is_checked else ""
            if origin is None and len(chain) == 1 and chain[0] in self.bare:
                self._known[chain] = chain[0]
        return self._known.get(chain, "")


class OtherNotebook(Notebook):
    """What another file does with the models of the checked one."""

    def __init__(self, path: Path, tree: ast.Module, names: tuple[str, ...], translator: "Translator") -> None:
        candidates = [Candidate(f"{MARK}{name}", TargetKind.CLASS, 0, 0) for name in names]
        super().__init__(str(path), Names(tree), candidates, {})
        self.translator = translator

    def arguments(self, call: ast.Call, scope: Scope, local: dict[str, ast.expr]) -> Arguments:
        """Constructor arguments that mean the same in the checked file; (None, {}) where that is known of none."""
        try:
            args = tuple(item for node in call.args for item in self._positional(node, scope))
            kwargs: dict[str, Any] = {}
            for keyword in call.keywords:
                if keyword.arg is not None:
                    kwargs[keyword.arg] = self._argument(keyword.value, scope)
                    continue
                unpacked = evaluate(keyword.value, scope)
                if not isinstance(unpacked, dict) or not all(isinstance(key, str) for key in unpacked):
                    raise UnreadableError
                kwargs.update(unpacked)
        except UnreadableError:
            return None, {}
        given = (*args, *kwargs.values())
        return (None, {}) if given and all(isinstance(value, Unsaid) for value in given) else (args, kwargs)

    def _positional(self, node: ast.expr, scope: Scope) -> list[Any]:
        if not isinstance(node, ast.Starred):
            return [self._argument(node, scope)]
        unpacked = evaluate(node.value, scope)
        if not isinstance(unpacked, tuple | list):
            raise UnreadableError
        return list(unpacked)

    def _argument(self, node: ast.expr, scope: Scope) -> Any:
        try:
            value = evaluate(node, scope)
        except UnreadableError:
            return self._expression(node, scope)
        if not isinstance(value, dict) or isinstance(node, ast.Dict):
            return value
        try:
            return {"expression": spelt(value)}
        except (TypeError, ValueError) as error:  # keys that are no strings, infinities
            raise UnreadableError from error

    def _expression(self, node: ast.expr, scope: Scope) -> dict[str, str] | Unsaid:
        try:
            return {"expression": self.translator.expression(node, scope)}
        except UnreadableError:
            return Unsaid(ast.unparse(node).replace(MARK, ""))


class Translator:
    """Says expressions of another file in the names of the checked one."""

    def __init__(self, path: Path, checked: Path, resolver: Resolver) -> None:
        self.path = path
        self.resolver = resolver
        self.known: dict[str, str] = {}
        """Dotted name of something from outside the repository → its name in the checked file."""
        bindings = resolver.bindings(checked)
        for name in bindings.imports if bindings is not None else ():
            origin = resolver.resolve(checked, (name,))
            if origin is not None and origin.path is None:
                self.known.setdefault(origin.name, name)

    def expression(self, node: ast.expr, scope: Scope) -> str:
        """Source text that means in the checked file what an expression means here; raises UnreadableError."""
        tree = inlined(
            node, {name: _changed(name, bound, scope) for name, bound in scope.items() if bound and name.isidentifier()}
        )
        if any(isinstance(leaf, _NOT_SAID) for leaf in ast.walk(tree)):
            raise UnreadableError
        text = ast.unparse(_Translation(self, BUILTINS).visit(tree))
        if len(text) > LONGEST or not any(isinstance(leaf, ast.Name) for leaf in ast.walk(tree)):
            raise UnreadableError
        return text

    def inputs(self, specs: tuple[InputSpec, ...] | None) -> tuple[InputSpec, ...] | None:
        """The same inputs; None where one of them is computed from what the checked file does not know."""
        try:
            return None if specs is None else tuple(self._input(spec) for spec in specs)
        except UnreadableError:
            return None

    def _input(self, spec: InputSpec) -> InputSpec:
        if spec.dtype != "expression":
            return spec
        tree = ast.parse(spec.value)
        own = {leaf.id for leaf in ast.walk(tree) if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)}
        harmless = BUILTINS | {"abs", "round", "enumerate", "zip", "min", "sum"}
        return replace(spec, value=ast.unparse(_Translation(self, frozenset(own | harmless)).visit(tree)))

    def external(self, chain: Chain) -> ast.expr:
        """How the checked file names something that both files import from elsewhere; raises UnreadableError."""
        origin = self.resolver.resolve(self.path, chain)
        dotted = origin.name if origin is not None and origin.path is None else ""
        if dotted.partition(".")[0] not in _PURE | {"numpy"}:
            raise UnreadableError
        parts = dotted.split(".")
        if set(parts) & NOT_CALLED:
            raise UnreadableError
        for length in range(len(parts), 0, -1):
            name = self.known.get(".".join(parts[:length]))
            if name is not None:
                return ast.parse(".".join([name, *parts[length:]]), mode="eval").body
        raise UnreadableError


def _changed(name: str, bound: ast.expr, scope: Scope) -> ast.expr:
    """What a name stands for, with the attributes that are assigned to it one by one."""
    written = {text: value for text, value in scope.items() if text.startswith((f"{name}.", f"{name}[")) and value}
    if not written or not isinstance(bound, ast.Call):
        return bound
    keys = [text.removeprefix(f"{name}.") for text in written]
    if not all(key.isidentifier() for key in keys):
        return ast.Name(f"{name}_", ast.Load())  # something in it is changed: it is not what it was made as
    try:
        values = {key: evaluate(value, scope) for key, value in zip(keys, written.values(), strict=True)}
    except UnreadableError:
        return ast.Name(f"{name}_", ast.Load())
    return ast.parse(f"{_CHANGED}({ast.unparse(bound)}, {values!r})", mode="eval").body


class _Translation(ast.NodeTransformer):
    def __init__(self, translator: Translator, own: frozenset[str]) -> None:
        self.translator = translator
        self.own = own

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and set(chain_of(node.func)) & NOT_CALLED:
            raise UnreadableError  # what reads or writes is not called on another file's behalf
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr.startswith("_"):
            raise UnreadableError
        chain = chain_of(node)
        if not chain or chain[0].startswith(MARK) or chain[0] in self.own:
            return self.generic_visit(node)
        return ast.copy_location(self.translator.external(chain), node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == _CHANGED:
            return ast.parse(CHANGED, mode="eval").body
        if node.id.startswith(MARK):
            return ast.copy_location(ast.Name(node.id.removeprefix(MARK), node.ctx), node)
        if node.id in self.own or isinstance(node.ctx, ast.Store):
            return node
        return ast.copy_location(self.translator.external((node.id,)), node)
