"""Complex numbers are named unknown, and what lies in front of them is not called severed."""

import pytest
import torch
from torch import Tensor, nn

import gradlint


class Spectral(nn.Module):
    """A learned filter in frequency space, with a complex weight."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.filter = nn.Parameter(torch.randn(width // 2 + 1, dtype=torch.cfloat))
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width) → (batch, 4)."""
        spectrum = torch.fft.rfft(torch.relu(self.first(x))) * self.filter
        y: Tensor = self.head(torch.fft.irfft(spectrum, n=x.shape[-1]))
        return y


def test_complex_numbers_are_named_and_pass_the_gradient_on() -> None:
    torch.manual_seed(0)
    model = Spectral()
    flow = gradlint.flow(model, (torch.randn(8, 32),))
    assert {u.op for u in flow.unknown} == {"fft_rfft", "mul", "fft_irfft"}
    assert all("complex" in u.reason for u in flow.unknown)
    parameters = flow.parameters()
    assert parameters["first.weight"].gradient_rms != 0.0
    size = float(model.filter.detach().abs().square().mean().sqrt())  # real and imaginary parts count both
    assert parameters["filter"].value_rms == pytest.approx(size, rel=1e-5)


def test_layers_of_complex_weights_are_checked_without_a_crash() -> None:
    class Net(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = super().forward(x).abs()
            return y

    model = Net(nn.Linear(16, 16, dtype=torch.cfloat), nn.Linear(16, 16, dtype=torch.cfloat))
    report = gradlint.check_model(model, (torch.randn(4, 16, dtype=torch.cfloat),))
    assert "GL003" in {finding.code for finding in report.findings}
