"""Concatenation, stacking and writing into part of a tensor: mixtures of particles in proportion to size."""

import math
from typing import Any

import torch
from torch import Tensor, fx

from gradlint.core.flow import UnknownOperator
from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, NoRuleError, Transfer
from gradlint.propagation.dims import Dim, Dims, Role, default_dims, dim, resized
from gradlint.propagation.parts import MOST, Parts, narrowed
from gradlint.propagation.pointwise import by_shape
from gradlint.propagation.signal import Part, Signal, emit, modes
from gradlint.propagation.transfer.layout import rearranged
from gradlint.propagation.weights import Weight
from gradlint.tracing.model_graph import TensorMeta, op_of


def mixture(
    call: Call, signals: list[Signal], sizes: list[int], shape: tuple[int, ...], dims: Dims, *, units: bool = False
) -> Signal:
    """Particles of several signals side by side, each in proportion to its number of elements (`units`, or others)."""
    order = torch.randperm(P.distinct(), generator=P.generator("mixture", call.key))
    total = sum(sizes)
    edges = [round(P.distinct() * sum(sizes[:i]) / total) for i in range(len(sizes) + 1)]
    y = torch.empty(P.R, P.S, dtype=P.DTYPE)
    parts: list[Part] = []
    pairs = []
    for i, signal in enumerate(signals):
        count = edges[i + 1] - edges[i]
        here = P.tiled(order[edges[i] : edges[i + 1]])
        inside = torch.randperm(P.distinct(), generator=P.generator("component", call.key, i))
        there = P.tiled(inside[:count])
        y[:, here] = signal.value.expand(P.R, P.S)[:, there]
        parts.extend(_components(signal, here, there, sizes[i] if units else 0))
        pairs.append((signal.x, _back(here, there, signal.x.shape[1] == 1, call.key, i)))
    keep = tuple(parts) if len(parts) <= 256 else ()
    return Signal(emit(y, *pairs), shape, dims, dense=all(s.dense for s in signals), parts=keep)


def _components(signal: Signal, here: Tensor, there: Tensor, units: int) -> list[Part]:
    """The parts of a component that is itself a mixture, or the component as one part."""
    if not signal.parts:
        return [Part(here, P.moments(signal.value), units)] if here.numel() else []
    out = []
    for part in signal.parts:
        inside = torch.isin(there, part.index)
        if bool(inside.any()):
            out.append(Part(here[inside], part.moments, part.units if units else 0))
    return out


def _back(here: Tensor, there: Tensor, alone: bool, key: str, i: int) -> Any:
    """The component's particles get what stands at their places; the ones left out get the like of it.

    One number per replica (`alone`) stands for one unit: it gets what one of the places gets, not their sum.
    """

    def back(g: Tensor, scale: float) -> Tensor:
        own = P.moments(g[:, here]) if here.numel() else P.ZERO
        if own.q <= 0:
            return torch.zeros(P.R, P.S, dtype=P.DTYPE)
        if alone:
            return modes(own, "mixture", key, i)
        out = P.cotangent(own, "mixture", key, i)
        out[:, there] = g[:, here]
        return out

    return back


def _signals(call: Call, values: Any) -> list[Signal]:
    if any(isinstance(v, Ids) for v in values):
        raise NoRuleError("integer operands whose values are unknown")
    known = next((v for v in values if isinstance(v, Signal) and not v.free), None)
    known = known or next((v for v in values if isinstance(v, Signal)), None)
    dims = known.dims if known else None
    return [call.signal(v, dims) for v in values]


def _beside_ids(call: Call, values: list[Any]) -> list[Any] | None:
    """Numbers that are not known (where a maximum lies) beside signals that learn: of their size, but no gradient.

    None where nothing learns: what is joined is as unknown as its parts.
    """
    if not any(isinstance(v, Ids) for v in values):
        return values
    known = next((v for v in values if isinstance(v, Signal) and v.x.requires_grad), None)
    if known is None or not call.op.requires_grad:
        return None
    reason = "some of what it joins is computed from ids whose values are not known"
    call.run.unknown.append(UnknownOperator(call.op.op, call.op.name, call.op.location, reason))
    dims = known.dims
    return [
        known.with_x(known.value, shape=v.shape, dims=resized(dims, v.shape)) if isinstance(v, Ids) else v
        for v in values
    ]


def cat(call: Call) -> Any:
    """cat, concat, hstack, vstack along one dim."""
    values = _beside_ids(call, [v for v in call.args[0] if 0 not in v.shape])  # no registers, nothing remembered yet
    if values is None:
        return Ids(call.shape)
    axis = int(call.arg(1, "dim", call.kwargs.get("axis", 0))) % len(call.shape)
    if not values:
        raise NoRuleError("all that it joins is empty")
    signals = _signals(call, values)
    lead = next((s for s in signals if not s.free), signals[0])
    role = next((s.dims[axis][0].role for s in (lead, *signals) if s.dims[axis]), None)
    if role is None:
        role = Role.UNIT if axis in (len(call.shape) - 1, 1 if len(call.shape) == 4 else -1) else Role.POSITION
    dims = (*lead.dims[:axis], dim(call.shape[axis], role), *lead.dims[axis + 1 :])
    if len(signals) == 1:
        return rearranged(signals[0], signals[0].dims, call.shape)
    sizes = [s.shape[axis] for s in signals]
    if role is Role.POSITION and len(signals) <= MOST and not all(s.free for s in signals):
        parts = _in_parts(signals, sizes, call.shape, dims)
        if parts is not None:
            return parts
    return mixture(call, signals, sizes, call.shape, dims, units=role is Role.UNIT)


def _in_parts(signals: list[Signal], sizes: list[int], shape: tuple[int, ...], dims: Dims) -> Parts | None:
    """Positions of several kinds, each a signal of its own."""
    count = sum(sizes)
    each = []
    for signal, n in zip(signals, sizes, strict=True):
        each.append(signal.with_x(signal.x.expand(P.R, P.S), dims=narrowed(dims, count, n), free=False))
    return Parts.of(each, tuple(sizes), shape, dims)


def stack(call: Call) -> Any:
    """A new dim: units where it is the last, else positions."""
    values = _beside_ids(call, list(call.args[0]))
    if values is None:
        return Ids(call.shape)
    signals = _signals(call, values)
    axis = int(call.arg(1, "dim", 0)) % len(call.shape)
    role = Role.UNIT if axis == len(call.shape) - 1 else Role.POSITION
    lead = next((s for s in signals if not s.free), signals[0])
    dims = (*lead.dims[:axis], dim(call.shape[axis], role), *lead.dims[axis:])
    return mixture(call, signals, [1] * len(signals), call.shape, dims)


def padded(call: Call) -> Any:
    """`pad_sequence`: a sample each, and the padding value behind the shorter ones."""
    values = _beside_ids(call, list(call.args[0]))
    if values is None:
        return Ids(call.shape)
    signals = _signals(call, values)
    lead = next((s for s in signals if not s.free), signals[0])
    first, behind = (1, 0) if not call.arg(1, "batch_first", False) else (0, 1)
    dims: list[Dim] = [(), (), *lead.dims[1:]]
    dims[first], dims[behind] = dim(len(signals), Role.SAMPLE), dim(call.shape[behind], Role.POSITION)
    sizes = [math.prod(signal.shape) for signal in signals]
    rest = math.prod(call.shape) - sum(sizes)
    if rest:
        filler = torch.full((P.R, P.S), float(call.arg(2, "padding_value", 0.0)), dtype=P.DTYPE)
        signals, sizes = [*signals, lead.with_x(filler)], [*sizes, rest]
    return mixture(call, signals, sizes, call.shape, tuple(dims))


def setitem(call: Call) -> Any:
    """`base[index] = value`: part of the elements are replaced."""
    return _replaced(call, call.args[0], call.args[2], _extent(call.args[1], call.shape))


def scatter(call: Call) -> Any:
    """`base.scatter(dim, index, src)`: as many elements as the index has are replaced, each by one of `src`."""
    index, value = call.arg(2, "index"), call.arg(3, "src", call.kwargs.get("value"))
    if call.kwargs.get("reduce") is not None:
        raise NoRuleError("a reduction where several elements meet")
    return _replaced(call, call.args[0], value, math.prod(index.shape))


def _replaced(call: Call, base: Any, value: Any, count: int) -> Any:
    """The elements of `base`, `count` of which are those of `value` now."""
    if isinstance(base, Ids) or not call.node.meta["val"].dtype.is_floating_point:
        return Ids(call.shape)
    if not isinstance(value, Signal | Weight):
        value = torch.as_tensor(value, dtype=P.DTYPE) if not isinstance(value, Tensor) else value
    lead = base if isinstance(base, Signal) else value if isinstance(value, Signal) else None
    whole = call.signal(base, lead.dims if lead and len(lead.dims) == len(call.shape) else None)
    part = call.signal(value, whole.dims)
    replaced = min(count, math.prod(call.shape))
    rest = math.prod(call.shape) - replaced
    dims = whole.dims if len(whole.dims) == len(call.shape) else part.dims
    if rest == 0 or (isinstance(base, Tensor) and _is_written_over(call.node, replaced, math.prod(call.shape))):
        return Signal(part.x.expand(P.R, P.S), call.shape, dims)
    kept = math.sqrt(rest / (rest + replaced))  # nothing comes back to what was replaced
    whole = whole.with_x(emit(whole.value, (whole.x, lambda g, scale: g * kept)))
    return mixture(call, [whole, part], [rest, replaced], call.shape, dims)


def copied(call: Call) -> Any:
    """`target.copy_(source)`: what was there is gone."""
    source = call.arg(1, "src")
    if isinstance(source, Signal) and source.shape == call.shape:
        return source.with_x(emit(source.value, (source.x, lambda g, scale: g)))
    return by_shape(call)


def alias_update(call: Call) -> Any:
    """A tensor part of which was written through another view of its memory: the rest, and what was written."""
    stale, writer = call.args
    if not isinstance(writer, Signal) or not isinstance(stale, Signal | Tensor):
        return stale
    whole, part = math.prod(stale.shape), math.prod(writer.shape)
    dims = writer.dims if len(writer.shape) == len(stale.shape) else default_dims(tuple(stale.shape))
    dims = stale.dims if isinstance(stale, Signal) else resized(dims, tuple(stale.shape))
    if part >= whole or (isinstance(stale, Tensor) and _is_filled(call.node, whole)):
        return Signal(writer.x, tuple(stale.shape), dims)
    before = call.signal(stale if isinstance(stale, Signal) else stale.nan_to_num(), dims)
    return mixture(call, [before, writer], [whole - part, part], tuple(stale.shape), dims)


def _is_filled(update: fx.Node, whole: int) -> bool:
    """Whether this write and those after it leave nothing of what memory held at first."""
    written, node = 0, update.args[0]
    while isinstance(node, fx.Node):
        node = _next(node, "alias_update")
        writer = node.args[1] if node is not None else None
        meta = writer.meta.get("val") if isinstance(writer, fx.Node) else None
        written += math.prod(meta.shape) if isinstance(meta, TensorMeta) else 0
    return written >= whole


def _is_written_over(write: fx.Node, written: int, whole: int) -> bool:
    """Whether the writes that follow leave nothing of the memory that a first one went to."""
    node: fx.Node | None = write
    while node is not None and written < whole:
        node = _next(node, "setitem")
        written += _extent(node.args[1], tuple(node.meta["val"].shape)) if node is not None else 0
    return written >= whole


def _next(node: fx.Node, op: str) -> fx.Node | None:
    """The write of one kind that follows another to the same memory."""
    calls = (user for user in node.users if user.op == "call_function")
    return next((user for user in calls if op_of(user).op == op and user.args[0] is node), None)


def _extent(index: Any, shape: tuple[int, ...]) -> int:
    """Number of elements that an index names."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(not isinstance(i, int | slice | type(Ellipsis) | type(None)) for i in parts):
        return max(1, math.prod(shape) // 2)
    probe = torch.empty(shape, device="meta")
    return max(1, probe[index].numel())


RULES: dict[str, Transfer] = {
    **dict.fromkeys("cat concat concatenate hstack vstack".split(), cat),
    "stack": stack,
    "pad_sequence": padded,
    "setitem": setitem,
    "scatter": scatter,
    "copy": copied,
    "alias_update": alias_update,
}
