"""One step of a recurrence (`RNNCell`, `LSTMCell`, `GRUCell`): its own linear maps and gates, put together."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gradlint.propagation.call import Call, NamedCall, NoRuleError, Transfer
from gradlint.propagation.signal import Signal
from gradlint.propagation.transfer.contraction import dense
from gradlint.propagation.weights import Weight


def _rows(weight: Any, part: int, parts: int) -> Any:
    """The rows of one gate."""
    if weight is None:
        return None
    if not isinstance(weight, Weight):
        raise NoRuleError("its weights are computed from the input")
    size = weight.shape[0] // parts
    values = None if weight.values is None else weight.values[part * size : (part + 1) * size]
    return weight.reshaped(values, (size, *weight.shape[1:]), f"gate {part} of {parts} of")


def _gates(call: Call, x: Any, h: Any, parts: int) -> tuple[list[Signal], list[Signal]]:
    """For each gate the input's and the state's share of the pre-activation."""
    weights = [call.arg(i, name) for i, name in enumerate(("w_ih", "w_hh", "b_ih", "b_hh"), start=2)]
    from_input, from_state = [], []
    for part in range(parts):
        w_ih, w_hh, b_ih, b_hh = (_rows(w, part, parts) for w in weights)
        from_input.append(_project(call, x, w_ih, b_ih, f"i{part}"))
        from_state.append(_project(call, h, w_hh, b_hh, f"h{part}"))
    return from_input, from_state


def _project(call: Call, operand: Any, weight: Any, bias: Any, name: str) -> Signal:
    """A linear map with randomness of its own (several stand in one node)."""
    signal = call.signal(operand)
    shape = (*signal.shape[:-1], weight.shape[0])
    node = NamedCall(call.node, call.op, call.args, call.kwargs, call.run, f"{call.key}.{name}", shape)
    return dense(node, signal, weight, bias, transposed=False)


def simple(activation: Callable[[Tensor], Tensor]) -> Transfer:
    """h′ = φ(W x + U h + b)."""

    def rule(call: Call) -> Signal:
        x, h = _gates(call, call.args[0], call.args[1], 1)
        total = replace(x[0], x=x[0].x + h[0].x, varied=None)
        return replace(total, x=activation(total.x), before=total, dense=False)

    return rule


def lstm(call: Call) -> tuple[Signal, Signal]:
    """Input, forget, cell and output gate (Hochreiter & Schmidhuber 1997)."""
    h, c = call.args[1]
    x, u = _gates(call, call.args[0], h, 4)
    i, f, g, o = (a.x + b.x for a, b in zip(x, u, strict=True))
    old = call.signal(c).x
    new = torch.sigmoid(f) * old + torch.sigmoid(i) * torch.tanh(g)
    base = replace(x[0], varied=None, dense=False)
    return base.with_x(torch.sigmoid(o) * torch.tanh(new)), base.with_x(new)


def gru(call: Call) -> Signal:
    """Reset, update and new gate (Cho et al. 2014)."""
    x, u = _gates(call, call.args[0], call.args[1], 3)
    reset, update = torch.sigmoid(x[0].x + u[0].x), torch.sigmoid(x[1].x + u[1].x)
    new = torch.tanh(x[2].x + reset * u[2].x)
    old = call.signal(call.args[1]).x
    return replace(x[0], x=(1 - update) * new + update * old, varied=None, dense=False)


RULES: dict[str, Transfer] = {
    "rnn_tanh_cell": simple(torch.tanh),
    "rnn_relu_cell": simple(torch.relu),
    "lstm_cell": lstm,
    "gru_cell": gru,
}
