"""Measuring leaves a model as it was, also when it fails."""

import random
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.probe import measure


class Model(nn.Module):
    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(3, 3)
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.memory = torch.zeros(3)
        self.fails = fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.linear.weight.mul_(0.5)
            self.memory.add_(1)
        x.mul_(2.0)
        self.seen = x
        y = self.frozen(self.linear(self.drop(self.norm(x)))) + torch.randn(3) + random.random()
        if self.fails:
            raise ValueError("boom")
        return y


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_as_it_was(fails: bool, training: bool) -> None:
    model = Model(fails).train(training)
    model.linear.weight.grad = torch.full((3, 3), 5.0)
    grad = model.linear.weight.grad
    fired: list[Any] = []
    model.linear.weight.register_post_accumulate_grad_hook(fired.append)
    x = torch.randn(4, 3, requires_grad=False)
    fed, memory = x.clone(), model.memory.clone()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    identities = {k: id(v) for k, v in [*model.named_parameters(), *model.named_buffers()]}
    generators = torch.get_rng_state(), random.getstate()
    attributes = {k: sorted(m.__dict__) for k, m in model.named_modules()}

    with torch.no_grad():
        if fails:
            with pytest.raises(ValueError, match="boom"):
                measure(model, x)
        else:
            measure(model, x)
        assert not torch.is_grad_enabled()

    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert {k: id(v) for k, v in [*model.named_parameters(), *model.named_buffers()]} == identities
    assert model.linear.weight.grad is grad and bool((grad == 5).all())
    assert model.linear.bias.grad is None
    assert fired == []
    assert torch.equal(torch.get_rng_state(), generators[0]) and random.getstate() == generators[1]
    assert {k: sorted(m.__dict__) for k, m in model.named_modules()} == attributes
    assert torch.equal(x, fed) and torch.equal(model.memory, memory)
    assert [m.training for m in model.modules()] == [training] * 5
    assert all(not m._forward_hooks and not m._backward_hooks for m in model.modules())


def test_hooks_on_the_users_own_leaves_are_taken_off() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    model = nn.Sequential(nn.Identity(), nn.Linear(3, 3))

    measure(model, x)

    assert not x._backward_hooks
    assert x.grad is None


def test_the_same_figures_twice() -> None:
    model = Model(False)
    x = torch.randn(4, 3)

    assert measure(model, x) == measure(model, x)
    assert measure(model, x) != measure(model, x, seed=1)
