"""Remedies carried out for real."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.core.edit import Edit, EditKind
from gradlint.probe.edits import apply_edit, batch_normalised, layer_normalised, measure_edit
from gradlint.probe.execute import execute
from gradlint.tracing.model_graph import op_of


def stack(depth: int = 12, width: int = 32, act: type[nn.Module] = nn.Sigmoid) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), act()]
    return nn.Sequential(*layers, nn.Linear(width, 4))


def of(graph: Any, op: str) -> tuple[str, ...]:
    return tuple(n.name for n in graph.view.nodes.values() if n.op == op)


def test_another_activation_is_the_model_with_that_activation(traced: Any) -> None:
    model, x = stack(), torch.randn(16, 32)
    graph, _, fed = traced(model, x)
    edit = Edit(EditKind.ACTIVATION, "nn.Tanh", nodes=of(graph, "sigmoid"), detail="tanh")

    compared = measure_edit(graph, edit, fed)

    assert compared is not None
    expected = execute(traced(stack(act=nn.Tanh), x)[0], [x])
    assert compared.after.parameters == pytest.approx(expected.parameters)
    assert compared.before.attenuation("0.weight") > 5  # type: ignore[operator]
    assert compared.after.attenuation("0.weight") < compared.before.attenuation("0.weight") - 3  # type: ignore[operator]
    assert of(graph, "sigmoid") == tuple(n.name for n in graph.graph.nodes if n.name in of(graph, "sigmoid"))


@pytest.mark.parametrize(("detail", "std"), [("kaiming", math.sqrt(2 / 64)), ("xavier", 1 / 8), ("lecun", 1 / 8)])
def test_another_initialisation(traced: Any, detail: str, std: float) -> None:
    model = nn.Linear(64, 64)
    before = model.weight.clone()
    graph, _, _ = traced(model, torch.randn(4, 64))

    edited = apply_edit(graph, Edit(EditKind.INIT_GAIN, "", parameters=("weight",), detail=detail))

    assert edited is not None
    assert float(edited.parameters["weight"].std()) == pytest.approx(std, rel=0.05)
    assert torch.equal(model.weight, before)


def test_orthogonal_initialisation(traced: Any) -> None:
    graph, _, _ = traced(nn.Linear(16, 16), torch.randn(4, 16))

    edited = apply_edit(graph, Edit(EditKind.INIT_GAIN, "", parameters=("weight",), detail="orthogonal"))

    assert edited is not None
    w = edited.parameters["weight"]
    assert torch.allclose(w @ w.T, torch.eye(16), atol=1e-5)


@pytest.mark.parametrize("detail", ["batch_norm", "layer_norm"])
def test_a_norm_before_each_node(traced: Any, detail: str) -> None:
    x = torch.randn(16, 32)
    graph, _, fed = traced(stack(act=nn.ReLU), x)
    nodes = of(graph, "relu")

    compared = measure_edit(graph, Edit(EditKind.NORM, "", nodes=nodes, detail=detail), fed, watch=nodes)

    assert compared is not None
    assert compared.after.activations[nodes[-1]] == pytest.approx(math.sqrt(0.5), rel=0.25)  # of relu(N(0, 1))
    assert compared.before.activations[nodes[-1]] < 0.2


def test_norms_agree_with_torch(traced: Any) -> None:
    x = torch.randn(4, 3, 5, 5)

    assert torch.allclose(batch_normalised(x, 1), nn.BatchNorm2d(3, affine=False)(x), atol=1e-5)
    assert torch.allclose(layer_normalised(x, 1), nn.LayerNorm([3, 5, 5])(x), atol=1e-5)
    assert torch.allclose(layer_normalised(x, 3), nn.LayerNorm(5)(x), atol=1e-5)


def test_convolutions_are_normalised_per_channel(traced: Any) -> None:
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU())
    x = 1 + torch.randn(8, 3, 9)
    graph, _, fed = traced(model, x)
    expected = nn.Sequential(model[0], nn.BatchNorm1d(4, affine=False), nn.ReLU())(x).detach()

    compared = measure_edit(graph, Edit(EditKind.NORM, "", nodes=("relu",), detail="batch_norm"), fed, watch=["relu"])

    assert compared is not None
    assert compared.after.activations["relu"] == pytest.approx(float(expected.pow(2).mean().sqrt()), rel=1e-4)


def test_a_skip_adds_the_input_to_the_output(traced: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    x = torch.randn(5, 4)
    graph, _, fed = traced(model, x)

    compared = measure_edit(graph, Edit(EditKind.SKIP, "", spans=(("linear", "tanh"),)), fed, watch=["linear_1"])

    expected = model[2](x + model[1](model[0](x))).detach()
    assert compared is not None
    assert compared.after.activations["linear_1"] == pytest.approx(float(expected.pow(2).mean().sqrt()), rel=1e-5)


def test_a_skip_around_the_output(traced: Any) -> None:
    model = nn.Linear(4, 4)
    x = torch.randn(5, 4)
    graph, _, _ = traced(model, x)

    edited = apply_edit(graph, Edit(EditKind.SKIP, "", spans=(("linear", "linear"),)))

    assert edited is not None
    assert [n.name for n in edited.graph.output_node().all_input_nodes] != ["linear"]


@pytest.mark.parametrize("detail", ["lstm", "gru"])
def test_gates_instead_of_a_plain_recurrence(traced: Any, detail: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(4, 8, num_layers=2, batch_first=True)
            self.head = nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out, h = self.rnn(x)
            return self.head(out[:, -1] + h[-1])

    graph, _, fed = traced(Model(), torch.randn(3, 6, 4))

    compared = measure_edit(graph, Edit(EditKind.GATED, "", nodes=("rnn_tanh",), detail=detail), fed)

    assert compared is not None
    weights = [name for name in compared.after.parameters if name.startswith("_edit_rnn_tanh")]
    assert len(weights) == 8
    assert all(compared.after.parameters[name] > 0 for name in weights)
    assert compared.after.parameters["head.weight"] > 0


def test_removal(traced: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 4))
    x = torch.randn(5, 4)
    graph, _, fed = traced(model, x)

    compared = measure_edit(graph, Edit(EditKind.REMOVE, "", nodes=("sigmoid",)), fed, watch=["linear_1"])

    assert compared is not None
    expected = model[2](model[0](x)).detach()
    assert compared.after.activations["linear_1"] == pytest.approx(float(expected.pow(2).mean().sqrt()), rel=1e-5)


@pytest.mark.parametrize(
    "edit",
    [
        Edit(EditKind.ACTIVATION, "", nodes=("sigmoid",), detail="no_such_function"),
        Edit(EditKind.ACTIVATION, "", nodes=("nowhere",), detail="relu"),
        Edit(EditKind.INIT_GAIN, "", parameters=("0.bias",), detail="kaiming"),
        Edit(EditKind.SKIP, "", spans=(("linear", "linear_1"),)),
        Edit(EditKind.GATED, "", nodes=("linear",), detail="lstm"),
        Edit(EditKind.REMOVE, "", nodes=("linear_1",)),
        Edit(EditKind.NORM, "", nodes=(), detail="batch_norm"),
    ],
)
def test_an_edit_that_does_not_apply_is_none(traced: Any, edit: Edit) -> None:
    graph, _, fed = traced(nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 3)), torch.randn(5, 4))

    assert measure_edit(graph, edit, fed) is None


def test_the_graph_itself_is_not_changed(traced: Any) -> None:
    graph, _, fed = traced(stack(3), torch.randn(5, 32))
    before = [(n.name, n.target, op_of(n)) for n in graph.graph.nodes if n.op != "output"]

    measure_edit(graph, Edit(EditKind.ACTIVATION, "", nodes=of(graph, "sigmoid"), detail="relu"), fed)
    measure_edit(graph, Edit(EditKind.NORM, "", nodes=of(graph, "sigmoid"), detail="layer_norm"), fed)

    assert [(n.name, n.target, op_of(n)) for n in graph.graph.nodes if n.op != "output"] == before
