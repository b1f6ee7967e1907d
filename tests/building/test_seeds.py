"""No two purposes draw from the same numbers."""

import itertools

import torch
from torch import nn

from gradlint.building.seeds import seed_for
from gradlint.building.snapshot import undisturbed
from gradlint.probe.backward import cotangents
from gradlint.tracing.preserve import random_state

PURPOSES = ("inputs", "forward", "cotangents", "targets", "edit", "order", "laws")


def test_seeds_differ_and_stay() -> None:
    seeds = [seed_for(purpose, number) for purpose in PURPOSES for number in range(3)]
    assert len({0, 1, 2, 42, *seeds}) == len(seeds) + 4
    assert seed_for("inputs") == seed_for("inputs") < 2**32


def test_weights_cotangents_and_what_a_forward_draws_are_not_correlated() -> None:
    drawn = [torch.randn(1000, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1, seed_for("inputs"))]
    drawn += cotangents([torch.zeros(1000)], 0) + cotangents([torch.zeros(1000)], 1)
    for seed in (0, 1):
        with random_state(seed):
            drawn.append(torch.randn(1000))
    with undisturbed(nn.Linear(1, 1)):
        inside = torch.randn(1000)
    assert torch.equal(inside, drawn[-2])  # a trial sees what the trace will see
    for one, other in itertools.combinations(drawn, 2):
        assert torch.corrcoef(torch.stack([one, other]))[0, 1].abs() < 0.15
