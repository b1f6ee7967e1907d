"""Measured figures against hand-computed ones."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from gradlint.probe import measure, measure_run
from gradlint.probe.backward import cotangents
from gradlint.probe.figures import sample_correlation


def rms(tensor: torch.Tensor) -> float:
    return float(tensor.double().pow(2).mean().sqrt())


def linear(rows: int, columns: int, value: float) -> nn.Linear:
    layer = nn.Linear(columns, rows, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_a_chain_by_hand() -> None:
    """y = b·relu(a·x): the gradient at a is b times the cotangent where a·x > 0, at W_a that times x."""
    model = nn.Sequential(linear(1, 1, 2.0), nn.ReLU(), linear(1, 1, 0.1))
    x = torch.tensor([[1.0], [-1.0], [3.0]])
    (c,) = cotangents([torch.empty(3, 1)], 5)

    flow = measure(model, (x,), seed=5)

    modules, parameters = flow.modules(), flow.parameters()
    assert modules["0"].activation_rms == pytest.approx(math.sqrt((4 + 4 + 36) / 3))
    assert modules["1"].activation_rms == pytest.approx(math.sqrt((4 + 36) / 3))
    assert modules["2"].gradient_rms == pytest.approx(rms(c))
    assert modules["1"].gradient_rms == pytest.approx(0.1 * rms(c))
    at_a = 0.1 * c * torch.tensor([[1.0], [0.0], [1.0]])
    assert modules["0"].gradient_rms == pytest.approx(rms(at_a))
    assert modules["0"].attenuation == pytest.approx(math.log10(rms(c) / rms(at_a)))
    assert parameters["0.weight"].gradient_rms == pytest.approx(abs(float((at_a * x).sum())))
    assert parameters["0.weight"].value_rms == pytest.approx(2.0)
    assert parameters["2.weight"].gradient_rms == pytest.approx(
        abs(float((c * torch.tensor([[2.0], [0], [6.0]])).sum()))
    )
    assert flow.output_gradient_rms == pytest.approx(rms(c))
    assert flow.parametrised == {"0", "2"}
    assert flow.attenuation == modules["0"].attenuation
    assert {m.calls for m in modules.values()} == {1}


def test_gradient_is_taken_at_the_value_as_returned() -> None:
    """After an in-place ReLU the tensor is another one; the hook tells what arrives before it."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = linear(1, 1, 1.0)
            self.act = nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.a(x))

    x = torch.tensor([[1.0], [-1.0]])
    (c,) = cotangents([x], 0)

    modules = measure(Model(), x).modules()

    assert modules["a"].activation_rms == pytest.approx(1.0)  # both elements, before the ReLU
    assert modules["a"].gradient_rms == pytest.approx(rms(c * torch.tensor([[1.0], [0.0]])))
    assert modules["act"].gradient_rms == pytest.approx(rms(c))


def test_several_calls_are_pooled() -> None:
    layer = linear(1, 1, 3.0)
    (c,) = cotangents([torch.empty(1, 1)], 0)

    flow = measure(nn.Sequential(layer, layer), torch.ones(1, 1)).modules()

    assert set(flow) == {"", "0"}  # aliases stand under the first name
    assert flow["0"].calls == 2
    assert flow["0"].activation_rms == pytest.approx(math.sqrt((3**2 + 9**2) / 2))
    assert flow["0"].gradient_rms == pytest.approx(rms(c) * math.sqrt((1 + 3**2) / 2))


def test_never_called_and_unreachable() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.never = linear(2, 2, 1.0), linear(2, 2, 1.0), linear(2, 2, 1.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).detach())

    flow = measure(Model(), torch.ones(3, 2))

    assert set(flow.modules()) == {"", "a", "b"}
    assert flow.modules()["a"].gradient_rms == 0.0
    assert flow.modules()["a"].attenuation == math.inf
    assert flow.parameters()["a.weight"].gradient_rms == 0.0
    assert flow.parameters()["never.weight"].gradient_rms == 0.0
    assert flow.parameters()["b.weight"].gradient_rms > 0  # type: ignore[operator]


@dataclass
class Result:
    loss: torch.Tensor | None
    logits: torch.Tensor


@pytest.mark.parametrize(
    "pack",
    [
        lambda y: (y, {"again": y, "ids": y.argmax(-1)}),
        lambda y: {"a": [y], "past_key_values": (y * 100,)},
        lambda y: Result(None, y),
    ],
)
def test_cotangents_on_every_floating_leaf_once(pack: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = linear(1, 1, 2.0)

        def forward(self, x: torch.Tensor) -> Any:
            return pack(self.a(x))

    (c,) = cotangents([torch.empty(4, 1)], 0)

    flow = measure(Model(), torch.ones(4, 1))

    assert flow.modules()["a"].gradient_rms == pytest.approx(rms(c))
    assert flow.modules()[""].gradient_rms == pytest.approx(rms(c))


def test_two_outputs_add_up() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = linear(1, 1, 1.0), linear(1, 1, 3.0)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            h = self.a(x)
            return self.b(h), h

    first, second = cotangents([torch.empty(4, 1)] * 2, 0)

    flow = measure(Model(), torch.ones(4, 1))

    assert flow.modules()["a"].gradient_rms == pytest.approx(rms(3 * first + second))
    assert flow.output_gradient_rms == pytest.approx(math.sqrt((rms(first) ** 2 + rms(3 * first + second) ** 2) / 2))


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0] * 7


@pytest.mark.parametrize(
    ("between", "factor"),
    [
        (Double.apply, 7.0),
        (lambda x: F.dropout(x, 0.9), 1.0),
        (lambda x: checkpoint(torch.mul, x, 5.0, use_reentrant=True), 5.0),
        (lambda x: checkpoint(torch.mul, x, 5.0, use_reentrant=False), 5.0),
        (lambda x: x.data + x, 1.0),
    ],
)
def test_between_two_layers(between: Any, factor: float) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = linear(1, 1, 1.0), linear(1, 1, 1.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(between(self.a(x)))

    (c,) = cotangents([torch.empty(4, 1)], 0)

    assert measure(Model(), torch.ones(4, 1)).modules()["a"].gradient_rms == pytest.approx(factor * rms(c))


def test_checkpointed_modules_are_counted_once() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(linear(1, 1, 2.0), nn.Dropout(0.9))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = checkpoint(self.a, x, use_reentrant=False)
            return out

    assert {path: m.calls for path, m in measure(Model(), torch.ones(2, 1)).modules().items()} == {
        "": 1,
        "a": 1,
        "a.0": 1,
        "a.1": 1,
    }


def test_frozen_parameters_get_nothing_and_let_pass() -> None:
    model = nn.Sequential(linear(1, 1, 1.0), linear(1, 1, 2.0))
    model[1].requires_grad_(False)

    flow = measure(model, torch.ones(2, 1))

    assert flow.parameters()["1.weight"].gradient_rms == 0.0
    assert flow.parameters()["0.weight"].gradient_rms > 0  # type: ignore[operator]
    assert measure_run(model.requires_grad_(False), torch.ones(2, 1)).parameter_gradients == {
        "0.weight": None,
        "1.weight": None,
    }


def test_a_loss_instead_of_cotangents() -> None:
    model = linear(1, 1, 3.0)

    run = measure_run(model, torch.ones(4, 1), loss=lambda outputs: outputs[0].pow(2).mean())

    assert run.output_gradient == pytest.approx(2 * 3 / 4)
    assert run.parameter("weight") == pytest.approx(6.0)


def test_sparse_gradients() -> None:
    dense, sparse = nn.Embedding(5, 3), nn.Embedding(5, 3, sparse=True)
    ids = torch.tensor([1, 1, 4])

    figures = [measure(m, ids).parameters()["weight"].gradient_rms for m in (dense, sparse)]

    assert figures[0] == pytest.approx(figures[1])


def test_tiny_gradients_are_not_lost_to_rounding() -> None:
    model = nn.Sequential(linear(1, 1, 1.0), linear(1, 1, 1e-40)).double()

    gradient = measure(model, torch.ones(3, 1, dtype=torch.float64)).modules()["0"].gradient_rms

    assert gradient is not None
    assert 1e-41 < gradient < 1e-39


def test_sample_correlation_by_hand() -> None:
    shared, own = torch.randn(1, 4000), torch.randn(64, 4000)

    assert sample_correlation(torch.ones(64, 3) + torch.zeros(64, 3), 64) is None  # nothing varies
    assert sample_correlation(5 + shared.expand(64, -1), 64) == pytest.approx(1.0)
    assert sample_correlation(own, 64) == pytest.approx(0.0, abs=0.01)
    assert sample_correlation(5 + 3 * shared + own, 64) == pytest.approx(0.9, abs=0.01)


def test_correlation_is_measured_where_asked_for() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 1e-6 + torch.arange(8.0)

    run = measure_run(nn.Sequential(nn.Linear(8, 8), Constant()), torch.randn(16, 8), correlate=True)

    assert run.correlation("1") == pytest.approx(1.0, abs=1e-6)
    assert abs(run.correlation("0") or 0.0) < 0.5
    assert run.correlation("nowhere") is None


def test_keyword_inputs() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = linear(1, 1, 2.0)

        def forward(self, x: torch.Tensor, *, extra: Mapping[str, torch.Tensor]) -> torch.Tensor:
            return self.a(x) + extra["y"]

    flow = measure(Model(), (torch.ones(2, 1),), {"extra": {"y": torch.ones(2, 1)}})

    assert flow.modules()[""].activation_rms == pytest.approx(3.0)


def test_a_result_whose_gradient_autograd_leaves_undefined_gets_none() -> None:
    """Only the state of an LSTM is used: the hook on its output is called with None."""

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(4, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _, (hidden, _) = self.rnn(x)
            out: torch.Tensor = self.head(hidden[-1])
            return out

    flow = measure(Encoder(), (torch.randn(5, 3, 4),))

    assert flow.modules()["rnn"].gradient_rms == 0.0
    assert flow.parameters()["rnn.weight_hh_l0"].gradient_rms
