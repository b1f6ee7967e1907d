"""Follow models, their outputs and losses through a file's own code: who builds, feeds and judges what."""

import ast
from dataclasses import replace

from gradlint.core.target import TargetKind
from gradlint.discovery.expressions import inlined
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
    passed_through,
)
from gradlint.discovery.growing import filled
from gradlint.discovery.initialisers import Initialisations
from gradlint.discovery.initialising import TRAINING, initialises
from gradlint.discovery.inputs import from_elsewhere, read_inputs
from gradlint.discovery.literals import UnreadableError, evaluate
from gradlint.discovery.names import key_of, mentions
from gradlint.discovery.notebook import Notebook
from gradlint.discovery.values import Construction


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
        within: tuple[str, ...] = (),
        trained: bool = False,
    ) -> None:
        self.notebook = notebook
        self.scope: dict[str, ast.expr | None] = dict(outer or {})
        self.values: dict[str, Value] = dict(values or {})
        self.records = records
        self.top = top
        self.returned = returned
        self.owner = owner
        self.local: dict[str, ast.expr] = {}
        local = None if top else self.local
        self.weights = Initialisations(notebook, self.scope, self.values, local, within, trained=trained)
        self.weights.off = not records or bool(owner)

    def follow(self, body: list[ast.stmt]) -> None:
        """Follow a list of statements."""
        for statement in body:
            self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        self.weights.statement(statement)
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            return
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            self._assignment(statement)
        else:
            for child in ast.iter_child_nodes(statement):
                part = getattr(child, "context_expr", child)
                if isinstance(part, ast.expr) and part is not getattr(statement, "target", None):
                    self.value(part)
        if isinstance(statement, ast.AugAssign | ast.For | ast.AsyncFor):
            self._forget(statement.target)
        for container in (one for one in filled(statement) if self.values.get(key_of(one)) is None):
            self._forget(container)
        if isinstance(statement, ast.For | ast.AsyncFor | ast.While):
            self._loop(statement)
        elif isinstance(statement, ast.If):
            self._branches(statement)
        else:
            for name in ("body", "orelse", "finalbody"):
                self.follow(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            self.follow(handler.body)

    def _loop(self, loop: ast.For | ast.AsyncFor | ast.While) -> None:
        listed = loop.iter.elts if isinstance(loop, ast.For) and isinstance(loop.iter, ast.Tuple | ast.List) else []
        models = [self.value(element) for element in listed]
        if isinstance(loop, ast.For) and listed and all(isinstance(model, ModelValue) for model in models):
            for element, model in zip(listed, models, strict=True):  # for net in (generator, critic)
                self._bind(loop.target, element, model)
                self.follow(loop.body)
            return
        if isinstance(loop, ast.For) and listed:
            self._bind(loop.target, listed[-1], None)  # of several depths, the deepest comes last
        outside, self.weights.within = self.weights.within, (*self.weights.within, str(loop.lineno))
        self.follow(loop.body)
        self.weights.within = outside
        self.follow(loop.orelse)

    def _branches(self, statement: ast.If) -> None:
        """Both branches; weights are initialised in the one that is known to be taken, or in the only one that does."""
        functions, doubt = self.weights.functions, self.weights.doubt
        both = all(any(initialises(s, functions) for s in branch) for branch in (statement.body, statement.orelse))
        try:
            taken = statement.body if evaluate(statement.test, self.scope) else statement.orelse
        except UnreadableError:
            taken = None
            if both:
                self.weights.doubt = f"whether it is executed depends on {ast.unparse(statement.test)}"
        off = self.weights.off
        for branch in (statement.body, statement.orelse):
            self.weights.off = off or taken not in (None, branch)
            self.follow(branch)
        self.weights.off = off
        self.weights.doubt = doubt

    def _assignment(self, statement: ast.Assign | ast.AnnAssign) -> None:
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=left)], value=ast.Tuple(elts=right)) if len(left) == len(right):
                for target, value in zip(left, right, strict=True):
                    self._bind(target, value, self.value(value))
            case ast.Assign(targets=targets, value=value):
                result = self.value(value)
                for target in targets:
                    self._bind(target, value, result)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, value, self.value(value))

    def _bind(self, target: ast.expr, node: ast.expr, value: Value) -> None:
        key = key_of(target)
        if key:
            if self.top and value is None and key in self.notebook.candidates:
                value = self.notebook.instance(key, node.lineno) if self.records else ModelValue(key)
            self.values[key] = value
            before = self.scope.get(key)
            if before is not None and key in mentions(node):  # x = x.to(device)
                node = inlined(node, {key: before})
            self.scope[key] = self.local[key] = node
            if self.records and isinstance(value, ModelValue):
                self.notebook.name(value, key)
        elif isinstance(target, ast.Attribute | ast.Subscript):
            self.scope[ast.unparse(target)] = node
        elif isinstance(target, ast.Tuple | ast.List):
            if isinstance(node, ast.Tuple | ast.List) and len(node.elts) == len(target.elts):
                for element, part in zip(target.elts, node.elts, strict=True):
                    self._bind(element, part, None)
                return
            for element in target.elts:
                self._forget(element)
                if isinstance(value, OutputValue) and key_of(element):
                    self.values[key_of(element)] = value

    def _forget(self, target: ast.expr) -> None:
        for leaf in ast.walk(target):
            key = key_of(leaf)
            if key:
                self.values[key] = self.scope[key] = None
                self.local.pop(key, None)

    def value(self, node: ast.expr) -> Value:
        """What an expression stands for; notes every construction, feed and loss on the way."""
        known = self.values.get(key_of(node))
        if known is not None:
            return known
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Name):
            return OutputValue(self.owner) if self.owner and node.id in self.returned else None
        return self._compound(node)

    def _compound(self, node: ast.expr) -> Value:
        """A part of an output is an output; so is one of two alternatives, and what arithmetic makes of one."""
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
            self._comprehension(node)
            return None
        if isinstance(node, ast.Lambda | ast.DictComp):
            return None
        parts = [self.value(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        output = next((part for part in parts if isinstance(part, OutputValue)), None)
        if isinstance(node, ast.BinOp):
            return output and replace(output, through=(*output.through, "arithmetic"))
        if isinstance(node, ast.Attribute | ast.Subscript):
            return parts[0] if isinstance(parts[0], OutputValue) else None
        if isinstance(node, ast.IfExp | ast.Await | ast.Starred | ast.NamedExpr):
            return next((part for part in parts if part is not None), None)
        return None

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> None:
        """`[Block(64) for _ in range(3)]`: what is built in it; its own names are known nowhere else."""
        kept = dict(self.values), dict(self.scope), dict(self.local)
        for part in node.generators:
            self._forget(part.target)
            if isinstance(part.iter, ast.Tuple | ast.List) and part.iter.elts:
                self._bind(part.target, part.iter.elts[-1], None)
        self.value(node.elt)
        self.values, self.scope, self.local = kept

    def _call(self, call: ast.Call) -> Value:
        dotted = self.notebook.names.dotted(call.func)
        if isinstance(call.func, ast.Name) and self._builds(call.func.id):
            self._arguments(call)
            return self._construct(call, call.func.id)
        if loss_name(dotted):
            loss = LossValue(loss_name(dotted), call.lineno, call.col_offset + 1)
            self.notebook.unapplied.setdefault((loss.line, loss.column), loss)
            return loss
        if loss_function(dotted):
            return self._judge(call, LossValue(loss_function(dotted), 0, 0))
        function = self.value(call.func) if not isinstance(call.func, ast.Attribute) else self._whole(call.func)
        if isinstance(function, ModelValue):
            return self._feed(call, function)
        if isinstance(function, LossValue):
            return self._judge(call, function)
        return (
            self._method(call, call.func, dotted) if isinstance(call.func, ast.Attribute) else self._plain(call, dotted)
        )

    def _whole(self, function: ast.Attribute) -> Value:
        """What `self.net` stands for, or the model whose `forward` is called by name."""
        if function.attr in ("forward", "__call__"):
            receiver = self.value(function.value)
            return receiver if isinstance(receiver, ModelValue) else None
        return self.values.get(key_of(function))

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
        receiver = self.value(function.value)
        if function.attr in TRAINING:
            self.weights.train()
        if isinstance(receiver, ModelValue):
            self.weights.method(call, receiver, function.attr)
            if function.attr in MODEL_METHODS:
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
        started = self.weights.call(call, arguments)
        if started is not None:
            return started
        return passed_through(first, call, self.notebook.names) if isinstance(first, OutputValue) else None

    def _construct(self, call: ast.Call, name: str) -> Value:
        if not self.records or self.owner:
            return ModelValue(name)
        args, kwargs = self.notebook.arguments(call, self.scope, {} if self.top else self.local)
        made = Construction(name, call.lineno, args, kwargs, at_module_level=self.top, within=self.weights.within)
        self.notebook.constructions.append(made)
        return ModelValue(name, len(self.notebook.constructions) - 1)

    def _feed(self, call: ast.Call, model: ModelValue) -> Value:
        chained = any(isinstance(value, OutputValue) for value in self._arguments(call))
        index = model.construction
        if self.records and index is not None and self.notebook.constructions[index].inputs is None:
            made = self.notebook.constructions[index]
            try:
                inputs = read_inputs(call, self.scope, self.notebook.names, self.notebook.functions)
                self.notebook.constructions[index] = replace(made, inputs=inputs, fed_at=call.lineno)
            except UnreadableError:
                if not made.unread_at and not chained and not from_elsewhere(call, self.scope, self.notebook.names):
                    self.notebook.constructions[index] = replace(made, unread_at=call.lineno)
        return OutputValue(model.candidate)
