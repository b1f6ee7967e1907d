"""Dim roles: what each dim of a tensor counts (samples, positions, units, keys), kept through reshapes.

A dim is a tuple of factors, so that merged dims (heads x features, batch x windows) can be split again. Factors of size
one are dropped: a dim of size one is the empty tuple.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What a dim counts."""

    SAMPLE = "sample"
    POSITION = "position"
    UNIT = "unit"
    KEY = "key"  # the second position dim of attention scores


@dataclass(frozen=True, slots=True)
class Factor:
    """`size` elements of one role."""

    size: int
    role: Role


Dim = tuple[Factor, ...]
Dims = tuple[Dim, ...]


def dim(size: int, role: Role) -> Dim:
    """A dim of one factor."""
    return (Factor(size, role),) if size != 1 else ()


def count(dims: Iterable[Dim], role: Role) -> int:
    """Number of elements of one role, over all dims."""
    return math.prod(f.size for d in dims for f in d if f.role is role)


def size(d: Dim) -> int:
    """Extent of a dim."""
    return math.prod(f.size for f in d)


def roles(dims: Iterable[Dim]) -> frozenset[Role]:
    """Roles that occur."""
    return frozenset(f.role for d in dims for f in d)


def default_dims(shape: Sequence[int], *, last_unit: bool = True) -> Dims:
    """The usual reading of a shape: samples first, units last, positions between (batch x tokens x features)."""
    n = len(shape)
    out: list[Dim] = []
    for i, extent in enumerate(shape):
        if i == 0 and n > 1:
            role = Role.SAMPLE
        elif i == (n - 1 if last_unit else 1) or n == 1:
            role = Role.UNIT
        else:
            role = Role.POSITION
        out.append(dim(extent, role))
    return tuple(out)


def image_dims(shape: Sequence[int]) -> Dims:
    """(batch, channels, *space): samples, units, positions."""
    return default_dims(shape, last_unit=False)


def reshape(dims: Dims, shape: Sequence[int]) -> Dims:
    """Carry the factors over to a new shape of as many elements, splitting factors where the new shape asks for it.

    Where the factors cannot be regrouped (a shape that cuts across them) the role of each new dim is that of the factor
    at which it starts.
    """
    queue = [f for d in dims for f in d]
    out: list[Dim] = []
    for extent in shape:
        taken: list[Factor] = []
        need = extent
        while need > 1 and queue:
            head = queue[0]
            common = math.gcd(need, head.size)
            if head.size <= need and need % head.size == 0:
                taken.append(queue.pop(0))
                need //= head.size
            elif head.size % need == 0:
                taken.append(Factor(need, head.role))
                queue[0] = Factor(head.size // need, head.role)
                need = 1
            else:  # cuts across factors
                taken.append(Factor(need, head.role))
                queue = _consume(queue, need, common)
                need = 1
        if need > 1:
            taken.append(Factor(need, Role.UNIT))
        out.append(_merge(taken))
    return tuple(out)


def _consume(queue: list[Factor], need: int, common: int) -> list[Factor]:
    """Take `need` elements off a queue whose first factor does not divide them."""
    head, rest = queue[0], queue[1:]
    left = head.size // common
    missing = need // common
    while rest and missing > 1:
        following = rest[0]
        shared = math.gcd(following.size, missing)
        missing //= shared
        rest = [Factor(following.size // shared, following.role), *rest[1:]] if following.size != shared else rest[1:]
        if shared == 1:
            break
    return ([Factor(left, head.role)] if left > 1 else []) + rest


def _merge(factors: list[Factor]) -> Dim:
    """Neighbouring factors of one role become one."""
    out: list[Factor] = []
    for f in factors:
        if out and out[-1].role is f.role:
            out[-1] = Factor(out[-1].size * f.size, f.role)
        else:
            out.append(f)
    return tuple(out)


def with_role(dims: Dims, index: int, extent: int) -> Dims:
    """The dims with dim `index` resized to `extent`, its first factor's role kept (units where it had none)."""
    old = dims[index]
    role = old[0].role if old else Role.UNIT
    return (*dims[:index], dim(extent, role), *dims[index + 1 :])


def resized(dims: Dims, shape: tuple[int, ...]) -> Dims:
    """The same roles for other extents."""
    return tuple(
        d if math.prod(f.size for f in d) == n else dim(n, d[0].role if d else Role.UNIT)
        for d, n in zip(dims, shape, strict=True)
    )


def aligned(dims: Dims | None, shape: tuple[int, ...]) -> Dims:
    """Roles of a tensor that is broadcast against one with the roles `dims`, aligned right; the usual ones without."""
    if dims is None or len(shape) > len(dims):
        return default_dims(shape)
    return resized(dims[len(dims) - len(shape) :], shape)
