"""Parameters whose effect the next batch norm takes out again."""

import pytest
import torch
from _compare import predict
from _modules import WIDTH, Chain, Fan, Op, point
from torch import Tensor, nn

from gradlint.probe import measure

IMAGE = (8, WIDTH, 6, 6)


def norm(width: int = WIDTH) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width)


def alone(padding: int = 1) -> nn.Conv2d:
    return nn.Conv2d(WIDTH, WIDTH, 3, padding=padding, groups=WIDTH, bias=False)


def shuffled(x: Tensor) -> Tensor:
    return x.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2)


def both(model: nn.Module, name: str) -> tuple[float, float]:
    """Predicted and measured gradient of one parameter."""
    x = torch.randn(IMAGE)
    predicted = predict(model, x).parameters()[name].gradient_rms
    measured = measure(model.double(), (x.double(),)).parameters()[name].gradient_rms
    assert predicted is not None
    assert measured is not None
    return predicted, measured


SHIFTS = {
    "straight on": lambda: Chain(norm(), point(bias=False), norm(), nn.ReLU(), point()),
    "of a convolution": lambda: Chain(point(), point(), norm(), nn.ReLU(), point()),
    "round a branch": lambda: Chain(
        norm(), Fan(torch.add, Chain(point(), norm()), Op(lambda x: x)), point(), norm(), nn.ReLU(), point()
    ),
    "through a shuffle": lambda: Chain(norm(), Op(shuffled), point(bias=False), norm(), nn.ReLU(), point()),
}


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_in_front_of_linear_maps_and_a_norm_has_no_gradient(name: str) -> None:
    torch.manual_seed(0)
    predicted, measured = both(SHIFTS[name](), "0.bias")
    assert predicted == 0.0
    assert measured < 1e-12


@pytest.mark.parametrize("between", [nn.ReLU, nn.Sigmoid], ids=["activation", "saturating"])
def test_a_shift_in_front_of_an_activation_keeps_its_gradient(between: type[nn.Module]) -> None:
    torch.manual_seed(0)
    predicted, measured = both(Chain(norm(), between(), point(), norm(), nn.ReLU(), point()), "0.bias")
    assert 0.5 < predicted / measured < 2


def test_a_shift_that_padding_meets_keeps_its_gradient() -> None:
    torch.manual_seed(0)
    model = Chain(norm(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1), norm(), nn.ReLU(), point())
    predicted, measured = both(model, "0.bias")
    assert predicted > 0
    assert measured > 1e-6


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.ReLU6], ids=lambda kind: kind.__name__)
def test_a_scale_in_front_of_maps_of_single_units_is_left_what_eps_leaves(activation: type[nn.Module]) -> None:
    torch.manual_seed(0)
    predicted, measured = both(Chain(point(), norm(), activation(), alone(), norm(), nn.ReLU(), point()), "1.weight")
    whole = both(Chain(point(), norm(), activation(), point(), norm(), nn.ReLU(), point()), "1.weight")[1]
    assert measured < 1e-3 * whole
    assert predicted / measured == pytest.approx(1, rel=0.6)


def test_a_scale_in_front_of_another_activation_keeps_its_gradient() -> None:
    torch.manual_seed(0)
    model = Chain(point(), norm(), nn.GELU(), alone(), norm(), nn.ReLU(), point())
    predicted, measured = both(model, "1.weight")
    assert measured > 1e-2
    assert predicted > 1e-2


def test_a_scale_in_front_of_a_sum_of_maps_of_single_units() -> None:
    torch.manual_seed(0)
    whole = Chain(point(), norm(), nn.ReLU(), Fan(torch.add, alone(), alone()), norm(), nn.ReLU(), point())
    predicted, measured = both(whole, "1.weight")
    assert predicted / measured == pytest.approx(1, rel=0.6)
    assert measured < 0.1


def test_a_scale_in_front_of_a_sum_with_something_else_keeps_its_gradient() -> None:
    torch.manual_seed(0)
    branch = Chain(norm(), nn.ReLU(), alone())
    model = Chain(point(), Fan(torch.add, branch, Op(lambda x: x)), norm(), nn.ReLU(), point())
    predicted, measured = both(model, "1.branches.0.0.weight")
    assert measured > 1e-2
    assert 0.4 < predicted / measured < 2.5


class Attention(nn.Module):
    """Behind a token of its own; keys get a linear layer with a shift."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), x.flatten(2).mT], 1)
        q, k, v = (f(x).unflatten(2, (4, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        return nn.functional.scaled_dot_product_attention(q, k, v)[:, :, 0]


def test_a_shift_of_all_keys_alike_has_no_gradient() -> None:
    torch.manual_seed(0)
    model = Attention()
    assert both(model, "k.bias")[0] == 0.0
    assert both(model, "k.bias")[1] < 1e-12
    assert both(model.float(), "q.bias")[0] > 0.0
