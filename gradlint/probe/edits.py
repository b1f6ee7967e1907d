"""What-if edits carried out on a copy of the recorded graph, so that a remedy's effect can be measured."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as functional
from torch import fx, nn

from gradlint.building.built import Fed
from gradlint.building.seeds import seed_for
from gradlint.core.edit import Edit, EditKind
from gradlint.probe.execute import NodeRun, execute, inputs_of
from gradlint.tracing.model_graph import ModelGraph, TensorMeta, op_of

_ACTIVATIONS = frozenset(
    {
        *("relu", "gelu", "silu", "mish", "tanh", "sigmoid", "elu", "selu", "celu", "leaky_relu", "softplus"),
        *("hardswish", "hardtanh", "hardsigmoid", "softsign", "relu6", "logsigmoid", "tanhshrink"),
    }
)
_RECURRENCES: dict[str, tuple[Callable[..., Any], int]] = {"lstm": (torch.lstm, 4), "gru": (torch.gru, 3)}


@dataclass
class Edited:
    """A changed graph and the parameter values to run it with."""

    graph: fx.Graph
    parameters: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """The same pass without and with an edit."""

    before: NodeRun
    after: NodeRun


class _Copy:
    """A copy of a recorded graph, with its nodes by name."""

    def __init__(self, graph: ModelGraph) -> None:
        self.source = graph
        self.graph = fx.Graph()
        copied: dict[fx.Node, fx.Node] = {}
        result = self.graph.graph_copy(graph.graph, copied)
        self.graph.output(result)
        self.nodes = {old.name: new for old, new in copied.items()}
        self.parameters: dict[str, torch.Tensor] = {}

    def insert(self, before: fx.Node, target: Callable[..., Any], *args: Any) -> fx.Node:
        """A new operator in front of `before`."""
        with self.graph.inserting_before(before):
            return self.graph.call_function(target, args)

    def edited(self) -> Edited:
        """What came of it."""
        return Edited(self.graph, self.parameters)


def apply_edit(graph: ModelGraph, edit: Edit, *, seed: int = 0) -> Edited | None:
    """Carry out an edit.

    Args:
        graph: the recorded pass; it is not changed.
        edit: what to change.
        seed: of newly drawn weights.

    Returns:
        The changed copy, or None where the edit does not apply to this graph.
    """
    copy = _Copy(graph)
    if any(name not in copy.nodes for name in (*edit.nodes, *(n for span in edit.spans for n in span))):
        return None
    return copy.edited() if _EDITS[edit.kind](copy, edit, seed) else None


def measure_edit(
    graph: ModelGraph, edit: Edit, fed: Fed, *, watch: Collection[str] = (), seed: int = 0
) -> Compared | None:
    """Run forward and backward without and with an edit, on the same inputs and cotangents.

    Args:
        graph: the recorded pass of a real model.
        edit: what to change.
        fed: the inputs it was recorded with.
        watch: nodes at which activations and gradients are to be measured, beside all parameters.
        seed: of the cotangents and of newly drawn weights.

    Returns:
        Both runs, or None where the edit does not apply to this graph.

    Raises:
        Exception: whatever an operator raises.
    """
    edited = apply_edit(graph, edit, seed=seed)
    if edited is None:
        return None
    inputs = inputs_of(graph, fed)
    before = execute(graph, inputs, watch=watch, seed=seed)
    after = execute(graph, inputs, edited=edited.graph, parameters=edited.parameters, watch=watch, seed=seed)
    return Compared(before, after)


def _activation(copy: _Copy, edit: Edit, seed: int) -> bool:
    if edit.detail not in _ACTIVATIONS or not edit.nodes:
        return False
    for node in (copy.nodes[name] for name in edit.nodes):
        source = _first_input(node)
        if source is None:
            return False
        node.target, node.args, node.kwargs = getattr(functional, edit.detail), (source,), {}
    return True


def _init_gain(copy: _Copy, edit: Edit, seed: int) -> bool:
    parameters = dict(copy.source.model.named_parameters())
    generator = torch.Generator().manual_seed(seed_for("edit", seed))
    for name in edit.parameters:
        parameter = parameters.get(name)
        if parameter is None or parameter.dim() < 2 or edit.detail not in _INITS:
            return False
        values = torch.empty(parameter.shape)
        _INITS[edit.detail](values, generator)
        copy.parameters[name] = values.to(parameter)
    return bool(edit.parameters)


def _lecun(values: torch.Tensor, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(values, nonlinearity="linear", generator=generator)


_INITS: Mapping[str, Callable[[torch.Tensor, torch.Generator], Any]] = {
    "kaiming": lambda values, generator: nn.init.kaiming_normal_(values, nonlinearity="relu", generator=generator),
    "xavier": lambda values, generator: nn.init.xavier_normal_(values, generator=generator),
    "lecun": _lecun,
    "orthogonal": lambda values, generator: nn.init.orthogonal_(values, generator=generator),
}


def _norm(copy: _Copy, edit: Edit, seed: int) -> bool:
    for node in (copy.nodes[name] for name in edit.nodes):
        source = _first_input(node)
        meta = source.meta.get("val") if source is not None else None
        if source is None or not isinstance(meta, TensorMeta) or len(meta.shape) < 2:
            return False
        channels = _channels(source, len(meta.shape))
        if edit.detail == "batch_norm":
            normalised = copy.insert(node, batch_normalised, source, channels)
        else:
            normalised = copy.insert(node, layer_normalised, source, channels)
        node.replace_input_with(source, normalised)
    return bool(edit.nodes)


def batch_normalised(x: torch.Tensor, channels: int) -> torch.Tensor:
    """Batch normalisation with the batch's own statistics, without scale and shift."""
    dims = [d for d in range(x.dim()) if d != channels]
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def layer_normalised(x: torch.Tensor, channels: int) -> torch.Tensor:
    """Layer normalisation over the features (of images: over channels and positions), without scale and shift."""
    shape = x.shape[1:] if channels == 1 else x.shape[-1:]
    return functional.layer_norm(x, shape)


def _channels(node: fx.Node, dims: int) -> int:
    """The dimension that holds the units: the second after convolutions, else the last."""
    current: fx.Node | None = node
    while current is not None and dims > 2:
        op = op_of(current).op if "op" in current.meta else ""
        if op.startswith("conv"):
            return 1
        if op in ("linear", "matmul", "addmm", "embedding", "layer_norm"):
            break
        current = _first_input(current)
    return 1 if dims == 4 and current is None else dims - 1


def _skip(copy: _Copy, edit: Edit, seed: int) -> bool:
    for first, last in ((copy.nodes[a], copy.nodes[b]) for a, b in edit.spans):
        source = _first_input(first)
        if source is None or _shape(source) is None or _shape(source) != _shape(last):
            return False
        with copy.graph.inserting_after(last):
            total = copy.graph.call_function(torch.add, (last, source))
        last.replace_all_uses_with(total, delete_user_cb=lambda user, total=total: user is not total)  # type: ignore[misc]
        total.meta = {"val": last.meta["val"]}
    return bool(edit.spans)


def _gated(copy: _Copy, edit: Edit, seed: int) -> bool:
    if edit.detail not in _RECURRENCES or not edit.nodes:
        return False
    return all(_as_gated(copy, copy.nodes[name], edit.detail, seed) for name in edit.nodes)


def _as_gated(copy: _Copy, node: fx.Node, kind: str, seed: int) -> bool:
    """Replace a fused tanh or ReLU recurrence by one with gates and fresh weights of PyTorch's default law."""
    weights = node.args[2] if len(node.args) == 9 else None
    if op_of(node).op not in ("rnn_tanh", "rnn_relu") or not isinstance(weights, list | tuple):
        return False  # not a recurrence, or one over a packed sequence
    x, state, _, *rest = node.args
    target, gates = _RECURRENCES[kind]
    generator = torch.Generator().manual_seed(seed_for("edit", seed))
    fresh = []
    for index, weight in enumerate(weights):
        shape = _shape(weight) if isinstance(weight, fx.Node) else None
        if shape is None:
            return False
        name = f"_edit_{node.name}_{index}"
        values = torch.empty(shape[0] * gates, *shape[1:])
        values.uniform_(-1 / math.sqrt(shape[0]), 1 / math.sqrt(shape[0]), generator=generator)
        copy.parameters[name] = values.to(copy.source.model.get_parameter(str(weight.target)))
        with copy.graph.inserting_before(node):
            fresh.append(copy.graph.create_node("get_attr", name, name=name.lstrip("_")))
    states: Any = [state, copy.insert(node, torch.zeros_like, state)] if kind == "lstm" else state
    node.target, node.args = target, (x, states, fresh, *rest)
    return True


def _remove(copy: _Copy, edit: Edit, seed: int) -> bool:
    for node in (copy.nodes[name] for name in edit.nodes):
        source = _first_input(node)
        if source is None or _shape(source) != _shape(node):
            return False
        node.replace_all_uses_with(source)
        copy.graph.erase_node(node)
    return bool(edit.nodes)


_EDITS: Mapping[EditKind, Callable[[_Copy, Edit, int], bool]] = {
    EditKind.ACTIVATION: _activation,
    EditKind.INIT_GAIN: _init_gain,
    EditKind.NORM: _norm,
    EditKind.SKIP: _skip,
    EditKind.GATED: _gated,
    EditKind.REMOVE: _remove,
}


def _first_input(node: fx.Node) -> fx.Node | None:
    """The first operand that is no parameter or constant."""
    return next((n for n in node.all_input_nodes if n.op != "get_attr"), None)


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    meta = node.meta.get("val")
    return meta.shape if isinstance(meta, TensorMeta) else None
