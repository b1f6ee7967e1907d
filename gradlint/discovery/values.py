"""What a scan of one file yields, before anything is imported."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradlint.core.target import Initialiser, InputSpec, LossUse, TargetKind, Unsaid


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something in the file that is, or gives, a model."""

    name: str
    kind: TargetKind
    line: int
    column: int
    required: tuple[str, ...] = ()
    """Parameters of the constructor (or factory) that have no default."""
    optional: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    """Names of the other candidates that its code mentions, in order of appearance."""
    bases: tuple[str, ...] = ()
    """Classes only: names of the candidate classes of this file that it derives from."""
    runs: bool = True
    """False for classes without a forward of their own or inherited: abstract bases and containers."""
    config: str = ""
    """Expression for the only required argument where the file defines a configuration class for it, else empty."""
    mentioned: bool = False
    """Classes only: whether code of the file outside its own class statement names it."""
    returns: str = ""
    """The candidate that this one only calls: a factory without arguments, an instance with any; both are one model."""


@dataclass(frozen=True, slots=True)
class Construction:
    """A call that builds a candidate somewhere in the file, and the inputs that its result is fed with."""

    candidate: str
    line: int
    args: tuple[Any, ...] | None
    """None where an argument cannot be read from the syntax tree. A value is a literal, or `{"expression": "…"}`, which
    building evaluates in the module's namespace."""
    kwargs: dict[str, Any]
    variable: str = ""
    at_module_level: bool = False
    inputs: tuple[InputSpec, ...] | None = None
    fed_at: int = 0
    unread_at: int = 0
    """Line that feeds its result in a way that is not understood; 0 where there is none."""
    initialisers: tuple[Initialiser, ...] = ()
    """What the same scope does to its weights afterwards."""
    within: tuple[str, ...] = ()
    """The function and the loops that it is in."""
    place: str = ""
    """Where another file builds it: "scripts/train.py:41", "demo.ipynb, cell 3"; empty for the scanned file itself."""
    fed_place: str = ""
    """Where another file feeds it."""

    @property
    def is_whole(self) -> bool:
        """Whether the value of every argument can be read."""
        return self.args is not None and not any(isinstance(v, Unsaid) for v in (*self.args, *self.kwargs.values()))


@dataclass(frozen=True)
class FileScan:
    """Everything that the syntax tree of one file says about its models."""

    path: str
    may_hold_model: bool
    reason: str = ""
    """Why the file holds no model, where it does not."""
    candidates: tuple[Candidate, ...] = ()
    constructions: tuple[Construction, ...] = ()
    losses: tuple[LossUse, ...] = ()
    initialisers: Mapping[str, tuple[Initialiser, ...]] = field(default_factory=dict)
    """What functions that train do first to the weights of a model that they are handed, by candidate."""
    optimizer: str | None = None
    """Family of the file's optimiser, "sgd" or "adam"; None where it names both or neither."""
    tree: ast.Module | None = field(default=None, repr=False, compare=False)

    def candidate(self, name: str) -> Candidate | None:
        """The candidate of that name, if any."""
        return next((candidate for candidate in self.candidates if candidate.name == name), None)

    def _of(self, kind: TargetKind) -> tuple[Candidate, ...]:
        return tuple(candidate for candidate in self.candidates if candidate.kind is kind)

    @property
    def classes(self) -> tuple[Candidate, ...]:
        """Candidate classes, in order of definition."""
        return self._of(TargetKind.CLASS)

    @property
    def factories(self) -> tuple[Candidate, ...]:
        """Functions that return a model."""
        return self._of(TargetKind.FACTORY)

    @property
    def instances(self) -> tuple[Candidate, ...]:
        """Module-level names bound to a model."""
        return self._of(TargetKind.INSTANCE)
