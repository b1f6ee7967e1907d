"""Traced live models for the probe's tests."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from gradlint.building import adopt
from gradlint.building.built import BuiltModel, Fed
from gradlint.tracing import ModelGraph, trace

Traced = tuple[ModelGraph, BuiltModel, Fed]


@pytest.fixture
def traced() -> Callable[..., Traced]:
    def run(model: nn.Module, *args: Any, **kwargs: Any) -> Traced:
        built, fed = adopt(model), Fed(args, kwargs)
        return trace(built, fed), built, fed

    return run
