"""What-if: the flow after an edit, predicted anew on the same particles (common random numbers)."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradlint.building.built import ParameterValues
from gradlint.core.edit import Edit, EditKind
from gradlint.propagation import particles as P
from gradlint.propagation.call import Call
from gradlint.propagation.dims import Role
from gradlint.propagation.signal import Signal
from gradlint.propagation.transfer.batch_norm import plain_batch_norm
from gradlint.propagation.transfer.normalisation import plain_layer_norm
from gradlint.propagation.transfer.recurrence import recurrence
from gradlint.propagation.weights import Weight
from gradlint.tracing.model_graph import ModelGraph

_INITS = {
    "kaiming": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g),
    "xavier": lambda w, g: nn.init.xavier_normal_(w, generator=g),
    "lecun": lambda w, g: nn.init.kaiming_normal_(w, nonlinearity="linear", generator=g),
    "orthogonal": lambda w, g: nn.init.orthogonal_(w, generator=g),
}
_GATES = {"lstm": 4, "gru": 3}


class NotApplicableError(Exception):
    """The edit names nodes that this graph lacks, or shapes that do not fit."""


class Editor:
    """Carries out one edit while the graph is propagated."""

    def __init__(self, edit: Edit) -> None:
        self.edit = edit
        self.nodes = frozenset(edit.nodes)
        self._starts = dict(edit.spans)
        self._held: dict[str, list[Signal]] = {}

    def touches(self, node: str) -> bool:
        """Whether the edit names a node, or a skip begins or ends at it."""
        return node in self.nodes or node in self._starts or node in self._starts.values()

    def before(self, call: Call) -> Call:
        """The call with what the edit puts in front of it."""
        if call.node.name in self._starts:
            self._held.setdefault(self._starts[call.node.name], []).append(_first_signal(call))
        if self.edit.kind is not EditKind.NORM or call.node.name not in self.nodes:
            return call
        signal = _first_signal(call)
        normalised = _normalised(call, signal, self.edit.detail)
        args = tuple(normalised if v is signal else v for v in call.args)
        return replace(call, args=args, kwargs={k: normalised if v is signal else v for k, v in call.kwargs.items()})

    def instead(self, call: Call) -> Any:
        """What stands in the place of the call, None where the edit leaves it alone."""
        if call.node.name not in self.nodes:
            return None
        if self.edit.kind is EditKind.ACTIVATION:
            signal = _first_signal(call)
            function = getattr(F, self.edit.detail, None)
            if function is None:
                raise NotApplicableError(f"no activation called {self.edit.detail}")
            return signal.with_x(function(signal.x), before=signal, dense=False, varied=None)
        if self.edit.kind is EditKind.REMOVE:
            return _first_signal(call)
        if self.edit.kind is EditKind.GATED:
            return _gated(call, self.edit.detail)
        return None

    def after(self, call: Call, value: Any) -> Any:
        """The result with the skip connections that end at it."""
        for held in self._held.pop(call.node.name, []):
            if not isinstance(value, Signal) or value.shape != held.shape:
                raise NotApplicableError("the ends of the skip differ in shape")
            value = value.with_x(value.x + held.x, before=None, dense=False, varied=None, parts=())
        return value


def _first_signal(call: Call) -> Signal:
    found = next((a for a in (*call.args, *call.kwargs.values()) if isinstance(a, Signal)), None)
    if found is None:
        raise NotApplicableError(f"{call.op.name} reads no activation")
    return found


def _normalised(call: Call, signal: Signal, kind: str) -> Signal:
    if kind == "batch_norm" and signal.count(Role.SAMPLE) > 1:
        return plain_batch_norm(call, signal)
    if kind in ("batch_norm", "layer_norm"):
        return plain_layer_norm(signal)
    raise NotApplicableError(f"no norm called {kind}")


def _gated(call: Call, kind: str) -> Any:
    """The recurrence with gates, and weights of PyTorch's default law U(±1/√H)."""
    if call.op.op not in ("rnn_tanh", "rnn_relu") or kind not in _GATES:
        raise NotApplicableError(f"{call.op.op} cannot become {kind}")
    gen = P.generator("gated", call.key)
    weights = []
    for weight in call.args[2]:
        rows, *rest = weight.shape
        bound = 1 / math.sqrt(call.args[2][1].shape[1])
        values = torch.empty(rows * _GATES[kind], *rest).uniform_(-bound, bound, generator=gen)
        weights.append(Weight("", tuple(values.shape), values, values.reshape(-1)[:2048].to(P.DTYPE), learned=False))
    args = (call.args[0], call.args[1], weights, *call.args[3:])
    result = recurrence(replace(call, args=args, op=replace(call.op, op=kind)))
    return result[:2] if isinstance(result, tuple) else result


def edited_values(values: Mapping[str, ParameterValues], edit: Edit) -> Mapping[str, ParameterValues]:
    """Parameters as the edit would initialise them."""
    if edit.kind is not EditKind.INIT_GAIN:
        return values
    if edit.detail not in _INITS or any(name not in values for name in edit.parameters):
        raise NotApplicableError(f"no initialisation called {edit.detail}, or no such parameter")
    changed = dict(values)
    for name in edit.parameters:
        changed[name] = _reinitialised(values[name], edit.detail, name)
    return changed


def _reinitialised(old: ParameterValues, kind: str, name: str) -> ParameterValues:
    if len(old.shape) < 2:
        raise NotApplicableError(f"{name} has fewer than two dims")
    gen = P.generator("init", name)
    if old.values is not None:
        new: Tensor = torch.empty(old.shape)
        _INITS[kind](new, gen)
        return ParameterValues(old.shape, new, new.reshape(-1)[:2048].to(P.DTYPE), kind)
    fan_out, taps = old.shape[0], math.prod(old.shape[2:])
    fan_in = old.shape[1] * taps
    std = {
        "kaiming": math.sqrt(2 / fan_in),
        "xavier": math.sqrt(2 / (fan_in + fan_out * taps)),
        "lecun": math.sqrt(1 / fan_in),
        "orthogonal": 1 / math.sqrt(max(fan_out, fan_in)),
    }[kind]
    return ParameterValues(old.shape, None, std * torch.randn(2048, generator=gen, dtype=P.DTYPE), kind)


def check_names(graph: ModelGraph, edit: Edit) -> None:
    """Raise where the edit names nodes that the graph lacks."""
    wanted = {*edit.nodes, *(name for span in edit.spans for name in span)}
    missing = wanted - set(graph.view.nodes)
    if missing or not (edit.nodes or edit.spans or edit.parameters):
        raise NotApplicableError(f"no such nodes: {sorted(missing)}")
