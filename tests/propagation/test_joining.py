"""Concatenation, stacking and writing into part of a tensor."""

from collections.abc import Callable

import pytest
import torch
from _compare import Case, check, each
from _modules import WIDTH, Chain, Fan, Op, dense, point
from torch import Tensor, nn

import gradlint

VECTORS, TOKENS, IMAGE = (64, WIDTH), (8, 24, WIDTH), (4, WIDTH, 8, 8)


class ClassToken(nn.Module):
    """A learned token in front of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.token.expand(len(x), -1, -1), x], 1)


class Growing(nn.Module):
    """Every layer reads all before it (DenseNet)."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Chain(nn.BatchNorm2d(WIDTH + 64 * i) if norm else nn.Identity(), nn.ReLU(), point(2, WIDTH + 64 * i, 64))
            for i in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class NoRegisters(nn.Module):
    """Registers in front of the others, of which there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.registers = nn.Parameter(torch.randn(0, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.registers.expand(len(x), -1, -1), x], 1)


def written(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :12] = x[:, 12:]
    return y


def overwritten(x: Tensor) -> Tensor:
    y = x.clone()
    y[..., :64] = 0.5
    return y


def pair(
    name: str, join: Callable[..., Tensor], after: Callable[[], nn.Module], shape: tuple[int, ...] = TOKENS
) -> Case:
    """Two branches of unlike size and mean, joined."""
    return Case(
        name,
        lambda: Chain(
            dense() if len(shape) < 4 else point(),
            Fan(join, nn.ReLU(), Chain(nn.Tanh(), dense() if len(shape) < 4 else point())),
            after(),
        ),
        (shape,),
        within=0.06,
    )


def batch_of_sequences(x: Tensor) -> Tensor:
    """Sequences of several lengths, padded."""
    return nn.utils.rnn.pad_sequence([x[i, : 24 - 2 * i] for i in range(8)], batch_first=True)


def sparse(x: Tensor) -> Tensor:
    """The largest quarter of each vector, zeros elsewhere."""
    top, index = x.topk(WIDTH // 4, dim=1)
    return torch.zeros_like(x).scatter(1, index, top)


JOINED = (
    pair("features side by side", lambda a, b: torch.cat([a, b], -1), lambda: dense(2 * WIDTH)),
    pair("features, then a map", lambda a, b: torch.cat([a, b], -1), lambda: Chain(nn.Tanh(), dense(2 * WIDTH))),
    pair("a quarter and a whole", lambda a, b: torch.cat([a[..., :32], b], -1), lambda: dense(WIDTH + 32)),
    pair("very unlike in size", lambda a, b: torch.cat([100 * a, 0.01 * b], -1), lambda: dense(2 * WIDTH)),
    pair("vectors side by side", lambda a, b: torch.cat([a, b], 1), lambda: dense(2 * WIDTH), VECTORS),
    pair("tokens one behind the other", lambda a, b: torch.cat([a, b], 1), dense),
    pair("samples one behind the other", lambda a, b: torch.cat([a, b], 0), dense),
    pair("channels", lambda a, b: torch.cat([a, b], 1), lambda: point(2, 2 * WIDTH), IMAGE),
    pair(
        "channels, layer norm",
        lambda a, b: torch.cat([a, b], -1),
        lambda: Chain(nn.LayerNorm(2 * WIDTH), dense(2 * WIDTH)),
    ),
    pair("stacked and summed", lambda a, b: torch.stack([a, b]).sum(0), dense),
    pair("stacked tokens", lambda a, b: torch.stack([a, b], 1), dense),
    Case("sequences, padded", lambda: Chain(dense(bias=False), nn.ReLU(), Op(batch_of_sequences), dense()), (TOKENS,)),
    Case("class token", lambda: Chain(dense(), ClassToken(), nn.ReLU(), dense()), (TOKENS,)),
    Case("all before, no norm", lambda: Chain(point(), Growing(norm=False), point(2, WIDTH + 192)), (IMAGE,)),
    Case("all before, batch norm", lambda: Chain(point(), Growing(), point(2, WIDTH + 192)), (IMAGE,)),
)
WRITTEN = (
    Case("overwritten by a number", lambda: Chain(dense(), nn.ReLU(), Op(overwritten), dense()), (TOKENS,)),
    Case("written into zeros", lambda: Chain(dense(), nn.ReLU(), Op(written), dense()), (TOKENS,)),
    Case("scattered into zeros", lambda: Chain(dense(), Op(sparse), dense()), (VECTORS,)),
    Case("the last write is an output", lambda: Chain(dense(), Op(written)), (TOKENS,)),
)


@each(JOINED)
def test_joining(case: Case) -> None:
    check(case)


@each(WRITTEN)
def test_writing(case: Case) -> None:
    check(case)


def test_a_part_without_elements_is_left_out() -> None:
    model = Chain(dense(), NoRegisters(), nn.ReLU(), dense())
    flow = gradlint.flow(model, (torch.randn(TOKENS),))
    without = gradlint.flow(Chain(model[0], nn.ReLU(), model[3]), (torch.randn(TOKENS),))
    assert not flow.unknown
    assert flow.modules()["0"].attenuation == pytest.approx(without.modules()["0"].attenuation, abs=0.03)


class Filled(nn.Module):
    """Two parts written side by side into memory that held nothing (DeepSeek's keys)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = dense(), dense()

    def forward(self, x: Tensor) -> Tensor:
        y = x.new_empty(*x.shape[:-1], 2 * WIDTH)
        y[..., :WIDTH].copy_(self.first(x))
        y[..., WIDTH:].copy_(self.second(x))
        return y


def test_memory_that_is_filled_part_by_part() -> None:
    check(Case("filled", lambda: Chain(dense(), nn.ReLU(), Filled(), dense(2 * WIDTH)), ((32, WIDTH),)))


class SpatialGate(nn.Module):
    """CBAM's: a map computed from the mean and the largest of all channels, multiplied back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 32, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        gated: Tensor = x.unflatten(1, (32, -1)) * self.conv(seen).sigmoid().unsqueeze(2)
        return gated.flatten(1, 2)


def test_statistics_of_all_units_joined() -> None:
    """One number per place stands for one unit: it gets one unit's gradient."""
    check(Case("gate", lambda: Chain(point(), SpatialGate(), point()), ((8, WIDTH, 8, 8),), within=0.1, seeds=6))


class Cut(nn.Module):
    """Joined features of several sizes, of which a part is read on."""

    def __init__(self, read: Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.first, self.second, self.out = dense(), dense(), dense(width)
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(self.read(torch.cat([3 + self.first(x), 0.3 * self.second(x)], -1)))
        return y


CUT = (
    Case("the first part", lambda: Chain(dense(), Cut(lambda x: x[..., :WIDTH], WIDTH)), (TOKENS,), within=0.06),
    Case("the second part", lambda: Chain(dense(), Cut(lambda x: x[..., WIDTH:], WIDTH)), (TOKENS,), within=0.06),
    Case("parts apart again", lambda: Chain(dense(), Cut(lambda x: x.chunk(2, -1)[1].relu(), WIDTH)), (TOKENS,)),
    Case(
        "a product of both parts",
        lambda: Chain(dense(), Cut(lambda x: torch.mul(*x.chunk(2, -1)), WIDTH)),
        (TOKENS,),
        within=0.06,
    ),
    Case(
        "shuffled",
        lambda: Chain(dense(), Cut(lambda x: x.unflatten(-1, (2, WIDTH)).mT.flatten(-2).chunk(2, -1)[0], WIDTH)),
        (TOKENS,),
        within=0.06,
    ),
    Case(
        "across both parts",
        lambda: Chain(dense(), Cut(lambda x: x.relu()[..., WIDTH // 2 : 3 * WIDTH // 2], WIDTH)),
        (TOKENS,),
        within=0.06,
    ),
)


@each(CUT)
def test_parts_of_what_was_joined(case: Case) -> None:
    check(case)
