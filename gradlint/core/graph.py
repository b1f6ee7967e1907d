"""The traced model as rules see it: torch-free values over the `torch.fx` graph that tracing builds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from gradlint.core.location import Location


class Origin(StrEnum):
    """How a node was obtained."""

    RECORDED = "recorded"
    GUESSED = "guessed"  # depends on a data-dependent read that was answered with the usual value
    SYMBOLIC = "symbolic"


@dataclass(frozen=True, slots=True)
class OpNode:
    """One operator call of the executed forward pass.

    `op` is the canonical name at torch-function level: `linear`, `conv2d`, `batch_norm`, `add`, `getitem`, `softmax`,
    `scaled_dot_product_attention`, `lstm` …; in-place and dunder spellings are folded in (`add_`, `__add__`, `__iadd__`
    are all `add`). Inputs of the model are `input`, parameters and buffers `parameter` and `buffer`, tensors that
    depend on neither input nor parameter `constant`.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    """Names of the nodes it reads, in argument order (lists flattened)."""
    shape: tuple[int, ...] | None
    """Shape of the (first) tensor it gives; None where it gives no tensor."""
    dtype: str
    module: str = ""
    """Dotted path of the innermost module whose forward was running."""
    module_class: str = ""
    location: Location | None = None
    """Line of the user's code that called it (innermost frame outside torch)."""
    frames: tuple[Location, ...] = ()
    """All frames outside torch, innermost first."""
    grad_enabled: bool = True
    requires_grad: bool = False
    inplace: bool = False
    origin: Origin = Origin.RECORDED
    target: str = ""
    """Parameter or buffer name for `parameter` and `buffer` nodes."""
    scalars: tuple[str, ...] = ()
    """`repr` of the non-tensor arguments, for messages and for rules that ask about a `dim`."""


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of a module's forward: `output` is the node of the first floating tensor it returned (None: none)."""

    module: str
    output: str | None
    inputs: tuple[str, ...] = ()
    first: int = 0
    """Index in `GraphView.order` of the first node recorded inside the call."""
    last: int = 0
    """One past the last such index."""


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """A module of the built model. `sites` is the chain of user lines that built it, innermost first."""

    path: str
    class_name: str
    sites: tuple[Location, ...]
    parameters: tuple[str, ...]
    """Dotted names of the parameters it owns itself."""
    children: tuple[str, ...] = ()
    is_torch: bool = False
    """True for classes that torch itself defines."""
    calls: int = 0
    aliases: tuple[str, ...] = ()
    """Further dotted names under which the same instance is registered (`[layer] * n`)."""
    attributes: Mapping[str, object] = field(default_factory=dict)
    """Scalar attributes (numbers, strings, booleans, short tuples) of the instance, such as `in_features`."""


@dataclass(frozen=True, slots=True)
class Law:
    """The distribution of one parameter's elements, from real values or from the init recorder."""

    kind: str
    """"zeros", "constant", "uniform", "normal", "values" …: the last initialising call, where known."""
    mean: float
    std: float
    minimum: float
    maximum: float
    finite: bool = True
    equal_rows: bool = False
    """True where every output unit has the same weights (symmetry that training cannot break)."""


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """A parameter of the built model."""

    name: str
    shape: tuple[int, ...]
    law: Law
    module: str
    site: Location | None
    """User line that registered it (its module's constructor line for torch's own modules)."""
    requires_grad: bool = True
    reachable: bool = True
    """Whether a gradient from the model's outputs can reach it in this forward pass."""
    used: bool = True
    """Whether the forward pass read it at all."""
    aliases: tuple[str, ...] = ()

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Guess:
    """A data-dependent read that tracing answered with the usual value."""

    read: str
    answer: str
    location: Location | None


@dataclass(frozen=True, slots=True)
class Stray:
    """A trainable tensor that only a plain container holds: no parameter of the model, so that nothing trains it."""

    name: str
    """As it would be written: `layers[0].weight`."""
    shape: tuple[int, ...]
    owner: str
    """Path of the module that has the container."""
    attribute: str
    container: str
    """"list", "tuple", "dict", "set" …"""
    entries: int
    """Length of the container."""
    bare: bool
    """True where the container holds the parameter itself, False where it holds a module."""
    reached: bool
    """Whether a gradient from the outputs can reach it."""

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class GraphView:
    """The executed graph without torch: nodes in execution order, module calls, inputs and outputs."""

    nodes: Mapping[str, OpNode]
    calls: tuple[ModuleCall, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    """Nodes of the floating tensors among the output's leaves (each once; caches left out)."""
    guesses: tuple[Guess, ...] = ()
    traced_by: str = "recorder"
    strays: tuple[Stray, ...] = ()
    opaque: tuple[str, ...] = ()
    """Class names of objects among the outputs whose tensors, if they hold any, are not known."""

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Node names in execution order."""
        return tuple(self.nodes)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Position of each node in `order`."""
        return {name: i for i, name in enumerate(self.order)}

    @cached_property
    def users(self) -> Mapping[str, tuple[str, ...]]:
        """For each node the nodes that read it, in execution order."""
        users: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for name in dict.fromkeys(node.inputs):
                users[name].append(node.name)
        return {name: tuple(readers) for name, readers in users.items()}
