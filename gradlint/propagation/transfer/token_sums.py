"""Products that sum over positions without a softmax, and what reads them: linear attention q·(kᵀv), Gram matrices.

(kᵀv)_ij = Σ_t k_ti v_tj. What tokens share adds up coherently (T² instead of T), and where k has a mean over its units
(behind ReLU or exp) all rows i share it: a query with a mean adds them up coherently again.
"""

from dataclasses import dataclass, field

import torch

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call
from gradlint.propagation.dims import Dims
from gradlint.propagation.signal import Signal, emit


@dataclass(frozen=True, slots=True)
class RowShare:
    """How the rows of a sum over tokens resemble each other."""

    ahead: P.Moments
    """E[S_ij S_i′j] of two rows, relative to the signal's second moment."""
    back: list[float] = field(default_factory=list)
    """The same of the cotangent, relative to its own: left by whoever reads the sum, for its maker."""


def _means(signal: Signal) -> P.Moments:
    """Products of two units' means."""
    mean = signal.value.mean(1)
    return P.symmetrise(torch.outer(mean, mean))


def _over(a: P.Moments, b: P.Moments, n: int) -> P.Moments:
    """Σ over n positions of products of independent factors, squared: alone and in pairs."""
    same, other = n * (a.q * b.q + (n - 1) * a.p * b.p), n * (a.s * b.s + (n - 1) * a.o * b.o)
    return P.Moments(same, same, other, other)


def over_tokens(call: Call, left: Signal, right: Signal, n: int, dims: Dims) -> Signal:
    """Σ_t a_it b_tj: `left` has its positions last, `right` last but one."""
    ka, kb, ma = P.moments(left.value), P.moments(right.value), _means(left)
    whole, rows = _over(ka, kb, n), _over(ma, kb, n)
    mean = (n * left.value.mean(1) * right.value.mean(1))[:, None]
    middle = P.symmetrise(mean @ mean.T)
    y = P.gaussian(whole.minus(middle), call.key) + mean
    share = RowShare(rows.times(1 / max(whole.q, 1e-300)))
    i, j = call.shape[-2], call.shape[-1]

    def split(g: P.Moments) -> tuple[P.Moments, P.Moments]:
        alike = g.times(min(max(share.back, default=0.0), 1.0))
        return g.minus(alike), alike

    def to_left(g: torch.Tensor, scale: float) -> torch.Tensor:
        apart, alike = split(P.moments(g))
        own = P.cotangent(apart.product(kb).times(float(j)), "tokens-left", call.key)
        return own + P.columns(alike.product(kb).times(float(j)))

    def to_right(g: torch.Tensor, scale: float) -> torch.Tensor:
        m = P.moments(g)
        _, alike = split(m)
        energy = m.product(ka).times(float(i)).plus(alike.product(ma).times(float(i * (i - 1))))
        return P.cotangent(energy, "tokens-right", call.key)

    return Signal(emit(y, (left.x, to_left), (right.x, to_right)), call.shape, dims, rows=share)


def reading_rows(call: Call, left: Signal, right: Signal, n: int, dims: Dims, share: RowShare) -> Signal:
    """Σ_i q_ti S_ij for a sum over tokens S."""
    ka, kb, ma = P.moments(left.value), P.moments(right.value), _means(left)
    rows = share.ahead.times(kb.q)
    total = ka.product(kb).times(float(n)).plus(ma.product(rows).times(float(n * (n - 1))))
    mean = (n * left.value.mean(1) * right.value.mean(1))[:, None]
    y = P.gaussian(total.minus(P.symmetrise(mean @ mean.T)), call.key) + mean
    columns, queries = call.shape[-1], call.shape[-2]

    def to_left(g: torch.Tensor, scale: float) -> torch.Tensor:
        m = P.moments(g).times(float(columns))
        own = P.cotangent(m.product(kb.minus(rows)), "rows-left", call.key)
        return own + P.columns(m.product(rows))

    def to_right(g: torch.Tensor, scale: float) -> torch.Tensor:
        m = P.moments(g)
        whole = _over(ka, m, queries)
        share.back.append(_over(ma, m, queries).q / max(whole.q, 1e-300))
        return P.cotangent(whole, "rows-right", call.key)

    return Signal(emit(y, (left.x, to_left), (right.x, to_right)), call.shape, dims)
