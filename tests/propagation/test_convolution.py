"""Convolutions and their transposes: stride, padding, dilation, groups, depthwise, one to three axes."""

from typing import Any

import torch
from _compare import Case, check, each
from _modules import WIDTH, Chain, Fan, Op, point, pooled
from torch import Tensor, nn

IMAGE = (4, WIDTH, 8, 8)
SIGNAL = (8, WIDTH, 24)
VOLUME = (2, WIDTH, 4, 4, 4)
CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
INPUT = (SIGNAL, IMAGE, VOLUME)


def conv(axes: int = 2, kernel: Any = 3, *, outputs: int = WIDTH, **settings: Any) -> nn.Module:
    return CONV[axes - 1](WIDTH, outputs, kernel, **settings)


def back(axes: int = 2, kernel: Any = 3, *, outputs: int = WIDTH, **settings: Any) -> nn.Module:
    return TRANSPOSED[axes - 1](WIDTH, outputs, kernel, **settings)


def alone(name: str, axes: int, layer: Any, **settings: Any) -> Case:
    """The operator behind a map of independent positions and a ReLU."""
    return Case(name, lambda: Chain(point(axes), nn.ReLU(), layer(axes, **settings)), (INPUT[axes - 1],), seeds=2)


def behind_pool(name: str, layer: Any, **settings: Any) -> Case:
    """The same with one gradient for all positions."""
    return Case(
        name, lambda: Chain(point(), nn.ReLU(), layer(2, **settings), nn.ReLU(), pooled()), (IMAGE,), within=0.06
    )


def inverted(activation: type[nn.Module]) -> Chain:
    """A depthwise convolution between pointwise ones, each behind a norm (MobileNet)."""
    depthwise = conv(padding=1, groups=WIDTH, bias=False)
    first = nn.BatchNorm2d(WIDTH, affine=False)  # its scale would be divided out again: docs/known-deviations.md
    return Chain(point(), first, activation(), depthwise, nn.BatchNorm2d(WIDTH), activation(), point())


def rising() -> Chain:
    """Three depthwise convolutions of one tensor, each added to the one before it (ESPNet), between norms."""

    def joined(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return torch.cat([a, a + b, a + b + c], 1)

    branches = (conv(padding=d, dilation=d, groups=WIDTH, bias=False) for d in (1, 2, 3))
    last = nn.Conv2d(3 * WIDTH, WIDTH, 1)
    first, second = nn.BatchNorm2d(WIDTH, affine=False), nn.BatchNorm2d(3 * WIDTH)
    return Chain(point(), first, nn.ReLU(), Fan(joined, *branches), second, nn.ReLU(), last)


def between_norms(groups: int) -> Chain:
    """A grouped convolution whose windows are mostly padding, in front of a norm (ResNeXt at its end)."""
    grouped = conv(padding=1, groups=groups, bias=False)
    return Chain(point(), nn.BatchNorm2d(WIDTH), nn.ReLU(), grouped, nn.BatchNorm2d(WIDTH), nn.ReLU(), point())


PLAIN = (
    *(
        alone(f"conv{axes}d {name}", axes, conv, **settings)
        for axes in (1, 2, 3)
        for name, settings in (
            ("3, padded", {"padding": 1}),
            ("3, not padded", {}),
            ("stride 2", {"stride": 2, "padding": 1}),
            ("dilation 2", {"dilation": 2, "padding": 2} if axes < 3 else {"dilation": 2, "padding": 2, "kernel": 2}),
        )
    ),
    alone("1x1", 2, conv, kernel=1),
    alone("1x1, stride 2", 2, conv, kernel=1, stride=2),
    alone("5x5, same", 2, conv, kernel=5, padding="same"),
    alone("rectangular", 2, conv, kernel=(1, 5), padding=(0, 2)),
    alone("patches", 2, conv, kernel=4, stride=4),
    alone("two groups", 2, conv, padding=1, groups=2),
    alone("eight groups", 2, conv, padding=1, groups=8, outputs=256),
    alone("reflecting", 2, conv, padding=1, padding_mode="reflect"),
    alone("circular", 2, conv, padding=1, padding_mode="circular"),
    alone("without bias", 2, conv, padding=1, bias=False),
    Case("straight on the input", lambda: Chain(conv(padding=1)), (IMAGE,)),
    Case("three channels", lambda: Chain(nn.Conv2d(3, WIDTH, 7, 2, 3), nn.ReLU(), point()), ((8, 3, 32, 32),)),
    Case("four layers", lambda: Chain(*(Chain(conv(padding=1), nn.ReLU()) for _ in range(4))), (IMAGE,)),
    Case("one sample", lambda: Chain(point(), nn.ReLU(), conv(padding=1)), ((1, WIDTH, 8, 8),), seeds=8),
    Case("narrow groups between norms, on 2x2", lambda: between_norms(16), ((8, WIDTH, 2, 2),), seeds=6),
)

COHERENT = (
    Case(
        "the same image everywhere",
        lambda: Chain(
            point(), nn.ReLU(), Op(lambda x: x.mean((2, 3), keepdim=True).expand_as(x)), conv(padding=1), pooled()
        ),
        (IMAGE,),
        within=0.06,
    ),
    behind_pool("3x3 behind a pool", conv, padding=1),
    behind_pool("stride 2 behind a pool", conv, padding=1, stride=2),
    behind_pool("patches behind a pool", conv, kernel=4, stride=4),
    behind_pool("groups behind a pool", conv, padding=1, groups=4),
    Case(
        "four layers behind a pool",
        lambda: Chain(*(Chain(conv(padding=1), nn.ReLU()) for _ in range(4)), pooled()),
        (IMAGE,),
        within=0.06,
    ),
)

DEPTHWISE = (
    *(
        alone(f"depthwise {name}", axes, conv, groups=WIDTH, **settings)
        for name, axes, settings in (
            ("3x3", 2, {"padding": 1}),
            ("stride 2", 2, {"padding": 1, "stride": 2}),
            ("7x7", 2, {"padding": 3, "kernel": 7}),
            ("multiplier 2", 2, {"padding": 1, "outputs": 2 * WIDTH}),
            ("1d", 1, {"padding": 1}),
            ("3d", 3, {"padding": 1}),
        )
    ),
    Case(
        "depthwise, separable",
        lambda: Chain(
            point(),
            nn.ReLU(),
            conv(padding=1, groups=WIDTH),
            point(),
            nn.ReLU(),
            conv(padding=1, groups=WIDTH),
            point(),
        ),
        (IMAGE,),
    ),
    Case("depthwise branches, each added to the one before", rising, (IMAGE,), within=0.06, seeds=6),
    Case("depthwise between norms", lambda: inverted(nn.ReLU6), (IMAGE,), seeds=6),
    Case(
        "depthwise between norms, pooled", lambda: Chain(inverted(nn.ReLU6), pooled()), (IMAGE,), within=0.05, seeds=6
    ),
    Case("depthwise, hard swish", lambda: inverted(nn.Hardswish), (IMAGE,), seeds=6),
    Case(
        "depthwise, hard swish, pooled", lambda: Chain(inverted(nn.Hardswish), pooled()), (IMAGE,), within=0.05, seeds=6
    ),
    Case(
        "depthwise, causal",
        lambda: Chain(
            point(1), nn.ReLU(), Op(lambda x: nn.functional.pad(x, (3, 0))), conv(1, 4, groups=WIDTH), point(1)
        ),
        (SIGNAL,),
    ),
)

TRANSPOSES = (
    *(
        alone(f"transposed {axes}d {name}", axes, back, **settings)
        for axes in (1, 2, 3)
        for name, settings in (
            ("2, stride 2", {"kernel": 2, "stride": 2}),
            ("4, stride 2, padded", {"kernel": 4, "stride": 2, "padding": 1}),
            ("3, padded", {"padding": 1}),
        )
    ),
    alone("transposed, output padding", 2, back, stride=2, padding=1, output_padding=1),
    alone("transposed, groups", 2, back, kernel=2, stride=2, groups=4),
    alone("transposed, dilation", 2, back, dilation=2, padding=2),
    alone("transposed, depthwise", 2, back, kernel=2, stride=2, groups=WIDTH),
)


def of_vector(*layers: nn.Module) -> Chain:
    """A map that a linear layer makes of a code (decoders, generators), and what reads it."""
    fold = Op(lambda x: x.view(-1, WIDTH, 4, 4))
    return Chain(nn.Linear(32, 16 * WIDTH), nn.ReLU(), fold, *layers)


UNFOLDED = tuple(
    Case(f"a map of a vector, {name}", make, ((16, 32),), within=0.09, seeds=4)
    for name, make in (
        ("convolved", lambda: of_vector(conv(padding=1), nn.ReLU(), pooled())),
        (
            "normed per image",
            lambda: of_vector(conv(padding=1, bias=False), nn.InstanceNorm2d(WIDTH), nn.ReLU(), point()),
        ),
        ("normed per batch", lambda: of_vector(back(padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(), point())),
        (
            "upsampled",
            lambda: of_vector(back(kernel=2, stride=2, bias=False), nn.InstanceNorm2d(WIDTH), nn.ReLU(), point()),
        ),
    )
)


@each(UNFOLDED)
def test_a_map_made_of_a_vector(case: Case) -> None:
    check(case)


@each(PLAIN, COHERENT)
def test_convolution(case: Case) -> None:
    check(case)


@each(DEPTHWISE)
def test_depthwise(case: Case) -> None:
    check(case)


@each(TRANSPOSES)
def test_transposed_convolution(case: Case) -> None:
    check(case)


class Named(nn.Module):
    """A convolution all of whose arguments have names (CondenseNet, XDenseNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH, 3, 3) / 34)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(input=x, weight=self.weight, bias=None, padding=1)


NAMED = (
    Case("arguments by name", lambda: Chain(point(), nn.ReLU(), Named()), (IMAGE,), seeds=2),
    Case(
        "a gate of one place, made by padded convolutions, between maps",
        lambda: Chain(
            point(), Fan(torch.mul, nn.ReLU(), Chain(nn.AdaptiveAvgPool2d(1), conv(padding=1), nn.Sigmoid())), conv()
        ),
        (IMAGE,),
        within=0.08,
    ),
)


@each(NAMED)
def test_convolution_of_other_shape_or_spelling(case: Case) -> None:
    check(case)
