"""Sums, means, variances, norms and extremes over units, positions and samples."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from _compare import Case, check, each
from _modules import WIDTH, Chain, Fan, Op, dense, point, pooled
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
    over("log of summed exponentials", lambda x: torch.logsumexp(x, 1)),
    over("running sum", lambda x: x.cumsum(1) / 24),
    over("integral over tokens", lambda x: torch.trapezoid(x, dx=0.1, dim=1)),
    over("integral over uneven steps", lambda x: torch.trapezoid(x, torch.linspace(0, 1.5, 24).square(), dim=1)),
    over("mean of what is positive", lambda x: (x * (x > 0.1)).sum(1) / (x > 0.1).sum(1).clamp(min=1)),
    over("mean of some tokens", lambda x: x[:, :6].mean(1)),
    over("mean of samples", lambda x: x.mean(0)),
    over("largest of all tokens", lambda x: x.amax(1)),
    over("largest of four tokens", lambda x: x.view(8, 4, 6, WIDTH).max(1).values),
    over("largest of four tokens, averaged", lambda x: x.view(8, 4, 6, WIDTH).max(1).values.mean(1)),
    Case(
        "global average by mean", lambda: Chain(point(), nn.ReLU(), Op(lambda x: x.mean((-2, -1))), dense()), (IMAGE,)
    ),
)
UNITS = (
    beside("mean of features", lambda x: x.mean(-1, keepdim=True)),
    beside("norm of features", lambda x: x.norm(dim=-1, keepdim=True)),
    over("largest of two features", lambda x: x.view(8, 24, 64, 2).max(-1).values.repeat(1, 1, 2)),
    over("smallest of two features", lambda x: x.view(8, 24, 64, 2).amin(-1).repeat(1, 1, 2)),
    over("mean of four features", lambda x: x.view(8, 24, 32, 4).mean(-1).repeat(1, 1, 4)),
)


def weights_only(name: str, op: Callable[[Tensor], Tensor], shape: tuple[int, ...], within: float) -> Case:
    """Behind layers without biases: in front of what takes out a mean their gradient is zero but for rounding."""
    return Case(name, lambda: Chain(dense(bias=False), Op(op), dense(bias=False)), (shape,), within=within, seeds=6)


DIVIDED = (
    weights_only("divided by the deviation over samples", lambda x: (x - x.mean(0)) / x.std(0), (16, WIDTH), 0.1),
    weights_only("divided by the variance over samples", lambda x: x / (x.var(0) + 1e-5).sqrt(), (16, WIDTH), 0.06),
    weights_only("normalised over tokens", lambda x: F.normalize(x, dim=1), TOKENS, 0.06),
    weights_only("divided by the largest sample", lambda x: x / x.abs().amax(0), (16, WIDTH), 0.25),
    weights_only("the largest sample taken off", lambda x: x - x.max(0).values, (16, WIDTH), 0.15),
)


@each(DIVIDED)
def test_statistics_that_are_divided_by(case: Case) -> None:
    check(case)


def apart(name: str, op: Callable[[Tensor, Tensor], Tensor], *rest: Callable[[], nn.Module]) -> Case:
    """Two views of the same tokens, and how far they are apart.

    A loss gives back what it was given, by way of the same weights: such a gradient is no longer independent of the
    activations that it meets, and the sum over tokens is up to 2.3 times what is predicted.
    """
    within = 0.06 if rest else 0.36
    return Case(name, lambda: Chain(dense(), Fan(op, dense(), dense()), *(f() for f in rest)), (TOKENS,), within=within)


DISTANCES = (
    apart("mean squared", F.mse_loss),
    apart("mean absolute", F.l1_loss),
    apart("summed squares", lambda x, y: F.mse_loss(x, y, reduction="sum")),
    apart("smooth", lambda x, y: F.smooth_l1_loss(x, y, beta=0.5)),
    apart("Huber's", lambda x, y: F.huber_loss(x, y, delta=0.5)),
    apart("of each element", lambda x, y: F.mse_loss(x, y, reduction="none"), dense),
    apart("of what is not followed", lambda x, y: F.mse_loss(x.detach(), y)),
)


@each(DISTANCES)
def test_distances(case: Case) -> None:
    check(case)


@each(POSITIONS)
def test_over_positions(case: Case) -> None:
    check(case)


@each(UNITS)
def test_over_units(case: Case) -> None:
    check(case)


class Radix(nn.Module):
    """Two parts of each unit, weighted by a softmax over the two and added (split attention)."""

    def __init__(self) -> None:
        super().__init__()
        self.parts, self.scores = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        parts, scores = (layer(x).unflatten(-1, (2, WIDTH)) for layer in (self.parts, self.scores))
        mixed: Tensor = ((2 + parts) * scores.softmax(-2)).sum(-2)
        return mixed


def test_the_members_of_a_small_group_receive_the_same() -> None:
    """What they share cancels in a softmax over them."""
    check(Case("radix", lambda: Chain(dense(), Radix(), dense()), ((64, WIDTH),), within=0.06))


class SplitAttention(nn.Module):
    """ResNeSt's: parts of the units, weighted by a softmax over the parts that is the same all over the map."""

    def __init__(self, radix: int, *, norm: bool = False) -> None:
        super().__init__()
        self.radix = radix
        self.parts, self.scores = nn.Conv2d(WIDTH, radix * WIDTH, 1), nn.Linear(WIDTH, radix * WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        parts = (1 + self.parts(x)).relu().unflatten(1, (self.radix, WIDTH))
        pooled = self.norm(parts.sum(1).mean((-2, -1)))
        scores = self.scores(pooled).unflatten(1, (self.radix, WIDTH)).softmax(1)
        mixed: Tensor = (parts * scores[..., None, None]).sum(1)
        return mixed


SPLIT = (
    Case("two parts", lambda: Chain(point(), SplitAttention(2), point(), pooled()), (IMAGE,), within=0.06),
    Case("four parts", lambda: Chain(point(), SplitAttention(4), point(), pooled()), (IMAGE,), within=0.06),
    Case(
        "two parts, normalised over samples",
        lambda: Chain(point(bias=False), SplitAttention(2, norm=True), point()),
        ((16, WIDTH, 16, 16),),
        within=0.1,
    ),
)


@each(SPLIT)
def test_split_attention(case: Case) -> None:
    check(case)
