"""What expressions of one file stand for: settings files, command lines, configuration classes, constants of others."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gradlint.discovery.command_line import all_defaults, gives_command_line, holders_of
from gradlint.discovery.elsewhere.configurations import class_values, instance_values
from gradlint.discovery.elsewhere.imports import Origin, Resolver, chain_of
from gradlint.discovery.elsewhere.paths import path_of
from gradlint.discovery.elsewhere.settings_files import load
from gradlint.discovery.literals import UnreadableError, evaluate, literal
from gradlint.discovery.modules import has_method
from gradlint.discovery.names import bound_names

Facts = dict[str, ast.expr | None]

_LOADERS = frozenset(
    [
        "yaml.safe_load", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "json.load", "json.loads", "toml.load",
        "tomllib.load", "tomllib.loads", "OmegaConf.load",
    ]
)  # fmt: skip
_NAMESPACES = frozenset(
    [
        "SimpleNamespace", "Namespace", "EasyDict", "edict", "Munch", "munchify", "AttrDict", "ConfigDict", "Box",
        "DotMap", "create", "DictConfig", "dict",
    ]
)  # fmt: skip
_MOST_OPTIONS = 1_000


class FactFinder:
    """Reads what is known of the expressions of one file before its statements are followed."""

    def __init__(
        self, path: Path, tree: ast.Module, resolver: Resolver, others: "dict[Path, FactFinder | None] | None" = None
    ) -> None:
        self.path = path
        self.tree = tree
        self.resolver = resolver
        self.facts: Facts = {}
        self.scope: Facts = _assigned(tree)
        self._others: dict[Path, FactFinder | None] = {} if others is None else others
        self._others.setdefault(path, self)  # files that import each other find what is known so far
        self._command_line()
        self._imported()
        for call in _calls(tree):
            self._note(call)

    def _set(self, text: str, value: Any) -> None:
        self.facts[text] = self.scope[text] = literal(value)

    def _command_line(self) -> None:
        defaults = self.evaluated(all_defaults(self.tree))
        if len(defaults) > _MOST_OPTIONS:
            return
        for name in holders_of(self.tree):
            self._set(name, defaults)
            for option, value in defaults.items():
                self._set(f"{name}.{option}", value)

    def evaluated(self, expressions: dict[str, ast.expr | None]) -> dict[str, Any]:
        """Values of those expressions that can be read."""
        values = {}
        for name, node in expressions.items():
            try:
                if node is not None:
                    values[name] = evaluate(node, self.scope)
                    literal(values[name])
            except UnreadableError:
                values.pop(name, None)
        return values

    def _imported(self) -> None:
        """Constants of other modules, and what classes say of themselves: `settings.WIDTH`, `Config.width`."""
        chains = {chain for node in ast.walk(self.tree) if (chain := chain_of(node))}
        for chain in sorted(chains):
            origin = self.resolver.resolve(self.path, chain)
            if origin is None or origin.path is None or not self._is_constant(origin):
                continue
            other = self.other(origin.path)
            is_own_value = other is self and "." in origin.name
            if other is None or is_own_value:
                continue
            try:
                self._set(".".join(chain), other.value_of(origin.name))
            except UnreadableError:
                continue  # not a constant: whoever needs it will find it unknown

    def _is_constant(self, origin: Origin) -> bool:
        """Whether a name can stand for a value: in this file those of classes count only, the others are followed."""
        bindings = self.resolver.bindings(origin.path) if origin.path is not None else None
        statement = bindings.values.get(origin.name.partition(".")[0]) if bindings is not None else None
        if isinstance(statement, ast.ClassDef):
            return not has_method(statement, "forward")
        return isinstance(statement, ast.Assign | ast.AnnAssign) and origin.path != self.path

    def value_of(self, name: str) -> Any:
        """The value of a dotted name of this file."""
        head = name.partition(".")[0]
        definition = self.definition(head)
        if isinstance(definition, ast.ClassDef):
            self.scope.setdefault(head, literal(class_values(definition, self)))
        return evaluate(ast.parse(name, mode="eval").body, self.scope)

    def other(self, path: Path) -> "FactFinder | None":
        """The same for another file of the repository; None where it cannot be read, or time is up."""
        if path not in self._others:
            repository = self.resolver.repository
            tree = None if repository.exhausted else repository.tree(path)
            self._others[path] = None
            if tree is not None:
                self._others[path] = FactFinder(path, tree, self.resolver, self._others)
        return self._others[path]

    def definition(self, name: str) -> ast.stmt | None:
        """The statement of this file that defines a name."""
        bindings = self.resolver.bindings(self.path)
        return bindings.values.get(name) if bindings is not None else None

    def _note(self, call: ast.Call) -> None:
        text = ast.unparse(call)
        try:
            if text not in self.facts:
                self._set(text, self._value(call))
        except UnreadableError:
            return  # an ordinary call: its value is not known

    def _value(self, call: ast.Call) -> Any:
        function = ast.unparse(call.func)
        last = function.rpartition(".")[2]
        if function in _LOADERS and call.args:
            repository = self.resolver.repository
            return load(path_of(call.args[0], self.scope, self.path, repository.root), repository)
        if last in ("parse_args", "parse_known_args"):
            values = self.evaluated(all_defaults(self.tree))
            return (values, []) if last == "parse_known_args" else values
        if last in _NAMESPACES:
            return self._namespace(call)
        return self._called(call)

    def _namespace(self, call: ast.Call) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for node, name in [*((a, None) for a in call.args), *((k.value, k.arg) for k in call.keywords)]:
            value = evaluate(node, self.scope)
            if name is not None:
                values[name] = value
            elif isinstance(value, dict):
                values.update(value)
            else:
                raise UnreadableError
        return values

    def _called(self, call: ast.Call) -> Any:
        """What a configuration class, or a function that reads the command line, of the repository gives."""
        origin = self.resolver.resolve(self.path, chain_of(call.func))
        if origin is None or origin.path is None:
            raise UnreadableError
        finder = self if origin.path == self.path else self.other(origin.path)
        definition = finder.definition(origin.name) if finder is not None else None
        if finder is not None and isinstance(definition, ast.ClassDef):
            return instance_values(definition, finder, call, self.scope)
        if finder is not None and isinstance(definition, ast.FunctionDef) and gives_command_line(definition):
            return finder.evaluated(all_defaults(finder.tree))
        raise UnreadableError


def _calls(tree: ast.Module) -> list[ast.Call]:
    """Calls in order of execution, roughly: by line, inner ones first."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sorted(calls, key=lambda call: (call.end_lineno or 0, call.end_col_offset or 0))


def _assigned(tree: ast.Module) -> Facts:
    """What names are assigned at the top level, or anywhere if it is only once."""
    pairs = [pair for node in ast.walk(tree) for pair in _bindings(node)]
    counts = Counter(name for name, _ in pairs)
    scope: Facts = {name: value for name, value in pairs if counts[name] == 1}
    top = set(bound_names(tree.body))
    scope.update({name: value for node in tree.body for name, value in _bindings(node) if name in top})
    return scope


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
            yield name, value
