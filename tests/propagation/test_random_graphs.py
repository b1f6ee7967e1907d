"""Random graphs of supported operators: predicted and measured stay within a band of each other."""

import math
import statistics
from collections.abc import Callable, Sequence

import torch
from _compare import figures, predict
from _modules import Chain, Fan, Op, Skip
from _properties import quick
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradlint.probe import measure

UNITS = 256
WORST, USUAL = 0.35, 0.03
"""Decades by which any one figure of one initialisation, and the middle one, may be off."""

Block = Callable[[], nn.Module]

ACTIVATIONS: tuple[Block, ...] = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.ELU, lambda: nn.LeakyReLU(0.1))

CENTRED: tuple[Block, ...] = tuple(block for block in ACTIVATIONS if block is not nn.Sigmoid)


def kaiming() -> nn.Module:
    layer = nn.Linear(UNITS, UNITS)
    nn.init.kaiming_normal_(layer.weight)
    return layer


def gate() -> nn.Module:
    return Fan(lambda a, b: a * torch.sigmoid(b), nn.Linear(UNITS, UNITS), nn.Linear(UNITS, UNITS))


def attention() -> nn.Module:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.MultiheadAttention(UNITS, 8, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mixed: torch.Tensor = self.inside(x, x, x, need_weights=False)[0]
            return mixed

    return Attention()


DENSE: tuple[Block, ...] = (
    lambda: nn.Linear(UNITS, UNITS),
    kaiming,
    gate,
    lambda: nn.LayerNorm(UNITS),
    lambda: nn.RMSNorm(UNITS),
    lambda: nn.Dropout(0.3),
    lambda: Chain(nn.Linear(UNITS, 2 * UNITS), nn.GELU(), nn.Linear(2 * UNITS, UNITS)),
    lambda: Op(lambda x: 0.5 * x + 0.1),
    lambda: Fan(lambda a, b: torch.cat([a, b], -1), nn.Linear(UNITS, UNITS // 2), nn.Linear(UNITS, UNITS // 2)),
)
TOKENS = (*DENSE, attention)
IMAGES: tuple[Block, ...] = (
    lambda: nn.Conv2d(UNITS, UNITS, 1),
    lambda: nn.Conv2d(UNITS, UNITS, 3, padding=1),
    lambda: nn.Conv2d(UNITS, UNITS, 3, padding=1, groups=UNITS),
    lambda: Chain(nn.Conv2d(UNITS, UNITS, 1, bias=False), nn.BatchNorm2d(UNITS), nn.ReLU()),
    lambda: nn.GroupNorm(8, UNITS),
    lambda: nn.AvgPool2d(3, 1, 1),
    lambda: nn.Upsample(scale_factor=1),
)


def grown(
    blocks: Sequence[Block], picks: Sequence[tuple[int, int, bool]], activations: Sequence[Block] = ACTIVATIONS
) -> nn.Module:
    """A stem and a chain of blocks, each with an activation behind, some with a skip around both."""
    layers: list[nn.Module] = [blocks[0]()]
    for block, activation, skip in picks:
        inside = [blocks[block % len(blocks)](), activations[activation % len(activations)]()]
        layers.append(Skip(*inside) if skip else Chain(*inside))
    return Chain(*layers, blocks[0]())


def picks(longest: int) -> st.SearchStrategy[list[tuple[int, int, bool]]]:
    return st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans()), min_size=2, max_size=longest)


def compare(model: nn.Module, x: torch.Tensor) -> None:
    """Every figure within the band, and the middle one close."""
    flow = predict(model, x)
    assert not flow.unknown
    predicted, measured = figures(flow), figures(measure(model, (x,)))
    assert predicted.keys() == measured.keys()
    narrow = {name for name, p in model.named_parameters() if p.dim() < 2}
    errors = {}
    for name, expected in measured.items():
        found = predicted[name]
        assert found is not None and expected is not None and math.isfinite(found), name
        if name.removeprefix("gradient of ") in narrow:
            continue  # a few hundred numbers scatter by more than the theory is off
        assert found > 0 and expected > 0, name
        errors[name] = math.log10(found / expected)
    off = {name: round(error, 3) for name, error in errors.items() if not abs(error) <= WORST}
    assert not off, f"{model}\n{off}"
    assert statistics.median(map(abs, errors.values())) <= USUAL, f"{model}\n{errors}"


@quick
@given(picks(7), st.integers(0, 2**20))
def test_graphs_of_vectors(choices: list[tuple[int, int, bool]], seed: int) -> None:
    torch.manual_seed(seed)
    compare(grown(DENSE, choices), torch.randn(64, UNITS))


@quick
@given(picks(5), st.integers(0, 2**20))
def test_graphs_of_tokens(choices: list[tuple[int, int, bool]], seed: int) -> None:
    torch.manual_seed(seed)
    compare(grown(TOKENS, choices), torch.randn(8, 16, UNITS))


@quick
@given(picks(4), st.integers(0, 2**20))
def test_graphs_of_images(choices: list[tuple[int, int, bool]], seed: int) -> None:
    torch.manual_seed(seed)
    compare(grown(IMAGES, choices, CENTRED), torch.randn(4, UNITS, 6, 6))
