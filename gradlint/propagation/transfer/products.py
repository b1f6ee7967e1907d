"""Products of two computed tensors: matmul, bmm, einsum."""

import math
import string
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NoRuleError, Transfer
from gradlint.propagation.dims import Dim, Dims, Factor, Role, count, dim
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer import attention
from gradlint.propagation.transfer.contraction import Taps, add_bias, dense, project
from gradlint.propagation.transfer.layout import turned
from gradlint.propagation.transfer.token_sums import over_tokens, reading_rows
from gradlint.propagation.weights import Weight, rows, unit_index


def matmul(call: Call) -> Signal:
    """`a @ b`: with a weight a contraction, with another signal attention's scores or mixing."""
    return product(call, call.args[0], call.arg(1, "other", call.kwargs.get("mat2")))


def product(call: Call, a: Any, b: Any) -> Signal:
    """`a @ b` over the last dim of `a` and the last but one of `b`."""
    if isinstance(b, Weight | Tensor) and len(b.shape) <= 2 and isinstance(a, Signal):
        return dense(call, a, b, None, transposed=True)
    if isinstance(a, Weight | Tensor) and len(a.shape) == 2 and isinstance(b, Signal):
        return _from_the_left(call, a, b)
    left, right = call.signal(a), call.signal(b)
    if len(right.shape) < 2 or len(left.shape) < 2:
        raise NoRuleError("a product of vectors")
    if _is_power(call):
        raise NoRuleError("powers of a matrix over positions: its factors depend on each other")
    return contract(call, left, right)


def _is_power(call: Call) -> bool:
    """Whether both factors are matrices over positions computed from one such matrix (an inverse by iteration).

    Their products are far from those of independent factors: softmax rows sum to one, and so do those of any power.
    """
    nodes = [n for n in call.node.args[:2] if isinstance(n, fx.Node)]
    if len(nodes) < 2:
        return False
    first, second = (_matrices_behind(n, call) for n in nodes)
    return bool(first & second)


def _matrices_behind(node: fx.Node, call: Call) -> set[fx.Node]:
    """The matrices over positions from which one is computed, itself included."""
    found: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        seen = waiting.pop()
        value = call.run.environment.get(seen)
        if seen in found or not isinstance(value, Signal) or not _is_over_positions(value):
            continue
        found.add(seen)
        waiting.extend(seen.all_input_nodes)
    return found


def _is_over_positions(signal: Signal) -> bool:
    dims = signal.dims[-2:]
    return len(dims) == 2 and all(count([d], Role.POSITION) * count([d], Role.KEY) > 1 for d in dims)


def _from_the_left(call: Call, matrix: Weight | Tensor, signal: Signal) -> Signal:
    """`W @ x`: contraction over the last but one dim of x."""
    flipped = _transposed(signal)
    y = dense(call, flipped, matrix, None, transposed=False)
    dims = (*y.dims[:-2], y.dims[-1], y.dims[-2]) if len(y.dims) > 1 else y.dims
    return Signal(y.x, call.shape, dims)


def _transposed(signal: Signal) -> Signal:
    d, s = signal.dims, signal.shape
    return signal.with_x(signal.x, dims=(*d[:-2], d[-1], d[-2]), shape=(*s[:-2], s[-1], s[-2]))


def contract(call: Call, left: Signal, right: Signal) -> Signal:
    """The last dim of `left` against the last but one of `right`."""
    along, n = left.dims[-1], left.shape[-1]
    if count([along, right.dims[-2]], Role.SAMPLE) > 1:
        call.run.mixing.add(call.node.name)
    if left.prob is not None and count([along], Role.KEY) > 1:
        dims = _joined(call.shape, left.dims, right.dims[-1])
        return attention.mix(call, left, right, left.prob, dims)
    if count([along], Role.KEY) > 1:
        return _energy(call, left, right, n)
    reads_positions = count([right.dims[-1]], Role.POSITION) > 1 or right.free
    if count([along], Role.POSITION) > 1 and not left.free:
        dims = _joined(call.shape, tuple(map(_as_positions, left.dims)), right.dims[-1])
        return over_tokens(call, left, right, n, dims)
    if right.rows is not None:
        return reading_rows(call, left, right, n, _joined(call.shape, left.dims, right.dims[-1]), right.rows)
    if reads_positions:
        left, key = attention._tokens(left), attention._tokens(_transposed(right))
        dims = _joined(call.shape, left.dims, dim(right.shape[-1], Role.KEY))
        return attention.scores(call, left, key, n, dims)
    return _energy(call, left, right, n)


def _as_positions(rows: Dim) -> Dim:
    """What were keys, of a matrix of attention that is read the other way round, gets a result each."""
    return tuple(Factor(f.size, Role.POSITION) if f.role is Role.KEY else f for f in rows)


def _joined(shape: tuple[int, ...], dims: Dims, last: Dim) -> Dims:
    head = dims[: len(shape) - 1]
    missing = len(shape) - 1 - len(head)
    return (*(((),) * missing), *head, last)


def _energy(call: Call, left: Signal, right: Signal, n: int) -> Signal:
    """A sum of n products of independent factors: variances multiply, means add up coherently."""
    a, b = left.value, right.value
    ma, mb = a.mean(1), b.mean(1)
    ka, kb = P.moments(a), P.moments(b)
    free = ka.product(kb).times(float(n)).minus(P.symmetrise(torch.outer(ma * mb, ma * mb)).times(float(n)))
    mean = (n * ma * mb)[:, None]
    y = P.gaussian(free, call.key) + mean.expand(P.R, P.S)
    columns, rows = call.shape[-1], call.shape[-2]

    def to_left(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        return P.cotangent(m.product(kb).times(float(columns)), "left", call.key)

    def to_right(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        ratio = math.prod(left.shape[:-2]) / max(1, math.prod(right.shape[:-2]))
        return P.cotangent(m.product(ka).times(float(rows) * max(ratio, 1.0)), "right", call.key)

    dims = _joined(call.shape, left.dims, right.dims[-1])
    return Signal(emit(y, (left.x, to_left), (right.x, to_right)), call.shape, dims)


def addmm(call: Call) -> Signal:
    """`beta·bias + alpha·(a @ b)`."""
    bias = call.args[0]
    a = call.arg(1, "mat1", call.kwargs.get("batch1"))
    b = call.arg(2, "mat2", call.kwargs.get("batch2"))
    y = product(call, a, b)
    alpha, beta = float(call.kwargs.get("alpha", 1)), float(call.kwargs.get("beta", 1))
    if alpha != 1:
        y = y.with_x(y.x * alpha)
    if beta != 1:
        return y.with_x(y.x + call.signal(bias, y.dims).x * beta) if beta else y
    if isinstance(bias, Weight) and len(bias.shape) == 1:
        return add_bias(call, y, bias, unit_index(bias.numel, call.key))
    return y.with_x(y.x + call.signal(bias, y.dims).x)


def grouped(call: Call) -> Signal:
    """`grouped_mm(x, W)` with one weight `[experts, in, out]` per group of rows: each row meets one expert."""
    operand, weight = call.args[0], call.args[1]
    if not isinstance(weight, Weight) or len(weight.shape) != 3 or not isinstance(operand, Signal):
        raise NoRuleError("its experts are not parameters")
    experts, fan_in, out = weight.shape
    real = None if weight.values is None else weight.values.transpose(1, 2).reshape(experts * out, fan_in)
    matrix = rows(weight, real, experts * out, fan_in, call.key)
    matrix = replace(matrix, total=matrix.total / experts)
    tokens = call.shape[0]
    share = (dim(max(1, tokens // experts), Role.SAMPLE), dim(out, Role.UNIT))
    y = project(call, operand, weight, matrix, share, Taps(), fan_in)
    return y.with_x(y.x, dims=(dim(tokens, Role.SAMPLE), share[1]))


def einsum(call: Call) -> Signal:
    """Two-operand einsum: brought to `a @ b` by looking at which letters are shared; of one operand, its dims in
    another order."""
    equation = call.args[0]
    given = call.args[1:] if not isinstance(call.args[1], tuple | list) else tuple(call.args[1])
    if isinstance(equation, str) and len(given) == 1:
        return _turned(call, equation, call.signal(given[0]))
    if not isinstance(equation, str) or len(given) != 2 or equation.count(",") != 1:
        raise NoRuleError(f"einsum {equation!r}")
    first, second, result = _terms(equation, given)
    summed = [c for c in first if c in second and c not in result]
    if not summed:
        raise NoRuleError(f"einsum {equation!r} sums over nothing")
    batch = [c for c in first if c in second and c in result]
    if isinstance(given[1], Weight) and isinstance(given[0], Signal) and not batch:
        return _einsum_weight(call, given[0], given[1], first, second, result, summed)
    a = call.signal(given[0], _like(given[0], first, given[1], second))
    b = call.signal(given[1], _like(given[1], second, given[0], first))
    rows = [c for c in first if c not in second]
    columns = [c for c in second if c not in first]
    left = _permuted(a, first, batch, rows, summed)
    right = _permuted(b, second, batch, summed, columns)
    y = contract(call, left, right)
    names = dict(
        zip(
            [*batch, *rows, *columns],
            [*_dims_of(a, first, [*batch, *rows]), *_dims_of(b, second, columns)],
            strict=True,
        )
    )
    if count(left.dims[-1:], Role.POSITION) > 1 and not left.free:
        names |= {c: _as_positions(names[c]) for c in rows}
    if columns and count(y.dims[-1:], Role.KEY) > 1:
        for c in columns:
            names[c] = tuple(Factor(f.size, Role.KEY) for f in names[c])
    return y.with_x(y.x, dims=tuple(names[c] for c in result), shape=call.shape)


def _turned(call: Call, equation: str, signal: Signal) -> Signal:
    """einsum of one operand that neither sums nor takes a diagonal: a permutation (unpatchify, "nhwpqc->nchpwq")."""
    given, _, result = equation.replace(" ", "").partition("->")
    if sorted(given) != sorted(result) or len(set(given)) != len(given) or len(given) != len(signal.shape):
        raise NoRuleError(f"einsum {equation!r}")
    return turned(signal, [given.index(letter) for letter in result])


def _terms(equation: str, given: Any) -> tuple[str, str, str]:
    """The letters of both operands and of the result; an ellipsis stands for letters of its own, aligned right."""
    inputs, _, result = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    spare = [c for c in string.ascii_uppercase if c not in equation]
    hidden = [len(v.shape) - len(t.replace("...", "")) if "..." in t else 0 for v, t in zip(given, terms, strict=True)]
    letters = ["".join(spare[max(hidden) - n : max(hidden)]) for n in (*hidden, max(hidden))]
    first, second, last = (t.replace("...", kept) for t, kept in zip((*terms, result), letters, strict=True))
    return first, second, last


def _like(value: Any, letters: str, other: Any, others: str) -> Dims | None:
    """Roles of the dims of a weight or constant: those of the other operand where it has the letter, else positions."""
    if isinstance(value, Signal) or not isinstance(other, Signal):
        return None
    extents = zip(letters, value.shape, strict=True)
    return tuple(other.dims[others.index(c)] if c in others else dim(n, Role.POSITION) for c, n in extents)


def _dims_of(signal: Signal, letters: str, wanted: list[str]) -> list[Dim]:
    return [signal.dims[letters.index(c)] for c in wanted]


def _permuted(signal: Signal, letters: str, *groups: list[str]) -> Signal:
    """Dims grouped as (batch…, rows, columns), groups merged."""
    batch, rows, columns = groups
    order = [letters.index(c) for c in batch]
    merged = [tuple(f for c in group for f in signal.dims[letters.index(c)]) for group in (rows, columns)]
    sizes = [math.prod(signal.shape[letters.index(c)] for c in group) for group in (rows, columns)]
    dims = (*(signal.dims[i] for i in order), *merged)
    shape = (*(signal.shape[i] for i in order), *sizes)
    return signal.with_x(signal.x, dims=dims, shape=shape)


def _einsum_weight(
    call: Call, signal: Signal, weight: Weight, first: str, second: str, result: str, summed: list[str]
) -> Signal:
    """einsum with a parameter: a dense contraction over the shared letters."""
    columns = [c for c in second if c not in first]
    keep = [c for c in first if c not in summed]
    flat = _permuted(signal, first, [], keep, summed)
    flat = flat.with_x(
        flat.x,
        dims=(*(signal.dims[first.index(c)] for c in keep), flat.dims[-1]),
        shape=(*(signal.shape[first.index(c)] for c in keep), flat.shape[-1]),
    )
    order = [second.index(c) for c in (*columns, *summed)]
    out = math.prod(weight.shape[second.index(c)] for c in columns)
    values = None if weight.values is None else weight.values.permute(order).reshape(out, -1)
    ordered = weight.reshaped(values, (out, flat.shape[-1]), f"{order} of")
    y = dense(call, flat, ordered, None, transposed=False)
    names: dict[str, Dim] = {c: y.dims[i] for i, c in enumerate(keep)}
    for c in columns:
        names[c] = dim(weight.shape[second.index(c)], Role.UNIT)
    return y.with_x(y.x, dims=tuple(names[c] for c in result), shape=call.shape)


RULES: dict[str, Transfer] = {
    **dict.fromkeys("matmul bmm mm".split(), matmul),
    **dict.fromkeys("addmm baddbmm".split(), addmm),
    "einsum": einsum,
    "grouped_mm": grouped,
}
