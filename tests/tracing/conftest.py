"""A recorder for live models: `record(model, *args, **kwargs)`."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from gradlint.building.built import BuiltModel, Fed
from gradlint.tracing import ModelGraph, trace


def adopt(model: nn.Module, fake_mode: Any = None) -> BuiltModel:
    return BuiltModel(None, model, {}, {}, {}, fake_mode=fake_mode)


@pytest.fixture
def record() -> Callable[..., ModelGraph]:
    def run(model: nn.Module, *args: Any, **kwargs: Any) -> ModelGraph:
        return trace(adopt(model), Fed(args, kwargs))

    return run
