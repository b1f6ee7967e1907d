"""Parts of a tensor: slices, single elements, gathered ones, chunks, the largest ones."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import dims as D
from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, NoRuleError, Transfer
from gradlint.propagation.dims import Dims, Role, count, default_dims, dim
from gradlint.propagation.positions import PositionMap, some_positions
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.layout import floating, rearranged
from gradlint.propagation.transfer.scattering import is_rows, put_back
from gradlint.propagation.transfer.sections import section


def take(call: Call, signal: Signal, axis: int, chosen: Sequence[int] | int, name: object) -> Signal:
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
    kept: tuple[D.Dim, ...] = () if isinstance(chosen, int) else (_narrowed(signal.dims[axis], m),)
    dims = (*signal.dims[:axis], *kept, *signal.dims[axis + 1 :])
    extent = () if isinstance(chosen, int) else (m,)
    shape = (*signal.shape[:axis], *extent, *signal.shape[axis + 1 :])
    if m == 0:
        return signal.with_x(emit(signal.value, (signal.x, lambda g, scale: g * 0.0)), shape=shape, dims=dims)
    if m == n:
        return rearranged(signal, dims, shape)
    role = signal.dims[axis][0].role if signal.dims[axis] else Role.UNIT
    if signal.free:
        return _taken_freely(signal, dims, shape, m / n, name)
    if role is Role.POSITION:
        a = PositionMap.selection(m, n, max(1, signal.count(Role.POSITION) // n))
        return some_positions(signal, a, chosen, shape, dims, call.key, name)
    joined = section(signal, axis, chosen, shape, dims)
    return joined or _taken_evenly(signal, dims, shape, (m / n, role), (axis, name))


def _taken_evenly(
    signal: Signal, dims: Dims, shape: tuple[int, ...], part: tuple[float, Role], name: tuple[int, object]
) -> Signal:
    """So large a part of the elements of one role."""
    ratio = math.sqrt(part[0])
    if part[1] is Role.SAMPLE or signal.x.shape[1] == 1:
        return Signal(emit(signal.value, (signal.x, lambda g, scale: g * ratio)), shape, dims)
    at = P.permutation("take", *name)
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
    parts = [_places(i) for i in parts]
    picked = [i for i in parts if isinstance(i, tuple)]
    if len(picked) > 1 or any(isinstance(i, Tensor | Ids | Signal | list) for i in parts):
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
            if any(isinstance(end, Ids) for end in (i.start, i.stop, i.step)):
                raise NoRuleError("the ends of its slice are not known")
            chosen = range(*i.indices(signal.shape[axis]))
            signal = take(call, signal, axis, chosen, (axis, chosen.start, chosen.stop, chosen.step))
            axis += 1
        elif isinstance(i, tuple):
            n = signal.shape[axis]
            signal = take(call, signal, axis, tuple(k % n for k in i), (axis, i))
            axis += 1
        elif isinstance(i, int):
            signal = take(call, signal, axis, i % signal.shape[axis], (axis, i % signal.shape[axis]))
        else:
            raise NoRuleError(f"index {i!r}")
    return signal


def _places(index: Any) -> Any:
    """A list or known vector of different places as a tuple; anything else as it is."""
    if isinstance(index, Tensor) and index.dim() == 1 and index.dtype in (torch.int64, torch.int32):
        index = index.tolist()
    if isinstance(index, list) and all(type(i) is int for i in index) and len(set(index)) == len(index) > 0:
        return tuple(index)
    return index


def _inserted(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis:])


def gathered(call: Call, signal: Signal | None = None) -> Any:
    """index_select, gather, take_along_dim: elements picked by an index, energy by how many are picked."""
    signal = signal or floating(call)
    if signal is None:
        return Ids(call.shape)
    picked, had = math.prod(call.shape), math.prod(signal.shape)
    ratio = math.sqrt(picked / max(1, had))
    if _picks_units(call, signal):
        return _picked(signal, call, ratio**2)
    rows = is_rows(call.shape, signal.shape)
    back = put_back(call.shape[0], signal.shape[0], call.key) if rows else lambda g, scale: g * ratio
    y = emit(signal.value, (signal.x, back))
    dims = signal.dims if len(call.shape) == len(signal.shape) else default_dims(call.shape)
    dims = tuple(
        d if D.size(d) == n else dim(n, d[0].role if d else Role.POSITION)
        for d, n in zip(dims, call.shape, strict=True)
    )
    return Signal(y, call.shape, dims)


def _picked(signal: Signal, call: Call, part: float) -> Signal:
    """Such a part of the units of each row, which rows pick independently: two pick the same one with that chance."""

    def back(g: Tensor, scale: float) -> Tensor:
        common = part * P.block_means(g)  # on average over what is picked
        m = P.moments(g)
        whole = P.Moments(m.q, part * m.p, part * m.s, part * m.o).times(part)
        return common + P.cotangent(whole.minus(P.moments(common)), "picked", call.key)

    at = P.permutation("picked", call.key)
    y = emit(signal.value.expand(P.R, P.S)[:, at], (signal.x, back))
    return Signal(y, call.shape, D.resized(signal.dims, call.shape))


def _picks_units(call: Call, signal: Signal) -> bool:
    """Whether each row has some of its own units picked: others than those that stand at the same places elsewhere."""
    if call.op.op not in ("gather", "take_along_dim") or not isinstance(call.arg(1, "dim"), int):
        return False
    axis = int(call.arg(1, "dim")) % len(signal.shape)
    is_part = call.shape[axis] < signal.shape[axis] and len(call.shape) == len(signal.shape)
    return is_part and count([signal.dims[axis]], Role.UNIT) == signal.shape[axis] and not signal.free


def select(call: Call) -> Any:
    """`select(dim, index)` and `narrow(dim, start, length)`."""
    signal = floating(call)
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
    signal = floating(call)
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
    signal = floating(call)
    metas = call.node.meta["val"]
    indices = Ids(tuple(metas[1].shape))
    if signal is None or tuple(metas[0].shape) == signal.shape:
        return (signal or Ids(tuple(metas[0].shape)), indices)
    axis = next(i for i, m in enumerate(metas[0].shape) if m != signal.shape[i])
    y = _largest(signal.x, signal.shape[axis], int(metas[0].shape[axis]))
    dims = tuple(d if D.size(d) == m else dim(m, Role.UNIT) for d, m in zip(signal.dims, metas[0].shape, strict=True))
    return (Signal(y, tuple(metas[0].shape), dims), indices)


def _largest(x: Tensor, n: int, k: int) -> Tensor:
    """The `k` largest of each group of `n` units, over and over; the gradient goes to those, and to no other."""
    wide = x.expand(P.R, P.S).detach().view(P.R, P.BLOCKS, -1)
    n = min(n, wide.shape[2])
    k, whole = max(1, min(k, n)), wide.shape[2] // n * n
    groups = wide[..., :whole].reshape(P.R, P.BLOCKS, -1, n)
    best = groups.argsort(3, descending=True)[..., :k]
    slots = torch.arange(n) % k
    top = groups.gather(3, best)[..., slots].reshape(P.R, P.BLOCKS, -1)
    rest = P.distinct() - whole

    def back(g: Tensor, scale: float) -> Tensor:
        given = g.view(P.R, P.BLOCKS, -1)[..., :whole].reshape(P.R, P.BLOCKS, -1, n)[..., :k]
        out = torch.zeros_like(groups).scatter(3, best, given).reshape(P.R, P.BLOCKS, -1)
        return torch.cat([out, out[..., :rest]], 2).reshape(P.R, P.S)

    return emit(torch.cat([top, top[..., :rest]], 2).reshape(P.R, P.S), (x, back))


RULES: dict[str, Transfer] = {
    **dict.fromkeys("index_select gather take_along_dim index take masked_select".split(), gathered),
    **dict.fromkeys("select narrow".split(), select),
    **dict.fromkeys("chunk split unbind tensor_split split_with_sizes hsplit vsplit dsplit".split(), split),
    **dict.fromkeys("sort topk msort".split(), ordered),
    "getitem": getitem,
}
