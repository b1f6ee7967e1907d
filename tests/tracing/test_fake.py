"""Models without memory are traced like real ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.building.built import BuiltModel, Fed
from gradlint.building.laws import read_values
from gradlint.building.unread import usual_answer
from gradlint.core.graph import Origin
from gradlint.tracing import ModelGraph, constant_of, trace


@pytest.fixture
def record_fake() -> Callable[..., ModelGraph]:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv(), static_shapes=True)

    def run(model: nn.Module, *args: torch.Tensor) -> ModelGraph:
        values = {name: v for name, v in read_values(model, {}).items() if name in dict(model.named_buffers())}
        for module in model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    fake = mode.from_tensor(parameter.detach(), static_shapes=True)
                    module._parameters[name] = nn.Parameter(fake, requires_grad=parameter.requires_grad)
        for module in model.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = mode.from_tensor(buffer, static_shapes=True)
        fed = Fed(tuple(mode.from_tensor(a, static_shapes=True) for a in args))
        return trace(BuiltModel(None, model, {}, {}, values, fake_mode=mode), fed)

    return run


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.rnn = nn.LSTM(8, 4, batch_first=True)
        self.norm = nn.BatchNorm1d(4)
        self.unused = nn.Linear(2, 2)
        self.register_buffer("frequencies", torch.arange(1, 9) / 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * torch.outer(torch.arange(5), self.frequencies).cos()
        mask = torch.full((5, 5), float("-inf"), device=x.device).triu(1)
        hidden, _ = self.rnn(self.encoder(x, src_mask=mask))
        out = x.new_zeros(x.shape[0], 4)
        out[:, :2] = self.norm(hidden[:, -1])[:, :2]
        return out * 2


def test_same_graph_as_with_real_tensors(record: Any, record_fake: Any) -> None:
    model, x = Everything(), torch.randn(3, 5, 8)
    real = record(model, x)

    fake = record_fake(model, x)

    described = [(n.name, n.op, n.inputs, n.shape, n.requires_grad) for n in real.view.nodes.values()]
    assert [(n.name, n.op, n.inputs, n.shape, n.requires_grad) for n in fake.view.nodes.values()] == described
    assert fake.view.calls == real.view.calls
    assert fake.reachable == real.reachable
    assert "unused.weight" not in fake.reachable
    assert [constant_of(n) is None for n in fake.graph.nodes] == [constant_of(n) is None for n in real.graph.nodes]


def test_buffers_stay_without_memory_afterwards(record_fake: Any) -> None:
    model = Everything()

    record_fake(model, torch.randn(3, 5, 8))

    assert {type(b).__name__ for b in model.buffers()} == {"FakeTensor"}


def test_guarded_reads_get_the_usual_answer(record_fake: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = Guarded()
            self.b = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    class Guarded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.sin()
            if not torch.isfinite(x).all():
                raise AssertionError
            if torch.isnan(x).any():
                x = x.nan_to_num()
            assert torch.arange(4).max() == 3  # of constants the real value is known
            return x * x.mean().item()

    graph = record_fake(Model(), torch.randn(2, 3))

    assert [(g.read, g.answer) for g in graph.view.guesses] == [("bool", "True"), ("bool", "False"), ("item", "0.5")]
    assert graph.view.guesses[0].location is not None
    origins = {n.name: n.origin for n in graph.view.nodes.values()}
    assert origins["sin"] is Origin.RECORDED
    assert origins["mul"] is Origin.GUESSED
    assert origins["linear"] is Origin.RECORDED  # outside the module that guessed
    assert "nan_to_num" not in graph.view.nodes


def test_real_models_are_not_guessed(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.sum() > 0 else x * 3

    graph = record(Model(), torch.ones(2, 3))

    assert graph.view.guesses == ()
    assert graph.view.nodes["mul"].scalars == ("2",)


def test_grouped_mm_has_a_shape(record_fake: Any) -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 8, 16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            offsets = torch.tensor([1, 2, 4, 6], dtype=torch.int32)
            return torch.nn.functional.grouped_mm(x, self.weight, offs=offsets)

    graph = record_fake(Experts(), torch.randn(6, 8))

    assert graph.view.nodes["grouped_mm"].shape == (6, 16)
    assert graph.reachable == {"weight"}


@pytest.mark.parametrize(
    ("read", "tensor", "producer", "answer"),
    [
        ("__bool__", torch.tensor(True), "all", True),
        ("__bool__", torch.tensor(True), "any", False),
        ("item", torch.tensor(1.0), "mean", 0.5),
        ("item", torch.tensor(1), "max", 1),
        ("__int__", torch.tensor(7.0), "sum", 1),
        ("tolist", torch.zeros(2, 2, dtype=torch.long), "", [[1, 1], [1, 1]]),
    ],
)
def test_usual_answers(read: str, tensor: torch.Tensor, producer: str, answer: Any) -> None:
    assert usual_answer(read, tensor, producer) == answer


def test_one_fake_tensor_stands_for_all_real_ones_of_a_kind() -> None:
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    from gradlint.building.shape_rules import without_values

    mode = FakeTensorMode(allow_non_fake_inputs=True)
    x = mode.from_tensor(torch.randn(2, 3))
    table, other = torch.randn(2, 3), torch.randn(2, 3)
    first, second = without_values("mul", (x, table))[1], without_values("add", (other, x))[0]
    assert isinstance(first, FakeTensor) and first is second
    assert without_values("cat", ([table, x], 1))[0][0] is first
    kept = ((x, torch.tensor(2.0)), (table, other), (x, 2.0), (x, table.requires_grad_()))
    for given in kept:
        assert all(a is b for a, b in zip(without_values("mul", given), given, strict=True))
    assert without_values("expand_as", (table, x))[0] is table  # its values are known afterwards
