"""What an `autograd.Function` of several tensors does inside, and indices beside values that learn."""

from typing import Any

import torch
from _compare import Case, check, each
from _modules import WIDTH, Chain, Op, dense
from torch import Tensor, nn

from gradlint import flow
from gradlint.core.flow import Flow
from gradlint.probe import measure

TOKENS = (8, 16, WIDTH)


class Mixed(torch.autograd.Function):
    """0.3 a + 0.7 b."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, share: float) -> Tensor:
        ctx.share = share
        return share * a + (1 - share) * b

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return ctx.share * grads[0], (1 - ctx.share) * grads[0], None


class Branches(nn.Module):
    """Two branches and their mixture; the function is kept from construction on, as pytorchcv's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.mix = dense(), dense(), Mixed.apply

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.a(x), torch.tanh(self.b(x)), 0.3)


CASES = (
    Case("two branches, mixed by a function", lambda: Chain(nn.LayerNorm(WIDTH), Branches(), dense()), (TOKENS,)),
    Case("two, then two more", lambda: Chain(Branches(), Op(torch.relu), Branches(), dense()), (TOKENS,)),
)


@each(CASES)
def test_what_happens_inside(case: Case) -> None:
    check(case)


def ratio(predicted: Flow, measured: Flow, name: str) -> float:
    """Of a parameter's gradients."""
    a, b = predicted.parameters()[name].gradient_rms, measured.parameters()[name].gradient_rms
    assert a and b
    return a / b


class Rounded(torch.autograd.Function):
    """Rounded to multiples of a learned step; the gradient goes straight through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor) -> Tensor:
        return torch.round(x / step) * step

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0], grads[0].mean()


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.step = dense(), dense(), nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(Rounded.apply(self.first(x), self.step))


def test_a_function_around_a_step_has_a_backward_of_its_own() -> None:
    predicted = flow(Quantised(), torch.randn(TOKENS))

    assert [u.op for u in predicted.unknown] == ["custom_function"]
    assert predicted.parameters()["first.weight"].gradient_rms


class Reversible(torch.autograd.Function):
    """A module inside a function that recomputes it in its backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, module: nn.Module, *parameters: Tensor) -> Tensor:
        ctx.module = module
        ctx.save_for_backward(x)
        with torch.no_grad():
            return x + module(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            given = x.detach().requires_grad_()
            y = given + ctx.module(given)
            found = torch.autograd.grad(y, (given, *ctx.module.parameters()), grads[0])
        return (found[0], None, *found[1:])


class Recomputed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inside, self.last = dense(), dense(), dense()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(Reversible.apply(self.first(x), self.inside, *self.inside.parameters()))


def test_modules_inside_a_function_that_recomputes_them() -> None:
    model, x = Recomputed(), torch.randn(TOKENS)
    predicted, measured = flow(model, x), measure(model, x)

    for name in measured.parameters():
        assert 0.6 < ratio(predicted, measured, name) < 1.6
    assert measured.modules()["inside"].gradient_rms is None  # nothing can be watched there


class Peaks(nn.Module):
    """Where on a map each channel is largest, and how large it is there (heatmaps of poses)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        value, index = self.conv(x).flatten(2).max(2, keepdim=True)
        return torch.cat([(index % 16) * (value > 0).float(), value], 2)


def test_indices_beside_values_pass_the_gradient_of_the_values() -> None:
    model, x = Peaks(), torch.randn(8, 3, 16, 16)
    predicted, measured = flow(model, x), measure(model, x)

    assert [u.op for u in predicted.unknown] == ["cat"]
    for name in ("conv.weight", "conv.bias"):
        assert 0.5 < ratio(predicted, measured, name) < 2
