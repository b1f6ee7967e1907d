"""Each quantity against a model for which its value is known."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gradlint
from gradlint.core.edit import Edit, EditKind
from gradlint.core.finding import Claim
from gradlint.probe import ProbeInput
from gradlint.probe.laboratory import Laboratory
from gradlint.probe.quantities import QUANTITIES, Measured

Measure = Callable[..., Measured]


@pytest.fixture
def measured(traced: Any) -> Measure:
    """`measured(model, x, kind, subject, **claim)`."""

    def run(model: nn.Module, x: Any, kind: str, subject: str = "", **claim: Any) -> Measured:
        graph, built, fed = traced(model, x)
        return QUANTITIES[kind](Laboratory(ProbeInput(graph, built, fed)), Claim(kind, subject, **claim))

    return run


def scaled(*factors: float, width: int = 4) -> nn.Sequential:
    """Layers that multiply by a factor each."""
    layers = [nn.Linear(width, width, bias=False) for _ in factors]
    for layer, factor in zip(layers, factors, strict=True):
        layer.weight.data = factor * torch.eye(width)
    return nn.Sequential(*layers)


class Functional(nn.Module):
    def __init__(self, function: Any, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(width, width)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.fc(x))


def test_attenuation_at_module_parameter_and_node(measured: Measure) -> None:
    model, x = scaled(1.0, 1e-3, 1e-2), torch.ones(1, 4)

    at_module = measured(model, x, "attenuation", "0")
    at_node = measured(model, x, "attenuation", "linear")
    at_parameter = measured(model, x, "attenuation", "0.weight")

    assert at_module.value == pytest.approx(5)
    assert at_node.value == pytest.approx(5)
    assert at_parameter.value == pytest.approx(5)  # the input is one everywhere
    assert at_module.summary.endswith("by a real backward pass (−5.0 decades)")
    assert at_parameter.figures["loss"] == "mean squared error"
    assert at_parameter.figures["loss_ratio_decades"] == pytest.approx(5)
    assert measured(model, x, "attenuation", "0", reference="1").value == pytest.approx(3)
    assert measured(model, x, "growth", "0").value == pytest.approx(-5)
    assert measured(model, x, "attenuation", "nowhere").value is None


def test_attenuation_where_nothing_arrives(measured: Measure) -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).detach())

    found = measured(Cut(), torch.ones(1, 4), "attenuation", "a.weight")

    assert found.value == math.inf
    assert found.summary == "no gradient at all arrives in a real backward pass"


def test_activation_growth(measured: Measure) -> None:
    model, x = scaled(10.0, 10.0), torch.randn(3, 4)

    assert measured(model, x, "activation-growth", "1").value == pytest.approx(2)
    assert measured(model, x, "activation-growth", "1", reference="0").value == pytest.approx(1)
    assert measured(model, x, "activation-growth", "linear_1").value == pytest.approx(2)


def test_time_loss_by_module_and_by_node(measured: Measure) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(4, 4, nonlinearity="relu", batch_first=True, bias=False)
            self.rnn.weight_ih_l0.data = torch.eye(4)
            self.rnn.weight_hh_l0.data = 0.1 * torch.eye(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.rnn(x)[0]

    for subject in ("rnn", "rnn_relu"):
        found = measured(Model(), torch.rand(3, 11, 4), "time-loss", subject)
        assert found.value == pytest.approx(10)
        assert found.figures["steps"] == 11
        assert found.figures["gain_per_step"] == pytest.approx(-1)
        assert measured(Model(), torch.rand(3, 11, 4), "time-growth", subject).value == pytest.approx(-10)
    assert measured(Model(), torch.rand(3, 11, 4), "time-loss", "nowhere").value is None


def test_with_remedy(measured: Measure) -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(10):
        layers += [nn.Linear(16, 16), nn.Sigmoid()]
    model, x = nn.Sequential(*layers), torch.randn(8, 16)
    nodes = ("sigmoid", *(f"sigmoid_{i}" for i in range(1, 10)))
    edit = Edit(EditKind.ACTIVATION, "nn.Tanh instead of nn.Sigmoid", nodes=nodes, detail="tanh")

    found = measured(model, x, "with-remedy", "0.weight", edit=edit)

    assert found.value is not None and found.value > 3
    assert found.value == pytest.approx(
        abs(float(found.figures["attenuation"])) - abs(float(found.figures["with_remedy"]))  # type: ignore[arg-type]
    )
    assert "with nn.Tanh instead of nn.Sigmoid" in found.summary
    impossible = Edit(EditKind.REMOVE, "without", nodes=("nowhere",))
    assert "cannot be carried out" in measured(model, x, "with-remedy", "0.weight", edit=impossible).summary
    assert measured(model, x, "with-remedy", "0.weight").value is None


def test_nothing_is_said_of_a_remedy_where_both_gradients_underflow(measured: Measure) -> None:
    layers = [layer for linear in scaled(*[1e-20] * 6) for layer in (linear, nn.Sigmoid())]
    edit = Edit(EditKind.ACTIVATION, "tanh", nodes=("sigmoid",), detail="tanh")
    found = measured(nn.Sequential(*layers), torch.ones(4, 4), "with-remedy", "0.weight", edit=edit)
    assert (found.value, found.summary) == (None, "no gradient is left to compare, neither without nor with tanh")


def test_sample_correlation(measured: Measure) -> None:
    class Collapse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 1e-5 + torch.arange(8.0)

    model, x = nn.Sequential(nn.Identity(), Collapse()), torch.randn(16, 8)

    assert measured(model, x, "sample-correlation", "1").value == pytest.approx(1.0)
    assert measured(model, x, "sample-correlation", "add").value == pytest.approx(1.0)
    assert abs(measured(model, x, "sample-correlation", "mul").value or 1.0) < 0.5


def test_saturated_and_dead(measured: Measure) -> None:
    sigmoid, relu = scaled(1.0), scaled(1.0)
    sigmoid.append(nn.Sigmoid())
    relu.append(nn.ReLU())
    x = torch.tensor([[-9.0, 0.0, 9.0, 1.0], [-9.0, 9.0, 9.0, 1.0]])

    assert measured(sigmoid, x, "saturated-fraction", "1").value == pytest.approx(5 / 8)
    assert measured(sigmoid, x, "dead-fraction", "sigmoid").value == 0.0
    assert measured(relu, x, "dead-fraction", "1").value == pytest.approx(1 / 4)
    assert measured(relu, x, "saturated-fraction", "relu").value == pytest.approx(3 / 8)
    assert measured(relu, x, "dead-fraction", "0").value is None  # no elementwise map


def test_affine_product(measured: Measure) -> None:
    x = torch.randn(8, 4)
    plain = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 3))
    bent = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))

    assert measured(plain, x, "affine-product", "linear_1", reference="linear").value == 1.0
    assert measured(plain, x, "affine-product", subjects=("0", "2")).value == 1.0
    assert measured(bent, x, "affine-product", "linear_1", reference="linear").value == 0.0
    assert measured(bent, x, "affine-product", subjects=("0", "2")).value == 0.0
    assert measured(bent, x, "affine-product", "linear", reference="linear_1").value is None


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.zero, self.used = (nn.Linear(4, 4) for _ in range(4))
        self.after = nn.Parameter(torch.zeros(4))
        nn.init.zeros_(self.b.weight)
        nn.init.zeros_(self.b.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = self.a(x)
        return self.used(x) + y + self.after * self.b(x) + 0 * self.zero(x)


def test_no_gradient(measured: Measure) -> None:
    model, x = Branches(), torch.randn(5, 4)

    severed = measured(model, x, "no-gradient", subjects=("a.weight", "a.bias"))
    assert severed.value == 1.0
    assert severed.figures["grad_is_none"] == 2
    assert severed.summary == "grad is None for 2 parameters (a.weight …) after a real backward pass"

    assert measured(model, x, "no-gradient", "used.weight").value == 0.0
    zero = measured(model, x, "no-gradient", "zero.weight")
    assert (zero.value, zero.figures["grad_is_none"]) == (1.0, 0)
    dead = measured(model, x, "no-gradient", subjects=("b.weight", "b.bias", "after"))
    assert dead.value == 1.0  # zero times zero never wakes
    assert measured(model, x, "no-gradient", "nowhere").value is None


def test_a_zero_initialised_branch_wakes_after_one_step(measured: Measure) -> None:
    model = Branches()
    nn.init.ones_(model.b.bias)

    found = measured(model, torch.randn(5, 4), "no-gradient", subjects=("b.weight",))

    assert found.value == 0.0
    assert found.summary.endswith("after one gradient step")


def test_equal_rows(measured: Measure) -> None:
    model, x = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)), torch.randn(5, 4)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.3)

    equal = measured(model, x, "equal-rows", "0.weight", subjects=("0.weight",))
    assert equal.value == 1.0
    assert "still do after one step" in equal.summary
    nn.init.normal_(model[2].weight)
    assert measured(model, x, "equal-rows", "0.weight").value == 0.0


def test_rows_that_part_after_a_step(measured: Measure) -> None:
    """Equal weights behind a layer of distinct ones get equal gradients only while that layer is zero."""
    model, x = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)), torch.randn(5, 4)
    nn.init.constant_(model[0].weight, 0.3)
    nn.init.zeros_(model[2].weight)

    found = measured(model, x, "equal-rows", "0.weight")

    assert found.value == 0.0
    assert found.summary.endswith("after one gradient step")


def test_shared_instance(measured: Measure) -> None:
    layer = nn.Linear(4, 4)
    shared, own = nn.Sequential(layer, layer, layer), nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))

    assert measured(shared, torch.ones(1, 4), "shared-instance", "0", subjects=("0", "1", "2")).value == 3.0
    assert measured(own, torch.ones(1, 4), "shared-instance", "0", subjects=("0", "1", "2")).value == 1.0
    assert measured(own, torch.ones(1, 4), "shared-instance", "9").value is None


class Hidden(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = [nn.Linear(4, 4), nn.Linear(4, 4)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.parts[0](x)
        return hidden


def test_unregistered(measured: Measure) -> None:
    names = ("parts[0].weight", "parts[0].bias", "parts[1].weight", "parts[1].bias")
    found = measured(Hidden(), torch.ones(1, 4), "unregistered", "parts", subjects=names)
    assert (found.value, found.figures) == (2.0, {"tensors": 4, "learning": 2})


def test_a_softmax_before_cross_entropy_by_hand(measured: Measure) -> None:
    """At equal scores and C classes the softmax's own slope is 1/C: so much of the gradient is left."""
    model = Functional(lambda z: torch.softmax(z, dim=1), 10)
    nn.init.zeros_(model.fc.weight)
    nn.init.zeros_(model.fc.bias)

    found = measured(model, torch.randn(6, 10), "loss-gradient-shrunk", "softmax")

    assert found.value == pytest.approx(1.0)
    assert found.figures["rows_sum_to_one"] is True
    assert found.figures["classes"] == 10
    assert "(−1.0 decades)" in found.summary


def test_log_softmax_costs_nothing(measured: Measure) -> None:
    model = Functional(lambda z: F.log_softmax(z, dim=1))

    found = measured(model, torch.randn(6, 8), "loss-gradient-shrunk", "log_softmax")

    assert found.value == pytest.approx(0.0, abs=1e-5)
    assert found.figures["rows_sum_to_one"] is False


def test_a_softmax_outside_the_model(measured: Measure) -> None:
    model, x = Functional(lambda z: z), torch.randn(6, 8)

    found = measured(model, x, "loss-gradient-shrunk", "linear", reference="softmax")

    assert found.value is not None and found.value > 0.5


@pytest.mark.parametrize(
    ("function", "node", "value"),
    [(torch.sigmoid, "sigmoid", 1.0), (torch.relu, "relu", 1.0), (torch.abs, "abs_1", 1.0), (torch.tanh, "tanh", 0.0)],
)
def test_range_before_binary_cross_entropy(measured: Measure, function: Any, node: str, value: float) -> None:
    found = measured(Functional(function), torch.randn(6, 8), "bce-range", node)

    assert found.value == value
    if node == "sigmoid":
        assert found.figures["floor_negative"] == pytest.approx(math.log(2))
        assert found.figures["floor_positive"] == pytest.approx(math.log1p(math.exp(-1)))
        assert "never falls below 0.69" in found.summary


def test_scores_take_both_signs(measured: Measure) -> None:
    assert measured(Functional(lambda z: z * 2), torch.randn(6, 8), "bce-range", "mul").value == 0.0


def test_subjects_that_are_not_there(measured: Measure) -> None:
    for kind in ("loss-gradient-shrunk", "bce-range", "saturated-fraction", "dead-fraction", "sample-correlation"):
        assert measured(Functional(torch.tanh), torch.randn(6, 8), kind, "nowhere").value is None


def test_effort_of_a_collapsed_model_and_of_one_without_differences(measured: Measure) -> None:
    torch.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (nn.Linear(32, 32), nn.Softplus())]
    model, x = nn.Sequential(*layers, nn.Linear(32, 4)).double(), torch.randn(64, 32).double()
    parts = {"subjects": ("slowness", "scrambling")}
    predicted = gradlint.outlook(model, (x,))
    assert predicted is not None
    for optimizer in ("sgd", "adam"):
        claim = {**parts, "subjects": (*parts["subjects"], "slowness_adam")}
        found = measured(model, x, f"effort-{optimizer}", **claim)
        assert found.value == pytest.approx(predicted.effort(optimizer), abs=0.15)
    assert measured(model, x, "effort-sgd", subjects=("forgetting",)).value == 0.0
    assert measured(model, x[:1], "effort-sgd", **parts).value is None


def test_effort_of_a_recurrence_counts_what_is_forgotten_as_the_model_reads_it(measured: Measure) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(4, 24, batch_first=True)
            self.head = nn.Linear(24, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.head(self.rnn(x)[0][:, -1])
            return y

    torch.manual_seed(0)
    model, x = Net(), torch.randn(8, 20, 4)
    predicted = gradlint.outlook(model, (x,))
    assert predicted is not None
    found = measured(model, x, "effort-adam", subjects=("forgetting",))
    assert found.value == pytest.approx(0.3 * predicted.forgetting, abs=0.3)


def test_steps_without_a_finite_gradient_are_no_figure(measured: Measure) -> None:
    class Diverges(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.RNNCell(4, 4, nonlinearity="relu")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x.new_zeros(x.shape[0], 4)
            for step in range(x.shape[1]):
                h = self.cell(x[:, step], h)
                h = h * (h - h) / (h - h) if step == 3 else h
            return h

    found = measured(Diverges(), torch.randn(3, 8, 4), "time-loss", "cell")

    assert found.value is None
    assert "not a finite number" in found.summary
