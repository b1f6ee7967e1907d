"""Attention among positions of several kinds (see `parts`): every kind of query reads keys and values of all kinds."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NamedCall, Transfer
from gradlint.propagation.parts import Parts, narrowed_shape
from gradlint.propagation.sharing import fork
from gradlint.propagation.signal import Back, Signal, emit


def fused(call: Call, rule: Transfer) -> Any:
    """`scaled_dot_product_attention` without a mask."""
    query, key, value = call.args[:3]
    masked = call.arg(3, "attn_mask") is not None or bool(call.arg(5, "is_causal", False))
    if masked or (isinstance(query, Parts) and query.axis != len(query.shape) - 2):
        return None
    key, value = (_pooled(call, v) if isinstance(v, Parts) else v for v in (key, value))
    rest = call.args[3:]
    if not isinstance(query, Parts):
        return rule(replace(call, args=(query, key, value, *rest)))
    readers = len(query.sizes)
    keys, values = (fork(s, readers, f"{call.key}.{n}", alike=True) for s, n in ((key, "keys"), (value, "values")))
    args = [(query.signals[k], keys[k], values[k], *rest) for k in range(readers)]
    return _rows(call, rule, query, args)


def product(call: Call, rule: Transfer) -> Any:
    """Scores and mixing written by hand: `q @ kᵀ`, `softmax(…) @ v`."""
    left, right = call.args[0], call.arg(1, "other", call.kwargs.get("mat2"))
    if isinstance(right, Parts):
        right = _pooled(call, right)
    if not isinstance(left, Parts):
        return rule(replace(call, args=(left, right)))
    if left.axis != len(left.shape) - 2 or not isinstance(right, Signal):
        return None
    readers = len(left.sizes)
    rights = fork(right, readers, f"{call.key}.right", alike=True)
    return _rows(call, rule, left, [(left.signals[k], rights[k]) for k in range(readers)])


def _rows(call: Call, rule: Transfer, lead: Parts, args: list[tuple[Any, ...]]) -> Parts | None:
    """The call on the rows of each kind."""
    signals = []
    for k, n in enumerate(lead.sizes):
        shape = narrowed_shape(lead.dims, call.shape, lead.count, n)
        kwargs = call.kwargs if call.op.op == "scaled_dot_product_attention" else {}
        signals.append(rule(NamedCall(call.node, call.op, args[k], kwargs, call.run, f"{call.key}.part{k}", shape)))
    return Parts.of(signals, lead.sizes, call.shape, (*lead.dims[:-1], signals[0].dims[-1]))


def _pooled(call: Call, parts: Parts) -> Signal:
    """All kinds as one signal with the moments of the whole, where only moments count (keys, values)."""
    xs, total = [s.value.expand(P.R, P.S) for s in parts.signals], parts.count
    shares = [n / total for n in parts.sizes]
    mean = sum(share * x.mean(1, keepdim=True) for share, x in zip(shares, xs, strict=True))
    around = [x - mean for x in xs]
    y = P.gaussian(_over_all(around, parts.sizes), call.key, parts.axis, len(parts.shape)) + mean

    def back(size: int, i: int) -> Back:
        def handed(g: Tensor, scale: float) -> Tensor:
            m = P.moments(g)
            return P.cotangent(P.Moments(m.q, m.q, m.s, m.s) if size == 1 else m, "pooled", call.key, i)

        return handed

    backs = [(s.x, back(n, i)) for i, (s, n) in enumerate(zip(parts.signals, parts.sizes, strict=True))]
    return Signal(emit(y, *backs), parts.shape, parts.dims)


def _over_all(kinds: list[Tensor], sizes: tuple[int, ...]) -> P.Moments:
    """Moments of the whole: pairs of positions are of one kind, or of two."""
    same, other = torch.zeros(2, dtype=P.DTYPE), torch.zeros(2, dtype=P.DTYPE)  # this sample, another one
    for i, (n, a) in enumerate(zip(sizes, kinds, strict=True)):
        m = P.moments(a)
        same += n * torch.tensor([m.q, m.s], dtype=P.DTYPE)
        other += n * (n - 1) * torch.tensor([m.p, m.o], dtype=P.DTYPE)
        for j, (k, b) in enumerate(zip(sizes, kinds, strict=True)):
            if i != j:
                pairs = (a @ b.T / P.S).view(2, 2, 2, 2).mean((1, 3))  # [sample, sample]
                other += n * k * torch.stack([pairs.diagonal().mean(), pairs.flip(0).diagonal().mean()])
    total = sum(sizes)
    (q, s), (p, o) = (same / total).tolist(), (other / (total * (total - 1))).tolist()
    return P.Moments(q, p, s, o)
