"""Tracing leaves no trace: neither on the model, nor on torch, nor on the generators."""

import random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from gradlint.core.errors import AnalysisError
from gradlint.tracing.preserve import preserved, random_state


class Busy(nn.Module):
    """Writes wherever a forward pass can write."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(3, 3)
        self.register_buffer("steps", torch.zeros(1))
        self.register_buffer("positions", torch.arange(3).expand(2, 3))
        self.hidden: torch.Tensor | None = None
        self.memory = torch.zeros(3)
        self.fails = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        self.memory[0] = 7.0
        with torch.no_grad():
            self.linear.weight.clamp_(-0.1, 0.1)
            self.linear.weight.data.mul_(0.5)
        x.mul_(2)
        self.hidden = self.linear(self.drop(self.norm(x))) + torch.randn(3) * random.random() * np.random.rand()
        self.extra = nn.Linear(3, 3)
        if self.fails:
            raise ValueError("no\nluck")
        return self.hidden


def snapshot(model: Busy) -> dict[str, Any]:
    return {
        "state": {k: v.clone() for k, v in model.state_dict().items()},
        "objects": {k: id(v) for k, v in [*model.named_parameters(), *model.named_buffers()]},
        "grads": {k: (id(v.grad), None if v.grad is None else v.grad.clone()) for k, v in model.named_parameters()},
        "training": [m.training for m in model.modules()],
        "attributes": [sorted(m.__dict__) for m in model.modules()],
        "memory": model.memory.clone(),
        "hidden": model.hidden,
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "mode": torch.is_grad_enabled(),
        "patched": (
            nn.Module.__call__,
            functional.has_torch_function_unary,
            torch.autograd.Function.__dict__["apply"],
            torch.utils.checkpoint._checkpoint_without_reentrant_generator,
        ),
        "hooks": [len(m._forward_hooks) for m in model.modules()],
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_as_it_was(record: Any, training: bool, fails: bool) -> None:
    model = Busy().train(training)
    model.fails = fails
    model.linear.weight.grad = torch.ones(3, 3)
    x = torch.randn(4, 3)
    before, fed = snapshot(model), x.clone()

    if fails:
        with pytest.raises(AnalysisError):
            record(model, x)
    else:
        record(model, x)

    after = snapshot(model)
    assert [key for key in before if not same(before[key], after[key])] == []
    assert torch.equal(x, fed)


def test_training_mode_is_used(record: Any) -> None:
    graph = record(nn.BatchNorm1d(3).eval(), torch.randn(4, 3))

    assert graph.view.nodes["batch_norm"].scalars[0] == "True"


def test_an_error_names_the_users_line(record: Any) -> None:
    model = Busy()
    model.fails = True

    with pytest.raises(AnalysisError) as caught:
        record(model, torch.randn(4, 3))

    error = caught.value
    assert error.stage == "feed"
    assert error.message == "the forward pass raised ValueError on the example input: no luck"
    assert error.location is not None
    assert error.location.path == __file__
    assert error.location.context == "Busy.forward"


def test_a_shape_error_is_located_at_the_call(record: Any) -> None:
    with pytest.raises(AnalysisError, match="RuntimeError") as caught:
        record(Busy(), torch.randn(4, 5))

    assert caught.value.location is not None
    assert caught.value.location.context == "Busy.forward"


def test_an_exit_is_an_error_too(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise SystemExit(3)

    with pytest.raises(AnalysisError, match="SystemExit"):
        record(Model(), torch.randn(1))


def test_no_output_is_an_error(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return {"ids": x.argmax(-1)}

    with pytest.raises(AnalysisError, match="no floating tensor"):
        record(Model(), torch.randn(1, 2))


def test_version_counters_of_untouched_buffers_stay() -> None:
    model = nn.BatchNorm1d(3)
    version = model.running_mean._version  # type: ignore[union-attr]

    with preserved(model):
        pass

    assert model.running_mean._version == version  # type: ignore[union-attr]


def test_random_numbers_are_reproducible_inside() -> None:
    def draw() -> tuple[float, float, float]:
        with random_state(3):
            return torch.rand(1).item(), random.random(), float(np.random.rand())

    assert draw() == draw()
