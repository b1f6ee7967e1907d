"""`what_if` on a live model."""

import pytest
import torch
from torch import nn

import gradlint
from gradlint.api import Edit, EditKind


def test_what_if_says_what_the_edited_model_measures() -> None:
    torch.manual_seed(0)
    layers = [module for _ in range(6) for module in (nn.Linear(256, 256), nn.Sigmoid())]
    model, x = nn.Sequential(*layers), torch.randn(64, 256)
    sigmoids = tuple(name for name in gradlint.flow(model, x).nodes if name.startswith("sigmoid"))
    edited = gradlint.what_if(model, x, Edit(EditKind.ACTIVATION, "GELU", nodes=sigmoids, detail="gelu"))
    for i in range(1, 12, 2):
        model[i] = nn.GELU()
    assert edited is not None and edited.attenuation is not None
    assert edited.attenuation == pytest.approx(gradlint.measure(model, x).attenuation, abs=0.1)
    assert gradlint.what_if(model, x, Edit(EditKind.REMOVE, "fewer layers", nodes=("no such node",))) is None
