"""Run a traced graph on particles: forward node by node, then one backward over the same particles."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from gradlint.building.built import ParameterValues
from gradlint.core.flow import UnknownOperator
from gradlint.propagation import particles as P
from gradlint.propagation.call import (
    LOOKUPS,
    MISFITS,
    Call,
    CallEditor,
    Ids,
    NoRuleError,
    Transfer,
    clone_all,
    resolved,
)
from gradlint.propagation.dims import Dims, aligned, default_dims, resized
from gradlint.propagation.folding import fold, is_abstract
from gradlint.propagation.inputs import free_signal
from gradlint.propagation.neighbours import Neighbours
from gradlint.propagation.parts import Parts, signals_of
from gradlint.propagation.pointwise import by_shape
from gradlint.propagation.profiles import Profiles
from gradlint.propagation.repeats import Repeats
from gradlint.propagation.sharing import fork
from gradlint.propagation.signal import Signal, emit, mapped
from gradlint.propagation.transfer.in_parts import in_parts, join, whole
from gradlint.propagation.weights import Weight, drawn, spread
from gradlint.tracing.model_graph import ModelGraph, TensorMeta, constant_of, op_of


@dataclass
class Propagation:
    """State of one run: the table of rules, the parameters, and what the backward pass collects."""

    graph: ModelGraph
    values: Mapping[str, ParameterValues]
    rules: Mapping[str, Transfer]
    seed: int = 0
    editor: CallEditor | None = None
    environment: dict[fx.Node, Any] = field(default_factory=dict)
    branches: dict[fx.Node, dict[fx.Node, Any]] = field(default_factory=dict)
    unknown: list[UnknownOperator] = field(default_factory=list)
    energies: dict[str, float] = field(default_factory=dict)
    leaves: dict[str, Tensor] = field(default_factory=dict)
    derived: list[tuple[Tensor, list[float]]] = field(default_factory=list)
    elementwise: list[tuple[Weight, Tensor]] = field(default_factory=list)
    fed: set[fx.Node] = field(default_factory=set)
    """Nodes whose concrete values come from the model's inputs (ids, masks): data, never part of a weight."""
    folded: dict[str, Tensor] = field(default_factory=dict)
    times: list[Any] = field(default_factory=list)
    arriving: dict[str, Tensor] = field(default_factory=dict)
    """Per fused recurrence the mean square of the gradient at each step of its input."""
    signals: dict[str, Signal] = field(default_factory=dict)
    parts: dict[str, Parts] = field(default_factory=dict)

    @cached_property
    def profiles(self) -> Profiles:
        """Where on its maps the energy lies."""
        return Profiles.of(self.graph.graph)

    @cached_property
    def neighbours(self) -> Neighbours:
        """How alike cotangents are at neighbouring places."""
        return Neighbours.of(self.graph.graph)

    @cached_property
    def repeats(self) -> Repeats:
        """Parameters that are read several times."""
        return Repeats.of(self.graph.graph)

    # ---- forward

    def forward(self) -> None:
        """Give every node its value."""
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                value: Any = self._input(node)
            elif node.op == "get_attr":
                value = self._attribute(node)
            elif node.op == "call_function":
                value = self._call(node)
                if isinstance(value, Parts) and node.name in self.graph.view.outputs:
                    value = join(Call(node, op_of(node), (), {}, self), value)
            else:
                continue
            if isinstance(value, Tensor) and (node.op == "placeholder" or self.fed.intersection(node.all_input_nodes)):
                self.fed.add(node)
            self.environment[node] = self._keep(node, value)

    def _keep(self, node: fx.Node, value: Any) -> Any:
        """Make the node's particles its own, so that its gradient is its own too."""
        if isinstance(value, Weight) and value.values is not None and value.values.grad_fn is not None:
            self.folded[node.name] = value.values
        if isinstance(value, Parts):
            parts = value.with_signals([self._owned(node, s) for s in value.signals])
            self.parts[node.name] = parts
            return parts
        if not isinstance(value, Signal) or not value.x.is_floating_point():
            return value
        kept = self.signals[node.name] = self._owned(node, value)
        return kept

    def _owned(self, node: fx.Node, value: Signal) -> Signal:
        x = value.x
        op = op_of(node)
        if not op.requires_grad and node.op != "placeholder":
            x = x.detach()  # severed, or nothing learned before it
        x = x.view_as(x) if x.requires_grad else x.clone().requires_grad_()
        if not x.is_leaf:
            x.retain_grad()
        return value.with_x(x)

    def _input(self, node: fx.Node) -> Any:
        meta = node.meta["val"]
        example = node.meta.get("example")
        if meta.dtype.is_floating_point or meta.dtype.is_complex:
            return free_signal(tuple(meta.shape), "input", node.name, self.seed)
        if isinstance(example, Tensor) and type(example) is Tensor:
            return example
        return Ids(tuple(meta.shape))

    def _attribute(self, node: fx.Node) -> Any:
        constant = constant_of(node)
        if constant is not None:
            return constant
        name = str(node.target)
        known = self.values.get(name)
        if known is None:
            raise NoRuleError(f"no values are known of {name}")
        learned = op_of(node).op == "parameter"
        if not learned and known.values is not None:
            return known.values
        values = known.values
        if values is not None and learned and values.dtype.is_floating_point:
            values = self.leaves.setdefault(name, values.detach().requires_grad_())
        return Weight(name, known.shape, values, known.sample, learned, origin=name)

    def _call(self, node: fx.Node) -> Any:
        args, kwargs = resolved((tuple(node.args), dict(node.kwargs)), lambda operand: self._read(operand, node))
        call = Call(node, op_of(node), args, kwargs, self)
        leaves = tree_leaves((args, kwargs), is_leaf=is_abstract)
        kinds = [v for v in leaves if isinstance(v, Tensor | Signal | Weight | Ids)]
        try:
            if any(isinstance(v, Parts) for v in leaves):
                return self._in_parts(call)
            known = self._known(call, kinds)
            return self._by_rule(call) if known is None else known
        except NoRuleError as reason:
            return self._unknown(call, str(reason))
        except MISFITS as error:
            return self._unknown(call, f"its rule does not fit this call ({type(error).__name__}: {error})")

    def _known(self, call: Call, kinds: list[Any]) -> Any:
        """The result of an operator that reads no signal; None where a rule is needed."""
        if kinds and all(isinstance(v, Tensor) for v in kinds):
            return self._concrete(call.node, call.args, call.kwargs)
        looked_up = call.op.op in LOOKUPS and any(isinstance(v, Tensor) for v in kinds)
        fed = any(node in self.fed for node in call.node.all_input_nodes)
        if kinds and not looked_up and not fed and not any(isinstance(v, Signal | Ids) for v in kinds):
            return fold(self, call)
        return None

    def _in_parts(self, call: Call) -> Any:
        """An operator on positions of several kinds; on their mixture at the nodes that an edit names."""
        edited = self.editor is not None and self.editor.touches(call.node.name)
        return self._by_rule(whole(call)) if edited else in_parts(call, self._by_rule)

    def _by_rule(self, call: Call) -> Any:
        if self.editor is not None:
            call = self.editor.before(call)
            other = self.editor.instead(call)
            if other is not None:
                return self.editor.after(call, other)
        if is_complex(call.node) or any(map(is_complex, call.node.all_input_nodes)):
            raise NoRuleError("complex numbers are not followed")
        rule = self.rules.get(call.op.op)
        meta = call.node.meta.get("val")
        ids = any(isinstance(a, Ids) for a in call.args)
        counted = isinstance(meta, TensorMeta) and not meta.dtype.is_floating_point
        unread = ids and not call.op.requires_grad and (counted or call.op.op not in LOOKUPS)
        if isinstance(meta, TensorMeta) and ((rule is None and counted) or unread):
            return Ids(tuple(meta.shape))
        value = by_shape(call) if rule is None else rule(call)
        return value if self.editor is None else self.editor.after(call, value)

    def _read(self, node: fx.Node, reader: fx.Node) -> Any:
        """A node's value as one of its readers gets it."""
        value = self.environment.get(node)
        signals = signals_of(value)
        if len(node.users) < 2 or not any(s.x.requires_grad for s in signals):
            return value
        branches = self.branches.get(node)
        if branches is None:
            alike = node in self.repeats.answering
            copies = zip(*(fork(s, len(node.users), node.name, alike=alike) for s in signals), strict=True)
            each = [value.with_signals(list(c)) if isinstance(value, Parts) else c[0] for c in copies]
            branches = self.branches[node] = dict(zip(node.users, each, strict=True))
        return branches[reader]

    def _concrete(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """Known tensors only: run the operator itself."""
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return node.target(*clone_all(args), **clone_all(kwargs))  # type: ignore[operator]

    def _unknown(self, call: Call, reason: str) -> Any:
        """No rule: pass the moments of the first floating operand through, and say so."""
        self.unknown.append(UnknownOperator(call.op.op, call.op.name, call.op.location, reason))
        leaves = tree_leaves((call.args, call.kwargs), is_leaf=is_abstract)
        signals = [v for v in leaves if isinstance(v, Signal) and v.x.is_floating_point()]
        meta = call.node.meta.get("val")
        metas = meta if isinstance(meta, tuple | list) else (meta,)
        out = tuple(self._passed(signals, m, call.key) for m in metas)
        return out if isinstance(meta, tuple | list) else out[0]

    def _passed(self, signals: list[Signal], meta: Any, key: str) -> Any:
        if not isinstance(meta, TensorMeta):
            return None
        shape = tuple(meta.shape)
        if not meta.dtype.is_floating_point and not meta.dtype.is_complex:
            return Ids(shape)
        if not signals:
            return free_signal(shape, "unknown", key, self.seed)
        first = signals[0]
        ratio = max(1, math.prod(shape)) / max(1, math.prod(first.shape))
        x = emit(first.value, (first.x, mapped(lambda m: m.times(ratio), "unknown", key)))
        dims = first.dims if len(shape) == len(first.shape) else default_dims(shape)
        return Signal(x, shape, resized(dims, shape))

    # ---- values

    def as_signal(self, value: Any, dims: Dims | None, key: str) -> Signal:
        """A weight, concrete tensor or number as a signal whose dims have the roles of `dims` (aligned right)."""
        if isinstance(value, Signal):
            return value
        if isinstance(value, Weight):
            shape = value.shape
            roles = aligned(dims, shape)
            if value.values is not None:
                x = spread(value.values, shape, dims or roles, "shape", shape)
            else:
                x = value.sample[drawn(value.sample.numel(), "law", value.name)].expand(P.R, P.S)
            return Signal(self.particles_of(value, x, roles, dims), shape, roles)
        if isinstance(value, Tensor):
            shape = tuple(value.shape)
            roles = aligned(dims, shape)
            x = spread(value, shape, dims or roles, "shape", shape)
            if x.is_floating_point():  # or nothing would be sent back to the weight that reads it
                x = x.clone().requires_grad_()
            return Signal(x, shape, roles)
        if isinstance(value, Ids):
            raise NoRuleError("its integer operand is not known")
        return Signal(torch.full((P.R, 1), float(value), dtype=P.DTYPE), (), ())

    def particles_of(self, weight: Weight, x: Tensor, *kind: object) -> Tensor:
        """Particles of a parameter that acts elementwise: one leaf for all calls of the same kind."""
        repeated = self.repeats.is_repeated(weight)
        leaf, new = self.repeats.leaf((weight.origin, *kind), x.clone) if repeated else (x.clone(), True)
        if new and weight.learned:
            leaf.requires_grad_()
            self.elementwise.append((weight, leaf))
        return leaf

    def learn(self, weight: Weight, rms: float) -> None:
        """Note a contribution to a parameter's gradient (RMS per element); contributions add as energies."""
        if not weight.learned:
            return
        if weight.values is not None and weight.values.grad_fn is not None:
            self.derived.append((weight.values, [rms]))
            return
        whole = math.prod(self.values[weight.name].shape)
        part = math.sqrt(min(1.0, weight.numel / max(1, whole)))  # the rest of the parameter gets nothing
        self.energies[weight.name] = math.hypot(self.energies.get(weight.name, 0.0), rms * part)


def is_complex(node: fx.Node) -> bool:
    """Whether a node holds complex numbers."""
    meta = node.meta.get("val")
    return isinstance(meta, TensorMeta) and meta.dtype.is_complex
