"""Operators on tensors whose positions are of several kinds (see `parts`): each kind on its own, but for attention.

What an operator would do across kinds, and is not known here, is done on the mixture of them.
"""

from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from gradlint.propagation.call import Call, NamedCall, Transfer
from gradlint.propagation.dims import Dims
from gradlint.propagation.parts import Parts, narrowed, narrowed_shape, place
from gradlint.propagation.signal import Signal
from gradlint.propagation.transfer import parts_attending
from gradlint.propagation.transfer.elementwise import MAPS, PAIRS
from gradlint.propagation.transfer.joining import mixture
from gradlint.propagation.weights import Weight

EACH_ALONE = (
    MAPS
    | PAIRS
    | frozenset(
        "linear layer_norm native_layer_norm rms_norm prelu dropout feature_dropout native_dropout to float double "
        "half bfloat16 type type_as contiguous clone alias detach identity".split()
    )
)
"""Operators that leave positions apart, and their dims in place."""

SOFTMAX = frozenset("softmax _softmax special_softmax".split())
"""Over keys, each query's row alone."""

LAYOUT = frozenset(
    "view reshape flatten unflatten squeeze unsqueeze _unsafe_view permute transpose swapaxes swapdims movedim "
    "moveaxis".split()
)
"""Operators that move dims."""

PICKS = frozenset("getitem select narrow chunk split unbind tensor_split".split())
"""Operators that take part of a dim."""


def in_parts(call: Call, rule: Transfer) -> Any:
    """An operator some of whose operands are `Parts`, by its rule for plain signals."""
    op = call.op.op
    if op == "unpack" and isinstance(call.args[0], tuple | list):
        return call.args[0][call.args[1]]
    lead = next(v for v in _leaves(call) if isinstance(v, Parts))
    result = None
    if all(v.sizes == lead.sizes for v in _leaves(call) if isinstance(v, Parts)):
        if op in EACH_ALONE or (op in SOFTMAX and call.arg(1, "dim", -1) in (-1, len(lead.shape) - 1)):
            result = _each_alone(call, rule, lead)
        elif op in LAYOUT:
            result = _by_layout(call, rule, lead)
        elif op in PICKS and call.args[0] is lead:
            result = _picked(call, rule, lead)
        elif op == "scaled_dot_product_attention":
            result = parts_attending.fused(call, rule)
        elif op in ("matmul", "bmm"):
            result = parts_attending.product(call, rule)
    return rule(whole(call)) if result is None else result


def whole(call: Call) -> Call:
    """The call on mixtures."""

    def joined(value: Any) -> Any:
        return join(call, value) if isinstance(value, Parts) else value

    args, kwargs = tree_map(joined, (call.args, dict(call.kwargs)))
    return replace(call, args=args, kwargs=kwargs)


def join(call: Call, parts: Parts) -> Signal:
    """All positions as one signal of mixed particles."""
    return mixture(call, list(parts.signals), list(parts.sizes), parts.shape, parts.dims)


def _leaves(call: Call) -> list[Any]:
    return tree_leaves((call.args, dict(call.kwargs)))


def _part(call: Call, lead: Parts, k: int, shape: tuple[int, ...]) -> Call:
    """The call on the `k`-th kind: operands with as many positions are cut, others stay."""
    start, size = sum(lead.sizes[:k]), lead.sizes[k]

    def cut(value: Any) -> Any:
        if isinstance(value, Parts):
            return value.signals[k]
        axis = _shared_axis(value, lead)
        if axis is None:
            return value
        if isinstance(value, Tensor):
            return value.narrow(axis, start, size)
        extents = (*value.shape[:axis], size, *value.shape[axis + 1 :])
        values = None if value.values is None else value.values.narrow(axis, start, size)
        return value.reshaped(values, extents, f"positions {start} to {start + size} of")

    args, kwargs = tree_map(cut, (call.args, dict(call.kwargs)))
    for weight in _leaves(call):
        if isinstance(weight, Weight):  # it acts once for each kind
            call.run.repeats.reads.setdefault(weight.name, len(lead.sizes))
    return NamedCall(call.node, call.op, args, kwargs, call.run, f"{call.key}.part{k}", shape)


def _shared_axis(value: Any, lead: Parts) -> int | None:
    """The dim of another operand (aligned right) that runs over the same positions."""
    if not isinstance(value, Tensor | Weight | Signal) or lead.shape[lead.axis] != lead.count:
        return None
    axis = lead.axis - len(lead.shape) + len(value.shape)
    return axis if axis >= 0 and value.shape[axis] == lead.count else None


def _calls(call: Call, lead: Parts, dims: Dims) -> list[Call]:
    shapes = [narrowed_shape(dims, call.shape, lead.count, n) for n in lead.sizes]
    return [_part(call, lead, k, shape) for k, shape in enumerate(shapes)]


def _each_alone(call: Call, rule: Transfer, lead: Parts) -> Parts | None:
    if len(call.shape) != len(lead.shape) or call.shape[lead.axis] != lead.shape[lead.axis]:
        return None
    if lead.axis == len(lead.shape) - 1:
        return None
    if any(isinstance(v, Signal) and _shared_axis(v, lead) is not None for v in _leaves(call)):
        return None  # the other operand's positions are of one kind
    over = call.args[1] if "norm" in call.op.op and len(call.args) > 1 else ()
    if isinstance(over, tuple | list) and lead.axis >= len(lead.shape) - len(over):
        return None
    signals = [rule(c) for c in _calls(call, lead, lead.dims)]
    last = signals[0].dims[-1] if call.op.op == "linear" else lead.dims[-1]
    return Parts.of(signals, lead.sizes, call.shape, (*lead.dims[:-1], last))


def _stand_in(lead: Parts) -> Signal:
    """A signal of the whole tensor's dims, to see where an operator moves them."""
    return Signal(lead.signals[-1].value, lead.shape, lead.dims)


def _by_layout(call: Call, rule: Transfer, lead: Parts) -> Parts | None:
    if call.args[0] is not lead:
        return None
    dims = rule(replace(call, args=(_stand_in(lead), *call.args[1:]))).dims
    if place(dims, lead.count) is None:
        return None
    signals = [rule(c) for c in _calls(call, lead, dims)]
    exact = [replace(s, dims=narrowed(dims, lead.count, n)) for s, n in zip(signals, lead.sizes, strict=True)]
    return Parts.of(exact, lead.sizes, call.shape, dims)


def _picked(call: Call, rule: Transfer, lead: Parts) -> Any:
    """Some of the positions, or part of another dim."""
    index, along = _index(call, lead), lead.axis
    if index is None:
        return None
    if index == ALL:
        return _across(call, rule, lead)
    chosen = range(lead.count)[index]
    if isinstance(chosen, int):
        chosen = range(chosen, chosen + 1)
    if chosen.step != 1 or not len(chosen):
        return None
    found: list[tuple[int, slice]] = []
    start = 0
    for k, n in enumerate(lead.sizes):
        first, stop = max(chosen.start - start, 0), min(chosen.stop - start, n)
        if first < stop:
            found.append((k, slice(first, stop)))
        start += n
    if len(found) == 1:
        k, where = found[0]
        local = where.start if isinstance(index, int) else where
        return rule(_reading(call, lead.signals[k], along, local, call.shape))
    sizes = tuple(w.stop - w.start for _, w in found)
    dims = rule(replace(call, args=(_stand_in(lead), *call.args[1:]))).dims
    signals = [
        rule(_reading(call, lead.signals[k], along, w, narrowed_shape(dims, call.shape, sum(sizes), n)))
        for (k, w), n in zip(found, sizes, strict=True)
    ]
    return Parts.of(signals, sizes, call.shape, dims)


ALL = slice(None)


def _index(call: Call, lead: Parts) -> int | slice | None:
    """What picks positions (`ALL`: another dim is picked from); None where that is not understood."""
    if lead.shape[lead.axis] != lead.count:
        return None
    if call.op.op == "getitem":
        given = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        if any(not isinstance(i, int | slice) for i in given):
            return None
        return given[lead.axis] if len(given) > lead.axis else ALL
    axis = call.arg(2 if call.op.op in ("chunk", "split", "tensor_split") else 1, "dim", 0)
    if isinstance(axis, int) and axis % len(lead.shape) != lead.axis:
        return ALL
    if not isinstance(axis, int) or call.op.op not in ("select", "narrow"):
        return None
    start = int(call.arg(2, "index", call.kwargs.get("start", 0)))
    return start if call.op.op == "select" else slice(start, start + int(call.arg(3, "length")))


def _reading(call: Call, signal: Signal, along: int, index: Any, shape: tuple[int, ...]) -> Call:
    """The call on one kind, picking `index` of its positions."""
    if call.op.op == "getitem":
        parts = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        args: tuple[Any, ...] = (signal, (*parts[:along], index, *parts[along + 1 :]))
    elif isinstance(index, int):
        args = (signal, along, index)
    else:
        args = (signal, along, index.start, index.stop - index.start)
    return NamedCall(call.node, call.op, args, {}, call.run, f"{call.key}.picked{index}", shape)


def _across(call: Call, rule: Transfer, lead: Parts) -> Any:
    """Part of another dim, for each kind."""
    like = rule(replace(call, args=(_stand_in(lead), *call.args[1:])))
    calls = [_part(call, lead, k, ()) for k in range(len(lead.sizes))]
    if isinstance(like, Signal):
        return Parts.of([rule(c) for c in calls], lead.sizes, like.shape, like.dims)
    columns = zip(*(rule(c) for c in calls), strict=True)
    made = [Parts.of(list(c), lead.sizes, s.shape, s.dims) for c, s in zip(columns, like, strict=True)]
    return None if any(p is None for p in made) else tuple(made)
