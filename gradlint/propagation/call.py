"""One operator call as transfer rules see it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from torch import Tensor, fx

from gradlint.core.graph import OpNode
from gradlint.propagation.dims import Dims
from gradlint.propagation.signal import Signal
from gradlint.tracing.model_graph import TensorMeta

if TYPE_CHECKING:
    from gradlint.propagation.engine import Propagation


LOOKUPS = frozenset(["embedding", "embedding_bag"])
"""Operators that read a table at ids: always a transfer rule's business, also where the ids are known."""

MISFITS = (
    RuntimeError,
    TypeError,
    ValueError,
    IndexError,
    KeyError,
    AttributeError,
    NotImplementedError,
    ZeroDivisionError,
)
"""What a transfer rule raises on arguments that it was not written for: the node is named unknown, with the reason."""


class NoRuleError(Exception):
    """A transfer rule cannot handle this call; the node becomes *unknown* with this reason."""


@dataclass(frozen=True, slots=True)
class Ids:
    """An integer or boolean tensor whose values are not known (token ids of a model built without memory)."""

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One operator call with its arguments resolved to signals, weights, concrete tensors and plain values."""

    node: fx.Node
    op: OpNode
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    run: "Propagation"

    @property
    def key(self) -> str:
        """Seed of this call's randomness."""
        return self.node_key

    @property
    def node_key(self) -> str:
        """Seed of what is alike in all that the node does (for several kinds of positions)."""
        return f"{self.run.seed}:{self.node.name}" if self.run.seed else self.node.name

    @property
    def bare(self) -> Self:
        """The call without what it was given: what backward rules hold on to without holding on to particles."""
        return replace(self, args=(), kwargs={})

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the (first) result."""
        meta = self.node.meta.get("val")
        if isinstance(meta, TensorMeta):
            return tuple(meta.shape)
        if isinstance(meta, tuple | list) and meta and isinstance(meta[0], TensorMeta):
            return tuple(meta[0].shape)
        raise NoRuleError("its result is not a tensor")

    def arg(self, index: int, name: str, default: Any = None) -> Any:
        """Argument by position or name."""
        if index < len(self.args):
            return self.args[index]
        return self.kwargs.get(name, default)

    def signal(self, value: Any, dims: Dims | None = None) -> Signal:
        """Any tensor argument as a signal."""
        return self.run.as_signal(value, dims, self.key)


@dataclass(frozen=True, slots=True)
class NamedCall(Call):
    """Part of a call (one gate, one kind of position): randomness and a result shape of its own."""

    name: str = ""
    extent: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """Seed of this part's randomness."""
        return self.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of this part of the result."""
        return self.extent


Transfer = Callable[[Call], Any]


class CallEditor(Protocol):
    """A what-if edit, carried out call by call."""

    nodes: frozenset[str]

    def touches(self, node: str) -> bool:
        """Whether the edit has to do with a node."""

    def before(self, call: Call) -> Call:
        """The call with what the edit puts in front of it."""

    def instead(self, call: Call) -> Any:
        """What stands in the call's place, or None."""

    def after(self, call: Call, value: Any) -> Any:
        """The result as the edit changes it."""


def resolved(tree: Any, read: Callable[[fx.Node], Any]) -> Any:
    """Arguments with values instead of nodes, in the ends of slices too."""

    def value_of(value: Any) -> Any:
        if isinstance(value, slice):
            ends = (value_of(end) for end in (value.start, value.stop, value.step))
            return slice(*(int(end) if isinstance(end, Tensor) else end for end in ends))
        return read(value) if isinstance(value, fx.Node) else value

    return converted(tree, value_of)


def converted(tree: Any, convert: Callable[[Any], Any]) -> Any:
    """The same nesting of tuples, lists and dicts (all that a graph's arguments hold) with each leaf converted."""
    if isinstance(tree, tuple):
        items = [converted(item, convert) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, list):
        return [converted(item, convert) for item in tree]
    if isinstance(tree, dict):
        return {key: converted(item, convert) for key, item in tree.items()}
    return convert(tree)


def leaves(tree: Any) -> Iterator[Any]:
    """What nested tuples, lists and dicts hold, in order."""
    if isinstance(tree, tuple | list):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from leaves(item)
    else:
        yield tree


def clone_all(tree: Any) -> Any:
    """Copies of all tensors (the operator may write in place)."""
    return converted(tree, lambda v: v.clone() if isinstance(v, Tensor) else v)
