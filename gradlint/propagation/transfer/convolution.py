"""Convolutions and their transposes: contractions whose taps meet the input where padding and stride let them."""

import math

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NoRuleError, Transfer
from gradlint.propagation.dims import Dim, Dims, Role, count, dim, image_dims
from gradlint.propagation.kinship import Kinship, border
from gradlint.propagation.profiles import unit_means
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.contraction import (
    Taps,
    add_bias,
    as_units,
    known_matrix,
    project,
)
from gradlint.propagation.transfer.depthwise import depthwise
from gradlint.propagation.weights import Weight, rows

MANY_TAPS = 400
"""Up to so many taps are told apart at borders (a matrix over pairs of them)."""


def valid_taps(n: int, k: int, stride: int, pad: int, dilation: int, out: int) -> Tensor:
    """`[out, k]` 1.0 where a tap of one axis meets the input."""
    at = torch.arange(out)[:, None] * stride - pad + torch.arange(k)[None] * dilation
    return ((at >= 0) & (at < n)).to(P.DTYPE)


def valid_outputs(n: int, k: int, stride: int, pad: int, dilation: int, out: int) -> Tensor:
    """`[k]` for each tap of one axis the number of outputs at which it meets the input."""
    return valid_taps(n, k, stride, pad, dilation, out).sum(0).long()


def mean_and_variance(signal: Signal) -> tuple[float, float]:
    """Square of the mean of all units, variance of a unit over samples and positions."""
    x = signal.value
    m = P.centred(x)
    return float(x.mean(1).square().mean()), max(m.q - m.o, 0.0)


def per_axis(value: object, axes: int, default: int) -> list[int]:
    if value is None:
        return [default] * axes
    if isinstance(value, int):
        return [value] * axes
    if isinstance(value, tuple | list):
        numbers = [int(v) for v in value]
        return numbers * axes if len(numbers) == 1 else numbers
    raise NoRuleError(f"its argument {value!r} is not understood")


def _image(call: Call, operand: object, axes: int) -> Signal:
    signal = call.signal(operand)
    if len(signal.shape) != axes + 2:
        raise NoRuleError("its input has no batch dim")
    return _unfolded(as_units(signal, (1,), image_dims(signal.shape), call), call)


def _unfolded(signal: Signal, call: Call) -> Signal:
    """A map made of a vector (`fc(z).view(-1, 64, 4, 4)`): its places hold other units, no repetitions of one."""
    space = signal.dims[2:]
    x = signal.x
    if count(space, Role.UNIT) == 1 or signal.count(Role.POSITION) > 1 or signal.free or x.shape[1] != P.S:
        return signal
    order = P.permutation("unfolded", call.key)
    here = x.detach().view(2, 2, P.S)[:, 0]  # [samples, units]: there is one position so far
    y = torch.stack([here, here[:, order]], 1).reshape(P.R, P.S)

    def back(g: Tensor, scale: float) -> Tensor:
        return g.view(2, 2, P.S)[:, :1].expand(2, 2, P.S).reshape(P.R, P.S)

    dims = (*signal.dims[:2], *(dim(n, Role.POSITION) for n in signal.shape[2:]))
    return signal.with_x(emit(y, (x, back)), dims=dims)


def convolution(axes: int) -> Transfer:
    """conv1d, conv2d, conv3d."""

    def rule(call: Call) -> Signal:
        weight = call.arg(1, "weight")
        if not isinstance(weight, Weight):
            weight = known_matrix(weight)
        signal = _image(call, call.args[0], axes)
        stride = per_axis(call.arg(3, "stride"), axes, 1)
        dilation = per_axis(call.arg(5, "dilation"), axes, 1)
        groups = int(call.arg(6, "groups", 1))
        kernel, n, o = weight.shape[2:], signal.shape[2:], call.shape[2:]
        pad = _padding(call.arg(4, "padding", 0), kernel, dilation, axes)
        meets = [valid_taps(n[i], kernel[i], stride[i], pad[i], dilation[i], o[i]) for i in range(axes)]
        taps = Taps.of([m.sum(0) for m in meets], math.prod(o), math.prod(n)).weighted(*_uneven_maps(call, signal))
        out, fan_in = weight.shape[0], math.prod(weight.shape[1:])
        each_alone = weight.shape[1] == 1 and groups > 1
        key = call.key if each_alone else call.run.repeats.key(weight, call.key)
        matrix = rows(weight, None if weight.values is None else weight.values.reshape(out, -1), out, fan_in, key)
        dims = (signal.dims[0], dim(out, Role.UNIT), *_space(signal.dims[2:], o))
        kin = signal.kinship or Kinship.none(signal.shape[1], axes)
        beyond = 0.0
        if each_alone:
            y = depthwise(call, signal, weight, matrix, dims, taps)
            kin = kin.each_alone(list(kernel), stride, dilation)
        else:
            y = project(call, signal, weight, matrix, dims, taps, signal.shape[1])
            beyond, kin = kin.contracted(out, list(kernel), stride, dilation)
            beyond += border(meets, *mean_and_variance(signal)) if math.prod(kernel) <= MANY_TAPS else 0.0
        profiles = call.run.profiles
        profile = profiles.ahead(call.node, signal.profile)
        means = unit_means(profiles, call.node)
        y = y.with_x(y.x, profile=profile, means=means, kinship=kin, beyond=beyond)
        return add_bias(call, y, call.arg(2, "bias"), matrix.index)

    return rule


def _padding(value: object, kernel: tuple[int, ...], dilation: list[int], axes: int) -> list[int]:
    if value == "same":
        return [(kernel[i] - 1) * dilation[i] // 2 for i in range(axes)]
    return [0] * axes if value == "valid" else per_axis(value, axes, 0)


def _space(dims: Dims, extents: tuple[int, ...]) -> tuple[Dim, ...]:
    return tuple(
        dim(n, (d[0].role if d and d[0].role is not Role.UNIT else Role.POSITION))
        for d, n in zip(dims, extents, strict=True)
    )


def _uneven_maps(call: Call, signal: Signal) -> tuple[float, float]:
    """How much more (or less) energy the taps meet than on even maps, forward and backward."""
    profiles = call.run.profiles
    return profiles.forward_factor(call.node, signal.profile), profiles.backward_factor(call.node)


def transposed_convolution(axes: int) -> Transfer:
    """conv_transpose1d, 2d, 3d: weight `[in, out / groups, *kernel]`."""

    def rule(call: Call) -> Signal:
        weight = call.arg(1, "weight")
        if not isinstance(weight, Weight):
            weight = known_matrix(weight)
        signal = _image(call, call.args[0], axes)
        stride = per_axis(call.arg(3, "stride"), axes, 1)
        pad = per_axis(call.arg(4, "padding"), axes, 0)
        groups = int(call.arg(6, "groups", 1))
        dilation = per_axis(call.arg(7, "dilation"), axes, 1)
        kernel, n, o = weight.shape[2:], signal.shape[2:], call.shape[2:]
        counts = [valid_outputs(o[i], kernel[i], stride[i], pad[i], dilation[i], n[i]) for i in range(axes)]
        taps = Taps.of(counts, math.prod(n), math.prod(o)).transposed.weighted(*_uneven_maps(call, signal))
        out = weight.shape[1] * groups
        fan_in = weight.shape[0] // groups * math.prod(kernel)
        real = None if weight.values is None else _transposed_matrix(weight.values, groups)
        matrix = rows(weight, real, out, fan_in, call.key)
        dims = (signal.dims[0], dim(out, Role.UNIT), *_space(signal.dims[2:], o))
        y = project(call, signal, weight, matrix, dims, taps, signal.shape[1])
        profiles = call.run.profiles
        profile = profiles.ahead(call.node, signal.profile)
        y = y.with_x(y.x, profile=profile, means=unit_means(profiles, call.node))
        return add_bias(call, y, call.arg(2, "bias"), matrix.index)

    return rule


def _transposed_matrix(values: Tensor, groups: int) -> Tensor:
    """`[in, out/groups, *k]` → `[out, in/groups·k]`."""
    inputs, out = values.shape[:2]
    grouped = values.detach().reshape(groups, inputs // groups, out, -1).transpose(1, 2)
    return grouped.reshape(groups * out, -1)


RULES: dict[str, Transfer] = {
    "conv1d": convolution(1),
    "conv2d": convolution(2),
    "conv3d": convolution(3),
    "conv_transpose1d": transposed_convolution(1),
    "conv_transpose2d": transposed_convolution(2),
    "conv_transpose3d": transposed_convolution(3),
}
