"""Follow models, their outputs and losses through a file's own code: who builds, feeds and judges what."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from gradlint.core.target import InputSpec, LossUse, TargetKind
from gradlint.discovery.candidates import is_torch_module
from gradlint.discovery.flow_values import (
    MODEL_METHODS,
    MODEL_WRAPPERS,
    RESHAPING,
    LossValue,
    ModelValue,
    OutputValue,
    Value,
    loss_function,
    loss_name,
)
from gradlint.discovery.literals import Unreadable, evaluate, read_input
from gradlint.discovery.names import Names, mentions
from gradlint.discovery.values import Candidate, Construction


class Notebook:
    """Everything noted while the scopes of one file are followed."""

    def __init__(self, path: str, names: Names, candidates: Iterable[Candidate]) -> None:
        self.path = path
        self.names = names
        self.candidates = {candidate.name: candidate for candidate in candidates}
        self.constructions: list[Construction] = []
        self.losses: dict[tuple[int, int], LossUse] = {}
        self.unapplied: dict[tuple[int, int], LossValue] = {}
        self.handed: dict[tuple[str, str], set[str]] = {}
        """(function, parameter name or position) → candidates handed to it."""

    def hand(self, function: str, key: str, value: Value) -> None:
        """Note that a call passes a model to a function of the file."""
        if isinstance(value, ModelValue):
            self.handed.setdefault((function, key), set()).add(value.candidate)

    def apply(self, loss: LossValue, call: ast.Call, value: Value) -> None:
        """Note that a loss is computed from a value."""
        self.unapplied.pop((loss.line, loss.column), None)
        output = value if isinstance(value, OutputValue) else OutputValue("")
        key = (call.lineno, call.col_offset + 1)
        known = self.losses.get(key)
        if known is None or not known.model:
            self.losses[key] = LossUse(loss.name, self.path, *key, model=output.candidate, through=output.through)


class Follower:
    """Follows the statements of one scope in order. Branches and loop bodies are taken once."""

    def __init__(
        self,
        notebook: Notebook,
        *,
        outer: dict[str, ast.expr | None] | None = None,
        values: dict[str, Value] | None = None,
        records: bool = True,
        top: bool = False,
        returned: frozenset[str] = frozenset(),
        owner: str = "",
    ) -> None:
        self.notebook = notebook
        self.scope: dict[str, ast.expr | None] = dict(outer or {})
        self.values: dict[str, Value] = dict(values or {})
        self.records = records
        self.top = top
        self.returned = returned
        self.owner = owner
        self.local: dict[str, ast.expr] = {}

    def follow(self, body: list[ast.stmt]) -> None:
        """Follow a list of statements."""
        for statement in body:
            self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                return
            case ast.Assign(targets=targets, value=value):
                result = self.value(value)
                for target in targets:
                    self._bind(target, value, result)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, value, self.value(value))
            case ast.AugAssign(target=target, value=value):
                self.value(value)
                self._forget(target)
            case ast.For(target=target, iter=iterated):
                self.value(iterated)
                self._forget(target)
            case _:
                for child in ast.iter_child_nodes(statement):
                    if isinstance(child, ast.expr):
                        self.value(child)
                    elif isinstance(child, ast.withitem):
                        self.value(child.context_expr)
        for name in ("body", "orelse", "finalbody"):
            self.follow(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            self.follow(handler.body)

    def _bind(self, target: ast.expr, node: ast.expr, value: Value) -> None:
        key = _key(target)
        if key:
            if self.top and value is None and key in self.notebook.candidates:
                value = self._instance(key, node.lineno)
            self.values[key] = value
            self.scope[key] = node
            self.local[key] = node
            self._name_construction(key, value)
        elif isinstance(target, ast.Tuple | ast.List):
            pairs = node.elts if isinstance(node, ast.Tuple | ast.List) and len(node.elts) == len(target.elts) else []
            for index, element in enumerate(target.elts):
                if pairs:
                    self._bind(element, pairs[index], self.value(pairs[index]))
                else:
                    self._forget(element)
                    if isinstance(value, OutputValue) and _key(element):
                        self.values[_key(element)] = value

    def _instance(self, name: str, line: int) -> Value:
        """A module-level name bound to layers of torch itself is a model of its own name."""
        if not self.records:
            return ModelValue(name)
        self.notebook.constructions.append(Construction(name, line, None, {}, name, at_module_level=True))
        return ModelValue(name, len(self.notebook.constructions) - 1)

    def _name_construction(self, key: str, value: Value) -> None:
        if self.records and isinstance(value, ModelValue) and value.construction is not None:
            made = self.notebook.constructions[value.construction]
            if not made.variable:
                self.notebook.constructions[value.construction] = replace(made, variable=key)

    def _forget(self, target: ast.expr) -> None:
        for leaf in ast.walk(target):
            key = _key(leaf)
            if key:
                self.values[key] = None
                self.scope[key] = None
                self.local.pop(key, None)

    def value(self, node: ast.expr) -> Value:
        """What an expression stands for; notes every construction, feed and loss on the way."""
        match node:
            case ast.Name() | ast.Attribute() if _key(node) in self.values and self.values[_key(node)] is not None:
                return self.values[_key(node)]
            case ast.Name(id=name) if name in self.returned and self.owner:
                return OutputValue(self.owner)
            case ast.Call():
                return self._call(node)
            case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.NamedExpr(value=inner):
                value = self.value(inner)
                return value if isinstance(value, OutputValue) or isinstance(node, ast.NamedExpr) else None
            case ast.Await(value=inner) | ast.Starred(value=inner):
                return self.value(inner)
            case ast.IfExp(body=yes, orelse=no):
                return self.value(yes) or self.value(no)
            case ast.BinOp(left=left, right=right):
                sides = [self.value(left), self.value(right)]
                output = next((side for side in sides if isinstance(side, OutputValue)), None)
                return output and replace(output, through=(*output.through, "arithmetic"))
            case ast.Lambda() | ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                return None
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child)
        return None

    def _call(self, call: ast.Call) -> Value:
        names = self.notebook.names
        dotted = names.dotted(call.func)
        if isinstance(call.func, ast.Name) and self._builds(call.func.id):
            self._arguments(call)
            return self._construct(call, call.func.id)
        if loss_name(dotted):
            loss = LossValue(loss_name(dotted), call.lineno, call.col_offset + 1)
            self.notebook.unapplied.setdefault((loss.line, loss.column), loss)
            return loss
        if loss_function(dotted):
            return self._judge(call, LossValue(loss_function(dotted), 0, 0))
        if isinstance(call.func, ast.Attribute):
            return self._method(call, call.func, dotted)
        function = self.value(call.func)
        if isinstance(function, ModelValue):
            return self._feed(call, function)
        if isinstance(function, LossValue):
            return self._judge(call, function)
        return self._plain(call, dotted)

    def _builds(self, name: str) -> bool:
        candidate = self.notebook.candidates.get(name)
        return candidate is not None and candidate.kind is not TargetKind.INSTANCE and self.values.get(name) is None

    def _arguments(self, call: ast.Call) -> list[Value]:
        values = [self.value(argument) for argument in call.args]
        for keyword in call.keywords:
            self.value(keyword.value)
        return values

    def _judge(self, call: ast.Call, loss: LossValue) -> Value:
        arguments = self._arguments(call)
        named = next((k.value for k in call.keywords if k.arg in ("input", "inputs", "preds", "logits")), None)
        judged = arguments[0] if arguments else (self.value(named) if named is not None else None)
        if self.records:
            self.notebook.apply(loss, call, judged)
        return None

    def _method(self, call: ast.Call, function: ast.Attribute, dotted: str) -> Value:
        whole = self.values.get(_key(function))
        if isinstance(whole, ModelValue):
            return self._feed(call, whole)
        if isinstance(whole, LossValue):
            return self._judge(call, whole)
        receiver = self.value(function.value)
        if isinstance(receiver, ModelValue) and function.attr in ("forward", "__call__"):
            return self._feed(call, receiver)
        if isinstance(receiver, ModelValue) and function.attr in MODEL_METHODS:
            return receiver
        if isinstance(receiver, OutputValue):
            self._arguments(call)
            unchanged = function.attr in RESHAPING
            return receiver if unchanged else replace(receiver, through=(*receiver.through, function.attr.rstrip("_")))
        return self._plain(call, dotted)

    def _plain(self, call: ast.Call, dotted: str) -> Value:
        """A call of something else: functions of torch applied to an output, wrappers, functions of the file."""
        arguments = self._arguments(call)
        last = dotted.rpartition(".")[2]
        first = arguments[0] if arguments else None
        if isinstance(first, ModelValue) and last in MODEL_WRAPPERS:
            return first
        for position, value in enumerate(arguments):
            self.notebook.hand(last, str(position), value)
        for keyword in call.keywords:
            self.notebook.hand(last, keyword.arg or "", self.value(keyword.value))
        if isinstance(first, OutputValue) and dotted.startswith("torch."):
            return first if last in RESHAPING else replace(first, through=(*first.through, last))
        if isinstance(call.func, ast.Call) and is_torch_module(self.notebook.names.dotted(call.func.func)):
            layer = self.notebook.names.dotted(call.func.func).rpartition(".")[2].lower()
            return replace(first, through=(*first.through, layer)) if isinstance(first, OutputValue) else None
        return None

    def _construct(self, call: ast.Call, name: str) -> Value:
        if not self.records or self.owner:
            return ModelValue(name)
        args, kwargs = self._constructor_arguments(call)
        made = Construction(name, call.lineno, args, kwargs, at_module_level=self.top)
        self.notebook.constructions.append(made)
        return ModelValue(name, len(self.notebook.constructions) - 1)

    def _constructor_arguments(self, call: ast.Call) -> tuple[tuple[Any, ...] | None, dict[str, Any]]:
        try:
            args = tuple(item for argument in call.args for item in self._argument(argument))
            kwargs: dict[str, Any] = {}
            for keyword in call.keywords:
                if keyword.arg is None:
                    raise Unreadable
                (kwargs[keyword.arg],) = self._argument(keyword.value)
        except Unreadable:
            return None, {}
        return args, kwargs

    def _argument(self, node: ast.expr) -> list[Any]:
        """One constructor argument: its literal value, else an expression that building can evaluate."""
        if isinstance(node, ast.Starred):
            unpacked = evaluate(node.value, self.scope)
            if not isinstance(unpacked, tuple | list):
                raise Unreadable
            return list(unpacked)
        try:
            return [evaluate(node, self.scope)]
        except Unreadable:
            return [{"expression": self._expression(node)}]

    def _expression(self, node: ast.expr) -> str:
        """Source text in which local names are replaced by what they were assigned."""
        text = ast.unparse(
            _Inline(self.local if not self.top else {}).visit(ast.parse(ast.unparse(node), mode="eval").body)
        )
        if any(isinstance(leaf, ast.Lambda | ast.Await | ast.Yield) for leaf in ast.walk(node)):
            raise Unreadable
        known = self.notebook.names.top | _SAFE_BUILTINS
        if len(text) > 2000 or any(name not in known for name in mentions(ast.parse(text, mode="eval"))):
            raise Unreadable
        return text

    def _feed(self, call: ast.Call, model: ModelValue) -> Value:
        self._arguments(call)
        index = model.construction
        if self.records and index is not None and self.notebook.constructions[index].inputs is None:
            made = self.notebook.constructions[index]
            inputs = self._inputs(call)
            if inputs is not None:
                self.notebook.constructions[index] = replace(made, inputs=inputs, fed_at=call.lineno)
        return OutputValue(model.candidate)

    def _inputs(self, call: ast.Call) -> tuple[InputSpec, ...] | None:
        try:
            specs = [read_input(argument, self.scope, self.notebook.names) for argument in call.args]
            specs += [read_input(k.value, self.scope, self.notebook.names, k.arg or "") for k in call.keywords]
        except (Unreadable, IndexError):
            return None
        return tuple(specs) if any(spec.dtype != "literal" for spec in specs) else None


_SAFE_BUILTINS = frozenset(
    [
        "dict",
        "list",
        "tuple",
        "set",
        "int",
        "float",
        "bool",
        "str",
        "range",
        "len",
        "max",
        "min",
        "sum",
        "True",
        "False",
        "None",
    ]
)


class _Inline(ast.NodeTransformer):
    """Replaces local names by the expressions that they were assigned, a few levels deep."""

    def __init__(self, local: dict[str, ast.expr], depth: int = 5) -> None:
        self.local = local
        self.depth = depth

    def visit_Name(self, node: ast.Name) -> ast.AST:
        bound = self.local.get(node.id)
        if bound is None:
            return node
        if self.depth == 0:
            raise Unreadable
        copy = ast.parse(ast.unparse(bound), mode="eval").body
        rest = {name: expression for name, expression in self.local.items() if name != node.id}
        inlined = _Inline(rest, self.depth - 1).visit(copy)
        assert isinstance(inlined, ast.AST)
        return inlined


def _key(node: ast.AST) -> str:
    """`model`, or `self.model`: names that values are kept under."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return f"self.{node.attr}"
    return ""


def returned_names(function: ast.FunctionDef) -> Iterator[str]:
    """Names that a function returns, on their own or in a tuple or dictionary."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            value = node.value
            parts = (
                value.elts if isinstance(value, ast.Tuple) else value.values if isinstance(value, ast.Dict) else [value]
            )
            yield from (part.id for part in parts if isinstance(part, ast.Name))
