"""Writes the `torch.fx` graph: one method per kind of node, each with its description attached."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import fx

from gradlint.building.built import REAL_VALUES
from gradlint.core.graph import OpNode, Origin
from gradlint.core.location import Location
from gradlint.tracing.leaves import tensors
from gradlint.tracing.model_graph import TensorMeta
from gradlint.tracing.targets import flat_repr


@dataclass(frozen=True, slots=True)
class Place:
    """Where in module tree and source a node comes about."""

    module: str = ""
    module_class: str = ""
    frames: tuple[Location, ...] = ()
    origin: Origin = Origin.RECORDED


def meta_of(value: Any) -> TensorMeta | tuple[Any, ...] | None:
    """Shape and dtype of a tensor, a tuple of them for several, None for what is no tensor."""
    if isinstance(value, torch.Tensor):
        return TensorMeta(tuple(int(size) for size in value.shape), value.dtype)
    if isinstance(value, tuple | list):
        return tuple(meta_of(item) for item in value)
    return None


_LEADING = {"scaled_dot_product_attention": ("query", "key", "value")}
"""Operands that some give by name; in the graph they stand in their places."""


class GraphWriter:
    """Appends nodes and their `OpNode` to a graph."""

    def __init__(self) -> None:
        self.graph = fx.Graph()
        self.nodes: dict[str, OpNode] = {}
        self._constants = 0
        self._follows = False

    def placeholder(self, name: str, value: torch.Tensor) -> fx.Node:
        """An input tensor. What is no number to be drawn (masks, lengths, ids) keeps its value as `meta["example"]`."""
        safe = name if name.isidentifier() else f"input_{len(self.nodes)}"
        node = self.graph.create_node("placeholder", safe, name=safe)
        if not value.dtype.is_floating_point:  # ids and masks keep their values, also beside a fake tensor
            node.meta["example"] = getattr(value, REAL_VALUES, value).detach().clone()
        return self._describe(node, "input", value, Place(), target=name)

    def attribute(self, op: str, name: str, value: torch.Tensor, place: Place) -> fx.Node:
        """A parameter or buffer under its dotted name."""
        node = self.graph.create_node("get_attr", name, name=name.replace(".", "_"))
        return self._describe(node, op, value, place, target=name)

    def constant(self, value: torch.Tensor, place: Place, content: float | None = None) -> fx.Node:
        """A tensor that depends on nothing that is learnt or fed; its present content is copied.

        Args:
            value: the tensor.
            place: where it is read.
            content: the one value that fills it, where it has none of its own.
        """
        name = f"_constant_{self._constants}"
        self._constants += 1
        node = self.graph.create_node("get_attr", name, name=name.lstrip("_"))
        with torch._C.DisableTorchFunction():
            filled = None if content is None else torch.full((), content, dtype=value.dtype).expand(value.shape)
            node.meta["const"] = value.detach().clone() if filled is None else filled
        return self._describe(node, "constant", value, place, target=name)

    def call(
        self,
        op: str,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        value: Any,
        place: Place,
        inplace: bool = False,
    ) -> fx.Node:
        """An operator; `args` and `kwargs` hold nodes where tensors were."""
        if not args and "input" in kwargs:  # the first parameter of all of torch's functions of that name
            args, kwargs = (kwargs["input"],), {name: value for name, value in kwargs.items() if name != "input"}
        for name in _LEADING.get(op, ())[len(args) :]:
            if name in kwargs:
                args, kwargs = (*args, kwargs[name]), {key: value for key, value in kwargs.items() if key != name}
        node = self.graph.create_node("call_function", target, args, kwargs, name=op)
        scalars = flat_repr(args, kwargs, _holds_node)
        class_name = getattr(target, "class_name", None)
        if class_name is not None:
            scalars = (class_name, *scalars)
        return self._describe(node, op, value, place, inplace=inplace, scalars=scalars)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Inside an `autograd.Function`, where gradients are off: its backward gives them to what it computes."""
        before, self._follows = self._follows, True
        try:
            yield
        finally:
            self._follows = before

    def since(self, first: int) -> dict[str, OpNode]:
        """The nodes from the `first` on, without a look at those before."""
        return dict(islice(reversed(self.nodes.items()), len(self.nodes) - first))

    def _learns(self, op: str, node: fx.Node, value: torch.Tensor) -> bool:
        if not self._follows or not value.is_floating_point() or op == "detach":
            return False
        return any(self.nodes[name].requires_grad for name in _inputs(node))

    def output(self, nodes: Sequence[fx.Node]) -> None:
        """End the graph."""
        self.graph.output(tuple(nodes))

    def _describe(
        self,
        node: fx.Node,
        op: str,
        value: Any,
        place: Place,
        *,
        target: str = "",
        inplace: bool = False,
        scalars: tuple[str, ...] = (),
    ) -> fx.Node:
        first = next(tensors(value), None)
        description = OpNode(
            name=node.name,
            op=op,
            inputs=_inputs(node),
            shape=tuple(int(size) for size in first.shape) if first is not None else None,
            dtype=str(first.dtype).removeprefix("torch.") if first is not None else "",
            module=place.module,
            module_class=place.module_class,
            location=place.frames[0] if place.frames else None,
            frames=place.frames,
            grad_enabled=torch.is_grad_enabled() or self._follows,
            requires_grad=first is not None and (first.requires_grad or self._learns(op, node, first)),
            inplace=inplace,
            origin=place.origin,
            target=target,
            scalars=scalars,
        )
        node.meta["op"] = description
        node.meta["val"] = meta_of(value)
        self.nodes[node.name] = description
        return node


def _inputs(node: fx.Node) -> tuple[str, ...]:
    found: list[str] = []

    def note(item: fx.Node) -> fx.Node:
        found.append(item.name)
        return item

    fx.node.map_arg((node.args, node.kwargs), note)
    return tuple(found)


def _holds_node(value: Any) -> bool:
    if isinstance(value, fx.Node):
        return True
    if isinstance(value, tuple | list):
        return any(_holds_node(item) for item in value)
    if isinstance(value, dict):
        return any(_holds_node(item) for item in value.values())
    if isinstance(value, slice):
        return any(_holds_node(item) for item in (value.start, value.stop, value.step))
    return False
