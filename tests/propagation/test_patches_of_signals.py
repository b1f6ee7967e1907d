"""Pieces of a series, cut out by reshaping the input: tokens, whatever dims the series had them in."""

import math

import pytest
import torch
from torch import Tensor, nn

from gradlint import flow, measure


class Pieces(nn.Module):
    """(B, C, T) → (B, T / 8, 8 C) → layer norm → linear → mean over pieces."""

    def __init__(self, *, normed: bool) -> None:
        super().__init__()
        self.normed = nn.LayerNorm(24) if normed else nn.Identity()
        self.embed = nn.Linear(24, 256)
        self.norm = nn.LayerNorm(256)
        self.head = nn.Linear(256, 128)

    def forward(self, x: Tensor) -> Tensor:
        pieces = x.view(x.shape[0], 3, -1, 8).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 24)
        return self.head(self.norm(self.embed(self.normed(pieces))).mean(1))


def decades(normed: bool) -> dict[str, float]:
    """Predicted against measured gradients of the parameters, over several initialisations."""
    errors: dict[str, list[float]] = {}
    for seed in range(6):
        torch.manual_seed(seed)
        model, x = Pieces(normed=normed), torch.randn(16, 3, 256)
        predicted, measured = flow(model, x).parameters(), measure(model, x).parameters()
        for name, figure in predicted.items():
            errors.setdefault(name, []).append(math.log10(figure.gradient_rms / measured[name].gradient_rms))
    return {name: sum(values) / len(values) for name, values in errors.items()}


@pytest.mark.parametrize("normed", [False, True])
def test_a_mean_over_pieces_is_one_over_positions(normed: bool) -> None:
    errors = decades(normed)
    assert all(abs(error) < 0.15 for error in errors.values()), errors
