"""Normalisation layers: batch, layer, group, instance and RMS norm, fused and written by hand."""

from collections.abc import Callable
from functools import partial

import torch
from _compare import Case, check, each
from _modules import WIDTH, Chain, Op, dense, point, pooled, token_mean
from torch import Tensor, nn

VECTORS, TOKENS, IMAGE = (64, WIDTH), (8, 24, WIDTH), (4, WIDTH, 8, 8)


class ByHand(nn.Module):
    """A norm over one dim, as people write it."""

    def __init__(self, form: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.form = form
        self.weight = nn.Parameter(torch.ones(WIDTH))
        self.bias = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, scale, shift."""
        return self.form(x) * self.weight + self.bias


def moments(x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).pow(2).mean(-1, keepdim=True) + 1e-5)


def standard(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)


def variance(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) * torch.rsqrt(x.var(-1, unbiased=False, keepdim=True) + 1e-5)


def root(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def euclidean(x: Tensor) -> Tensor:
    y: Tensor = x / x.norm(dim=-1, keepdim=True) * WIDTH**0.5
    return y


def scaled(norm: nn.Module) -> nn.Module:
    """A norm whose scale and shift are not the usual ones."""
    nn.init.uniform_(norm.weight, 0.2, 1.8)  # type: ignore[arg-type]
    nn.init.normal_(norm.bias)  # type: ignore[arg-type]
    return norm


def vectors(
    name: str, norm: Callable[[], nn.Module], shape: tuple[int, ...] = VECTORS, seeds: int = 3, within: float = 0.04
) -> Case:
    """Linear, ReLU, norm, linear: the operand has a mean."""
    return Case(name, lambda: Chain(dense(), nn.ReLU(), norm(), dense()), (shape,), within, seeds)


def images(name: str, norm: Callable[[], nn.Module], shape: tuple[int, ...] = IMAGE, seeds: int = 3) -> Case:
    """Two maps with norms behind and a gradient that all positions share."""

    def make() -> nn.Module:
        first, second = (point(len(shape) - 2, bias=False) for _ in range(2))
        return Chain(first, norm(), nn.ReLU(), second, norm(), nn.ReLU(), pooled())

    return Case(name, make, (shape,), within=0.06, seeds=seeds)


def early(name: str, samples: int, seeds: int = 8) -> Case:
    """Batch norm of Gaussian units, a few samples only."""
    return Case(
        name,
        lambda: Chain(dense(bias=False), nn.BatchNorm1d(WIDTH), nn.ReLU(), dense()),
        ((samples, WIDTH),),
        seeds=seeds,
    )


BATCH = (
    *(early(f"batch norm in front of the activation, {n} samples", n) for n in (64, 16, 8, 4)),
    Case(
        "a bias in front of batch norm", lambda: Chain(dense(), nn.BatchNorm1d(WIDTH), nn.ReLU(), dense()), (VECTORS,)
    ),
    images("batch norm, one image", lambda: nn.BatchNorm2d(WIDTH), (1, WIDTH, 8, 8)),
    images("batch norm of sequences", lambda: nn.BatchNorm1d(WIDTH), (8, WIDTH, 16)),
    Case(
        "batch norm, six layers",
        lambda: Chain(*(Chain(dense(bias=False), nn.BatchNorm1d(WIDTH), nn.ReLU()) for _ in range(6)), dense()),
        ((16, WIDTH),),
        seeds=6,
    ),
    Case(
        "batch norm, running statistics",
        lambda: Chain(
            dense(),
            nn.ReLU(),
            Op(lambda x: nn.functional.batch_norm(x, torch.full((WIDTH,), 0.2), torch.full((WIDTH,), 4.0))),
            dense(),
        ),
        (VECTORS,),
    ),
)

LAYER = (
    vectors("layer norm", lambda: nn.LayerNorm(WIDTH)),
    vectors("layer norm of tokens", lambda: nn.LayerNorm(WIDTH), TOKENS),
    vectors("layer norm, scaled", lambda: scaled(nn.LayerNorm(WIDTH)), TOKENS),
    vectors("layer norm over tokens and features", lambda: nn.LayerNorm((24, WIDTH)), TOKENS),
    vectors("layer norm without scale", lambda: nn.LayerNorm(WIDTH, elementwise_affine=False)),
    Case("layer norm first", lambda: Chain(nn.LayerNorm(WIDTH), dense()), (TOKENS,)),
    Case("layer norm of sixty-four", lambda: Chain(dense(WIDTH, 64), nn.LayerNorm(64), dense(64)), (TOKENS,)),
    Case(
        "layer norm, six layers",
        lambda: Chain(*(Chain(dense(), nn.LayerNorm(WIDTH), nn.GELU()) for _ in range(6)), Op(token_mean), dense()),
        (TOKENS,),
        within=0.06,
    ),
    Case(
        "layer norm of images, channels last",
        lambda: Chain(
            point(),
            nn.ReLU(),
            Op(lambda x: x.permute(0, 2, 3, 1)),
            nn.LayerNorm(WIDTH),
            Op(lambda x: x.permute(0, 3, 1, 2)),
            point(),
        ),
        (IMAGE,),
    ),
    vectors("RMS norm", lambda: nn.RMSNorm(WIDTH)),
    vectors("RMS norm of tokens", lambda: nn.RMSNorm(WIDTH), TOKENS),
    vectors("RMS norm with eps", lambda: nn.RMSNorm(WIDTH, eps=1e-6), TOKENS),
)

GROUP = (
    Case(
        "instance norm, its mask pooled",
        lambda: Chain(*(Chain(point(bias=False), nn.InstanceNorm2d(WIDTH), nn.ReLU()) for _ in range(2)), pooled()),
        (IMAGE,),
    ),
    Case(
        "one channel per group, its mask pooled",
        lambda: Chain(point(bias=False), nn.GroupNorm(WIDTH, WIDTH), nn.ReLU(), pooled()),
        (IMAGE,),
    ),
    *(images(f"group norm, {groups} groups", partial(nn.GroupNorm, groups, WIDTH)) for groups in (1, 4, 32)),
    Case(
        "local response",
        lambda: Chain(point(), nn.ReLU(), nn.LocalResponseNorm(5), point()),
        (IMAGE,),
    ),
)

BY_HAND = (
    *(
        vectors(f"by hand: {form.__name__}", partial(ByHand, form), TOKENS, within=0.06)
        for form in (moments, standard, variance, root, euclidean)
    ),
    vectors("functional normalize", lambda: Op(lambda x: nn.functional.normalize(x, dim=-1)), TOKENS, within=0.06),
)


@each(BATCH)
def test_batch_norm(case: Case) -> None:
    check(case)


@each(LAYER)
def test_layer_norm(case: Case) -> None:
    check(case)


@each(GROUP)
def test_group_norm(case: Case) -> None:
    check(case)


@each(BY_HAND)
def test_norm_written_by_hand(case: Case) -> None:
    check(case)
