"""Operators without a transfer rule: the moments of the first floating operand go through, and it is said so."""

import math
from typing import Any

from gradlint.core.flow import UnknownOperator
from gradlint.propagation.call import Call, Ids, leaves
from gradlint.propagation.dims import default_dims, resized
from gradlint.propagation.inputs import free_signal
from gradlint.propagation.signal import Signal, emit, mapped
from gradlint.tracing.model_graph import TensorMeta


def passed(call: Call, reason: str) -> Any:
    """What an operator gives of which nothing is known; it is named where an output depends on it."""
    if call.node in call.run.leading:
        call.run.unknown.append(UnknownOperator(call.op.op, call.op.name, call.op.location, reason))
    signals = [v for v in leaves((call.args, call.kwargs)) if isinstance(v, Signal) and v.x.is_floating_point()]
    meta = call.node.meta.get("val")
    metas = meta if isinstance(meta, tuple | list) else (meta,)
    out = tuple(_result(call, signals, m) for m in metas)
    return out if isinstance(meta, tuple | list) else out[0]


def _result(call: Call, signals: list[Signal], meta: Any) -> Any:
    if not isinstance(meta, TensorMeta):
        return None
    shape = tuple(meta.shape)
    if not meta.dtype.is_floating_point and not meta.dtype.is_complex:
        return Ids(shape)
    if not signals:
        return free_signal(shape, "unknown", call.key, call.run.seed)
    first = signals[0]
    ratio = max(1, math.prod(shape)) / max(1, math.prod(first.shape))
    x = emit(first.value, (first.x, mapped(lambda m: m.times(ratio), "unknown", call.key)))
    dims = first.dims if len(shape) == len(first.shape) else default_dims(shape)
    return Signal(x, shape, resized(dims, shape))
