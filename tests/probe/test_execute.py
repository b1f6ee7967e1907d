"""A recorded graph runs like the model it was recorded from."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gradlint.probe import measure_run
from gradlint.probe.execute import Executor, Stretch, execute, inputs_of, resolve, values_at
from gradlint.probe.figures import rms
from gradlint.tracing import without_dropout
from gradlint.tracing.leaves import output_leaves


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 8)
        self.register_buffer("positions", torch.arange(16))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.rnn = nn.GRU(8, 6, num_layers=2, dropout=0.4, batch_first=True)
        self.norm = nn.BatchNorm1d(6)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))

    def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.table(ids) + self.table(self.positions[: ids.shape[1]] % 7)
        x = self.layer(x, src_mask=torch.ones(5, 5).triu(1).bool())
        h, _ = self.rnn(x)
        last = self.norm(h[:, -1])
        kept = last * 2
        out = torch.zeros(len(ids), 3)
        out[:, :2] = self.head(self.act(last))[:, :2]
        out[:, 2] += kept.sum(-1)
        return {"logits": 1 - out.T, "again": last}


class Severed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.a.weight.mul_(0.5)
            x.mul_(2)
            h = F.relu(self.a(x))
        h[:, 0] = 1.0
        return self.b(h)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grads[0]


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Square.apply(self.a(x)) / 2**x


CASES = [(Mixed(), torch.randint(0, 7, (4, 5))), (Severed(), torch.randn(4, 3)), (Custom(), torch.randn(4, 3))]


@pytest.mark.parametrize(("model", "x"), CASES, ids=["mixed", "severed", "custom"])
def test_same_gradients_as_the_model(traced: Any, model: nn.Module, x: torch.Tensor) -> None:
    state = {k: v.clone() for k, v in model.state_dict().items()}
    given = x.clone()
    expected = measure_run(model, x, seed=3)

    graph, _, fed = traced(model, x)
    run = execute(graph, inputs_of(graph, fed), watch=[n.name for n in graph.graph.nodes], seed=3)

    assert run.output_gradient == pytest.approx(expected.output_gradient)
    for name, gradient in expected.parameter_gradients.items():
        assert run.parameters.get(name, 0.0) == pytest.approx(gradient or 0.0, rel=1e-4, abs=1e-7), name
    for call in graph.view.calls:
        measured = expected.module(call.module)
        if measured.calls == 1 and call.output is not None:
            assert run.activations[call.output] == pytest.approx(measured.activation_rms, rel=1e-4)
            assert run.gradients[call.output] == pytest.approx(measured.gradient_rms, rel=1e-4, abs=1e-7)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert torch.equal(x, given)


def test_outputs_are_equal(traced: Any) -> None:
    model, x = CASES[0]
    graph, _, fed = traced(model, x)

    with without_dropout(model.train()):
        expected = output_leaves(model(x))

    outputs = graph.graph.output_node().all_input_nodes
    found = values_at(graph, inputs_of(graph, fed), outputs)
    assert all(torch.allclose(found[n], e, atol=1e-6) for n, e in zip(outputs, expected, strict=True))


def test_other_parameter_values(traced: Any) -> None:
    graph, _, fed = traced(nn.Linear(3, 2, bias=False), torch.ones(4, 3))

    run = execute(graph, inputs_of(graph, fed), parameters={"weight": torch.full((2, 3), 5.0)}, watch=["linear"])

    assert run.activations["linear"] == pytest.approx(15.0)


def test_a_stretch_is_a_function_of_its_first_node(traced: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    graph, _, fed = traced(model, torch.randn(5, 3))
    start, stop = resolve(graph, "0"), resolve(graph, "2")
    assert start is not None and stop is not None

    stretch = Stretch(graph, inputs_of(graph, fed), start, stop)

    assert stretch.is_connected
    assert torch.equal(stretch.value, model[0](fed.args[0]))
    assert torch.equal(stretch(torch.zeros(5, 4)), model[2].bias.expand(5, 2))
    assert not Stretch(graph, inputs_of(graph, fed), stop, start).is_connected


def test_what_cannot_be_computed_again_says_so(traced: Any) -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            with torch._C.DisableTorchFunction():
                return x.sin()

    graph, _, fed = traced(Hidden(), torch.randn(2, 3))

    with pytest.raises(NotImplementedError, match="outside"):
        execute(graph, inputs_of(graph, fed))


def test_frozen_parameters_stay_frozen(traced: Any) -> None:
    graph, _, fed = traced(nn.Linear(3, 3).requires_grad_(False), torch.randn(2, 3))
    executor = Executor(graph, inputs_of(graph, fed))

    values = [executor.value(n, {}) for n in graph.graph.nodes if n.op == "get_attr"]

    assert [v.requires_grad for v in values] == [False, False]
    assert rms(values[0]) > 0
