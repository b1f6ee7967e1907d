"""The maximum over windows of a map, and over whole dims."""

import math
from typing import Any

import torch
from torch import Tensor, fx

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, Transfer
from gradlint.propagation.dims import Dim, Role, count
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.elementwise import elementwise
from gradlint.propagation.transfer.pooling import image_of, resized_dims, windows_of
from gradlint.propagation.transfer.reduction import reduced_axes, remaining_dims
from gradlint.tracing.model_graph import op_of


def max_pool(axes: int) -> Transfer:
    """max_pool1d, 2d, 3d, with indices or without."""

    def rule(call: Call) -> Any:
        signal = image_of(call, axes)
        kernel, stride = windows_of(call, axes)
        y = _over_windows(call, signal, math.prod(kernel), axes)
        kin = signal.kinship.pooled(kernel, stride) if signal.kinship is not None else None
        return _with_indices(call, y.with_x(y.x, kinship=kin))

    return rule


def adaptive_max_pool(axes: int) -> Transfer:
    """adaptive_max_pool1d, 2d, 3d."""

    def rule(call: Call) -> Any:
        signal = image_of(call, axes)
        n, o = signal.shape[-axes:], call.shape[-axes:]
        window = math.prod(max(1, -(-a // b)) for a, b in zip(n, o, strict=True))
        return _with_indices(call, _over_windows(call, signal, window, axes))

    return rule


def _with_indices(call: Call, result: Signal) -> Any:
    return (result, Ids(call.shape)) if isinstance(call.node.meta.get("val"), tuple | list) else result


def _over_windows(call: Call, signal: Signal, window: int, axes: int) -> Signal:
    if window == 1 and call.shape == signal.shape:
        return signal
    outputs, inputs = math.prod(call.shape[-axes:]), math.prod(signal.shape[-axes:])
    profile = call.run.profiles.ahead(call.node, signal.profile)
    x = largest_place(signal, window, inputs, outputs, call.key)
    return Signal(x, call.shape, resized_dims(signal, call.shape, axes), profile=profile)


def largest_place(signal: Signal, window: int, inputs: int, outputs: int, key: str) -> Tensor:
    """Draw `window` positions jointly Gaussian with their common part and keep the largest.

    A monotone activation commutes with the maximum, so the draws are made of the pre-activation where it is known. The
    gradient goes to the winner, which is the likelier the larger its activation.
    """
    source, function = _gaussian_source(signal)
    largest = _draw_maximum(source.value, window, key)
    if outputs == 1:  # the same at all positions that read it
        largest = largest.view(2, 2, -1)[:, :1].expand(2, 2, P.S).reshape(P.R, P.S)
    y = function(largest) if function is not None else _quantiles(largest, source.value)
    rank = torch.argsort(torch.argsort(source.value, 1), 1).to(P.DTYPE)
    odds = ((rank + 0.5) / rank.shape[1]) ** (window - 1)
    odds = odds / odds.mean(1, keepdim=True)
    overlap = max(window * outputs / inputs, 1.0)

    def back(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        won = _windows_won(window, overlap) if window > 1 else 1.0
        same = m.q * outputs / inputs + m.p * (won - 1.0) * outputs / inputs
        ratio = (outputs / inputs) ** 2
        wanted = P.Moments(same, m.p * ratio, m.s * ratio, m.o * ratio)
        return P.reshape_cotangent(g, wanted, "maxpool", key, current=m) * odds.sqrt()

    return emit(y, (signal.x, back))


def _windows_won(window: int, overlap: float) -> float:
    """How many of the overlapping windows one winner wins, weighted by windows won."""
    return 1.0 + (overlap - 1.0) * 0.5 * (1 + 1 / window) if overlap > 1.0 else 1.0


def _gaussian_source(signal: Signal) -> tuple[Signal, Any]:
    before = signal.before
    if before is None or before.x.shape != signal.x.shape:
        return signal, None
    x, y = before.value, signal.value
    order = torch.argsort(x, 1)
    steps = torch.gather(y, 1, order).diff(dim=1)
    if bool((steps < -1e-9 * (y.abs().amax() + 1e-300)).any()):
        return signal, None
    flat_x, sort = x.reshape(-1).sort()
    flat_y = y.reshape(-1)[sort]
    return before, lambda v: _interpolate(v, flat_x, flat_y)


def _interpolate(v: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """Piecewise linear through (xs, ys), continued straight beyond the ends."""
    at = torch.searchsorted(xs, v.contiguous()).clamp(1, xs.numel() - 1)
    low, high = xs[at - 1], xs[at]
    far = 32
    slope_end = (ys[-1] - ys[-far]) / (xs[-1] - xs[-far]).clamp(min=1e-300)
    inside = ys[at - 1] + (ys[at] - ys[at - 1]) * ((v - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    return torch.where(v > xs[-1], ys[-1] + slope_end * (v - xs[-1]), inside)


def _draw_maximum(x: Tensor, window: int, key: str) -> Tensor:
    """`[R, S]` largest of `window` Gaussian draws per replica with the particles' own covariances between positions."""
    mean = x.mean(1, keepdim=True)
    c = P.moments(x - mean)
    common, sample = max(c.o, 0.0), max(c.p - c.o, 0.0)
    position, rest = max(c.s - c.o, 0.0), max(c.q - c.p - c.s + c.o, 0.0)
    gen = P.generator("max", key)
    n = P.distinct()
    best = torch.full((2, 2, n), -math.inf, dtype=P.DTYPE)
    for _ in range(min(window, 512)):
        places = _noise(gen, position, 1, 2, n) + _noise(gen, rest, 2, 2, n)
        best = torch.maximum(best, places)
    same = _noise(gen, common, 1, 1, n) + _noise(gen, sample, 2, 1, n)
    return (same + best).reshape(P.R, -1).repeat(1, P.BLOCKS) + mean


def _noise(gen: torch.Generator, variance: float, *shape: int) -> Tensor:
    return math.sqrt(variance) * torch.randn(*shape, generator=gen, dtype=P.DTYPE)


def _quantiles(z: Tensor, like: Tensor) -> Tensor:
    """Bring Gaussian draws of the right covariance to the marginal of `like`."""
    mean, deviation = like.mean(), like.std() + 1e-300
    level = 0.5 * (1 + torch.erf((z - mean) / deviation / math.sqrt(2)))
    ordered = like.reshape(-1).sort().values
    at = (level * (ordered.numel() - 1)).clamp(0, ordered.numel() - 1)
    low = at.floor().long()
    high = (low + 1).clamp(max=ordered.numel() - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def extreme(call: Call) -> Any:
    """`amax`, `amin`, `max`, `min` over dims: over units the largest particle, over places the largest draw."""
    if len(call.args) > 1 and isinstance(call.args[1], Signal | Tensor):
        return elementwise(call)
    result = _end(call, -1.0 if call.op.op in ("amin", "min") else 1.0)
    return (result, Ids(call.shape)) if isinstance(call.node.meta.get("val"), tuple | list) else result


def both_ends(call: Call) -> tuple[Signal, Signal]:
    """`aminmax`, over all dims where none is named."""
    return _end(call, -1.0), _end(call, 1.0)


def _end(call: Call, sign: float) -> Signal:
    """The largest (sign 1) or the smallest."""
    signal = call.signal(call.args[0])
    axes = reduced_axes(call)
    gone = [signal.dims[i] for i in axes]
    x = _over_replicas(call, signal if sign > 0 else signal.with_x(-signal.x, before=None), gone)
    units = count(gone, Role.UNIT) * count(gone, Role.KEY)
    x = _largest_unit(x, units, evenly=call.op.op in ("amax", "amin", "aminmax"))
    group = units if 1 < units < P.distinct() else signal.group
    if axes == (len(signal.shape) - 1,) and _only_shifts(call.node):
        x = x.detach()
    return Signal(x * sign, call.shape, remaining_dims(signal, axes, call.shape), group=group)


def _only_shifts(node: fx.Node) -> bool:
    """Whether a number per row does nothing but shift rows in front of a softmax over them, which takes it out."""
    for user in node.users:
        if user.op != "call_function":
            return False
        op = op_of(user).op
        if op == "unpack" and user.args[1] == 1:
            continue  # the index
        if op in ("softmax", "_softmax", "log_softmax"):
            dim = user.args[1] if len(user.args) > 1 else user.kwargs.get("dim")
            rank = len(user.meta["val"].shape)
            if dim not in (-1, rank - 1):
                return False
        elif op not in ("unpack", "expand", "expand_as", "add", "sub") or not _only_shifts(user):
            return False
    return bool(node.users)


def _over_replicas(call: Call, signal: Signal, gone: list[Dim]) -> Tensor:
    """The largest over whole dims of positions and samples."""
    places, samples = count(gone, Role.POSITION), count(gone, Role.SAMPLE)
    x, all_places = signal.x, signal.count(Role.POSITION)
    if places > 1 and samples == 1 and x.shape[1] > 1:
        return largest_place(signal, places, all_places, all_places // places, call.key)
    for role, n in ((Role.POSITION, places), (Role.SAMPLE, samples)):
        if n > 1:
            x = _largest_replica(x, n, role, call.key)
    return x


def _largest_unit(x: Tensor, n: int, *, evenly: bool) -> Tensor:
    """Largest of `n` units: of groups of particles, or of all where there are no fewer units.

    Equal ones (zeros behind a ReLU) share the gradient `evenly`, or one of them gets it.
    """
    if n == 1 or x.shape[1] == 1:
        return x
    if n >= P.distinct():
        return _largest_of_all(x, n)
    v = x.detach().expand(P.R, P.S).view(P.R, P.BLOCKS, -1)
    whole = P.distinct() // n * n
    top = v[..., :whole].reshape(P.R, P.BLOCKS, -1, n).amax(3).repeat_interleave(n, 2)
    top = torch.cat([top, top[..., : P.distinct() - whole]], 2)
    won = (v == top).to(P.DTYPE)
    ties = won[..., :whole].reshape(P.R, P.BLOCKS, -1, n).sum(3).repeat_interleave(n, 2)
    ties = torch.cat([ties, ties[..., : P.distinct() - whole]], 2).clamp(min=1)
    won = (won / (ties if evenly else ties.sqrt())).reshape(P.R, P.S)
    return emit(top.reshape(P.R, P.S), (x, lambda g, scale: g * won))


def _largest_of_all(x: Tensor, n: int) -> Tensor:
    """`[R, 1]` the largest particle, which gets what one of `n` units gets: in each block of them alike."""
    v = x.detach()
    top = v.amax(1, keepdim=True)
    won = (v == top).to(P.DTYPE)
    won = won * (x.shape[1] / n / won.sum(1, keepdim=True)).sqrt()
    return emit(top, (x, lambda g, scale: g * won))


def _largest_replica(x: Tensor, n: int, role: Role, key: str) -> Tensor:
    """Largest over `n` positions or samples; its gradient goes to one of them."""
    v, axis = x.detach().view(2, 2, -1), 1 if role is Role.POSITION else 0
    common = v.mean(axis, keepdim=True)
    rest = v - common
    top = common.expand_as(v)
    for draw in range(min(n, 256)):
        top = torch.maximum(top, common + rest[..., P.permutation(key, role, draw)[: v.shape[2]]])
    top = top.narrow(axis, 0, 1).expand_as(v).reshape(P.R, -1)
    return emit(top, (x, lambda g, scale: P.cotangent(P.Moments(P.moments(g).q / n, 0.0, 0.0, 0.0), "max", key)))


RULES: dict[str, Transfer] = {
    **{f"max_pool{n}d": max_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": max_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": adaptive_max_pool(n) for n in (1, 2, 3)},
    **dict.fromkeys("amax amin max min".split(), extreme),
    "aminmax": both_ends,
}
