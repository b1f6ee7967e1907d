"""Pooling, resampling and padding: linear maps over positions, and the maximum over windows."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, NoRuleError, Transfer
from gradlint.propagation.dims import Dims, Role, dim, image_dims
from gradlint.propagation.kinship import Kinship
from gradlint.propagation.positions import PositionMap, map_positions
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.contraction import as_units
from gradlint.propagation.transfer.convolution import mean_and_variance, per_axis


def _map(call: Call, axes: int) -> Signal:
    signal = call.signal(call.args[0])
    if len(signal.shape) < axes + 2:
        raise NoRuleError("its input has no batch dim")
    return as_units(signal, (1,), image_dims(signal.shape), call)


def _resized(signal: Signal, shape: tuple[int, ...], axes: int) -> Dims:
    return (*signal.dims[:-axes], *(dim(n, Role.POSITION) for n in shape[-axes:]))


def window_matrix(n: int, out: int, kernel: int, stride: int, pad: int, *, count_pad: bool) -> Tensor:
    """`[out, n]` averaging windows of one axis."""
    a = torch.zeros(out, n, dtype=P.DTYPE)
    for i in range(out):
        start, stop = i * stride - pad, min(i * stride - pad + kernel, n + pad)
        low, high = max(start, 0), min(stop, n)
        if high > low:
            a[i, low:high] = 1 / ((stop - start) if count_pad else (high - low))
    return a


def average_pool(axes: int) -> Transfer:
    """avg_pool1d, 2d, 3d."""

    def rule(call: Call) -> Signal:
        signal = _map(call, axes)
        kernel = per_axis(call.arg(1, "kernel_size"), axes, 1)
        given = call.arg(2, "stride")
        stride = kernel if given is None or given in ((), []) else per_axis(given, axes, 1)
        pad = per_axis(call.arg(3, "padding", 0), axes, 0)
        count_pad = bool(call.arg(5, "count_include_pad", True))
        n, o = signal.shape[-axes:], call.shape[-axes:]
        a = [window_matrix(n[i], o[i], kernel[i], stride[i], pad[i], count_pad=count_pad) for i in range(axes)]
        y = map_positions(signal, PositionMap.of(a), call.shape, _resized(signal, call.shape, axes), call.key)
        kin = (signal.kinship or Kinship.none(signal.shape[1], axes)).pooled(kernel, stride)
        kin = _bordered(kin, a, signal, y)
        return y.with_x(y.x, profile=call.run.profiles.ahead(call.node, signal.profile), kinship=kin)

    return rule


def _bordered(kin: Kinship, a: list[Tensor], signal: Signal, result: Signal) -> Kinship:
    """How alike units are where `a` reaches less far at the border: in what they have in common."""
    return kin.uneven([m.sum(1) for m in a], mean_and_variance(signal)[0], mean_and_variance(result)[1])


def adaptive_matrix(n: int, out: int) -> Tensor:
    """`[out, n]` the windows of adaptive average pooling, up or down."""
    a = torch.zeros(out, n, dtype=P.DTYPE)
    for i in range(out):
        low, high = (i * n) // out, -((-(i + 1) * n) // out)
        a[i, low:high] = 1 / (high - low)
    return a


def adaptive_average_pool(axes: int) -> Transfer:
    """adaptive_avg_pool1d, 2d, 3d."""

    def rule(call: Call) -> Signal:
        signal = _map(call, axes)
        n, o = signal.shape[-axes:], call.shape[-axes:]
        a = PositionMap.of([adaptive_matrix(n[i], o[i]) for i in range(axes)])
        y = map_positions(signal, a, call.shape, _resized(signal, call.shape, axes), call.key)
        return y.with_x(y.x, profile=call.run.profiles.ahead(call.node, signal.profile))

    return rule


def resample(mode: str, axes: int) -> Transfer:
    """upsample_nearest / bilinear …: the operator's own matrix along each axis."""

    def rule(call: Call) -> Signal:
        signal = _map(call, axes)
        corners = bool(call.arg(2, "align_corners", False)) if mode != "nearest" else None
        matrices = []
        for n, out in zip(signal.shape[-axes:], call.shape[-axes:], strict=True):
            matrices.append(_resampling(n, out, mode, corners))
        dims = _resized(signal, call.shape, axes)
        y = map_positions(signal, PositionMap.of(matrices), call.shape, dims, call.key)
        return y.with_x(y.x, profile=call.run.profiles.ahead(call.node, signal.profile))

    return rule


def _resampling(n: int, out: int, mode: str, corners: bool | None) -> Tensor:
    """`[out, n]` of one axis."""
    eye = torch.eye(n, dtype=P.DTYPE)[None]
    if mode == "cubic":  # torch has it in two dims only
        return F.interpolate(eye[..., None], size=(out, 1), mode="bicubic", align_corners=corners)[0, ..., 0].T
    return F.interpolate(eye, size=out, mode=mode, align_corners=corners)[0].T


def pad(call: Call) -> Signal:
    """Zero padding adds positions that hold nothing; other modes copy positions."""
    signal = call.signal(call.args[0])
    widths = call.arg(1, "pad")
    mode = str(call.arg(2, "mode", "constant"))
    rank = len(signal.shape)
    if not isinstance(widths, tuple | list):
        raise NoRuleError("its padding is not understood")
    matrices = []
    dims = list(signal.dims)
    for i in range(len(widths) // 2):
        axis = rank - 1 - i
        n, out = signal.shape[axis], call.shape[axis]
        matrices.append(_pad_matrix(n, int(widths[2 * i]), out, "constant" if "constant" in mode else mode))
        if n != out:
            dims[axis] = dim(out, signal.dims[axis][0].role if signal.dims[axis] else Role.POSITION)
    a = PositionMap.of(matrices)
    if a.n_in == a.n_out:
        return signal
    if all(d == e or (e and e[0].role is Role.UNIT) for d, e in zip(signal.dims, dims, strict=True)):
        keep = a.n_in / a.n_out  # padded units hold nothing: the energy of all goes down, what comes back does not
        x = emit(signal.value * math.sqrt(keep), (signal.x, lambda g, scale: g))
        return Signal(x, call.shape, tuple(dims))
    y = map_positions(signal, a, call.shape, tuple(dims), call.key)
    if rank < 3 or len(matrices) > rank - 2 or "constant" not in mode:
        return y
    untouched = [torch.eye(n, dtype=P.DTYPE) for n in signal.shape[2 : rank - len(matrices)]]
    kin = signal.kinship or Kinship.none(signal.shape[1], rank - 2)
    return y.with_x(y.x, kinship=_bordered(kin, [*untouched, *reversed(matrices)], signal, y))


def _pad_matrix(n: int, left: int, out: int, mode: str) -> Tensor:
    eye = torch.eye(n, dtype=P.DTYPE)[None]
    right = out - n - left
    if min(left, right) < 0:
        return F.pad(eye[0].T, (0, 0, left, right)) if mode == "constant" else eye[0]
    a = F.pad(eye, (left, right)) if mode == "constant" else F.pad(eye, (left, right), mode=mode)
    return a[0].T


def max_pool(axes: int) -> Transfer:
    """max_pool1d, 2d, 3d, with indices or without."""

    def rule(call: Call) -> Any:
        signal = _map(call, axes)
        kernel = per_axis(call.arg(1, "kernel_size"), axes, 1)
        given = call.arg(2, "stride")
        stride = kernel if given is None or given in ((), []) else per_axis(given, axes, 1)
        y = _maximum(call, signal, math.prod(kernel), axes)
        kin = signal.kinship.pooled(kernel, stride) if signal.kinship is not None else None
        return _with_indices(call, y.with_x(y.x, kinship=kin))

    return rule


def adaptive_max_pool(axes: int) -> Transfer:
    """adaptive_max_pool1d, 2d, 3d."""

    def rule(call: Call) -> Any:
        signal = _map(call, axes)
        n, o = signal.shape[-axes:], call.shape[-axes:]
        window = math.prod(max(1, -(-a // b)) for a, b in zip(n, o, strict=True))
        return _with_indices(call, _maximum(call, signal, window, axes))

    return rule


def _with_indices(call: Call, result: Signal) -> Any:
    return (result, Ids(call.shape)) if isinstance(call.node.meta.get("val"), tuple | list) else result


def _maximum(call: Call, signal: Signal, window: int, axes: int) -> Signal:
    """Draw `window` positions jointly Gaussian with their common part and keep the largest.

    A monotone activation commutes with the maximum, so the draws are made of the pre-activation where it is known. The
    gradient goes to the winner, which is the likelier the larger its activation.
    """
    if window == 1 and call.shape == signal.shape:
        return signal
    source, function = _gaussian_source(signal)
    largest = _draw_maximum(source.value, window, call.key)
    y = function(largest) if function is not None else _quantiles(largest, source.value)
    outputs, inputs = math.prod(call.shape[-axes:]), math.prod(signal.shape[-axes:])
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
        return P.reshape_cotangent(g, wanted, "maxpool", call.key, current=m) * odds.sqrt()

    dims = _resized(signal, call.shape, axes)
    profile = call.run.profiles.ahead(call.node, signal.profile)
    return Signal(emit(y, (signal.x, back)), call.shape, dims, profile=profile)


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


RULES: dict[str, Transfer] = {
    **{f"avg_pool{n}d": average_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": adaptive_average_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": max_pool(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": max_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": adaptive_max_pool(n) for n in (1, 2, 3)},
    **{f"upsample_nearest{n}d": resample("nearest", n) for n in (1, 2, 3)},
    "upsample_linear1d": resample("linear", 1),
    "upsample_bilinear2d": resample("linear", 2),
    "upsample_bicubic2d": resample("cubic", 2),
    "upsample_trilinear3d": resample("linear", 3),
    "pad": pad,
    "constant_pad_nd": pad,
}
