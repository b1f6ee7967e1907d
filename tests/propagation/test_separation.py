"""How well two samples can be told apart, down to where numbers of 64 bits end."""

from itertools import pairwise

import pytest
import torch
from torch import nn

import gradlint


def test_differences_are_followed_to_where_rounding_ends() -> None:
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(256, 256), nn.Sigmoid()) for _ in range(14)]
    flow = gradlint.flow(nn.Sequential(*layers), torch.randn(8, 256))
    found = [n.sample_separation for name, n in flow.nodes.items() if name.startswith("sigmoid")]
    known = [one for one in found if one is not None]
    assert known == found and len(known) == 14
    told = [one for one in known if one > 1e-15]
    falls = [before / after for before, after in pairwise(told)][2:]
    assert falls == pytest.approx([falls[0]] * len(falls), rel=0.4)  # each layer takes its share
    assert all(one < 1e-15 for one in known[len(told) :])  # and what is lost does not come back as noise
