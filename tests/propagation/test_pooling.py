"""Linear maps over positions (pooling, resampling, padding) and the maximum over windows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from _compare import Case, check, each
from _modules import WIDTH, Chain, Fan, Op, point, pooled
from torch import Tensor, nn

IMAGE, SIGNAL, VOLUME = (4, WIDTH, 8, 8), (8, WIDTH, 24), (2, WIDTH, 4, 4, 4)
SMALL = (8, WIDTH, 3, 3)


def independent(name: str, op: Callable[[], nn.Module], shape: tuple[int, ...] = IMAGE) -> Case:
    """Behind a map of independent positions and a ReLU, in front of another map."""
    axes = len(shape) - 2
    return Case(name, lambda: Chain(point(axes), nn.ReLU(), op(), point(axes)), (shape,), within=0.05, seeds=2)


def correlated(name: str, op: Callable[[], nn.Module]) -> Case:
    """Behind a convolution that correlates neighbours' channels, with one gradient for all positions."""
    return Case(
        f"{name}, shared gradient",
        lambda: Chain(point(), nn.Tanh(), op(), point(), nn.ReLU(), pooled()),
        (IMAGE,),
        within=0.06,
    )


def placed(name: str, op: Callable[[], nn.Module]) -> Case:
    """In front of the activation instead of behind it."""
    return Case(f"{name}, in front of the activation", lambda: Chain(point(), op(), nn.ReLU(), point()), (IMAGE,))


def convolved(name: str, op: Callable[[], nn.Module]) -> Case:
    """Behind a convolution, so that neighbours covary."""
    conv = partial(nn.Conv2d, WIDTH, WIDTH, 3, padding=1)
    return Case(
        f"{name}, behind a convolution", lambda: Chain(point(), nn.ReLU(), conv(), nn.ReLU(), op(), point()), (IMAGE,)
    )


def resized(size: int | tuple[int, ...] | None = None, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: Op(lambda x: F.interpolate(x, size, **settings))


def padded(widths: tuple[int, ...], mode: str = "constant") -> Callable[[], nn.Module]:
    return lambda: Op(lambda x: F.pad(x, widths, mode))


def doubled() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="bilinear")


def upper_left(x: Tensor) -> Tensor:
    return x[:, :, :4, :4]


MEANS = {
    "average 2": lambda: nn.AvgPool2d(2),
    "average 3, stride 1": lambda: nn.AvgPool2d(3, 1, 1),
    "average 3, stride 2": lambda: nn.AvgPool2d(3, 2, 1),
    "average 3, padding left out": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "average, ceil": lambda: nn.AvgPool2d(3, 2, ceil_mode=True),
    "adaptive to 1": lambda: nn.AdaptiveAvgPool2d(1),
    "adaptive to 3": lambda: nn.AdaptiveAvgPool2d(3),
    "adaptive up to 14": lambda: nn.AdaptiveAvgPool2d(14),
    "adaptive, rows only": lambda: nn.AdaptiveAvgPool2d((1, None)),
}
RESIZED = {
    "nearest": resized(scale_factor=2),
    "nearest to 12": resized(12),
    "nearest, down": resized(4),
    "bilinear": resized(scale_factor=2, mode="bilinear"),
    "bilinear, corners": resized(16, mode="bilinear", align_corners=True),
    "bilinear, down": resized(5, mode="bilinear"),
    "bicubic": resized(scale_factor=2, mode="bicubic"),
    "bilinear, down, antialiased": resized(3, mode="bilinear", antialias=True),
    "bicubic, down, antialiased": resized(5, mode="bicubic", antialias=True),
    "bilinear, antialiased": resized(12, mode="bilinear", antialias=True),
    "nearest, exact, down": resized(3, mode="nearest-exact"),
    "nearest, exact": resized(12, mode="nearest-exact"),
    "area": resized(4, mode="area"),
    "an Upsample module": lambda: nn.Upsample(scale_factor=2),
}
PADDED = {
    "zero padding": padded((1, 1, 1, 1)),
    "zero padding, one side": padded((0, 3)),
    "reflecting": padded((2, 2, 2, 2), "reflect"),
    "replicating": padded((2, 2, 2, 2), "replicate"),
    "circular": padded((2, 2, 2, 2), "circular"),
    "cropping": padded((-1, -1, -1, -1)),
    "a corner": lambda: Op(upper_left),
}
MAXIMA = {
    "maximum 2": lambda: nn.MaxPool2d(2),
    "maximum 3, stride 2": lambda: nn.MaxPool2d(3, 2, 1),
    "maximum 3, stride 1": lambda: nn.MaxPool2d(3, 1, 1),
    "maximum, adaptive": lambda: nn.AdaptiveMaxPool2d(2),
    "maximum, global": lambda: nn.AdaptiveMaxPool2d(1),
}


class Unpooled(nn.Module):
    """Maxima put back where they were, as in SegNet."""

    def __init__(self, *between: nn.Module) -> None:
        super().__init__()
        self.between = nn.Sequential(*between)

    def forward(self, x: Tensor) -> Tensor:
        y, where = F.max_pool2d(x, 2, return_indices=True)
        back: Tensor = F.max_unpool2d(self.between(y), where, 2)
        return back


UNPOOLED = (
    Case("unpooled", lambda: Chain(point(), nn.ReLU(), Unpooled(point()), point()), (IMAGE,)),
    Case(
        "unpooled, normalised, shared gradient",
        lambda: Chain(
            point(),
            Unpooled(point(), nn.ReLU()),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            pooled(),
        ),
        ((16, WIDTH, 8, 8),),
        within=0.09,
    ),
)
BORDERS = tuple(
    Case(
        f"{name}, normalised behind it",
        lambda op=(MEANS | PADDED)[name]: Chain(  # type: ignore[misc]
            point(), Op(lambda x: 1 + x.relu()), op(), point(bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(), point()
        ),
        ((16, WIDTH, 4, 4),),
        within=within,
    )
    for name, within in (("average 3, stride 2", 0.06), ("zero padding", 0.12))
)
AVERAGED = (
    *(independent(name, op) for name, op in MEANS.items()),
    *(
        correlated(name, MEANS[name])
        for name in ("average 2", "average 3, stride 2", "average, ceil", "adaptive to 1", "adaptive to 3")
    ),
    independent("average 3, stride 1, three places", lambda: nn.AvgPool2d(3, 1, 1), SMALL),
    independent("average 1d", lambda: nn.AvgPool1d(4), SIGNAL),
    independent("adaptive 1d", lambda: nn.AdaptiveAvgPool1d(6), SIGNAL),
    independent("average 3d", lambda: nn.AvgPool3d(2), VOLUME),
    independent("adaptive 3d", lambda: nn.AdaptiveAvgPool3d(1), VOLUME),
    independent("adaptive, 3x3 up to 7x7", lambda: nn.AdaptiveAvgPool2d(7), SMALL),
)
TWICE = tuple(
    Case(
        f"bilinear twice, {name} between",
        lambda between=between: Chain(  # type: ignore[misc]
            point(bias=False), doubled(), *between(), nn.Upsample(scale_factor=4, mode="bilinear"), point()
        ),
        (IMAGE,),
        within=0.06,
        seeds=2,
    )
    for name, between in (
        ("nothing", lambda: ()),
        ("a map", lambda: (point(), nn.ReLU(), point())),
        ("a normalised map", lambda: (point(), nn.BatchNorm2d(WIDTH), nn.ReLU())),
        ("a convolution", lambda: (nn.Conv2d(WIDTH, WIDTH, 3, padding=1),)),
    )
)
RESAMPLED = (
    *TWICE,
    *(independent(name, op) for name, op in RESIZED.items()),
    *(
        correlated(name, RESIZED[name])
        for name in ("nearest, down", "bilinear, down", "bilinear, down, antialiased", "area")
    ),
    independent("nearest 1d", resized(scale_factor=2), SIGNAL),
    independent("linear 1d", resized(scale_factor=2, mode="linear"), SIGNAL),
    independent("nearest 3d", resized(scale_factor=2), VOLUME),
    independent("trilinear", resized(scale_factor=2, mode="trilinear"), VOLUME),
)
FRAMED = (
    *(independent(name, op) for name, op in PADDED.items()),
    *(correlated(name, PADDED[name]) for name in ("cropping", "a corner")),
    independent("padding in time, causal", padded((3, 0)), SIGNAL),
    independent("padding channels", lambda: Chain(padded((0, 0, 0, 0, 32, 32))(), point(2, WIDTH + 64))),
)
GREATEST = (
    *(independent(name, op) for name, op in MAXIMA.items()),
    *(correlated(name, MAXIMA[name]) for name in ("maximum 2", "maximum, global")),
    *(placed(name, MAXIMA[name]) for name in ("maximum 2", "maximum 3, stride 2")),
    *(convolved(name, MAXIMA[name]) for name in ("maximum 2", "maximum 3, stride 2")),
    independent("maximum 1d", lambda: nn.MaxPool1d(2), SIGNAL),
    independent("maximum 3d", lambda: nn.MaxPool3d(2), VOLUME),
    Case(
        "of one place",
        lambda: Chain(point(), Fan(torch.add, Op(lambda x: x), nn.AdaptiveMaxPool2d(8)), point()),
        (IMAGE,),
    ),
    Case(
        "maximum and average",
        lambda: Chain(point(), nn.ReLU(), Fan(torch.add, nn.MaxPool2d(2), nn.AvgPool2d(2)), point()),
        (IMAGE,),
    ),
    Case(
        "maximum, global, as a gate",
        lambda: Chain(
            point(),
            Fan(torch.mul, Op(lambda x: x), Chain(nn.AdaptiveMaxPool2d(1), nn.Conv2d(WIDTH, WIDTH, 1), nn.Sigmoid())),
            point(),
            pooled(),
        ),
        (IMAGE,),
        within=0.06,
    ),
    Case("maximum of the input", lambda: Chain(nn.MaxPool2d(2), point()), (IMAGE,)),
)


@each(AVERAGED)
def test_average(case: Case) -> None:
    check(case)


@each(RESAMPLED)
def test_resampling(case: Case) -> None:
    check(case)


@each(FRAMED)
def test_padding(case: Case) -> None:
    check(case)


@each(GREATEST)
def test_maximum(case: Case) -> None:
    check(case)


@each(BORDERS)
def test_borders_that_hold_less(case: Case) -> None:
    """What all units have in common is smaller there, and differs from place to place."""
    check(case)


@each(UNPOOLED)
def test_maxima_put_back(case: Case) -> None:
    check(case)
