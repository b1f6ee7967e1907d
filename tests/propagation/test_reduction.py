"""Sums, means, variances, norms and extremes over units, positions and samples."""

from collections.abc import Callable

import torch
from _compare import Case, check, each
from _modules import WIDTH, Chain, Fan, Op, dense, point
from torch import Tensor, nn

VECTORS, TOKENS, IMAGE = (64, WIDTH), (8, 24, WIDTH), (4, WIDTH, 8, 8)


def over(name: str, op: Callable[[Tensor], Tensor], *, after: bool = True) -> Case:
    """Of tokens behind a ReLU, in front of a linear layer."""
    return Case(name, lambda: Chain(dense(), nn.ReLU(), Op(op), *([dense()] if after else [])), (TOKENS,), within=0.06)


def beside(name: str, op: Callable[[Tensor], Tensor]) -> Case:
    """A statistic multiplied into what it was taken of."""
    return Case(
        name,
        lambda: Chain(dense(), nn.ReLU(), Fan(lambda x, y: x * y, nn.Identity(), Op(op)), dense()),
        (TOKENS,),
        within=0.06,
    )


def both(x: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, 1)
    return variance + mean


POSITIONS = (
    over("mean of tokens", lambda x: x.mean(1)),
    over("sum of tokens", lambda x: x.sum(1)),
    over("sum of tokens, scaled", lambda x: x.sum(dim=1, keepdim=True) / 24**0.5),
    over("variance of tokens", lambda x: x.var(1)),
    over("deviation of tokens", lambda x: x.std(1)),
    over("norm of tokens", lambda x: x.norm(dim=1)),
    over("mean and deviation of tokens", both),
    over("mean of some tokens", lambda x: x[:, :6].mean(1)),
    over("mean of samples", lambda x: x.mean(0)),
    Case(
        "global average by mean", lambda: Chain(point(), nn.ReLU(), Op(lambda x: x.mean((-2, -1))), dense()), (IMAGE,)
    ),
)
UNITS = (
    beside("mean of features", lambda x: x.mean(-1, keepdim=True)),
    beside("norm of features", lambda x: x.norm(dim=-1, keepdim=True)),
    over("mean of four features", lambda x: x.view(8, 24, 32, 4).mean(-1).repeat(1, 1, 4)),
)


@each(POSITIONS)
def test_over_positions(case: Case) -> None:
    check(case)


@each(UNITS)
def test_over_units(case: Case) -> None:
    check(case)
