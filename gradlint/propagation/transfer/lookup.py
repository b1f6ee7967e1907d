"""Embeddings: fresh draws from the table's distribution, shared where the ids are."""

import math
from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Ids, NoRuleError, Transfer
from gradlint.propagation.dims import Role, count, default_dims, dim
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.weights import Weight


def embedding(call: Call) -> Signal:
    """`embedding(table, ids)`: rows of the table.

    Ids that vary over samples and positions give independent rows; position ids are shared by all samples, a constant
    id (token types) by everything.
    """
    table, ids = call.args[0], call.arg(1, "indices", call.kwargs.get("input"))
    if not isinstance(table, Weight):
        raise NoRuleError("its table is not a parameter")
    shape = call.shape
    outer = (dim(shape[0], Role.POSITION),) if _counts_up(ids) else default_dims((*shape[:-1], 2))[:-1]
    dims = (*outer, dim(shape[-1], Role.UNIT))
    over_samples, over_positions = _varies(ids)
    z = P.normal("table", table.name, call.key)
    if count(dims, Role.POSITION) == 1 or not over_positions:
        z = z[[0, 0, 2, 2]]
    if count(dims, Role.SAMPLE) == 1 or not over_samples:
        z = z[[0, 1, 0, 1]]
    y = _draw(z, table)
    samples, positions = count(dims, Role.SAMPLE), count(dims, Role.POSITION)
    rows = table.shape[0]

    def back(g: Tensor, scale: float) -> Tensor:
        m = P.moments(g)
        each = [m.q, m.s if not over_samples else 0.0, m.p if not over_positions else 0.0]
        both = m.o if not over_samples and not over_positions else 0.0
        energy = (
            samples
            * positions
            / rows
            * (each[0] + (samples - 1) * each[1] + (positions - 1) * each[2] + (samples - 1) * (positions - 1) * both)
        )
        call.run.learn(table, scale * math.sqrt(max(energy, 0.0)))
        return torch.zeros_like(g)

    hook = torch.zeros(P.R, P.S, dtype=P.DTYPE, requires_grad=table.learned)
    return Signal(emit(y, (hook, back)), shape, dims)


def _counts_up(ids: Any) -> bool:
    """Whether ids are consecutive numbers: positions, the same for all samples."""
    return isinstance(ids, Tensor) and ids.dim() == 1 and ids.numel() > 1 and bool((ids.diff() == 1).all())


def _varies(ids: Any) -> tuple[bool, bool]:
    """Whether ids differ between samples, and between positions."""
    if not isinstance(ids, Tensor) or ids.dim() == 0:
        return True, True
    if ids.dim() == 1:
        return bool((ids != ids[:1]).any()), bool((ids != ids[:1]).any())
    first = ids[:1]
    along = ids.reshape(ids.shape[0], -1)
    return bool((ids != first).any()), bool((along != along[:, :1]).any())


def _draw(z: Tensor, table: Weight) -> Tensor:
    """Standard normal particles brought to the marginal of the table's elements."""
    values = table.sample if table.values is None else table.values.detach().to(P.DTYPE).reshape(-1)
    if values.numel() > 65536:
        values = values[torch.randperm(values.numel(), generator=P.generator("table"))[:65536]]
    ordered = values.sort().values
    level = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    at = (level * ordered.numel()).long().clamp(0, ordered.numel() - 1)
    return ordered[at]


def one_hot(call: Call) -> Ids:
    """Integers."""
    return Ids(call.shape)


RULES: dict[str, Transfer] = {"embedding": embedding, "one_hot": one_hot}
