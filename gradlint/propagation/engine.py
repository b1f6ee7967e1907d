"""Run a traced graph on particles: forward node by node, then one backward over the same particles."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

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
    leaves,
    resolved,
)
from gradlint.propagation.dims import Dims, aligned
from gradlint.propagation.figures import Arrived, Seen, watch
from gradlint.propagation.folding import fold
from gradlint.propagation.inputs import free_signal
from gradlint.propagation.lifetimes import Lifetimes
from gradlint.propagation.neighbours import Neighbours
from gradlint.propagation.parts import Parts, signals_of
from gradlint.propagation.pointwise import by_shape
from gradlint.propagation.profiles import Profiles
from gradlint.propagation.repeats import Repeats
from gradlint.propagation.sharing import fork
from gradlint.propagation.signal import Signal
from gradlint.propagation.transfer.in_parts import in_parts, join, whole
from gradlint.propagation.unknown import passed
from gradlint.propagation.weights import Weight, spread, spread_law
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
    leaves: dict[str, Tensor] = field(default_factory=dict)
    elementwise: list[Weight] = field(default_factory=list)
    fed: set[fx.Node] = field(default_factory=set)
    """Nodes whose concrete values come from the model's inputs (ids, masks): data, never part of a weight."""
    folded: dict[str, Tensor] = field(default_factory=dict)
    times: list[Any] = field(default_factory=list)
    mixing: set[str] = field(default_factory=set)
    """Nodes that weigh and add up samples (a graph's adjacency, attention over a batch)."""
    seen: dict[str, Seen] = field(default_factory=dict)
    arrived: Arrived = field(default_factory=Arrived)

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

    @cached_property
    def leading(self) -> set[fx.Node]:
        """Nodes from which an output is reached: what observers make of others is nobody's loss."""
        found: set[fx.Node] = set()
        for node in reversed(self.graph.graph.nodes):
            if node.op == "output" or not found.isdisjoint(node.users):
                found.add(node)
        return found

    # ---- forward

    def forward(self) -> None:
        """Give every node its value; particles that nobody reads any more are let go of."""
        lifetimes = Lifetimes.of(self.graph)
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
            lifetimes.end(node, self.environment, self.branches)

    def _keep(self, node: fx.Node, value: Any) -> Any:
        """Make the node's particles its own, so that its gradient is its own too, and note what they are."""
        if isinstance(value, Weight) and value.computed is not None:
            self.folded[node.name] = value.computed
        signals = signals_of(value)
        if not signals or not signals[0].x.is_floating_point():
            return value
        self.seen[node.name] = Seen.of(self, node, signals, value.sizes if isinstance(value, Parts) else (1,))
        kept = [self._owned(node, place, signal) for place, signal in enumerate(signals)]
        return value.with_signals(kept) if isinstance(value, Parts) else kept[0]

    def _owned(self, node: fx.Node, place: int, value: Signal) -> Signal:
        x = value.x
        op = op_of(node)
        if not op.requires_grad and node.op != "placeholder":
            x = x.detach()  # severed, or nothing learned before it
        x = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
        watch(x, lambda g: self.arrived.at_node(node.name, place, g))
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
        given = list(leaves((args, kwargs)))
        kinds = [v for v in given if isinstance(v, Tensor | Signal | Weight | Ids)]
        try:
            if any(isinstance(v, Parts) for v in given):
                return self._in_parts(call)
            known = self._known(call, kinds)
            return self._by_rule(call) if known is None else known
        except NoRuleError as reason:
            return passed(call, str(reason))
        except MISFITS as error:
            return passed(call, f"its rule does not fit this call ({type(error).__name__}: {error})")

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

    # ---- backward

    def start_over(self) -> None:
        """Forget what a backward pass has brought."""
        self.arrived = Arrived()
        self.repeats.start_over()

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
                x = spread_law(value.sample, shape, dims or roles, "shape", shape)
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
        leaf, new = self.repeats.leaf((weight.origin, *kind), x.detach) if repeated else (x.detach(), True)
        if new and weight.learned:
            place = len(self.elementwise)
            self.elementwise.append(weight)
            watch(leaf.requires_grad_(), lambda g: self.arrived.at_elementwise(place, g))
        return leaf

    def learn(self, weight: Weight, rms: float) -> None:
        """Note a contribution to a parameter's gradient (RMS per element); contributions add as energies."""
        if not weight.learned:
            return
        if weight.values is not None and weight.computed is not None:
            self.arrived.derived.append((weight.values, rms))
            return
        whole = math.prod(self.values[weight.name].shape)
        part = math.sqrt(min(1.0, weight.numel / max(1, whole)))  # the rest of the parameter gets nothing
        if weight.computed is not None:
            self.arrived.derived.append((weight.computed, rms * part))
            return
        self.arrived.at_parameter(weight.name, rms * part)


def is_complex(node: fx.Node) -> bool:
    """Whether a node holds complex numbers."""
    meta = node.meta.get("val")
    return isinstance(meta, TensorMeta) and meta.dtype.is_complex
