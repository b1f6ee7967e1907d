"""Operators that rearrange, select or repeat elements: the roles move, the particles stay."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from gradlint.propagation import dims as D
from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, NamedCall, Transfer
from gradlint.propagation.dims import Dims, Role, count, default_dims, dim
from gradlint.propagation.sharing import shared
from gradlint.propagation.signal import Signal, emit, mapped
from gradlint.propagation.transfer.contraction import as_units
from gradlint.propagation.weights import TURNING


def floating(call: Call) -> Signal | None:
    """The operand as a signal; None for integers whose values are unknown."""
    value = call.args[0]
    return None if isinstance(value, Ids) else call.signal(value)


def reshape(call: Call) -> Any:
    """view, reshape, flatten, unflatten, squeeze, unsqueeze: factors are regrouped."""
    signal = floating(call)
    if signal is None:
        return Ids(call.shape)
    return rearranged(signal, D.reshape(signal.dims, call.shape), call.shape)


def rearranged(signal: Signal, dims: Dims, shape: tuple[int, ...]) -> Signal:
    """The same elements under other dims; what is known of them stays known."""
    if signal.free:
        dims = tuple(d if D.size(d) == n else dim(n, Role.UNIT) for d, n in zip(dims, shape, strict=True))
    return Signal(
        signal.x, shape, dims, free=signal.free, dense=signal.dense, prob=signal.prob, mask=signal.mask,
        parts=signal.parts, before=signal.before, group=signal.group,
    )  # fmt: skip


def permute(call: Call) -> Any:
    """permute, transpose, t, movedim: dims change places."""
    signal = floating(call)
    if signal is None:
        return Ids(call.shape)
    return turned(signal, _order(call, len(signal.shape)))


def turned(signal: Signal, order: Sequence[int]) -> Signal:
    """Dims in another order."""
    units = [i for i in order if count([signal.dims[i]], Role.UNIT) > 1]
    if units != sorted(units):  # a channel shuffle
        signal = _shuffled(signal)
    return rearranged(signal, tuple(signal.dims[i] for i in order), tuple(signal.shape[i] for i in order))


def _shuffled(signal: Signal) -> Signal:
    """Units in another order: those of a component no longer stand side by side."""
    return signal.with_x(signal.x, parts=tuple(replace(part, units=0) for part in signal.parts))


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
    signal = floating(call)
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


def broadcast(call: Call) -> tuple[Any, ...]:
    """broadcast_tensors: each operand is expanded by itself."""
    values = call.args if len(call.args) > 1 else tuple(call.args[0])  # torch's own code hands on a list
    shapes = [tuple(meta.shape) for meta in call.node.meta["val"]]
    return tuple(
        expand(NamedCall(call.node, call.op, (value,), {}, call.run, f"{call.key}.part{k}", shape))
        for k, (value, shape) in enumerate(zip(values, shapes, strict=True))
    )


def _gathered_back(m: P.Moments, samples: int, positions: int, units: int) -> P.Moments:
    """Cotangents of the copies of samples, positions (which covary) and units (which do not), added up."""
    n = positions
    q, s = n * m.q + n * (n - 1) * m.p, n * m.s + n * (n - 1) * m.o
    p, o = n * n * m.p, n * n * m.o
    n = samples
    q, p = n * q + n * (n - 1) * s, n * p + n * (n - 1) * o
    return P.Moments(q, p, n * n * s, n * n * o).times(units)


def windows(call: Call) -> Signal:
    """`unfold` (im2col): the taps of each window stand beside its units; an element goes to every window that holds it.

    Windows that lie side by side only rearrange: their taps stay positions. Where they overlap, taps count as units.
    """
    signal = call.signal(call.args[0])
    signal = as_units(signal, (1,), D.image_dims(signal.shape), call)
    channels, columns, places = signal.shape[1], *call.shape[-2:]
    copies = math.prod(call.shape) / max(1, math.prod(signal.shape))
    units = dim(columns, Role.UNIT)
    if _side_by_side(call, 1):
        units = (*dim(channels, Role.UNIT), *dim(columns // channels, Role.POSITION))
    dims = (signal.dims[0], units, dim(places, Role.POSITION))
    if copies == 1:
        return rearranged(signal, dims, call.shape)
    x = emit(signal.value, (signal.x, mapped(lambda m: m.times(copies), "windows", call.key)))
    return Signal(x, call.shape, dims)


def unwindow(call: Call) -> Signal:
    """`fold` (col2im): each place gets the sum over the windows that hold it; every element goes to one place."""
    signal = call.signal(call.args[0])
    reading = (dim(signal.shape[0], Role.SAMPLE), dim(signal.shape[1], Role.UNIT), dim(signal.shape[2], Role.POSITION))
    signal = as_units(signal, (1,), reading, call)
    dims = D.image_dims(call.shape)
    taps, places = signal.shape[1] // call.shape[1], signal.shape[2]
    held = call.node.target(torch.ones(1, taps, places), *call.args[1:], **call.kwargs)  # type: ignore[operator]
    copies, landed = float(held.mean()), float(held.sum()) / (taps * places)
    if copies == 1:
        return Signal(signal.x, call.shape, dims)
    mean = signal.value.mean(1, keepdim=True)
    y = (signal.value - mean) * math.sqrt(copies) + mean * copies
    return Signal(emit(y, (signal.x, lambda g, scale: g * math.sqrt(landed))), call.shape, dims)


def sliding(call: Call) -> Any:
    """`x.unfold(dim, size, step)`: windows along one dim, their places behind all other dims.

    As in `windows`: places that each stand in one window stay positions; where windows overlap, taps count as units.
    """
    signal = floating(call)
    if signal is None:
        return Ids(call.shape)
    axis, size, step = int(call.arg(1, "dimension")), int(call.arg(2, "size")), int(call.arg(3, "step"))
    axis %= max(1, len(signal.shape))
    role = signal.dims[axis][0].role if signal.dims and signal.dims[axis] else Role.POSITION
    held = torch.arange(signal.shape[axis]).unfold(0, size, step).reshape(-1).bincount(minlength=signal.shape[axis])
    taps = role if int(held.max()) == 1 else Role.UNIT
    dims = (*signal.dims[:axis], dim(call.shape[axis], role), *signal.dims[axis + 1 :], dim(size, taps))
    y = rearranged(signal, dims, call.shape)
    if bool((held == 1).all()):
        return y
    places, count_out = int(held.numel()), call.shape[axis] * (size if taps is role else 1)
    pairs = (count_out - 1) / max(1, places - 1)  # of two places, those whose copies are taps that covary
    back = mapped(lambda m: _windows_back(m, float(held.double().mean()), pairs, role), "windows", call.key)
    return y.with_x(emit(signal.value, (signal.x, back)), parts=(), before=None)


def _windows_back(m: P.Moments, copies: float, pairs: float, role: Role) -> P.Moments:
    """Cotangents of what stands in so many windows, as other taps, which are independent."""
    if role is Role.POSITION:
        return P.Moments(m.q, pairs * m.p, m.s, pairs * m.o).times(copies)
    if role is Role.SAMPLE:
        return P.Moments(m.q, m.p, pairs * m.s, pairs * m.o).times(copies)
    return m.times(copies)


def _side_by_side(call: Call, at: int) -> bool:
    """Whether windows neither overlap nor leave gaps: their stride is their extent (arguments from `at` on)."""
    kernel, dilation, padding, stride = (call.args[at + i] if len(call.args) > at + i else None for i in range(4))
    pairs = [[v] * 2 if isinstance(v, int) else list(v or ()) for v in (kernel, dilation, padding, stride)]
    return pairs[0] == pairs[3] and pairs[1] in ([], [1, 1]) and not any(pairs[2])


def keep(call: Call) -> Any:
    """roll, flip, sorting of positions: another order of the same elements."""
    signal = floating(call)
    return Ids(call.shape) if signal is None else rearranged(_shuffled(signal), signal.dims, call.shape)


def shuffle(call: Call) -> Any:
    """pixel_shuffle and its kind: units and positions change places, elements stay."""
    signal = call.signal(call.args[0])
    return Signal(signal.x, call.shape, D.image_dims(call.shape), dense=signal.dense)


def unpack(call: Call) -> Any:
    """One of several results."""
    value, index = call.args
    return value[index] if isinstance(value, tuple | list) else value


RULES: dict[str, Transfer] = {
    **dict.fromkeys(
        "view reshape flatten unflatten squeeze unsqueeze _unsafe_view reshape_as view_as ravel resize_as".split(),
        reshape,
    ),
    **dict.fromkeys(TURNING, permute),
    "broadcast_tensors": broadcast,
    **dict.fromkeys("expand expand_as repeat tile broadcast_to repeat_interleave".split(), expand),
    "im2col": windows,
    "col2im": unwindow,
    "unfold": sliding,
    **dict.fromkeys("roll flip fliplr flipud rot90".split(), keep),
    **dict.fromkeys("pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle".split(), shuffle),
    "unpack": unpack,
}
