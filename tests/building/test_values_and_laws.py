"""Values of real parameters, and the laws read from them."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from gradlint.building import BuiltModel, adopt, law_of, parameter_infos
from gradlint.building.laws import SAMPLE, real_values
from gradlint.core.graph import GraphView

Built = Callable[..., BuiltModel]


def test_small_tensors_are_their_own_sample() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    values = real_values(tensor, "values")
    assert values.shape == (2, 3)
    assert values.sample.tolist() == [0, 1, 2, 3, 4, 5]
    assert values.sample.dtype is torch.float64


@pytest.mark.parametrize("size", [SAMPLE + 1, 10_000, 300_000])
def test_the_sample_of_a_large_tensor_has_its_moments(size: int) -> None:
    torch.manual_seed(1)
    tensor = torch.randn(size) * 3 + 1
    sample = real_values(tensor, "normal").sample
    assert sample.shape == (SAMPLE,)
    assert sample.mean().item() == pytest.approx(tensor.mean().item(), abs=0.2)
    assert sample.std().item() == pytest.approx(tensor.std().item(), rel=0.05)
    assert abs(torch.corrcoef(torch.stack([sample, torch.arange(float(SAMPLE)).double()]))[0, 1].item()) < 0.1


def test_values_are_shared_with_the_model_not_copied(built: Built) -> None:
    found = built("def make():\n    return nn.Linear(3, 3)\n")
    values = found.values["weight"].values
    assert values is not None
    assert values.data_ptr() == found.model.weight.data_ptr()
    assert not values.requires_grad


def law(tensor: torch.Tensor, kind: str = "values"):  # type: ignore[no-untyped-def]
    return law_of(real_values(tensor, kind))


def test_constants() -> None:
    assert law(torch.zeros(3, 4)).kind == "zeros"
    assert law(torch.full((3, 4), 2.0)).kind == "constant"
    assert law(torch.tensor([0.0, 1.0]), "zeros").kind == "values"
    assert law(torch.randn(3, 4), "normal").kind == "normal"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_survives(bad: float) -> None:
    tensor = torch.randn(50, 60)
    tensor[3, 4] = bad
    found = law(tensor)
    assert not found.finite
    assert not math.isfinite(found.mean)


def test_a_nan_set_in_the_constructor_is_seen(built: Built) -> None:
    found = built(
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(3, 3)
                self.a.weight.data[0, 0] = float("nan")
            def forward(self, x): return self.a(x)
        """
    )
    infos = parameter_infos(found, None, (), ())
    assert not infos["a.weight"].law.finite
    assert infos["a.bias"].law.finite


def test_equal_rows_are_output_units() -> None:
    row = torch.randn(1, 4)
    assert law(row.expand(3, 4).clone()).equal_rows
    assert not law(row.T.expand(4, 3).clone()).equal_rows
    assert not law(torch.randn(3, 4)).equal_rows
    assert not law(torch.ones(1, 4)).equal_rows
    assert not law(torch.ones(4)).equal_rows
    assert not law(torch.full((3, 4), math.nan)).equal_rows


def test_output_units_of_a_transposed_convolution_are_its_second_dimension() -> None:
    model = nn.ConvTranspose2d(2, 3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.randn(2, 1, 2, 2).expand(2, 3, 2, 2))
    assert parameter_infos(adopt(model), None, (), ())["weight"].law.equal_rows
    assert not law(model.weight).equal_rows


def test_law_of_integers_and_of_nothing() -> None:
    assert law(torch.arange(5)).mean == 2
    assert law(torch.empty(0, 3)).std == 0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("nn.Parameter(torch.empty(30, 30))", "uninitialised"),
        ("nn.Parameter(torch.randn(30, 30))", "normal"),
        ("nn.Parameter(nn.init.xavier_uniform_(torch.empty(30, 30)))", "uniform"),
        ("nn.Parameter(nn.init.kaiming_uniform_(torch.empty(30, 30)))", "uniform"),
        ("nn.Parameter(torch.empty(30, 30).normal_(0, 0.1))", "normal"),
        ("nn.Parameter(torch.zeros(30, 30))", "zeros"),
        ("nn.Linear(30, 30).weight", "uniform"),
        ("nn.Embedding(30, 30).weight", "normal"),
    ],
)
def test_the_call_that_initialised_a_small_parameter_is_known(built: Built, text: str, kind: str) -> None:
    found = built(
        f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.w = {text}\n"
        "    def forward(self, x): return x @ self.w\n"
    )
    assert found.values["w"].kind == kind


def test_reachable_and_used_parameters_follow_their_aliases() -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    model["b"].weight = model["a"].weight
    view = GraphView({}, (), (), ())
    infos = parameter_infos(adopt(model), view, reachable={"b.weight"}, used={"b.weight", "b.bias"})
    assert (infos["a.weight"].reachable, infos["a.weight"].used) == (True, True)
    assert (infos["b.bias"].reachable, infos["b.bias"].used) == (False, True)
    assert (infos["a.bias"].reachable, infos["a.bias"].used) == (False, False)
    assert infos["a.weight"].module == "a"
    assert infos["a.weight"].numel == 4


def test_frozen_parameters_say_so() -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    assert not parameter_infos(adopt(model), None, (), ())["bias"].requires_grad


def test_a_complex_parameter_has_the_law_of_its_real_and_imaginary_parts() -> None:
    values = real_values(torch.tensor([1 + 2j, 3 - 4j]), "values")
    assert values.sample.tolist() == [1, 2, 3, -4]
    law = law_of(values)
    assert (law.mean, law.minimum, law.maximum, law.finite) == (0.5, -4, 3, True)
