"""Roles of dims, through reshapes and back."""

import math

from _properties import quick
from hypothesis import given
from hypothesis import strategies as st

from gradlint.propagation import dims as D
from gradlint.propagation.dims import Dims, Factor, Role

SIZES = st.sampled_from([1, 2, 3, 4, 6, 8])


@st.composite
def shaped(draw: st.DrawFn) -> tuple[tuple[int, ...], Dims]:
    shape = tuple(draw(SIZES) for _ in range(draw(st.integers(1, 4))))
    return shape, tuple(D.dim(n, draw(st.sampled_from(list(Role)))) for n in shape)


def counts(dims: Dims) -> dict[Role, int]:
    return {role: D.count(dims, role) for role in Role}


@quick
@given(shaped())
def test_flattened_and_back(start: tuple[tuple[int, ...], Dims]) -> None:
    shape, dims = start
    flat = D.reshape(dims, (math.prod(shape),))
    assert D.size(flat[0]) == math.prod(shape)
    assert counts(flat) == counts(dims)
    assert D.reshape(flat, shape) == dims


@quick
@given(shaped(), st.data())
def test_split_dims_keep_their_roles(start: tuple[tuple[int, ...], Dims], data: st.DataObject) -> None:
    shape, dims = start
    axis = data.draw(st.integers(0, len(shape) - 1))
    divisor = data.draw(st.sampled_from([d for d in range(1, shape[axis] + 1) if shape[axis] % d == 0]))
    split = (*shape[:axis], divisor, shape[axis] // divisor, *shape[axis + 1 :])
    there = D.reshape(dims, split)
    assert tuple(D.size(d) for d in there) == split
    assert counts(there) == counts(dims)
    assert D.reshape(there, shape) == dims


@quick
@given(shaped(), st.data())
def test_any_reshape_gives_the_shape(start: tuple[tuple[int, ...], Dims], data: st.DataObject) -> None:
    shape, dims = start
    left, wanted = math.prod(shape), []
    while left > 1:
        wanted.append(data.draw(st.sampled_from([d for d in range(2, left + 1) if left % d == 0])))
        left //= wanted[-1]
    assert tuple(D.size(d) for d in D.reshape(dims, tuple(wanted))) == tuple(wanted)


def test_heads_are_taken_out_of_the_features_and_put_back() -> None:
    tokens = D.default_dims((8, 24, 64))
    heads = D.reshape(tokens, (8, 24, 4, 16))
    assert heads == (D.dim(8, Role.SAMPLE), D.dim(24, Role.POSITION), D.dim(4, Role.UNIT), D.dim(16, Role.UNIT))
    swapped = (heads[0], heads[2], heads[1], heads[3])
    merged = D.reshape(swapped, (32, 24, 16))
    assert merged[0] == (Factor(8, Role.SAMPLE), Factor(4, Role.UNIT))
    assert D.reshape(merged, (8, 4, 24, 16)) == swapped


def roles(dims: Dims) -> list[Role | None]:
    return [d[0].role if d else None for d in dims]


def test_usual_readings() -> None:
    assert roles(D.default_dims((8, 24, 64))) == [Role.SAMPLE, Role.POSITION, Role.UNIT]
    assert roles(D.image_dims((8, 3, 32, 32))) == [Role.SAMPLE, Role.UNIT, Role.POSITION, Role.POSITION]
    assert roles(D.default_dims((64,))) == [Role.UNIT]
    assert roles(D.default_dims((1, 5, 64))) == [None, Role.POSITION, Role.UNIT]


def test_a_resized_dim_keeps_its_role() -> None:
    dims = D.with_role(D.default_dims((8, 24, 64)), 1, 12)
    assert dims[1] == D.dim(12, Role.POSITION)
    assert D.with_role(((),), 0, 3) == (D.dim(3, Role.UNIT),)
