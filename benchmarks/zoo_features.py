"""Small hand-written models, one idea each: what the libraries' zoos do not hold, or hold only among much else."""

from collections.abc import Callable

import torch
from accuracy_models import Case, Inputs
from torch import Tensor, nn
from torch.nn import functional
from zoo_sequences import SEQUENCES

Build = Callable[[], nn.Module]


class Residual(nn.Module):
    """x + scale · body(x); DropPath in training, which the comparison takes for the identity."""

    def __init__(self, body: nn.Module, scale: float | None = None, drop: float = 0.0, width: int = 64) -> None:
        super().__init__()
        self.body = body
        self.scale = None if scale is None else nn.Parameter(torch.full((width, 1, 1), scale))
        self.drop = nn.Dropout3d(drop)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return x + self.drop(y if self.scale is None else y * self.scale)


class Squeeze(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, width // 4), nn.Linear(width // 4, width)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.up(functional.relu(self.down(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Dense(nn.Module):
    """Dense connections: each layer reads what all others before it gave."""

    def __init__(self, width: int = 32, growth: int = 16, layers: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(width + i * growth), nn.ReLU(), nn.Conv2d(width + i * growth, growth, 3, padding=1)
            )
            for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        found = [self.stem(x)]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return torch.cat(found, 1).mean((2, 3))


class Shuffle(nn.Module):
    """Channel shuffle between grouped convolutions."""

    def __init__(self, width: int = 64, groups: int = 4) -> None:
        super().__init__()
        self.groups = groups
        self.first = nn.Conv2d(width, width, 1, groups=groups)
        self.second = nn.Conv2d(width, width, 3, padding=1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = (
            functional.relu(self.first(x))
            .view(b, self.groups, c // self.groups, h, w)
            .transpose(1, 2)
            .reshape(b, c, h, w)
        )
        return functional.relu(self.second(y))


class UNet(nn.Module):
    """Down and up again, what was on the way down beside what comes up."""

    def __init__(self, width: int = 32, transposed: bool = True, norm: bool = True) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(_conv(a, b, norm) for a, b in zip(widths[:1] + widths[:-1], widths, strict=True))
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * a, a, 2, 2)
            if transposed
            else nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2 * a, a, 1))
            for a in reversed(widths[:-1])
        )
        self.merge = nn.ModuleList(_conv(2 * a, a, norm) for a in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        kept = []
        for i, block in enumerate(self.down):
            x = block(x)
            if i < len(self.down) - 1:
                kept.append(x)
                x = self.pool(x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), kept.pop()], 1))
        return self.head(x)


class Heads(nn.Module):
    """Several outputs, one of them an auxiliary head in the middle, in a dictionary."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, width), nn.MaxPool2d(2))
        self.middle, self.top = _conv(width, width), _conv(width, width)
        self.auxiliary, self.classes = nn.Linear(width, 10), nn.Linear(width, 10)
        self.boxes = nn.Conv2d(width, 4, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        middle = self.middle(self.stem(x))
        top = self.top(middle)
        return {
            "auxiliary": self.auxiliary(middle.mean((2, 3))),
            "boxes": self.boxes(top),
            "classes": self.classes(top.mean((2, 3))),
        }


class HandNorm(nn.Module):
    """A norm over channels by hand."""

    def __init__(self, width: int, centred: bool) -> None:
        super().__init__()
        self.centred, self.weight = centred, nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(1, keepdim=True) if self.centred else x
        return x / torch.sqrt(x.pow(2).mean(1, keepdim=True) + 1e-5) * self.weight


class Map(nn.Module):
    """Any function of a tensor."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _conv(before: int, width: int, norm: bool = True, size: int = 3, **options: int) -> nn.Sequential:
    padding = options.get("dilation", 1) * (size // 2)
    layers = [nn.Conv2d(before, width, size, padding=padding, **options), *([nn.BatchNorm2d(width)] if norm else [])]
    return nn.Sequential(*layers, nn.ReLU())


def _pooled(*layers: nn.Module, width: int = 64) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def _repeated(block: Build, times: int = 4, width: int = 64) -> nn.Module:
    return _pooled(nn.Conv2d(3, width, 3, padding=1), *(block() for _ in range(times)), width=width)


def _depthwise() -> nn.Module:
    return Residual(
        nn.Sequential(_conv(64, 128, size=1), _conv(128, 128, groups=128), nn.Conv2d(128, 64, 1), nn.BatchNorm2d(64))
    )


def _convnext() -> nn.Module:
    body = nn.Sequential(
        nn.Conv2d(64, 64, 7, padding=3, groups=64),
        HandNorm(64, True),
        nn.Conv2d(64, 256, 1),
        nn.GELU(),
        nn.Conv2d(256, 64, 1),
    )
    return Residual(body, scale=1e-2, drop=0.1)


def _hand_activation(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.79788 * (x + 0.044715 * x**3)))


VISION: dict[str, Build] = {
    "squeeze-excitation": lambda: _repeated(lambda: nn.Sequential(_conv(64, 64), Squeeze(64))),
    "dense": Dense,
    "grouped": lambda: _repeated(lambda: _conv(64, 64, groups=8)),
    "depthwise": lambda: _repeated(_depthwise),
    "dilated": lambda: _repeated(lambda: _conv(64, 64, dilation=2)),
    "no-norm": lambda: _repeated(lambda: _conv(64, 64, norm=False), 8),
    "transposed": lambda: nn.Sequential(
        nn.Conv2d(3, 64, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 64, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 3, 3, 2, 1, 1),
    ),
    "adaptive-down": lambda: nn.Sequential(
        _conv(3, 64), nn.AdaptiveAvgPool2d(5), _conv(64, 64), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(256, 10)
    ),
    "adaptive-up": lambda: nn.Sequential(
        _conv(3, 64),
        nn.MaxPool2d(8),
        nn.AdaptiveAvgPool2d(7),
        nn.Flatten(),
        nn.Linear(64 * 49, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    ),
    "channel-shuffle": lambda: _repeated(Shuffle),
    "layer-scale": lambda: _repeated(_convnext),
    "drop-path": lambda: _repeated(
        lambda: Residual(nn.Sequential(_conv(64, 64), nn.Conv2d(64, 64, 3, padding=1)), drop=0.2)
    ),
    "u-net": UNet,
    "u-net without norm": lambda: UNet(transposed=False, norm=False),
    "outputs": Heads,
    "hand layer norm": lambda: _repeated(
        lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), HandNorm(64, True), nn.ReLU())
    ),
    "hand RMS norm": lambda: _repeated(
        lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), HandNorm(64, False), nn.SiLU())
    ),
    "hand GELU": lambda: _repeated(lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), Map(_hand_activation))),
    "hand swish": lambda: _repeated(
        lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), Map(lambda x: x * torch.sigmoid(x)))
    ),
    "squared ReLU": lambda: _repeated(
        lambda: nn.Sequential(_conv(64, 64), Map(lambda x: functional.relu(x) ** 2), nn.GroupNorm(8, 64))
    ),
    "group norm": lambda: _repeated(
        lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.GroupNorm(8, 64), nn.ReLU())
    ),
    "instance norm": lambda: _repeated(
        lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.InstanceNorm2d(64), nn.ReLU())
    ),
    "weight norm": lambda: _repeated(
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(64, 64, 3, padding=1)), nn.ReLU())
    ),
    "conv 3d": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3)),
        nn.Conv3d(1, 32, 3, padding=1),
        nn.BatchNorm3d(32),
        nn.ReLU(),
        nn.Conv3d(32, 64, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    ),
}


def _images() -> Inputs:
    return (torch.randn(8, 3, 32, 32),)


def cases() -> tuple[Case, ...]:
    """All of them."""
    vision = (Case(name, build, _images) for name, build in VISION.items())
    return (*vision, *SEQUENCES)
