"""Elementwise maps and pairs: activations, gates, residuals, scales, constants, masks."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from _compare import Case, check, each
from _modules import WIDTH, Chain, Fan, Op, Skip, dense, point, pooled, token_mean
from torch import Tensor, nn

VECTORS, TOKENS, IMAGE = (64, WIDTH), (8, 24, WIDTH), (4, WIDTH, 8, 8)


def loud() -> nn.Linear:
    """A linear layer whose output reaches the bends of any activation."""
    layer = nn.Linear(WIDTH, WIDTH)
    nn.init.normal_(layer.weight, std=2 / WIDTH**0.5)
    return layer


class Scaled(nn.Module):
    """A learned scale (and shift) of some shape: LayerScale, gains, temperatures, position tables."""

    def __init__(
        self, shape: tuple[int, ...], start: float, join: Callable[[Tensor, Tensor], Tensor] = torch.mul
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(start * torch.randn(shape) if join is torch.add else torch.full(shape, start))
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(x, self.scale)


class Squeeze(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018)."""

    def __init__(self, gate: Callable[[Tensor], Tensor] = torch.sigmoid) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(WIDTH, WIDTH // 4, 1), nn.Conv2d(WIDTH // 4, WIDTH, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


def gelu_by_hand(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))))


def kinked(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.1 * x)


def gated(x: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return a * F.silu(b)


def activated(name: str, op: nn.Module) -> Case:
    return Case(name, lambda: Chain(loud(), op, dense()), (VECTORS,), seeds=2)


ACTIVATIONS = tuple(
    activated(name, op)
    for name, op in (
        ("relu", nn.ReLU()),
        ("relu in place", nn.ReLU(inplace=True)),
        ("leaky relu", nn.LeakyReLU(0.2)),
        ("relu6", nn.ReLU6()),
        ("gelu", nn.GELU()),
        ("gelu, tanh", nn.GELU("tanh")),
        ("silu", nn.SiLU()),
        ("elu", nn.ELU()),
        ("selu", nn.SELU()),
        ("mish", nn.Mish()),
        ("tanh", nn.Tanh()),
        ("sigmoid", nn.Sigmoid()),
        ("softplus", nn.Softplus()),
        ("hardswish", nn.Hardswish()),
        ("hardtanh", nn.Hardtanh()),
        ("softsign", nn.Softsign()),
        ("log-sigmoid", nn.LogSigmoid()),
        ("sine", Op(torch.sin)),
        ("square", Op(torch.square)),
        ("squared relu", Op(lambda x: F.relu(x) ** 2)),
        ("absolute value", Op(torch.abs)),
        ("exponential", Op(lambda x: torch.exp(-x.square()))),
        ("clamped", Op(lambda x: x.clamp(-1, 0.5))),
        ("gelu by hand", Op(gelu_by_hand)),
        ("x sigmoid x", Op(lambda x: x * torch.sigmoid(1.702 * x))),
        ("where", Op(kinked)),
        ("maximum", Op(lambda x: torch.maximum(x, torch.zeros_like(x) + 0.5))),
        ("a chain of maps", Op(lambda x: (x.abs() + 1).log().neg().exp() * 2 - 1)),
        ("dropout", Chain(nn.Dropout(0.5), nn.Tanh(), nn.AlphaDropout(0.2))),
        ("identity", nn.Identity()),
        ("severed half", Op(lambda x: x + 2 * x.detach())),
    )
)
SLOPES = (
    Case("prelu per unit", lambda: Chain(loud(), nn.PReLU(WIDTH), dense()), (VECTORS,)),
    Case("prelu per channel", lambda: Chain(point(), nn.PReLU(WIDTH), point()), (IMAGE,)),
)
GATES = (
    Case("glu", lambda: Chain(loud(), nn.GLU(), dense(WIDTH // 2)), (TOKENS,)),
    Case("glu of channels", lambda: Chain(point(2, WIDTH, 2 * WIDTH), nn.GLU(1), point()), (IMAGE,)),
    Case("swiglu in one", lambda: Chain(dense(WIDTH, 2 * WIDTH), Op(gated), dense()), (TOKENS,)),
    Case(
        "highway",
        lambda: Chain(
            dense(),
            Fan(lambda x, g, h: torch.sigmoid(g) * h + (1 - torch.sigmoid(g)) * x, nn.Identity(), loud(), loud()),
            dense(),
        ),
        (VECTORS,),
    ),
    Case("swiglu in two", lambda: Chain(Fan(lambda a, b: F.silu(a) * b, dense(), dense()), dense()), (TOKENS,)),
    Case("a product with itself", lambda: Chain(loud(), Op(lambda x: x * torch.relu(x)), dense()), (VECTORS,)),
    Case("squeeze and excite", lambda: Chain(point(), nn.ReLU(), Squeeze(), point()), (IMAGE,), within=0.06),
    Case(
        "squeeze and excite, hard",
        lambda: Chain(point(), nn.ReLU(), Squeeze(F.hardsigmoid), point()),
        (IMAGE,),
        within=0.06,
    ),
    Case(
        "squeeze and excite, pooled",
        lambda: Chain(point(), nn.ReLU(), Squeeze(), point(), nn.ReLU(), pooled()),
        (IMAGE,),
        within=0.06,
        seeds=6,
    ),
    Case(
        "one gate per token",
        lambda: Chain(
            dense(), Fan(lambda x, g: x * torch.sigmoid(g), nn.Identity(), dense(WIDTH, 1, bias=False)), dense()
        ),
        (TOKENS,),
    ),
)
SKIPS = (
    Case("residual", lambda: Chain(dense(), Skip(dense(), nn.ReLU(), dense())), (VECTORS,)),
    Case("six residuals", lambda: Chain(dense(), *(Skip(dense(), nn.Tanh(), loud()) for _ in range(6))), (VECTORS,)),
    Case(
        "residual, norm first",
        lambda: Chain(dense(), *(Skip(nn.LayerNorm(WIDTH), dense(), nn.GELU(), dense()) for _ in range(4))),
        (TOKENS,),
    ),
    Case(
        "residual, activation behind",
        lambda: Chain(dense(), *(Chain(Skip(dense(), nn.ReLU(), dense()), nn.ReLU()) for _ in range(3))),
        (VECTORS,),
    ),
    Case(
        "residual, half each",
        lambda: Chain(dense(), Fan(lambda x, y: (x + y) / 2**0.5, nn.Identity(), Chain(nn.ReLU(), loud()))),
        (VECTORS,),
    ),
    Case("difference", lambda: Chain(dense(), Fan(torch.sub, loud(), loud()), nn.ReLU(), dense()), (VECTORS,)),
    Case(
        "three readers",
        lambda: Chain(loud(), nn.Tanh(), Fan(lambda a, b, c: a + b * c, dense(), loud(), loud())),
        (VECTORS,),
    ),
)
SCALES = (
    Case("layer scale", lambda: Chain(dense(), Skip(dense(), nn.GELU(), dense(), Scaled((WIDTH,), 1e-2))), (TOKENS,)),
    Case("layer scale of channels", lambda: Chain(point(), Skip(point(), Scaled((WIDTH, 1, 1), 0.1))), (IMAGE,)),
    Case("position table", lambda: Chain(dense(), Scaled((24, WIDTH), 1.0, torch.add), nn.ReLU(), dense()), (TOKENS,)),
    Case(
        "position table with a batch dim",
        lambda: Chain(dense(), Scaled((1, 24, WIDTH), 1.0, torch.add), nn.ReLU(), dense(), Op(token_mean)),
        (TOKENS,),
    ),
    Case("learned vector", lambda: Chain(dense(), Scaled((WIDTH,), 1.0, torch.add), nn.ReLU(), dense()), (TOKENS,)),
    Case(
        "learned gate of every position",
        lambda: Chain(dense(), Scaled((24, 1), 1.0, torch.add), nn.ReLU(), dense()),
        (TOKENS,),
        seeds=8,
    ),
)
WAVE = torch.sin(torch.arange(24.0)[:, None] * torch.logspace(0, -3, WIDTH))
CONSTANTS = (
    Case("times a number", lambda: Chain(dense(), Op(lambda x: 3 * x - 0.5), nn.ReLU(), dense()), (VECTORS,)),
    Case("sinusoids added", lambda: Chain(dense(), Op(lambda x: x + WAVE), nn.ReLU(), dense()), (TOKENS,)),
    Case(
        "rotated",
        lambda: Chain(
            dense(),
            Op(lambda x: x * WAVE.cos() + torch.cat([-x[..., WIDTH // 2 :], x[..., : WIDTH // 2]], -1) * WAVE.sin()),
            dense(),
        ),
        (TOKENS,),
    ),
    Case(
        "channels masked", lambda: Chain(dense(), Op(lambda x: x * (torch.arange(WIDTH) % 4 == 0)), dense()), (VECTORS,)
    ),
    Case(
        "tokens masked", lambda: Chain(dense(), Op(lambda x: x * (torch.arange(24) < 12)[:, None]), dense()), (TOKENS,)
    ),
    Case(
        "tokens filled",
        lambda: Chain(dense(), Op(lambda x: x.masked_fill((torch.arange(24) < 6)[:, None], 0.0)), dense()),
        (TOKENS,),
    ),
    Case(
        "half precision and back",
        lambda: Chain(dense(), Op(lambda x: x.double().float()), nn.Tanh(), dense()),
        (VECTORS,),
    ),
)


@each(ACTIVATIONS, SLOPES)
def test_activation(case: Case) -> None:
    check(case)


@each(GATES)
def test_gate(case: Case) -> None:
    check(case)


@each(SKIPS, SCALES)
def test_residual(case: Case) -> None:
    check(case)


@each(CONSTANTS)
def test_constant(case: Case) -> None:
    check(case)
