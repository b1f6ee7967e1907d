"""Operators that rearrange, select or repeat elements: the roles move, the particles stay."""

import math
from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import dims as D
from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, NoRuleError, Transfer
from gradlint.propagation.dims import Dims, Role, count, default_dims, dim
from gradlint.propagation.positions import PositionMap, some_positions
from gradlint.propagation.sharing import shared
from gradlint.propagation.signal import Signal, emit, mapped


def _floating(call: Call) -> Signal | None:
    """The operand as a signal; None for integers whose values are unknown."""
    value = call.args[0]
    return None if isinstance(value, Ids) else call.signal(value)


def reshape(call: Call) -> Any:
    """view, reshape, flatten, unflatten, squeeze, unsqueeze: factors are regrouped."""
    signal = _floating(call)
    if signal is None:
        return Ids(call.shape)
    return rearranged(signal, D.reshape(signal.dims, call.shape), call.shape)


def rearranged(signal: Signal, dims: Dims, shape: tuple[int, ...]) -> Signal:
    """The same elements under other dims; what is known of them stays known."""
    if signal.free:
        dims = tuple(d if D.size(d) == n else dim(n, Role.UNIT) for d, n in zip(dims, shape, strict=True))
    return Signal(
        signal.x, shape, dims, free=signal.free, dense=signal.dense, prob=signal.prob, mask=signal.mask,
        parts=signal.parts, before=signal.before,
    )  # fmt: skip


def permute(call: Call) -> Any:
    """permute, transpose, t, movedim: dims change places."""
    signal = _floating(call)
    if signal is None:
        return Ids(call.shape)
    rank = len(signal.shape)
    order = _order(call, rank)
    return rearranged(signal, tuple(signal.dims[i] for i in order), tuple(signal.shape[i] for i in order))


def _order(call: Call, rank: int) -> list[int]:
    op = call.op.op
    if op == "permute":
        given = call.args[1:] if len(call.args) > 2 else call.arg(1, "dims")
        wanted = given[0] if isinstance(given, tuple | list) and given and isinstance(given[0], tuple | list) else given
        if isinstance(wanted, tuple | list):
            return [int(i) % rank for i in wanted]
    order = list(range(rank))
    if op in ("transpose", "swapaxes", "swapdims"):
        a = int(call.arg(1, "dim0", call.kwargs.get("axis0", 0))) % rank
        b = int(call.arg(2, "dim1", call.kwargs.get("axis1", 1))) % rank
        order[a], order[b] = order[b], order[a]
    elif op in ("movedim", "moveaxis"):
        source, target = call.arg(1, "source"), call.arg(2, "destination")
        sources = [source] if isinstance(source, int) else list(source)
        targets = [target] if isinstance(target, int) else list(target)
        moved = {t % rank: s % rank for s, t in zip(sources, targets, strict=True)}
        rest = iter(i for i in order if i not in moved.values())
        order = [moved[i] if i in moved else next(rest) for i in range(rank)]
    elif op in ("t", "mT", "adjoint", "mH") and rank >= 2:
        order[-1], order[-2] = order[-2], order[-1]
    elif op in ("T", "H"):
        order.reverse()
    return order


def expand(call: Call) -> Any:
    """expand, repeat, tile, broadcast_to: every copy sends its gradient back."""
    signal = _floating(call)
    if signal is None:
        return Ids(call.shape)
    shape = call.shape
    padded = ((),) * (len(shape) - len(signal.dims)) + signal.dims
    before = (1,) * (len(shape) - len(signal.shape)) + signal.shape
    like = call.args[1] if call.op.op == "expand_as" and len(call.args) > 1 else None
    fallback = like.dims if isinstance(like, Signal) else default_dims(shape)
    dims: list[D.Dim] = []
    added: list[D.Dim] = []
    again: list[D.Dim] = []
    for old, had, n, usual in zip(padded, before, shape, fallback, strict=True):
        if had == n:
            dims.append(old)
            continue
        role = usual[0].role if usual and had == 1 else (old[0].role if old else Role.POSITION)
        if had == 1 and role is Role.UNIT and signal.x.shape[1] > 1 and signal.count(Role.UNIT) > 1:
            role = Role.POSITION  # the units are in another dim
        copies = dim(n // max(1, had), role)
        (added if had == 1 else again).append(copies)
        dims.append(D._merge([*copies, *old]))
    units = count(added, Role.UNIT) if signal.x.shape[1] == 1 else 1
    x = shared(signal.x, count(added, Role.SAMPLE), count(added, Role.POSITION), units, call.key)
    alike = count([*again, *added], Role.UNIT) // max(1, units)
    times = (count(again, Role.SAMPLE), count(again, Role.POSITION), alike)
    if max(times) > 1:
        x = emit(x.detach(), (x, mapped(lambda m: _gathered_back(m, *times), "copies", call.key)))
    return Signal(x, shape, tuple(dims), prob=signal.prob)


def _gathered_back(m: P.Moments, samples: int, positions: int, units: int) -> P.Moments:
    """Cotangents of the copies of samples, positions (which covary) and units (which do not), added up."""
    n = positions
    q, s = n * m.q + n * (n - 1) * m.p, n * m.s + n * (n - 1) * m.o
    p, o = n * n * m.p, n * n * m.o
    n = samples
    q, p = n * q + n * (n - 1) * s, n * p + n * (n - 1) * o
    return P.Moments(q, p, n * n * s, n * n * o).times(units)


def keep(call: Call) -> Any:
    """roll, flip, sorting of positions: another order of the same elements."""
    signal = _floating(call)
    return Ids(call.shape) if signal is None else rearranged(signal, signal.dims, call.shape)


def shuffle(call: Call) -> Any:
    """pixel_shuffle and its kind: units and positions change places, elements stay."""
    signal = call.signal(call.args[0])
    return Signal(signal.x, call.shape, D.image_dims(call.shape), dense=signal.dense)


def take(call: Call, signal: Signal, axis: int, chosen: range | int, name: object) -> Signal:
    """Part of one dim: another set of exchangeable units, or some of the positions.

    Args:
        call: the operator call.
        signal: the operand.
        axis: the dim.
        chosen: the indices kept; a single index drops the dim.
        name: what was taken, so that the same part gives the same particles.
    """
    n = signal.shape[axis]
    m = 1 if isinstance(chosen, int) else len(chosen)
    if m == 0:
        raise NoRuleError("an empty slice")
    kept: tuple[D.Dim, ...] = () if isinstance(chosen, int) else (_narrowed(signal.dims[axis], m),)
    dims = (*signal.dims[:axis], *kept, *signal.dims[axis + 1 :])
    extent = () if isinstance(chosen, int) else (m,)
    shape = (*signal.shape[:axis], *extent, *signal.shape[axis + 1 :])
    if m == n:
        return rearranged(signal, dims, shape)
    role = signal.dims[axis][0].role if signal.dims[axis] else Role.UNIT
    if signal.free:
        return _taken_freely(signal, dims, shape, m / n, name)
    if role is Role.POSITION:
        a = PositionMap.selection(m, n, max(1, signal.count(Role.POSITION) // n))
        return some_positions(signal, a, chosen, shape, dims, call.key, name)
    ratio = math.sqrt(m / n)
    if role is Role.SAMPLE or signal.x.shape[1] == 1:
        return Signal(emit(signal.value, (signal.x, lambda g, scale: g * ratio)), shape, dims)
    at = P.permutation("take", axis, name)
    back_at = torch.argsort(at)
    y = emit(signal.value[:, at], (signal.x, lambda g, scale: g[:, back_at] * ratio))
    return Signal(y, shape, dims, dense=signal.dense, mask=signal.mask)


def _taken_freely(signal: Signal, dims: Dims, shape: tuple[int, ...], part: float, name: object) -> Signal:
    at = P.permutation("take", name)
    back_at = torch.argsort(at)
    y = emit(signal.value[:, at], (signal.x, lambda g, scale: g[:, back_at] * math.sqrt(part)))
    return Signal(y, shape, dims, free=True)


def _narrowed(d: D.Dim, m: int) -> D.Dim:
    return dim(m, d[0].role if d else Role.UNIT)


def getitem(call: Call) -> Any:
    """Indexing: integers, slices, None, Ellipsis; index tensors pick elements by energy."""
    value, index = call.args[0], call.args[1]
    if isinstance(value, tuple | list):
        return value[index]
    if isinstance(value, Ids):
        return Ids(call.shape)
    signal = call.signal(value)
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(i, Tensor | Ids | Signal | list) for i in parts):
        return gathered(call, signal)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        given = sum(1 for i in parts if i is not None and i is not Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(signal.shape) - given)
    axis = 0
    for i in parts:
        if i is None:
            signal = rearranged(signal, (*signal.dims[:axis], (), *signal.dims[axis:]), _inserted(signal.shape, axis))
            axis += 1
        elif isinstance(i, slice):
            chosen = range(*i.indices(signal.shape[axis]))
            signal = take(call, signal, axis, chosen, (axis, chosen.start, chosen.stop, chosen.step))
            axis += 1
        elif isinstance(i, int):
            signal = take(call, signal, axis, i % signal.shape[axis], (axis, i % signal.shape[axis]))
        else:
            raise NoRuleError(f"index {i!r}")
    return signal


def _inserted(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis:])


def gathered(call: Call, signal: Signal | None = None) -> Any:
    """index_select, gather, take_along_dim: elements picked by an index, energy by how many are picked."""
    signal = signal or _floating(call)
    if signal is None:
        return Ids(call.shape)
    picked, had = math.prod(call.shape), math.prod(signal.shape)
    ratio = math.sqrt(picked / max(1, had))
    y = emit(signal.value, (signal.x, lambda g, scale: g * ratio))
    dims = signal.dims if len(call.shape) == len(signal.shape) else default_dims(call.shape)
    dims = tuple(
        d if D.size(d) == n else dim(n, d[0].role if d else Role.POSITION)
        for d, n in zip(dims, call.shape, strict=True)
    )
    return Signal(y, call.shape, dims)


def select(call: Call) -> Any:
    """`select(dim, index)` and `narrow(dim, start, length)`."""
    signal = _floating(call)
    if signal is None:
        return Ids(call.shape)
    axis = int(call.arg(1, "dim", 0)) % len(signal.shape)
    start = int(call.arg(2, "index", call.kwargs.get("start", 0))) % signal.shape[axis]
    if call.op.op == "narrow":
        chosen = range(start, start + int(call.arg(3, "length")))
        return take(call, signal, axis, chosen, (axis, chosen.start, chosen.stop, 1))
    return take(call, signal, axis, start, (axis, start))


def split(call: Call) -> Any:
    """chunk, split, unbind, tensor_split: consecutive parts of one dim."""
    metas = call.node.meta["val"]
    signal = _floating(call)
    if signal is None:
        return tuple(Ids(tuple(m.shape)) for m in metas)
    single = call.op.op == "unbind"
    axis = int(call.arg(1 if single else 2, "dim", 0)) % len(signal.shape)
    out, start = [], 0
    for m in metas:
        if single:
            out.append(take(call, signal, axis, start, (axis, start)))
            start += 1
            continue
        extent = tuple(m.shape)[axis]
        chosen = range(start, start + extent)
        out.append(take(call, signal, axis, chosen, (axis, chosen.start, chosen.stop, 1)))
        start += extent
    return tuple(out)


def ordered(call: Call) -> Any:
    """sort and topk: the same elements (the largest of them), and integers."""
    signal = _floating(call)
    metas = call.node.meta["val"]
    indices = Ids(tuple(metas[1].shape))
    if signal is None or tuple(metas[0].shape) == signal.shape:
        return (signal or Ids(tuple(metas[0].shape)), indices)
    n, k = math.prod(signal.shape), math.prod(tuple(metas[0].shape))
    top = signal.value.sort(1, descending=True).values[:, : max(1, round(signal.x.shape[1] * k / n))]
    wide = top[:, torch.arange(signal.x.shape[1]) % top.shape[1]]
    y = emit(wide, (signal.x, lambda g, scale: g * math.sqrt(k / n)))
    dims = tuple(d if D.size(d) == m else dim(m, Role.UNIT) for d, m in zip(signal.dims, metas[0].shape, strict=True))
    return (Signal(y, tuple(metas[0].shape), dims), indices)


def unpack(call: Call) -> Any:
    """One of several results."""
    value, index = call.args
    return value[index] if isinstance(value, tuple | list) else value


RULES: dict[str, Transfer] = {
    **dict.fromkeys(
        "view reshape flatten unflatten squeeze unsqueeze _unsafe_view reshape_as view_as ravel resize_as".split(),
        reshape,
    ),
    **dict.fromkeys("permute transpose swapaxes swapdims movedim moveaxis t T mT H mH adjoint".split(), permute),
    **dict.fromkeys("expand expand_as repeat tile broadcast_to repeat_interleave".split(), expand),
    **dict.fromkeys("roll flip fliplr flipud rot90".split(), keep),
    **dict.fromkeys("pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle".split(), shuffle),
    **dict.fromkeys("index_select gather take_along_dim index take masked_select".split(), gathered),
    **dict.fromkeys("select narrow".split(), select),
    **dict.fromkeys("chunk split unbind tensor_split split_with_sizes hsplit vsplit dsplit".split(), split),
    **dict.fromkeys("sort topk msort".split(), ordered),
    "getitem": getitem,
    "unpack": unpack,
}
