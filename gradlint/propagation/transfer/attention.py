"""Attention: scores, softmax over keys, and the mixing of values.

Closed forms (design `flow.md`, correction 5): with scores of variance σ², S2 = E Σp² and S3 = E Σp³ are drawn; the
mixed value keeps what keys share and S2 of what they do not; E[Σ ds²] = d·g·v_var·(S2 − 2·S3 + S2²).
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NoRuleError, Transfer
from gradlint.propagation.dims import Dim, Dims, Factor, Role, count, dim
from gradlint.propagation.signal import Prob, Signal, emit, modes
from gradlint.propagation.transfer.elementwise import BLOCKED, valid_keys
from gradlint.propagation.transfer.mixing import mixed_ahead, mixed_back
from gradlint.propagation.weights import Weight

QUADRATURE = 8
ROWS = 48


@lru_cache(maxsize=4096)
def _softmax_sums(variance: float, keys: int, correlation: float) -> tuple[float, float, float]:
    """E Σp², E Σp³ and E Σp·p′ for Gaussian scores of `variance`, two rows of them correlated by `correlation`."""
    rng = np.random.default_rng(keys)
    width = min(keys, 2048)
    a = rng.standard_normal((ROWS, width))
    b = correlation * a + math.sqrt(max(1 - correlation**2, 0.0)) * rng.standard_normal((ROWS, width))
    root = math.sqrt(variance)
    p, r = (np.exp(root * (z - z.max(1, keepdims=True))) for z in (a, b))
    p, r = p / p.sum(1, keepdims=True), r / r.sum(1, keepdims=True)
    share = width / keys  # beyond 2,048 keys the sums go on falling as 1/keys
    return (
        float((p**2).sum(1).mean()) * share,
        float((p**3).sum(1).mean()) * share**2,
        float((p * r).sum(1).mean()) * share,
    )


def softmax_statistics(scores: P.Moments, keys: int, visible: Any) -> Prob:
    """Σp², Σp³ and overlaps, averaged over query positions that see different numbers of keys.

    Args:
        scores: moments of what varies over keys (p: another query, s: another sample, o: both).
        keys: number of keys.
        visible: visible keys per query row, or None where all are.
    """
    counts = np.array([keys]) if visible is None else np.asarray(visible)
    if counts.size > QUADRATURE:
        counts = np.quantile(np.sort(counts), (np.arange(QUADRATURE) + 0.5) / QUADRATURE)
    variance = max(scores.q, 0.0)
    pairs = [max(-1.0, min(1.0, v / variance)) if variance > 1e-12 else 1.0 for v in (scores.p, scores.s, scores.o)]
    rows = []
    for visible_ in counts:
        n = max(1, round(float(visible_)))
        sums = [_softmax_sums(round(variance, 9), n, round(correlation, 3)) for correlation in pairs]
        rows.append([*sums[0][:2], *(overlap for _, _, overlap in sums)])
    s2, s3, p, s, o = (float(v) for v in np.array(rows).mean(0))
    return Prob(keys, s2, s3, P.Moments(s2, min(p, s2), min(s, s2), min(o, s2)))


def varying(k: P.Moments) -> P.Moments:
    """What of the keys differs between positions, seen from queries: the key is the same, only samples may differ."""
    return P.Moments(k.q - k.p, k.q - k.p, k.s - k.o, k.s - k.o)


def scores(call: Call, query: Signal, key: Signal, n: int, dims: Dims, groups: float = 1.0) -> Signal:
    """q·k for every query and key position; particles stand for keys.

    Args:
        call: the operator call.
        query: the queries.
        key: the keys, units last.
        n: number of units summed over.
        dims: dims of the scores.
        groups: queries per key head (grouped-query attention).
    """
    q, k = P.moments(query.value), P.moments(key.value)
    inner = varying(k)
    free = q.product(inner).times(n)
    q_mean, k_mean = query.value.mean(1), key.value.mean(1)
    common = q.product(P.Moments(k.p, k.p, k.o, k.o)).times(n)
    coherent = float((n * q_mean * k_mean).square().mean())
    shift = modes(P.Moments(max(common.q, coherent), max(common.p, coherent), common.s, common.o), "scores", call.key)
    y = P.gaussian(free, "scores", call.key) + shift
    keys, queries = key.shape[-2], query.shape[-2]  # further position dims are windows: attention stays inside

    def to_query(g: Tensor, scale: float) -> Tensor:
        rest = P.centred_blocks(g)
        middle = P.moments(g).minus(rest)
        shared = P.Moments(k.p, k.p, k.o, k.o)
        energy = rest.product(inner).times(keys).plus(middle.product(shared).times(keys * keys))
        return P.cotangent(energy, "to-query", call.key)

    def to_key(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        one = queries * groups
        same = one * (m.q * q.q + (queries - 1) * m.p * q.p)
        other = one * (m.s * q.s + (queries - 1) * m.o * q.o)
        places = max(keys, key.count(Role.POSITION))  # of all windows
        lone = -1 / (places - 1) if places > 1 else 1.0  # softmax sends back scores that sum to zero over keys
        spread = P.Moments(same, lone * same, other, lone * other)
        return P.cotangent(spread, "to-key", call.key)

    return Signal(emit(y, (query.x, to_query), (key.x, to_key)), call.shape, dims)


def softmax_keys(call: Call, signal: Signal, axis: int) -> Signal:
    """Softmax over the keys of attention scores."""
    keys = signal.shape[axis]
    x = signal.value
    around = x - x.mean(1, keepdim=True)
    prob = softmax_statistics(P.moments(around), keys, signal.mask)
    e = torch.exp(around - around.amax(1, keepdim=True))
    p = e / (e.sum(1, keepdim=True) / e.shape[1] * keys)
    p = p * math.sqrt(prob.s2 / keys / max(float(p.square().mean()), 1e-300))
    left = max(prob.s2 - 2 * prob.s3 + prob.s2**2, 0.0) / keys

    def back(g: Tensor, scale: float) -> Tensor:
        c = P.centred_blocks(g)
        o = prob.overlap
        thin = [v / max(prob.s2, 1e-300) for v in (o.p, o.s, o.o)]
        energy = P.Moments(c.q, c.p * thin[0], c.s * thin[1], c.o * thin[2]).times(left)
        return P.cotangent(energy, "softmax", call.key)

    return Signal(emit(p, (signal.x, back)), call.shape, signal.dims, prob=prob)


def mix(call: Call, weights: Signal, value: Signal, prob: Prob, dims: Dims, groups: float = 1.0) -> Signal:
    """Σ_t p_t v_t: values mixed by softmax rows."""
    x = value.value
    mean = x.mean(1, keepdim=True)
    v = P.moments(x - mean)
    o = prob.overlap
    free_same, free_other = v.q - v.p, v.s - v.o
    y = P.Moments(
        v.p + free_same * o.q,
        v.p + free_same * o.p,
        v.o + free_other * o.s,
        v.o + free_other * o.o,
    )
    n = value.shape[-1]
    keys, queries = prob.keys, weights.shape[-2]

    def to_weights(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        energy = m.product(P.Moments(free_same, free_same, free_other, free_other)).times(n)
        return P.cotangent(energy, "to-weights", call.key)

    def to_value(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        per_key = queries / keys * groups
        same = per_key * (o.q * m.q + (queries - 1) * o.p * m.p)
        other = per_key * (o.s * m.s + (queries - 1) * o.o * m.o)
        cross = per_key / keys * (m.q + (queries - 1) * m.p), per_key / keys * (m.s + (queries - 1) * m.o)
        common = per_key * (m.p + (m.q - m.p) / queries), per_key * (m.o + (m.s - m.o) / queries)
        shared = P.Moments(common[0], common[0], common[1], common[1])
        return mixed_back(call, g, P.Moments(same, cross[0], other, cross[1]), shared, "to-value")

    common = v.p + free_same / keys, v.o + free_other / keys
    shared = P.Moments(common[0], common[0], common[1], common[1])
    total = mixed_ahead(call, x - mean, y, shared) + mean
    return Signal(emit(total, (weights.x, to_weights), (value.x, to_value)), call.shape, dims)


def attention(call: Call) -> Signal:
    """scaled_dot_product_attention: scores, softmax and mixing in one."""
    query, key, value = (call.signal(call.args[i]) for i in range(3))
    mask, causal = call.arg(3, "attn_mask"), bool(call.arg(5, "is_causal", False))
    n, keys = query.shape[-1], key.shape[-2]
    given = call.kwargs.get("scale", call.args[6] if len(call.args) > 6 else None)
    scale = float(given) if given is not None else 1 / math.sqrt(n)
    heads = max(1.0, math.prod(query.shape[1:-2]) / max(1, math.prod(key.shape[1:-2])))
    query, key, value = (_tokens(s) for s in (query, key, value))
    dims = (*query.dims[:-1], dim(keys, Role.KEY))
    raw = scores(call, query, key, n, dims, heads)
    visible = _visible(mask, causal=causal, shape=(*query.shape[:-1], keys))
    x = raw.x * scale
    if isinstance(mask, Signal | Weight):
        x = x + _score_bias(call, mask, (*query.shape[:-1], keys))
    scaled = raw.with_x(x, mask=visible, shape=(*query.shape[:-1], keys))
    p = softmax_keys(call, scaled, -1)
    assert p.prob is not None
    return mix(call, p, value, p.prob, (*query.dims[:-1], value.dims[-1]), heads)


def _visible(mask: Any, *, causal: bool, shape: tuple[int, ...]) -> Any:
    """Visible keys of each query row (`[rows]`), None where all are."""
    if causal:
        return np.clip(np.arange(1, shape[-2] + 1), 1, shape[-1])
    if isinstance(mask, Signal):
        return mask.mask
    values = mask.values if isinstance(mask, Weight) else mask
    if not isinstance(values, Tensor):
        return None
    valid = values if values.dtype == torch.bool else values.detach() > BLOCKED
    return None if bool(valid.all()) else valid_keys(valid, shape)


def _score_bias(call: Call, bias: Signal | Weight, shape: tuple[int, ...]) -> Tensor:
    """A learned or computed bias of the scores (relative positions), the same for all samples.

    Its entries for one query's keys, and for one key's queries, count as independent.
    """
    signal = call.signal(bias)
    x = signal.value.masked_fill(signal.value < BLOCKED, 0.0)
    free = max(P.moments(x).q - float(x.mean()) ** 2, 0.0)
    y = P.gaussian(P.Moments(free, 0.0, free, 0.0), "bias", call.key)
    missing = len(shape) - len(signal.shape)
    lacking = [n for i, n in enumerate(shape) if i < missing or signal.shape[i - missing] == 1]
    samples = shape[0] if missing > 0 or signal.shape[0] == 1 else 1
    copies = math.prod(lacking) / max(1, samples)  # heads that share it

    def back(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        q = copies * samples * (m.q + (samples - 1) * max(m.s, 0.0))
        return P.cotangent(P.Moments(q, 0.0, 0.0, 0.0), "to-bias", call.key)

    return emit(y, (signal.x, back))


def _tokens(signal: Signal) -> Signal:
    """Free inputs are read as (…, tokens, features)."""
    if not signal.free and signal.count(Role.POSITION) > 1:
        return signal
    rank = len(signal.shape)
    dims = list(signal.dims)
    dims[rank - 2], dims[rank - 1] = dim(signal.shape[-2], Role.POSITION), dim(signal.shape[-1], Role.UNIT)
    return signal.with_x(signal.x, dims=tuple(dims))


def _turned(rows: Dim) -> Dim:
    """Queries as keys, and keys as queries."""
    other = {Role.POSITION: Role.KEY, Role.KEY: Role.POSITION}
    return tuple(Factor(f.size, other.get(f.role, f.role)) for f in rows)


def softmax(call: Call) -> Signal:
    """Over keys: attention. Over units: exactly, in groups of as many particles as there are units."""
    signal = call.signal(call.args[0])
    axis = call.arg(1, "dim", -1)
    if not isinstance(axis, int):
        raise NoRuleError("softmax without a dim")
    if axis in (-1, len(signal.dims) - 1) and count(signal.dims[-1:], Role.POSITION) > 1 < signal.count(Role.KEY):
        signal = signal.with_x(signal.x, dims=tuple(map(_turned, signal.dims)))  # transposed: the keys do the asking
    along = signal.dims[axis]
    log = "log" in call.op.op
    if count([along], Role.KEY) > 1 and not log:
        return softmax_keys(call, signal, axis)
    n = signal.shape[axis]
    if count([along], Role.SAMPLE) > 1:
        call.run.mixing.add(call.node.name)
    if count([along], Role.POSITION) > 1 or count([along], Role.SAMPLE) > 1:
        return _softmax_replicas(call, signal, n, log=log)
    y = grouped_softmax(signal.x, n, log=log)
    return Signal(y, call.shape, signal.dims, group=n if n < P.S else 1)


def grouped_softmax(x: Tensor, n: int, *, log: bool = False) -> Tensor:
    """Softmax over groups of `n` particles, `[R, S]`; beyond S units the denominator grows in proportion."""
    function = torch.log_softmax if log else torch.softmax
    if x.shape[1] == 1 or n == 1:
        return function(x[..., None].expand(*x.shape, n), -1)[..., 0]
    if n >= P.S:
        extra = math.log(n / x.shape[1])
        return function(x, 1) - extra if log else function(x, 1) * (x.shape[1] / n)
    groups = x.shape[1] // n
    head = function(x[:, : groups * n].reshape(P.R, groups, n), 2).reshape(P.R, -1)
    rest = x.shape[1] - groups * n
    return torch.cat([head, function(x[:, -n:], 1)[:, n - rest :]], 1) if rest else head


def _softmax_replicas(call: Call, signal: Signal, n: int, *, log: bool) -> Signal:
    """Softmax over positions (or samples): the other positions are drawn with their common part."""
    x = signal.x
    v = x.detach()
    common = v.view(2, 2, -1).mean(1, keepdim=True).expand(2, 2, v.shape[1]).reshape(P.R, -1)
    others = sum(
        torch.exp(common + (v - common)[:, P.permutation("softmax", call.key, i)] - v.amax())
        for i in range(min(n - 1, 64))
    )
    rest = others * ((n - 1) / max(1, min(n - 1, 64)))
    y = torch.exp(x - v.amax()) / (torch.exp(x - v.amax()) + rest)
    return Signal(torch.log(y.clamp(min=1e-300)) if log else y, call.shape, signal.dims)


RULES: dict[str, Transfer] = {
    "scaled_dot_product_attention": attention,
    **dict.fromkeys("softmax _softmax special_softmax log_softmax special_log_softmax".split(), softmax),
}
