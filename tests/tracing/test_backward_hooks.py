"""Full backward hooks observe; the flow is that of the model without them."""

import torch
from torch import nn

import gradlint


class Pair(nn.Module):
    """Takes two tensors, one of them without gradient, and gives two."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.layer(x) * scale
        return y, y.tanh()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.pair, self.last = nn.Linear(8, 8), Pair(), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.pair(self.first(x), torch.full((8,), 2.0))
        out: torch.Tensor = self.last(left.relu() + right)
        return out


def test_hooks_are_no_operators() -> None:
    torch.manual_seed(0)
    model, x = Net(), torch.randn(4, 8)
    plain = gradlint.flow(model, x)
    for module in model.modules():
        module.register_full_backward_hook(lambda module, received, given: None)
        module.register_full_backward_pre_hook(lambda module, given: None)
    hooked = gradlint.flow(model, x)
    assert hooked.unknown == ()
    assert hooked.parameters() == plain.parameters()
    assert hooked.modules() == plain.modules()
    assert "GL003" not in {finding.code for finding in gradlint.check_model(model, x).findings}
