"""Contractions with a parameter: linear, convolutions and their transposes, matmul and einsum with a weight.

Forward, by the central limit theorem: mean m_r·rowsum_i, covariance over replicas (K − m mᵀ)·‖W_i‖² (Poole et al. 2016;
Lee et al. 2018). Backward by energy: g_x = g_y·‖W‖²_F·(valid taps)/(input elements) (Schoenholz et al. 2017).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.dims import Dim, Dims, Role, count, dim, image_dims, roles
from gradlint.propagation.engine import Call, NoRuleError, Transfer, alike, standard
from gradlint.propagation.signal import Signal, emit, modes, swap_units_and_positions
from gradlint.propagation.weights import Rows, Weight, per_unit, rows


@dataclass(frozen=True, slots=True)
class Taps:
    """How the windows of a contraction lie on its input, as shares of the kernel's taps.

    Two positions see the same weight only through a tap that is valid at both: the more padding (or stride, on the way
    back), the less they share.
    """

    valid: float = 1.0
    """Forward, mean over taps: share of output positions at which the tap meets the input."""
    both: float = 1.0
    """Forward: share of pairs of output positions at which it meets the input in both."""
    gain: float = 1.0
    """Backward: mean over taps of (outputs reached through the tap) / (input positions)."""
    gain_both: float = 1.0
    """Backward: the same for pairs."""

    @staticmethod
    def of(counts: list[Tensor], n_out: int, n_in: int) -> "Taps":
        """From the number of valid outputs of each tap, per axis."""
        c = counts[0].to(P.DTYPE)
        for axis in counts[1:]:
            c = torch.outer(c, axis.to(P.DTYPE)).reshape(-1)
        single, pairs = float(c.mean()), float((c * (c - 1)).mean())
        valid, gain = single / n_out, single / n_in
        return Taps(
            valid,
            pairs / (n_out * (n_out - 1)) if n_out > 1 else valid,
            gain,
            pairs / (n_in * (n_in - 1)) if n_in > 1 else gain,
        )

    @property
    def transposed(self) -> "Taps":
        """Input and output exchanged."""
        return Taps(self.gain, self.gain_both, self.valid, self.both)


def project(
    call: Call, signal: Signal, weight: Weight, matrix: Rows, dims: Dims, taps: Taps, inputs: int, inside: int = 1
) -> Signal:
    """`W x` for one weight.

    Args:
        signal: the operand, its units being what is summed over.
        matrix: row statistics of W.
        dims: dims of the result.
        inputs: number of units that W reads (all groups together).
        inside: number of positions that are summed over as well (flattened maps); they must then be all of them.
    """
    flat = inside > 1 and count(dims, Role.POSITION) == 1
    x = signal.value
    mean = x.mean(1, keepdim=True)
    spread = P.moments(x - mean) if x.shape[1] > 1 else P.ZERO
    if flat:
        mean = mean.view(2, 2, 1).mean(1, keepdim=True).expand(2, 2, 1).reshape(P.R, 1)
        spread = P.Moments(spread.q, spread.q, spread.s, spread.s)
    lone = (taps.valid - taps.both) * float(mean.square().mean())
    through = P.Moments(
        taps.valid * spread.q + lone, taps.both * spread.p, taps.valid * spread.s + lone, taps.both * spread.o
    )
    y = mean * matrix.sums * math.sqrt(taps.both) + P.gaussian(through, call.key) * matrix.energies.sqrt()
    if matrix.has_mean:
        common = spread.times(matrix.mean**2 * matrix.fan_in * taps.valid)
        y = y + modes(common, "forward", call.key)
    seen = P.moments(x)
    if flat:
        seen = P.Moments(seen.q, seen.q, seen.s, seen.s)
    out_units = max(1, int(matrix.index.max()) + 1)
    varied = uneven(matrix.energies)

    def back(g: Tensor, scale: float) -> Tensor:
        learn_weight(call, weight, g, seen, dims, scale * math.sqrt(taps.valid))
        m = P.moments(g if varied is None else g * varied.sqrt())
        both = 0.0 if flat else taps.gain_both
        energy = P.Moments(m.q * taps.gain, m.p * both, m.s * taps.gain, m.o * both)
        back_x = P.cotangent(energy.times(matrix.total / inputs), "back", call.key)
        if matrix.has_mean:
            around = P.centred_blocks(g)
            coherent = P.moments(g).minus(around).plus(around.times(1 / out_units))
            back_x = back_x + P.columns(coherent.times((matrix.mean * out_units) ** 2 * taps.valid))
        return back_x if x.shape[1] > 1 else back_x[:, :1]

    return Signal(emit(y, (signal.x, back)), call.shape, dims, dense=True, varied=varied)


def uneven(variances: Tensor) -> Tensor | None:
    """Variance of each unit relative to their mean."""
    middle = float(variances.mean())
    return variances / middle if middle > 0 else None


def learn_weight(call: Call, weight: Weight, g: Tensor, x: P.Moments, dims: Dims, scale: float) -> None:
    """Note the gradient of a weight: RMS per element."""
    call.run.learn(weight, scale * math.sqrt(max(_weight_energy(P.moments(g), x, dims), 0.0)))


def depthwise(call: Call, signal: Signal, weight: Weight, matrix: Rows, dims: Dims, taps: Taps) -> Signal:
    """Each output unit reads one input unit: units keep their identity.

    What positions share passes with the square of the row sum, what they do not with the row energy. Few taps make both
    differ from unit to unit, which the norm behind divides out again: so they are kept per particle.
    """
    x = signal.value
    mean = x.mean(1, keepdim=True)
    spread = P.moments(x - mean)
    energy, coherent = matrix.energies, matrix.sums.square()
    z = P.HADAMARD @ P.normal(call.key)
    passed = _lone_eigenvalues(spread, energy, coherent, taps.valid, taps.both)
    y = mean * matrix.sums * math.sqrt(taps.both) + P.HADAMARD.T @ (passed.clamp(min=0).sqrt() * z)
    seen = P.moments(x)
    varied = uneven(coherent * taps.both * max(spread.p - spread.o, 0.0) + energy * taps.valid * max(spread.q - spread.p, 0.0))
    repeats = call.shape[1] / signal.shape[1]

    def back(g: Tensor, scale: float) -> Tensor:
        learn_weight(call, weight, g, seen, dims, scale * math.sqrt(taps.valid))
        m = P.moments(g)
        now = torch.tensor(m.eigenvalues(), dtype=P.DTYPE)[:, None].clamp(min=1e-300)
        want = _lone_eigenvalues(m, energy, coherent, taps.gain, taps.gain_both) * repeats
        return P.HADAMARD.T @ ((want.clamp(min=0) / now).clamp(max=1e12).sqrt() * (P.HADAMARD @ g))

    return Signal(emit(y, (signal.x, back)), call.shape, dims, varied=varied)


def _lone_eigenvalues(m: P.Moments, energy: Tensor, coherent: Tensor, single: float, both: float) -> Tensor:
    """`[R, S]` eigenvalues over replicas of Σ_τ w_τ x_τ per unit, from moments of x, Σw² and (Σw)²."""
    q = single * energy * m.q + both * (coherent - energy) * m.p
    s = single * energy * m.s + both * (coherent - energy) * m.o
    p, o = both * coherent * m.p, both * coherent * m.o
    return torch.stack([q + p + s + o, q + p - s - o, q - p + s - o, q - p - s + o])


def _weight_energy(g: P.Moments, x: P.Moments, dims: Dims) -> float:
    """E[dW²] = N·[q_g q_x + (P−1) p_g p_x + (B−1) s_g s_x + (B−1)(P−1) o_g o_x]."""
    batch = count(dims, Role.SAMPLE)
    places = count(dims, Role.POSITION) * count(dims, Role.KEY)
    return (
        batch
        * places
        * (
            g.q * x.q
            + (places - 1) * g.p * x.p
            + (batch - 1) * g.s * x.s
            + (batch - 1) * (places - 1) * g.o * x.o
        )
    )


ONE = P.Moments(1.0, 1.0, 1.0, 1.0)


def add_bias(call: Call, signal: Signal, bias: object, index: Tensor) -> Signal:
    """Add one number per output unit."""
    if bias is None:
        return signal
    if not isinstance(bias, Weight):
        return signal.with_x(signal.x + call.signal(bias, signal.dims).x)
    offset = per_unit(bias, index, "bias", call.key)

    def back(g: Tensor, scale: float) -> Tensor:
        call.run.learn(bias, scale * math.sqrt(max(_weight_energy(P.moments(g), ONE, signal.dims), 0.0)))
        return g

    y = emit(signal.value + offset, (signal.x, back)) if signal.x.requires_grad else signal.x + offset
    return signal.with_x(y)


def as_units(signal: Signal, where: tuple[int, ...], dims: Dims, call: Call) -> Signal:
    """The signal with the dims `where` read as units: reread if free, exchanged with positions if it must be."""
    if signal.free:
        return Signal(_refreshed(signal, dims, call), signal.shape, dims, free=True)
    inside = roles(signal.dims[i] for i in where)
    if not inside or Role.UNIT in inside or Role.POSITION not in inside:
        return signal
    return swap_units_and_positions(signal, call.key)


def _refreshed(signal: Signal, dims: Dims, call: Call) -> Tensor:
    """Independent elements under another reading of the dims (replicas alike where there is one position)."""
    y = standard(dims, "input", call.key) * P.rms(signal.value)

    def back(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        return P.cotangent(alike(signal.dims).times(m.q), "reread", call.key)

    return emit(y, (signal.x, back))


def linear(call: Call) -> Signal:
    """`linear(x, W, b)`: contraction over the last dim."""
    return dense(call, call.args[0], call.arg(1, "weight"), call.arg(2, "bias"), transposed=False)


def dense(call: Call, operand: object, weight: object, bias: object, *, transposed: bool) -> Signal:
    """Contract the last dim of `operand` with a two-dimensional weight `[out, in]` (`[in, out]` if transposed)."""
    if not isinstance(weight, Weight):
        weight = _known_matrix(weight)
    signal = call.signal(operand)
    if len(weight.shape) == 1:
        weight = weight.reshaped(None if weight.values is None else weight.values[None], (1, *weight.shape))
        transposed = False
    if len(weight.shape) > 2:
        raise NoRuleError("its weight has more than two dims")
    out, fan_in = weight.shape[::-1] if transposed else weight.shape
    last = len(signal.shape) - 1
    reading = (*signal.dims[:last], dim(signal.shape[last], Role.UNIT))
    signal = as_units(signal, (last,), reading, call)
    inside = count([signal.dims[last]], Role.POSITION)
    dims = (*signal.dims[:last], dim(out, Role.UNIT))
    real = None if weight.values is None else (weight.values.T if transposed else weight.values)
    matrix = rows(weight, real, out, fan_in, call.key)
    y = project(call, signal, weight, matrix, dims, Taps(), fan_in, inside)
    y = y.with_x(y.x, shape=call.shape, dims=dims[: len(call.shape)])
    return add_bias(call, y, bias, matrix.index)


def _known_matrix(value: object) -> Weight:
    if not isinstance(value, Tensor):
        raise NoRuleError("its weight is computed from the input")
    flat = value.detach().to(P.DTYPE).reshape(-1)
    return Weight("", tuple(value.shape), value, flat[:2048], learned=False)


def valid_outputs(n: int, k: int, stride: int, pad: int, dilation: int, out: int) -> Tensor:
    """`[k]` for each tap of one axis the number of outputs at which it meets the input."""
    at = torch.arange(out)[:, None] * stride - pad + torch.arange(k)[None] * dilation
    return ((at >= 0) & (at < n)).sum(0)


def _per_axis(value: object, axes: int, default: int) -> list[int]:
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
    return as_units(signal, (1,), image_dims(signal.shape), call)


def convolution(axes: int) -> Transfer:
    """conv1d, conv2d, conv3d."""

    def rule(call: Call) -> Signal:
        weight = call.arg(1, "weight")
        if not isinstance(weight, Weight):
            weight = _known_matrix(weight)
        signal = _image(call, call.args[0], axes)
        stride = _per_axis(call.arg(3, "stride"), axes, 1)
        dilation = _per_axis(call.arg(5, "dilation"), axes, 1)
        groups = int(call.arg(6, "groups", 1))
        kernel, n, o = weight.shape[2:], signal.shape[2:], call.shape[2:]
        pad = _padding(call.arg(4, "padding", 0), kernel, dilation, axes)
        counts = [valid_outputs(n[i], kernel[i], stride[i], pad[i], dilation[i], o[i]) for i in range(axes)]
        taps = Taps.of(counts, math.prod(o), math.prod(n))
        out, fan_in = weight.shape[0], math.prod(weight.shape[1:])
        matrix = rows(weight, None if weight.values is None else weight.values.reshape(out, -1), out, fan_in, call.key)
        dims = (signal.dims[0], dim(out, Role.UNIT), *_space(signal.dims[2:], o))
        if weight.shape[1] == 1 and groups > 1:
            y = depthwise(call, signal, weight, matrix, dims, taps)
        else:
            y = project(call, signal, weight, matrix, dims, taps, signal.shape[1])
        return add_bias(call, y, call.arg(2, "bias"), matrix.index)

    return rule


def _padding(value: object, kernel: tuple[int, ...], dilation: list[int], axes: int) -> list[int]:
    if value == "same":
        return [(kernel[i] - 1) * dilation[i] // 2 for i in range(axes)]
    return [0] * axes if value == "valid" else _per_axis(value, axes, 0)


def _space(dims: Dims, extents: tuple[int, ...]) -> tuple[Dim, ...]:
    return tuple(dim(n, (d[0].role if d and d[0].role is not Role.UNIT else Role.POSITION)) for d, n in zip(dims, extents, strict=True))


def transposed_convolution(axes: int) -> Transfer:
    """conv_transpose1d, 2d, 3d: weight `[in, out / groups, *kernel]`."""

    def rule(call: Call) -> Signal:
        weight = call.arg(1, "weight")
        if not isinstance(weight, Weight):
            weight = _known_matrix(weight)
        signal = _image(call, call.args[0], axes)
        stride = _per_axis(call.arg(3, "stride"), axes, 1)
        pad = _per_axis(call.arg(4, "padding"), axes, 0)
        groups = int(call.arg(6, "groups", 1))
        dilation = _per_axis(call.arg(7, "dilation"), axes, 1)
        kernel, n, o = weight.shape[2:], signal.shape[2:], call.shape[2:]
        counts = [valid_outputs(o[i], kernel[i], stride[i], pad[i], dilation[i], n[i]) for i in range(axes)]
        taps = Taps.of(counts, math.prod(n), math.prod(o)).transposed
        out = weight.shape[1] * groups
        fan_in = weight.shape[0] // groups * math.prod(kernel)
        real = None if weight.values is None else _transposed_matrix(weight.values, groups)
        matrix = rows(weight, real, out, fan_in, call.key)
        dims = (signal.dims[0], dim(out, Role.UNIT), *_space(signal.dims[2:], o))
        y = project(call, signal, weight, matrix, dims, taps, signal.shape[1])
        return add_bias(call, y, call.arg(2, "bias"), matrix.index)

    return rule


def _transposed_matrix(values: Tensor, groups: int) -> Tensor:
    """`[in, out/groups, *k]` → `[out, in/groups·k]`."""
    inputs, out = values.shape[:2]
    grouped = values.detach().reshape(groups, inputs // groups, out, -1).transpose(1, 2)
    return grouped.reshape(groups * out, -1)


RULES: dict[str, Transfer] = {
    "linear": linear,
    "conv1d": convolution(1),
    "conv2d": convolution(2),
    "conv3d": convolution(3),
    "conv_transpose1d": transposed_convolution(1),
    "conv_transpose2d": transposed_convolution(2),
    "conv_transpose3d": transposed_convolution(3),
}
