"""Contractions with a parameter: linear, convolutions and their transposes, matmul and einsum with a weight.

Forward, by the central limit theorem: mean m_r·rowsum_i, covariance over replicas (K − m mᵀ)·‖W_i‖² (Poole et al. 2016;
Lee et al. 2018). Backward by energy: g_x = g_y·‖W‖²_F·(valid taps)/(input elements) (Schoenholz et al. 2017).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NoRuleError, Transfer
from gradlint.propagation.dims import Dims, Role, count, dim, roles
from gradlint.propagation.inputs import alike, standard
from gradlint.propagation.signal import Signal, emit, modes, swap_units_and_positions
from gradlint.propagation.transfer.acting import Acting, act_really, learn_weight
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

    def weighted(self, forward: float, backward: float) -> "Taps":
        """Corrected for energy that lies unevenly on the maps."""
        return Taps(self.valid * forward, self.both * forward, self.gain * backward, self.gain_both * backward)

    @property
    def transposed(self) -> "Taps":
        """Input and output exchanged."""
        return Taps(self.gain, self.gain_both, self.valid, self.both)


def project(
    call: Call,
    signal: Signal,
    weight: Weight,
    matrix: Rows,
    dims: Dims,
    taps: Taps,
    inputs: int,
    inside: int = 1,
    *,
    turned: bool = False,
) -> Signal:
    """`W x` for one weight.

    Args:
        call: the operator call.
        signal: the operand, its units being what is summed over.
        weight: W.
        matrix: row statistics of W.
        dims: dims of the result.
        taps: how W's windows lie on the input.
        inputs: number of units that W reads (all groups together).
        inside: number of positions that are summed over as well (flattened maps); they must then be all of them.
        turned: whether it is the weight's transpose that acts.
    """
    flat = inside > 1 and count(dims, Role.POSITION) == 1
    x = signal.value
    acting = Acting(call.bare, weight, dims, inputs / max(1, int(matrix.index.max()) + 1), turned)
    y, from_mean = _forward(call, x, matrix, taps, acting, flat=flat)
    seen = P.moments(x)
    if flat:
        seen = P.Moments(seen.q, seen.q, seen.s, seen.s)
    out_units = max(1, int(matrix.index.max()) + 1)
    varied, is_wide = uneven(matrix.energies), x.shape[1] > 1
    total, coherence = matrix.total / inputs, (matrix.mean * out_units) ** 2 * taps.valid if matrix.has_mean else 0.0
    read = x if call.run.repeats.is_repeated(weight) else x.new_empty(0)  # only a weight that acts again asks for it

    def back(g: Tensor, scale: float) -> Tensor:
        acting.learn(g, read, seen, scale * math.sqrt(taps.valid))
        weighed = g if varied is None else g * varied.sqrt()
        m = P.moments(weighed)
        both = 0.0 if flat else taps.gain_both
        energy = P.Moments(m.q * taps.gain, m.p * both, m.s * taps.gain, m.o * both)
        back_x = acting.back(weighed, energy.times(total))
        if coherence:
            around = P.centred_blocks(g)
            coherent = P.moments(g).minus(around).plus(around.times(1 / out_units))
            back_x = back_x + P.columns(coherent.times(coherence))
        return back_x if is_wide else back_x[:, :1]

    result = emit(y, (signal.x, back))
    return Signal(result, call.shape, dims, dense=True, varied=varied, offset=from_mean.mean(0))


def _forward(call: Call, x: Tensor, matrix: Rows, taps: Taps, acting: Acting, *, flat: bool) -> tuple[Tensor, Tensor]:
    """Particles of `W x`, and the part of them that comes of the mean over units."""
    mean = x.mean(1, keepdim=True)
    spread = P.moments(x - mean) if x.shape[1] > 1 else P.ZERO
    if flat:
        mean = mean.view(2, 2, 1).mean(1, keepdim=True).expand(2, 2, 1).reshape(P.R, 1)
        spread = P.Moments(spread.q, spread.q, spread.s, spread.s)
    lone = (taps.valid - taps.both) * float(mean.square().mean())
    through = P.Moments(
        taps.valid * spread.q + lone, taps.both * spread.p, taps.valid * spread.s + lone, taps.both * spread.o
    )
    from_mean = mean * matrix.sums * math.sqrt(taps.both)
    y = from_mean + acting.ahead(x - x.mean(1, keepdim=True), through) * matrix.energies.sqrt()
    if matrix.has_mean:
        common = spread.times(matrix.mean**2 * matrix.fan_in * taps.valid)
        y = y + modes(common, "forward", call.key)
    return y, from_mean


def uneven(variances: Tensor) -> Tensor | None:
    """Variance of each unit relative to their mean; None where they have the same."""
    low, high = (float(end) for end in variances.aminmax())
    return variances / variances.mean() if high > 0 and low < high else None


ONE = P.Moments(1.0, 1.0, 1.0, 1.0)


def add_bias(call: Call, signal: Signal, bias: object, index: Tensor) -> Signal:
    """Add one number per output unit."""
    if bias is None:
        return signal
    if not isinstance(bias, Weight):
        return signal.with_x(signal.x + call.signal(bias, signal.dims).x)
    repeats, dims, bare = call.run.repeats, signal.dims, call.bare
    offset = per_unit(bias, index, "bias", repeats.key(bias, call.key))

    def back(g: Tensor, scale: float) -> Tensor:
        learn_weight(bare, bias, g, None, ONE, dims, scale)
        return g

    y = emit(signal.value + offset, (signal.x, back)) if signal.x.requires_grad else signal.x + offset
    known = offset if signal.offset is None else signal.offset + offset
    return signal.with_x(y, offset=known)


def as_units(signal: Signal, where: tuple[int, ...], dims: Dims, call: Call) -> Signal:
    """The signal with the dims `where` read as units: reread if free, exchanged with positions if it must be."""
    if signal.free and signal.dims == dims:
        return signal
    if signal.free:
        return Signal(_refreshed(signal, dims, call), signal.shape, dims, free=True)
    inside = roles(signal.dims[i] for i in where)
    if not inside or Role.UNIT in inside or Role.POSITION not in inside:
        return signal
    return swap_units_and_positions(signal, call.key)


def last_as_units(signal: Signal, call: Call) -> Signal:
    """The last dim as units; of independent elements that makes positions of what were units before it."""
    before = signal.dims[:-1]
    if signal.free:
        before = tuple(tuple(replace(f, role=Role.POSITION) if f.role is Role.UNIT else f for f in d) for d in before)
    last = len(signal.shape) - 1
    return as_units(signal, (last,), (*before, dim(signal.shape[last], Role.UNIT)), call)


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
        weight = known_matrix(weight)
    signal = call.signal(operand)
    if len(weight.shape) == 1:
        weight = weight.reshaped(None if weight.values is None else weight.values[None], (1, *weight.shape))
        transposed = False
    if len(weight.shape) > 2:
        raise NoRuleError("its weight has more than two dims")
    out, fan_in = weight.shape[::-1] if transposed else weight.shape
    last = len(signal.shape) - 1
    signal = last_as_units(signal, call)
    inside = count([signal.dims[last]], Role.POSITION)
    dims = (*signal.dims[:last], dim(out, Role.UNIT))
    real = None if weight.values is None else (weight.values.T if transposed else weight.values)
    turned = weight.turned != transposed
    acting = call.run.repeats.real(weight) if inside == 1 else None
    if acting is not None:
        y, index = act_really(call, signal, weight, acting, dims, turned=turned), acting.index
    else:
        matrix = rows(weight, real, out, fan_in, call.run.repeats.key(weight, call.key, turned=turned))
        y, index = project(call, signal, weight, matrix, dims, Taps(), fan_in, inside, turned=turned), matrix.index
    y = y.with_x(y.x, shape=call.shape, dims=dims[: len(call.shape)])
    return add_bias(call, y, bias, index)


def known_matrix(value: object) -> Weight:
    if not isinstance(value, Tensor):
        raise NoRuleError("its weight is computed from the input")
    flat = value.detach().to(P.DTYPE).reshape(-1)
    return Weight("", tuple(value.shape), value, flat[:2048], learned=False)


RULES: dict[str, Transfer] = {"linear": linear}
