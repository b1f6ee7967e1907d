"""What tracing hands on: a `torch.fx` graph at torch-function level with everything known about each node."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from gradlint.core.graph import GraphView, OpNode


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """Shape and dtype of a tensor that a node gives."""

    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class ModelGraph:
    """The executed forward pass.

    Node kinds: `placeholder` (input tensors, one per tensor leaf of args and kwargs), `get_attr` (parameters and
    buffers; `node.target` is the dotted name; *and* constants, whose target starts with `_constant_`), `call_function`
    and one `output` whose args are the output's floating leaves.

    A call that returns several tensors is one node; each tensor taken from it is a further
    `call_function(operator.getitem, (node, i))` whose `OpNode.op` is "unpack".

    Meta of each node: `op` (OpNode), `val` (TensorMeta, or a tuple of TensorMeta | None for several results),
    `const` (the concrete tensor, only on constants, whose value depends on neither input nor parameter),
    `example` (the concrete tensor, only on placeholders of integer or boolean dtype that have values).
    """

    graph: fx.Graph
    view: GraphView
    model: nn.Module
    reachable: frozenset[str]
    """Parameters that a gradient from the outputs can reach."""
    used: frozenset[str]
    """Parameters that the forward pass read."""
    shared: Mapping[str, tuple[str, ...]]
    """First dotted name of a parameter → its further names."""
    output_template: Any = None
    """Class names of the output's structure, for messages."""


def op_of(node: fx.Node) -> OpNode:
    """The torch-free description of a node."""
    op = node.meta["op"]
    assert isinstance(op, OpNode)
    return op


def constant_of(node: fx.Node) -> torch.Tensor | None:
    """The concrete tensor of a constant node."""
    value = node.meta.get("const")
    return value if isinstance(value, torch.Tensor) else None
