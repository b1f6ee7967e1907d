"""Sums and means over units, positions and samples, and the statistics built from them."""

import math

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NoRuleError, Transfer
from gradlint.propagation.dims import Dims, Role, count
from gradlint.propagation.positions import PositionMap, map_positions
from gradlint.propagation.signal import Signal, emit, modes
from gradlint.propagation.transfer.gating import group_means

LONGEST_SUM = 4096
"""Positions up to which a running sum is an explicit matrix."""
BLOCK = 16
"""Means over fewer units than this are taken over blocks of particles; over more, the law of large numbers holds."""


def reduced_axes(call: Call, index: int = 1) -> tuple[int, ...]:
    """The dims that a reduction runs over, counted from the front."""
    rank = len(call.signal(call.args[0]).shape)
    value = call.arg(index, "dim", call.kwargs.get("axis"))
    if value is None or (isinstance(value, tuple | list) and not value):
        return tuple(range(rank))
    axes = value if isinstance(value, tuple | list) else (value,)
    if not all(isinstance(a, int) for a in axes):
        raise NoRuleError(f"its dim {value!r} is not understood")
    return tuple(sorted(a % rank for a in axes))


def remaining_dims(signal: Signal, axes: tuple[int, ...], shape: tuple[int, ...]) -> Dims:
    """The dims that a reduction over `axes` leaves, kept as dims of size one where the result has as many."""
    if len(shape) == len(signal.shape):
        return tuple(() if i in axes else d for i, d in enumerate(signal.dims))
    return tuple(d for i, d in enumerate(signal.dims) if i not in axes)


def mean_over(call: Call, signal: Signal, axes: tuple[int, ...]) -> Signal:
    """Mean over whole dims; of integers and truth values too, whose number it tells."""
    if not signal.x.is_floating_point():
        signal = signal.with_x(signal.value.to(P.DTYPE))
    gone = [signal.dims[i] for i in axes]
    units = count(gone, Role.UNIT) * count(gone, Role.KEY)
    x = _replica_mean(call, signal, count(gone, Role.POSITION), count(gone, Role.SAMPLE))
    x = unit_mean(x, units, call.key, alone=signal.group == 1)
    group = units if 1 < units < BLOCK else signal.group
    return Signal(x, call.shape, remaining_dims(signal, axes, call.shape), group=group)


def unit_mean(x: Tensor, n: int, *key: object, alone: bool = True) -> Tensor:
    """Mean over `n` units: of blocks of particles where n is small, else one number per replica, `[R, 1]`.

    Units that depend on no other (`alone`) average with exactly 1/n of their covariance: chance between
    the particles of a group must not enter what replicas share, of which pooling may leave but a small difference.
    """
    if n == 1 or x.shape[1] == 1:
        return x
    if n < BLOCK:
        means = group_means(x.detach(), n)
        if alone:
            middle = x.detach().mean(1, keepdim=True)
            means = P.reshape_moments(means - middle, P.centred(x.detach()).times(1 / n), "group", *key) + middle
        return emit(means, (x, lambda g, scale: _to_blocks(g, n) / n))
    v = x.detach()
    middle = v.mean(1, keepdim=True)
    spread = P.moments(v - middle).times(1 / n)
    around = modes(spread, "mean", *key)
    mean = _positive(around, middle, spread.q) if bool((v > 0).all()) else middle + around
    return emit(mean, (x, lambda g, scale: g.expand(P.R, v.shape[1]) / n))


def _to_blocks(g: Tensor, n: int) -> Tensor:
    """All of a group receive what one place of its mean receives: differences within the group get nothing."""
    wide = g.view(P.R, P.BLOCKS, -1)
    whole = P.distinct() // n * n
    first = wide[..., :whole:n].repeat_interleave(n, 2)
    return torch.cat([first, first[..., : P.distinct() - whole]], 2).reshape(P.R, P.S)


def _replica_mean(call: Call, signal: Signal, positions: int, samples: int) -> Tensor:
    """Mean over positions and samples: a projection, so the result covaries with its operand as it should."""
    if positions * samples == 1:
        return signal.x
    x = signal.value
    mean = x.mean(1, keepdim=True)
    around = x - mean if x.shape[1] > 1 else x
    m = P.moments(around)
    q, p, s, o = m.q, m.p, m.s, m.o
    if positions > 1:
        whole = positions == signal.count(Role.POSITION)
        q, s = p + (q - p) / positions, o + (s - o) / positions
        p, o = (q, s) if whole else (p, o)
    if samples > 1:
        whole = samples == signal.count(Role.SAMPLE)
        q, p = s + (q - s) / samples, o + (p - o) / samples
        s, o = (q, p) if whole else (s, o)
    y = _projected(around, m, P.Moments(q, p, s, o), call.key)
    if x.shape[1] > 1:
        y = _positive(y, mean, y.square().mean(1, keepdim=True)) if bool((x > 0).all()) else y + mean
    n = positions * samples
    return emit(y, (signal.x, lambda g, scale: g / n))


def _positive(around: Tensor, mean: Tensor, variance: Tensor | float) -> Tensor:
    """Means of what is positive (squares, exponentials) are positive, whatever is divided by them: log-normal."""
    level = mean.clamp(min=1e-300)
    relative = torch.as_tensor(variance, dtype=P.DTYPE) / level.square()
    wide = torch.log1p(relative)
    return level * torch.exp(around / level * (wide / relative.clamp(min=1e-300)).sqrt() - wide / 2)


def _projected(x: Tensor, now: P.Moments, target: P.Moments, key: str) -> Tensor:
    """Moments `target`, and covariance with `x` equal to them."""
    if x.shape[1] == 1:
        return P.reshape_moments(x, target, "mean", key, current=now)
    gains, noise = [], []
    for have, want in zip(now.eigenvalues(), target.eigenvalues(), strict=True):
        gain = min(want / have, 1.0) if have > 1e-300 else 0.0
        gains.append(gain)
        noise.append(math.sqrt(max(want - gain * gain * have, 0.0)))
    a, b = torch.tensor(gains, dtype=P.DTYPE)[:, None], torch.tensor(noise, dtype=P.DTYPE)[:, None]
    return P.HADAMARD.T @ (a * (P.HADAMARD @ x) + b * P.normal("mean", key))


def mean(call: Call) -> Signal:
    """`mean(x, dim)`."""
    signal = call.signal(call.args[0])
    return mean_over(call, signal, reduced_axes(call))


def total(call: Call) -> Signal:
    """`sum(x, dim)`."""
    signal = call.signal(call.args[0])
    axes = reduced_axes(call)
    n = math.prod(signal.shape[i] for i in axes)
    y = mean_over(call, signal, axes)
    return y.with_x(y.x * n)


def variance(power: float) -> Transfer:
    """`var` (power 1) and `std` (power ½)."""

    def rule(call: Call) -> Signal:
        signal = call.signal(call.args[0])
        axes = reduced_axes(call)
        m = mean_over(call, signal, axes)
        around = signal.with_x(signal.x - m.x)
        v = mean_over(call, around.with_x(around.x.square()), axes)
        return v.with_x(v.x if power == 1 else v.x.clamp(min=0).add(1e-300).pow(power))

    return rule


def variance_and_mean(call: Call) -> tuple[Signal, Signal]:
    """`var_mean`."""
    signal = call.signal(call.args[0])
    return variance(1)(call), mean_over(call, signal, reduced_axes(call))


def norm(call: Call) -> Signal:
    """Euclidean norm over dims (others: not known)."""
    index = 2 if call.op.op in ("norm", "linalg_vector_norm", "linalg_norm") else 1
    order = call.arg(1, "p", call.kwargs.get("ord", 2))
    if order not in (2, 2.0, "fro", None):
        raise NoRuleError(f"norm of order {order}")
    signal = call.signal(call.args[0])
    axes = reduced_axes(call, index)
    n = math.prod(signal.shape[i] for i in axes)
    square = mean_over(call, signal.with_x(signal.x.square()), axes)
    return square.with_x((square.x.clamp(min=0) * n + 1e-300).sqrt())


def log_sum_exp(call: Call) -> Signal:
    """`logsumexp(x, dim)`: exponentials, their sum, its logarithm."""
    signal = call.signal(call.args[0])
    axes = reduced_axes(call)
    top = float(signal.value.amax())
    m = mean_over(call, signal.with_x(torch.exp(signal.x - top)), axes)
    n = math.prod(signal.shape[i] for i in axes)
    return m.with_x(torch.log((m.x * n).clamp(min=1e-300)) + top)


def running_sum(call: Call) -> Signal:
    """`cumsum(x, dim)` over positions: each place holds the sum of those before it."""
    signal = call.signal(call.args[0])
    axis = int(call.arg(1, "dim", 0)) % len(signal.shape)
    n = signal.shape[axis]
    if count([signal.dims[axis]], Role.POSITION) != n or n > LONGEST_SUM:
        raise NoRuleError("a running sum over anything but up to 4,096 positions")
    others = signal.count(Role.POSITION) // n
    a = PositionMap.of([torch.ones(n, n, dtype=P.DTYPE).tril(), torch.eye(others, dtype=P.DTYPE)])
    return map_positions(signal, a, signal.shape, signal.dims, call.key)


def trapezoid(call: Call) -> Signal:
    """`trapezoid(y, x)` (or `dx=`) along a dim: a sum weighted by half the distance to both neighbours."""
    signal = call.signal(call.args[0])
    axis = int(call.kwargs.get("dim", call.arg(2, "dim", -1))) % len(signal.shape)
    n = signal.shape[axis]
    places = call.arg(1, "x", torch.arange(n) * float(call.kwargs.get("dx", 1.0)))
    if not isinstance(places, Tensor) or places.shape != (n,):
        raise NoRuleError("places that are computed")
    steps = places.to(P.DTYPE).diff()
    edge = steps.new_zeros(1)
    weights = (torch.cat([edge, steps]) + torch.cat([steps, edge])) / 2
    spread = call.signal(weights.view(n, *[1] * (len(signal.shape) - 1 - axis)), signal.dims)
    y = mean_over(call, signal.with_x(signal.x * spread.x), (axis,))
    return y.with_x(y.x * n)


RULES: dict[str, Transfer] = {
    "mean": mean,
    "sum": total,
    "var": variance(1.0),
    "std": variance(0.5),
    "var_mean": variance_and_mean,
    "norm": norm,
    "linalg_vector_norm": norm,
    "linalg_norm": norm,
    "frobenius_norm": norm,
    "logsumexp": log_sum_exp,
    "cumsum": running_sum,
    **dict.fromkeys(("trapezoid", "trapz"), trapezoid),
}
