"""Average pooling, resampling and padding: linear maps over positions."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NoRuleError, Transfer
from gradlint.propagation.dims import Dims, Role, dim, image_dims
from gradlint.propagation.kinship import Kinship
from gradlint.propagation.positions import PositionMap, map_positions
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.contraction import as_units
from gradlint.propagation.transfer.convolution import mean_and_variance, per_axis
from gradlint.propagation.transfer.resampling import matrices


def image_of(call: Call, axes: int) -> Signal:
    """The operand with its channels as units and the dims behind them as positions."""
    signal = call.signal(call.args[0])
    if len(signal.shape) < axes + 2:
        raise NoRuleError("its input has no batch dim")
    return as_units(signal, (1,), image_dims(signal.shape), call)


def resized_dims(signal: Signal, shape: tuple[int, ...], axes: int) -> Dims:
    """The dims with other extents of the map."""
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


def windows_of(call: Call, axes: int) -> tuple[list[int], list[int]]:
    """Kernel and stride per axis; windows lie side by side where no stride is given."""
    kernel, given = per_axis(call.arg(1, "kernel_size"), axes, 1), call.arg(2, "stride")
    return kernel, kernel if given is None or given in ((), []) else per_axis(given, axes, 1)


def average_pool(axes: int) -> Transfer:
    """avg_pool1d, 2d, 3d."""

    def rule(call: Call) -> Signal:
        signal = image_of(call, axes)
        kernel, stride = windows_of(call, axes)
        pad = per_axis(call.arg(3, "padding", 0), axes, 0)
        count_pad = bool(call.arg(5, "count_include_pad", True))
        n, o = signal.shape[-axes:], call.shape[-axes:]
        a = [window_matrix(n[i], o[i], kernel[i], stride[i], pad[i], count_pad=count_pad) for i in range(axes)]
        y = map_positions(signal, PositionMap.of(a), call.shape, resized_dims(signal, call.shape, axes), call.key)
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
        signal = image_of(call, axes)
        n, o = signal.shape[-axes:], call.shape[-axes:]
        a = PositionMap.of([adaptive_matrix(n[i], o[i]) for i in range(axes)])
        y = map_positions(signal, a, call.shape, resized_dims(signal, call.shape, axes), call.key)
        return y.with_x(y.x, profile=call.run.profiles.ahead(call.node, signal.profile))

    return rule


def resample(axes: int) -> Transfer:
    """upsample_nearest / bilinear …: the operator's own matrix along each axis."""

    def rule(call: Call) -> Signal:
        signal = image_of(call, axes)
        a = matrices(call.node)
        dims = resized_dims(signal, call.shape, axes)
        ahead, back = call.run.neighbours.energies(call.node, a)
        neighbourly = replace(PositionMap.of(a), energy=ahead, together=back)
        y = map_positions(signal, neighbourly, call.shape, dims, call.key)
        return y.with_x(y.x, profile=call.run.profiles.ahead(call.node, signal.profile))

    return rule


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


RULES: dict[str, Transfer] = {
    **{f"avg_pool{n}d": average_pool(n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": adaptive_average_pool(n) for n in (1, 2, 3)},
    **{f"upsample_nearest{n}d": resample(n) for n in (1, 2, 3)},
    **{f"upsample_nearest_exact{n}d": resample(n) for n in (1, 2, 3)},
    "upsample_linear1d": resample(1),
    **dict.fromkeys("upsample_bilinear2d upsample_bicubic2d".split(), resample(2)),
    **dict.fromkeys("upsample_bilinear2d_aa upsample_bicubic2d_aa".split(), resample(2)),
    "upsample_trilinear3d": resample(3),
    "pad": pad,
    "constant_pad_nd": pad,
}
