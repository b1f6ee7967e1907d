"""Elementwise operators of any arity: applied to the particles as they stand, differentiated by autograd."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, NoRuleError, Transfer, clone_all, converted
from gradlint.propagation.dims import Dims, Role, count, default_dims
from gradlint.propagation.kinship import Kinship, summed
from gradlint.propagation.profiles import Profile, mixed
from gradlint.propagation.sharing import settled, shared, widened
from gradlint.propagation.signal import Signal
from gradlint.propagation.weights import Weight, spread

MAPS = frozenset(
    "relu relu6 sigmoid tanh gelu silu elu selu celu mish softplus softsign hardtanh hardswish hardsigmoid leaky_relu "
    "logsigmoid log_sigmoid threshold tanhshrink softshrink hardshrink erf erfc exp expm1 exp2 log log1p log2 log10 "
    "sqrt rsqrt square reciprocal abs neg sin cos tan asin acos atan sinh cosh asinh acosh atanh sinc sign round "
    "floor ceil trunc frac pow clamp clamp_min clamp_max clip nan_to_num positive logit sgn special_expit erfinv "
    "rrelu rrelu_with_noise lgamma digamma float_power i0 xlogy hypot".split()
)
"""Maps of one tensor."""

PAIRS = frozenset(
    "add sub rsub mul div pow maximum minimum fmax fmin atan2 lerp addcmul addcdiv where eq ne lt le gt ge logical_and "
    "logical_or logical_not bitwise_and bitwise_or bitwise_not remainder fmod floor_divide isnan isinf isfinite "
    "logaddexp copysign heaviside".split()
)
"""Maps of several tensors (or of a tensor and numbers)."""

OPERANDS = Signal | Weight | Tensor | Ids
BLOCKED = -50.0
"""Additive masks hold minus infinity or a large negative number (-100 in Swin) where a key is hidden."""


def operands(call: Call, values: list[Any]) -> tuple[list[Any], Dims]:
    """The tensor operands as particles ready for broadcasting, and the dims of the result."""
    shape = call.shape
    dims = result_dims([v for v in values if isinstance(v, Signal)], shape)
    out = []
    for value in values:
        if isinstance(value, Ids):
            raise NoRuleError("an operand's integer values are not known")
        if isinstance(value, Tensor):
            out.append(_concrete(value, dims))
        elif isinstance(value, Signal | Weight):
            out.append(_ready(call, call.signal(value, dims), dims))
        else:
            out.append(value)
    return widened(out, call.key), dims


def result_dims(signals: list[Signal], shape: tuple[int, ...]) -> Dims:
    """Roles of a broadcast result: for each dim those of the first operand that extends along it."""
    ordered = sorted(signals, key=lambda s: s.free)
    fallback = default_dims(shape)
    out = []
    for i, extent in enumerate(shape):
        chosen = () if extent == 1 else fallback[i]
        for s in ordered:
            j = i - (len(shape) - len(s.shape))
            if j >= 0 and s.shape[j] == extent and extent != 1:
                chosen = s.dims[j]
                break
        out.append(chosen)
    return tuple(out)


def _ready(call: Call, signal: Signal, dims: Dims) -> Tensor:
    """Particles of one operand, shared along the dims that it lacks."""
    x = signal.x
    if not x.is_floating_point():
        return x
    return shared(x, *lacking(signal, dims), call.key, signal.shape)


def lacking(signal: Signal, dims: Dims) -> tuple[int, int, int]:
    """Samples, positions and units of a result of which an operand has but one."""
    offset = len(dims) - len(signal.shape)
    gone = [d for i, d in enumerate(dims) if i < offset or signal.shape[i - offset] == 1]
    return count(gone, Role.SAMPLE), count(gone, Role.POSITION), count(gone, Role.UNIT) * count(gone, Role.KEY)


def _concrete(value: Tensor, dims: Dims) -> Any:
    if value.numel() == 1:
        return value.reshape(()).to(P.DTYPE) if value.dtype.is_floating_point else value.reshape(())
    if _is_over_keys(dims) and value.dtype.is_floating_point:
        value = value.masked_fill(value < BLOCKED, 0.0)  # hidden keys are remembered as a mask, not added
    return spread(value, tuple(value.shape), dims, "shape", tuple(value.shape))


def _is_over_keys(dims: Dims) -> bool:
    """Attention scores, and the biases added to them: (batch, heads, queries, keys)."""
    return count(dims, Role.KEY) > 1 or (len(dims) == 4 and count(dims[3:], Role.UNIT) <= 1)


def _evaluate(call: Call, args: Any, kwargs: dict[str, Any]) -> Tensor:
    dropped = {k: v for k, v in kwargs.items() if k not in ("dtype", "out", "inplace", "memory_format")}
    copies = clone_all(args) if call.op.inplace else args
    with torch.enable_grad():
        y = call.node.target(*copies, **dropped)  # type: ignore[operator]
    if not isinstance(y, Tensor):
        raise NoRuleError("it does not give a tensor")
    return y


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 0


def elementwise(call: Call) -> Signal:
    """Apply the operator itself to the particles."""
    leaves = [v for v in (*call.args, *call.kwargs.values()) if isinstance(v, OPERANDS)]
    if any(isinstance(v, Ids) for v in leaves) and call.op.op in ("eq", "ne", "lt", "gt", "le", "ge"):
        return Ids(call.shape)  # type: ignore[return-value]
    ready, dims = operands(call, leaves)
    lookup = {id(v): r for v, r in zip(leaves, ready, strict=True)}
    given = (call.args, dict(call.kwargs))
    args, kwargs = converted(given, lambda v: lookup.get(id(v), v))
    y = _evaluate(call, args, kwargs)
    signals = [v for v in leaves if isinstance(v, Signal)]
    first = signals[0] if signals else call.signal(leaves[0], dims)
    width = max(y.shape[1] if y.dim() == 2 else 1, 1)
    if y.dim() < 2 or y.shape[0] != P.R:
        y = y.expand(P.R, width)
    apart = call.node not in call.run.repeats.mixed
    if apart and call.op.op in ("add", "sub") and len(ready) == 2 and all(map(_is_floating, ready)):
        y = settled(y, ready[0].detach(), ready[1].detach(), call.key)
    single = len(leaves) == 1
    scaled = single or (
        call.op.op in ("mul", "div", "add", "sub") and not any(isinstance(v, Signal | Weight) for v in leaves[1:])
    )
    return Signal(
        y,
        call.shape,
        dims,
        mask=_mask(call, signals) if scaled or len(signals) <= 1 else None,
        rows=first.rows if scaled and call.op.op in ("mul", "div") else None,
        prob=first.prob if scaled and call.op.op in ("mul", "div") else None,
        parts=tuple(replace(p, moments=None) for p in first.parts) if len(signals) == 1 else (),
        before=first if single and call.op.op in MAPS else None,
        profile=_profile(signals, call.shape),
        kinship=_kinship(call, signals, y.detach()),
        group=max((s.group for s in signals), default=1),
    )


def _kinship(call: Call, signals: list[Signal], y: Tensor) -> Kinship | None:
    """Of a sum by variances; of a map of one signal by its linear part."""
    known = [(s.kinship, _variance(s.value)) for s in signals if s.kinship is not None]
    if not known or len(known) < len(signals):
        return None
    if len(signals) > 1:
        return summed(known) if call.op.op in ("add", "sub") else None
    kin, variance = known[0]
    x = signals[0].value
    if y.shape != x.shape or variance <= 0:
        return kin
    slope = float(((x - x.mean()) * y).mean()) / float((x - x.mean()).square().mean())
    left = slope**2 * variance / max(_variance(y), 1e-300)
    return kin.times(min(left, 1.0) ** 2)


def _variance(x: Tensor) -> float:
    """Over samples and positions, averaged over units."""
    m = P.moments(x)
    return max(m.q - m.o, 0.0)


def _profile(signals: list[Signal], shape: tuple[int, ...]) -> Profile | None:
    """Where the result's energy lies, operands weighted by theirs; what is the same everywhere (a gate) is even."""
    extents = tuple(shape[2:])
    lying = [s.profile if s.profile is not None and tuple(map(len, s.profile)) == extents else None for s in signals]
    if all(profile is None for profile in lying):
        return None
    return mixed(lying, [P.moments(s.value.to(P.DTYPE)).q for s in signals])  # a comparison's are no numbers


def _mask(call: Call, signals: list[Signal]) -> Any:
    """Valid keys per query row, where an additive mask of known values hides some."""
    if not signals or not _is_over_keys(signals[0].dims):
        return None
    for value in call.args:
        if isinstance(value, Tensor) and value.dtype.is_floating_point and value.dim() >= 2:
            valid = value > BLOCKED
            if not bool(valid.all()):
                return valid_keys(valid, call.shape)
    return signals[0].mask


def valid_keys(valid: Tensor, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Number of visible keys of each query row that sees any."""
    rows = torch.broadcast_to(valid, (*valid.shape[:-1], shape[-1])).sum(-1).reshape(-1).numpy()
    seen: np.ndarray[Any, Any] = rows[rows > 0]
    return seen if seen.size else np.array([shape[-1]])


def masked_fill(call: Call) -> Signal:
    """Hidden keys of attention scores are remembered as a mask; other tensors are filled particle by particle."""
    signal, mask, value = call.args[0], call.arg(1, "mask"), call.arg(2, "value")
    number = float(value.item()) if isinstance(value, Tensor) else value
    if isinstance(signal, Signal) and isinstance(number, float | int) and number < BLOCKED:
        if isinstance(mask, Tensor) and signal.count(Role.KEY) > 1:
            return signal.with_x(signal.x, mask=valid_keys(~mask.bool(), call.shape))
        return signal
    return elementwise(call)


def where(call: Call) -> Signal:
    """`where(mask, scores, -inf)` is a mask; anything else is elementwise."""
    condition, a, b = call.args[0], call.arg(1, "input"), call.arg(2, "other")
    filler = float(b.item()) if isinstance(b, Tensor) and b.numel() == 1 else b
    if isinstance(a, Signal) and isinstance(filler, float | int) and filler < BLOCKED:
        if isinstance(condition, Tensor) and a.count(Role.KEY) > 1:
            return a.with_x(a.x, mask=valid_keys(condition.bool(), call.shape))
        return a
    return elementwise(call)


def identity(call: Call) -> Any:
    """Dropout (identity here, as in `measure`), casts and copies."""
    value = call.args[0]
    meta = call.node.meta["val"]
    if isinstance(value, Signal) and not meta.dtype.is_floating_point:
        return value.with_x(value.value.to(meta.dtype), before=None)
    if isinstance(value, Signal) and not value.x.is_floating_point():
        return value.with_x(value.x.to(P.DTYPE))
    return value


def detach(call: Call) -> Any:
    """Gradient stops here."""
    value = call.args[0]
    return value.with_x(value.value) if isinstance(value, Signal) else value


def prelu(call: Call) -> Signal:
    """Slope per channel."""
    signal = call.signal(call.args[0])
    weight = call.arg(1, "weight")
    units = signal.count(Role.UNIT)
    slope = call.run.as_signal(weight, None, call.key)
    a = shared(
        slope.x, signal.count(Role.SAMPLE), signal.count(Role.POSITION), 1 if weight.numel == units else units, call.key
    )
    return Signal(torch.where(signal.x > 0, signal.x, a * signal.x), call.shape, signal.dims, before=signal)


def glu(call: Call) -> Signal:
    """First half of the units times the sigmoid of the second half."""
    signal = call.signal(call.args[0])
    half = P.distinct() // 2
    order = torch.randperm(P.distinct(), generator=P.generator("glu", call.key))
    a, b = signal.x[:, P.tiled(order[:half])], signal.x[:, P.tiled(order[half:])]
    y = _twice(a * torch.sigmoid(b)) if signal.x.shape[1] > 1 else signal.x * torch.sigmoid(signal.x)
    d = call.arg(1, "dim", -1)
    dims = list(signal.dims)
    dims[d] = tuple(type(f)(f.size // 2, f.role) if i == 0 else f for i, f in enumerate(dims[d]))
    return Signal(_Halved.apply(y, math.sqrt(0.5)), call.shape, tuple(dims))  # type: ignore[no-untyped-call]


def _twice(half: Tensor) -> Tensor:
    """`[R, S/2]` → `[R, S]`, every particle twice within its block."""
    blocks = half.view(P.R, P.BLOCKS, -1)
    return torch.cat([blocks, blocks], 2).reshape(P.R, -1)


class _Halved(torch.autograd.Function):
    """Every particle stands twice in the result: its gradient counts once."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.factor, None


RULES: dict[str, Transfer] = {
    **dict.fromkeys(MAPS | PAIRS, elementwise),
    "masked_fill": masked_fill,
    "where": where,
    "prelu": prelu,
    "glu": glu,
    "detach": detach,
    **dict.fromkeys(
        "dropout dropout1d dropout2d dropout3d feature_dropout alpha_dropout feature_alpha_dropout native_dropout to "
        "float double half bfloat16 type type_as contiguous clone alias cpu cuda requires_grad positive "
        "identity lift_fresh empty_permuted bernoulli int long bool copy".split(),
        identity,
    ),
}
