"""Entries of a configuration file that say how a model is built and fed."""

from typing import Annotated, Any, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[int, msgspec.Meta(ge=0)]
Optimizer = Literal["sgd", "adam"]
Level = Literal["error", "warning", "info", "off"]
"""What a rule, or one finding, counts as; "off" does not count at all."""
Dtype = Literal[
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64",
    "complex128", "literal",
]  # fmt: skip


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Base of everything that a configuration file may hold."""


class InputEntry(Section, frozen=True):
    """One example input, as a table: `{ shape = [4, 16], dtype = "int64", high = 100, name = "ids" }`."""

    shape: tuple[Size, ...] = ()
    dtype: Dtype = "float32"
    high: int | None = None
    low: int = 0
    name: str = ""
    value: Any = None
    entries: dict[str, "InputEntry | tuple[Size, ...]"] | None = msgspec.field(default=None, name="dict")
    """A dictionary of inputs: `{ dict = { ids = { shape = [4, 16], dtype = "int64" }, mask = [4, 16] } }`."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself; msgspec adds where it stands."""
        if self.entries is None:
            return
        if not self.entries or self.shape or self.value is not None or self.high is not None:
            raise ValueError("a dict holds its own shapes and values: { dict = { ids = { shape = [4, 16] } } }")
        if any(isinstance(entry, InputEntry) and entry.name for entry in self.entries.values()):
            raise ValueError("entries of a dict go by their keys and have no name")


class TargetEntry(Section, frozen=True):
    """One `[[tool.gradlint.targets]]`: how to build and feed a model that zero-config cannot guess."""

    target: str
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    inputs: tuple[InputEntry | tuple[Size, ...], ...] | None = None
    optimizer: Optimizer | None = None
    batch: Count | None = None
    sequence_length: Count | None = None


class OverrideEntry(Section, frozen=True):
    """One `[[tool.gradlint.overrides]]`: what becomes of findings that have no line of their own for a comment."""

    rule: str
    """A whole code or a name, as in a comment."""
    reason: str
    path: str | None = None
    """Pattern as in `.gitignore`, relative to the configuration file."""
    model: str | None = None
    module: str | None = None
    """Both may hold `*` and `?`; a module is named by its dotted path, the model itself by an empty text."""
    severity: Level = "off"

    def __post_init__(self) -> None:
        """Refuse what means every finding of a rule, or says no reason; msgspec adds where it stands."""
        if not self.reason.strip():
            raise ValueError("the reason is empty: say why it is meant")
        if self.path is None and self.model is None and self.module is None:
            raise ValueError("name a path, a model or a module; `severity` and `ignore` speak for a whole rule")
