"""What is to be analysed: one model of one file, and how to build and feed it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class TargetKind(StrEnum):
    """What the name stands for in the file."""

    CLASS = "class"
    FACTORY = "factory"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Unsaid:
    """An argument whose value cannot be read from the code that gives it."""

    text: str
    """The expression there."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a model: shape and dtype, under its argument name where it is passed by keyword."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    name: str = ""
    high: int | None = None
    """Exclusive upper bound of integer inputs."""
    low: int = 0
    value: Any = None
    """A literal that is passed as it stands instead of a tensor (then `dtype` is "literal"), or code whose last line
    computes the input (then it is "expression")."""
    items: tuple["InputSpec", ...] = ()
    """The entries of a dictionary of inputs, under their names (then `dtype` is "dict")."""


@dataclass(frozen=True, slots=True)
class Initialiser:
    """A statement of the file that initialises the model after its construction."""

    line: int
    code: str = ""
    """What to execute, with the model under the name `__model__`."""
    why_not: str = ""
    """Why it cannot be carried out; empty where it can."""


@dataclass(frozen=True, slots=True)
class Target:
    """One model. `args`, `kwargs` and `inputs` are None where nobody has said them."""

    path: str
    name: str
    line: int
    kind: TargetKind = TargetKind.CLASS
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    inputs: tuple[InputSpec, ...] | None = None
    optimizer: str | None = None
    batch: int | None = None
    sequence_length: int | None = None
    built: str = "defaults"
    """How the arguments were found: "configured", "defaults", "as in model.py:41" …"""
    inputs_from: str = ""
    """How the inputs were found: empty where the user said them, "as in model.py:45" where the file feeds the model."""
    unread_feed: int = 0
    """Line that feeds the model in a way that was not understood; 0 where there is none."""
    unread_why: str = ""
    """What went wrong with it, where that is known."""
    module: str = ""
    """Dotted import name where the target was given as `pkg.mod:Attr`, else empty."""
    initialisers: tuple[Initialiser, ...] = ()
    """What the file does to the weights between construction and training, in order."""
    uses: tuple[str, ...] = field(default=())
    """Names of other candidate classes of the file that this one's code mentions."""


@dataclass(frozen=True, slots=True)
class LossUse:
    """A loss that the file applies, found by binding: `name` is torch's class or function name ("CrossEntropyLoss",
    "cross_entropy", "BCEWithLogitsLoss" …), `model` the candidate class whose output reaches it (empty: unknown)."""

    name: str
    path: str
    line: int
    column: int = 1
    model: str = ""
    through: tuple[str, ...] = ()
    """Functions applied between the model's output and the loss, such as "softmax" (reshapes left out)."""
