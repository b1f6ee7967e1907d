"""Rows that an index picks and puts back (experts that see their own tokens only), and max unpooling.

Which rows they are is not known, only how many: each is picked with the same probability f. A pair of rows is picked
with f², so what rows share is thinned more than what each has of its own.
"""

import math
from typing import Any

import torch
from torch import fx

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, NoRuleError, Transfer
from gradlint.propagation.dims import Dims, Role, dim, image_dims
from gradlint.propagation.signal import Back, Signal, emit, mapped
from gradlint.propagation.transfer import elementwise
from gradlint.propagation.transfer.contraction import as_units


def thinned(m: P.Moments, picked: int, rows: int) -> P.Moments:
    """Moments of rows of which `picked` out of `rows` are there and the rest are zero."""
    one = picked / rows
    two = one * (picked - 1) / (rows - 1) if rows > 1 else one
    return P.Moments(m.q * one, m.p * two, m.s * two, m.o * two)


def put_back(picked: int, rows: int, *key: object) -> Back:
    """What arrives at rows of which some have been picked, each at most once."""
    return mapped(lambda m: thinned(m, picked, rows), "rows", *key)


def where(call: Call) -> Any:
    """Of one argument: where it is not zero, integers. Of three: elementwise."""
    if len(call.args) + len(call.kwargs) > 1:
        return elementwise.where(call)
    return tuple(Ids(tuple(meta.shape)) for meta in call.node.meta["val"])


def index_add(call: Call) -> Signal:
    """`base.index_add(dim, index, source)`: rows of `source` are added to some rows of `base`."""
    axis, alpha = int(call.arg(1, "dim")), call.kwargs.get("alpha", 1)
    source = call.arg(3, "source")
    if not isinstance(source, Signal) or not isinstance(alpha, int | float):
        raise NoRuleError("what is added is not a signal")
    axis %= len(call.shape)
    picked, rows = source.shape[axis], call.shape[axis]
    if picked > rows:
        raise NoRuleError("more is added than there are rows")
    dims = _picked_from(call, rows) or (
        *source.dims[:axis],
        dim(rows, source.dims[axis][0].role),
        *source.dims[axis + 1 :],
    )
    base = call.signal(call.args[0], dims)
    added = P.reshape_moments(source.value, thinned(P.moments(source.value), picked, rows), "rows", call.key)
    x = base.x + alpha * emit(added, (source.x, lambda g, scale: g))
    return Signal(x, call.shape, base.dims if isinstance(call.args[0], Signal) else dims)


def _picked_from(call: Call, rows: int) -> Dims | None:
    """Dims of the signal from which the same index has picked rows."""
    index = call.node.args[2] if len(call.node.args) > 2 else call.node.kwargs.get("index")
    readers = list(index.users) if isinstance(index, fx.Node) else []
    for reader in readers:
        read = reader.args[0] if reader is not call.node and reader.args else None
        signal = call.run.environment.get(read) if isinstance(read, fx.Node) else None
        if isinstance(signal, Signal) and signal.shape[0] == rows and len(signal.shape) == len(call.shape):
            return signal.dims
    return None


def max_unpool(axes: int) -> Transfer:
    """max_unpool1d, 2d, 3d: each element goes to the place in its window where the maximum was, zeros elsewhere.

    Which place that is differs from unit to unit and from sample to sample.
    """

    def rule(call: Call) -> Signal:
        signal = call.signal(call.args[0])
        signal = as_units(signal, (1,), image_dims(signal.shape), call)
        given, places = math.prod(signal.shape[-axes:]), math.prod(call.shape[-axes:])
        if given > places:
            raise NoRuleError("it has fewer places than elements")
        f = given / places
        x = signal.value.expand(P.R, P.S)
        m = P.moments(x)
        there = torch.stack([P.permutation(call.key, i) % P.distinct() < f * P.distinct() for i in range(P.R)])
        wanted = P.Moments(m.q * f, m.p * f * f, m.s * f * f, m.o * f * f)
        y = P.reshape_moments(x * there, wanted, "unpool", call.key)

        def back(g: P.Moments) -> P.Moments:
            return P.Moments(g.q, g.p, f * g.s + (1 - f) * g.o, g.o)  # the same place in both samples, or another

        dims = (*signal.dims[:-axes], *(dim(n, Role.POSITION) for n in call.shape[-axes:]))
        return Signal(emit(y, (signal.x, mapped(back, "unpool-back", call.key))), call.shape, dims)

    return rule


def is_rows(picked: tuple[int, ...], given: tuple[int, ...]) -> bool:
    """Whether whole rows have been picked, fewer than there are."""
    return len(picked) == len(given) > 1 and picked[1:] == given[1:] and math.prod(picked) < math.prod(given)


RULES: dict[str, Transfer] = {
    "where": where,
    "index_add": index_add,
    **{f"max_unpool{n}d": max_unpool(n) for n in (1, 2, 3)},
}
