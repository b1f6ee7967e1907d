"""Results that are written piece by piece into memory of their own, as rotary embeddings often are."""

import math

import torch
from torch import Tensor, nn

from gradlint import flow, measure


class Rotary(nn.Module):
    """Attention whose queries and keys are rotated into `empty_like`, and whose operands are given by name."""

    def __init__(self, width: int = 128, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))

    def rotated(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
        out = torch.empty_like(x)
        out[..., 0::2] = even * cos - odd * sin
        out[..., 1::2] = even * sin + odd * cos
        return out

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)) for f in (self.q, self.k, self.v))
        angles = torch.arange(x.shape[1])[:, None] / 10000 ** torch.linspace(0, 1, q.shape[-1] // 2)
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        q, k = self.rotated(q, cos, sin), self.rotated(k, cos, sin)
        q, k, v = (z.transpose(1, 2) for z in (q, k, v))
        mixed = nn.functional.scaled_dot_product_attention(query=q, key=k, value=v)
        return self.o(mixed.transpose(1, 2).flatten(2))


def test_uninitialised_memory_that_is_written_over_leaves_no_trace() -> None:
    errors: dict[str, list[float]] = {}
    for seed in range(4):
        torch.manual_seed(seed)
        model, x = Rotary(), torch.randn(8, 16, 128)
        predicted, measured = flow(model, x), measure(model, x).parameters()
        assert not predicted.unknown
        for name, figure in predicted.parameters().items():
            errors.setdefault(name, []).append(math.log10(figure.gradient_rms / measured[name].gradient_rms))
    means = {name: sum(values) / len(values) for name, values in errors.items()}
    assert all(abs(mean) < 0.2 for mean in means.values()), means


def test_uninitialised_memory_counts_as_zeros() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(64, 64)

        def forward(self, x: Tensor) -> Tensor:
            out = torch.empty_like(x)
            out[:, :16] = x[:, :16]
            return self.fc(out)

    model, x = Padded(), torch.randn(256, 64)
    figure = flow(model, x).parameters()["fc.weight"].gradient_rms
    assert math.isfinite(figure)
    assert 0 < figure < 16  # √256 from the batch; less, as three quarters of what it reads are zeros
