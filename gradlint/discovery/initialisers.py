"""The statements of one scope that initialise a model after its construction, as code that building can carry out."""

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gradlint.core.target import Initialiser
from gradlint.discovery.flow_values import ModelValue, Value
from gradlint.discovery.initialising import (
    gives_weights,
    is_filling,
    loops_over_parts,
    says_weights,
    starts,
    targets_of,
    writes,
)
from gradlint.discovery.literals import Scope, UnreadableError, evaluate
from gradlint.discovery.names import key_of, mentions
from gradlint.discovery.notebook import Notebook

MODEL = "__model__"
"""The name that a model goes by in the code of an initialiser."""
_BUILTINS = frozenset(dir(builtins))
_DEEPEST = 20


class Initialisations:
    """Notes what one scope does to the weights of the models in it, until it begins to train them."""

    def __init__(
        self,
        notebook: Notebook,
        scope: Scope,
        values: dict[str, Value],
        local: dict[str, ast.expr] | None,
        within: tuple[str, ...] = (),
        *,
        trained: bool = False,
    ) -> None:
        self.notebook = notebook
        self.functions = dict(notebook.functions)
        self.scope = scope
        self.values = values
        self.local = local
        """What names of this scope were assigned; None at the file's top level, whose names building knows."""
        self.inner: dict[str, ast.FunctionDef] = {}
        self.doubt = ""
        """Why it is not known whether the statements at hand are executed."""
        self.within = within
        """The function, and in it the loops, that the statement at hand is in."""
        self.trained = trained
        """Whether this function trains: then it may also initialise what it is handed."""
        self.off = False
        """Whether the statements at hand are not executed, or not to be noted."""
        self.begun: int | None = None
        """Number of models built when training began: what is written to them from then on is no initialisation."""

    def statement(self, statement: ast.stmt) -> None:
        """Note a loop over a model's parts, or an assignment to its parameters, that initialises them."""
        if isinstance(statement, ast.FunctionDef):
            self.functions[statement.name] = statement
            if self.local is not None:
                self.inner[statement.name] = statement
        part = loops_over_parts(statement, self.functions)
        written = [target for target in targets_of(statement) if writes(target)]
        for node in ([part] if part is not None else []) + written:
            model = self.model_in(node)
            if model is not None:
                self._note(model, statement, statement.lineno)

    def train(self) -> None:
        """Note that the models built so far are trained from here on."""
        self.begun = len(self.notebook.constructions)

    def method(self, call: ast.Call, model: ModelValue, name: str) -> None:
        """Note `model.apply(init_weights)` and `model.init_weights()`."""
        applied = name == "apply" and len(call.args) == 1 and gives_weights(call.args[0], self.functions)
        if applied or (name != "apply" and says_weights(name)):
            function = ast.Attribute(ast.Name(MODEL, ast.Load()), name, ast.Load())
            self._note(model, ast.Call(function, call.args, call.keywords), call.lineno)

    def call(self, call: ast.Call, arguments: Iterable[Value]) -> ModelValue | None:
        """Note `init_weights(model)`, `nn.init.zeros_(model.fc.weight)`, `model.fc.bias.data.zero_()`.

        Returns the model that a function of the first kind was handed.
        """
        if is_filling(call):
            receiver = call.func.value if isinstance(call.func, ast.Attribute) else call.func
            found = [model for node in (receiver, *call.args) if (model := self.model_in(node)) is not None]
            for model in found[:1]:
                self._note(model, call, call.lineno)
            return None
        for position, value in enumerate(arguments):
            if isinstance(value, ModelValue) and starts(call.func, self.functions):
                handed = [*call.args]
                handed[position] = ast.Name(MODEL, ast.Load())
                self._note(value, ast.Call(call.func, handed, call.keywords), call.lineno)
                return value
        return None

    def model_in(self, node: ast.AST) -> ModelValue | None:
        """The model that an expression such as `self.net.fc.weight` starts from."""
        while True:
            value = self.values.get(key_of(node))
            if isinstance(value, ModelValue):
                return value
            if not isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
                return None
            node = node.func if isinstance(node, ast.Call) else node.value

    def _note(self, model: ModelValue, node: ast.expr | ast.stmt, line: int) -> None:
        if self.off or not self._is_ours(model):
            return
        try:
            initialiser = Initialiser(line, self._code(model, node))
        except _UnknownNameError as error:
            initialiser = Initialiser(line, why_not=f"it depends on {error}, whose value the file does not tell")
        if self.doubt:
            initialiser = replace(initialiser, why_not=self.doubt)
        self.notebook.initialised(model, initialiser)

    def _is_ours(self, model: ModelValue) -> bool:
        """Whether the model was built where the statement stands, inside of the same loop, and is yet untrained."""
        if model.construction is None:
            return self.trained and len(self.within) == 1 and self.begun is None
        if self.begun is not None and model.construction < self.begun:
            return False
        return self.notebook.constructions[model.construction].within == self.within

    def _code(self, model: ModelValue, node: ast.expr | ast.stmt) -> str:
        """The statement with the model under its fixed name, after what it needs of this scope."""
        aliases = {key for key, value in self.values.items() if value == model and model.construction is not None}
        aliases |= {key for key, value in self.values.items() if value is model}
        tree = self._rewritten(node, aliases)
        lines = [*self._needed(tree, set(), aliases), ast.unparse(tree)]
        return "\n".join(lines)

    def _rewritten(self, node: ast.AST, aliases: set[str]) -> ast.AST:
        copy = ast.parse(ast.unparse(node))
        rewritten: ast.AST = _Rewrite(aliases, self.scope).visit(copy)
        return rewritten

    def _needed(self, tree: ast.AST, seen: set[str], aliases: set[str]) -> Iterator[str]:
        for name in dict.fromkeys(_free(tree)):
            if name in seen or name == MODEL:
                continue
            seen.add(name)
            inner: ast.AST | None = self.inner.get(name)
            bound = (self.local or {}).get(name)
            if inner is None and bound is not None:
                inner = ast.Assign([ast.Name(name, ast.Store())], bound, lineno=0)
            if inner is None and (name in self.notebook.names.top or name in _BUILTINS):
                continue
            if inner is None or len(seen) > _DEEPEST:
                raise _UnknownNameError(name)
            part = self._rewritten(inner, aliases)
            yield from self._needed(part, seen, aliases)
            yield ast.unparse(part)


class _UnknownNameError(Exception):
    """A name that means nothing outside of its scope."""


class _Rewrite(ast.NodeTransformer):
    """Puts the model's fixed name in place of its own ones, and literals in place of names such as `args.std`."""

    def __init__(self, aliases: set[str], scope: Scope) -> None:
        self.aliases = aliases
        self.scope = scope

    def visit_Name(self, node: ast.Name) -> ast.expr:  # the name is NodeTransformer's
        return ast.Name(MODEL, node.ctx) if node.id in self.aliases else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # the name is NodeTransformer's
        if key_of(node) in self.aliases:
            return ast.Name(MODEL, node.ctx)
        if isinstance(node.ctx, ast.Load) and self.scope.get(ast.unparse(node)) is not None:
            try:
                return ast.parse(repr(evaluate(node, self.scope)), mode="eval").body
            except UnreadableError:
                return self.generic_visit(node)
        return self.generic_visit(node)


def _free(tree: ast.AST) -> Iterator[str]:
    """Names that a piece of code reads and does not bind itself."""
    bound = {leaf.id for leaf in ast.walk(tree) if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)}
    bound |= {leaf.arg for leaf in ast.walk(tree) if isinstance(leaf, ast.arg)}
    bound |= {leaf.name for leaf in ast.walk(tree) if isinstance(leaf, ast.FunctionDef)}
    return (name for name in mentions(tree) if name not in bound)
