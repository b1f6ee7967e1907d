"""What building hands on: a model, where its parts were made, and the values or laws of its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gradlint.core.graph import ModuleInfo
from gradlint.core.location import Location
from gradlint.core.target import Target

REAL_VALUES = "gradlint_values"
"""Attribute of a fake input under which its ids or its mask are found."""
REAL_AT_MOST = 300_000_000
"""Elements up to which a model is built with real tensors where its code reads what they hold."""
GUESSED = "guessed: "
"""What `BuiltModel.built` begins with where the arguments are a guess."""


@dataclass(frozen=True, slots=True)
class ParameterValues:
    """One parameter (or buffer): its real elements, or a stratified sample of the law they would be drawn from."""

    shape: tuple[int, ...]
    values: torch.Tensor | None
    """The real tensor; None where the model was built without memory."""
    sample: torch.Tensor
    """At most 2,048 elements, float64, one-dimensional."""
    kind: str = "values"
    """The last initialising call ("zeros", "uniform", "normal" …) or "values"."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the analysed model may be another one than the user's, or be fed otherwise."""

    text: str
    location: Location
    remedy: str = ""
    """What would settle it."""


@dataclass(frozen=True)
class BuiltModel:
    """A model ready to be traced."""

    target: Target | None
    """None for a live model handed over by its owner."""
    model: nn.Module
    modules: Mapping[str, ModuleInfo]
    """By dotted name, the model itself under `""`; an instance registered twice stands under its first name."""
    parameter_sites: Mapping[str, Location]
    values: Mapping[str, ParameterValues]
    """Parameters and buffers by dotted name (first name of shared ones)."""
    fake_mode: Any = None
    """The FakeTensorMode of a model built without memory, else None."""
    built: str = ""
    """How it was built: "configured", "defaults", "as in train.py:41" …"""
    class_location: Location | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def is_guessed(self) -> bool:
        """Whether its arguments are a guess: a model of its kind, not the user's."""
        return self.built.startswith(GUESSED)


@dataclass(frozen=True)
class Fed:
    """Example inputs with which the model's forward runs."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    described: str = ""
    """For people: "(4, 3, 32, 32) float32"."""
    source: str = ""
    """Where they came from: "configured", "example_input_array", "__main__ block", "derived from Conv2d stem" …"""
    through: str = ""
    """What is run of a model without a forward: "its training_step", "its part net"; empty where it has one."""
    is_whole: bool = True
    """False where that leaves parts out which may be trained all the same."""
    held: tuple[torch.Tensor, ...] = ()
    """Those of the inputs whose values the file computes (an adjacency matrix): they are no data to be drawn."""
