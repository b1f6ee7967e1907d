"""Counts of an examined model, read off the graph that was traced anyway."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gradlint.core.architecture import Architecture, ModuleLoss
from gradlint.core.graph import GraphView, OpNode

if TYPE_CHECKING:
    from gradlint.worker.analysis import Examined

_LAYERS = frozenset({
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "bilinear",
    "embedding", "embedding_bag", "rnn_tanh", "rnn_relu", "lstm", "gru", "rnn_tanh_cell", "rnn_relu_cell",
    "lstm_cell", "gru_cell",
})  # fmt: skip
"""Operators that have weights by their nature."""
_PRODUCTS = frozenset({
    "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "tensordot", "mv",
})  # fmt: skip
"""Operators that are a layer where they read a parameter."""
_NORMS = frozenset({
    "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm",
})  # fmt: skip
_ACTIVATIONS = frozenset({
    "relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "tanh",
    "softplus", "softsign", "hardtanh", "hardswish", "hardsigmoid", "logsigmoid", "tanhshrink", "hardshrink",
    "softshrink", "threshold", "glu",
})  # fmt: skip
_JOINS = frozenset(["add", "cat", "concat"])


def architecture_of(examined: "Examined") -> Architecture:
    """One look at each node and at each module."""
    view, modules = examined.graph.view, examined.built.modules
    own = {path: info for path, info in modules.items() if info.parameters or (path and not info.children)}
    depths = _depths(view)
    flows = examined.flow.module_flows
    losses = {path: flows[path].attenuation for path in own if path in examined.flow.parametrised and path in flows}
    return Architecture(
        layers=dict(sorted(Counter(info.class_name for info in own.values()).items())),
        depth=max((depths.get(name, 0) for name in view.outputs), default=0),
        skips=sum(1 for node in view.nodes.values() if node.op in _JOINS and _is_skip(node, view.nodes, depths)),
        norms=_norms(examined),
        activations=dict(sorted(Counter(n.op for n in view.nodes.values() if n.op in _ACTIVATIONS).items())),
        modules=tuple(
            ModuleLoss(path, own[path].class_name, _finite(lost), lost != math.inf) for path, lost in losses.items()
        ),
    )


def _depths(view: GraphView) -> dict[str, int]:
    """Most layers in a row from the model's inputs to each node; nodes that depend on no input are left out."""
    depths: dict[str, int] = {}
    for node in view.nodes.values():
        above = [depths[name] for name in node.inputs if name in depths]
        if node.op == "input":
            depths[node.name] = 0
        elif above:
            depths[node.name] = max(above) + _is_layer(node, view.nodes)
    return depths


def _is_layer(node: OpNode, nodes: Mapping[str, OpNode]) -> bool:
    if node.op in _LAYERS:
        return True
    return node.op in _PRODUCTS and any(
        name in nodes and (nodes[name].op == "parameter" or _is_turned(nodes[name], nodes)) for name in node.inputs
    )


def _is_turned(node: OpNode, nodes: Mapping[str, OpNode]) -> bool:
    """Whether a node is a parameter in another shape."""
    return len(node.inputs) == 1 and node.inputs[0] in nodes and nodes[node.inputs[0]].op == "parameter"


def _is_skip(node: OpNode, nodes: Mapping[str, OpNode], depths: Mapping[str, int]) -> bool:
    """Whether ways of different depth meet in a sum, or a value meets what was made of it in a concatenation."""
    meeting = [name for name in node.inputs if name in depths]
    if len(meeting) < 2:
        return False
    shallow, deep = min(meeting, key=depths.__getitem__), max(meeting, key=depths.__getitem__)
    if depths[shallow] == depths[deep]:
        return False
    return node.op == "add" or _leads_to(shallow, deep, nodes, depths)


def _leads_to(start: str, end: str, nodes: Mapping[str, OpNode], depths: Mapping[str, int]) -> bool:
    seen, waiting = {end}, [end]
    while waiting:
        for name in nodes[waiting.pop()].inputs:
            if name == start:
                return True
            if name not in seen and depths.get(name, -1) >= depths[start]:
                seen.add(name)
                waiting.append(name)
    return False


def _norms(examined: "Examined") -> int:
    """Operators that normalise, and calls of hand-written modules that are named so and hold no such operator."""
    view, modules = examined.graph.view, examined.built.modules
    nodes = [node for node in view.nodes.values() if node.op in _NORMS]
    told = {node.module for node in nodes}
    written = [
        call
        for call in view.calls
        if call.module in modules
        and not modules[call.module].is_torch
        and not modules[call.module].children
        and modules[call.module].class_name.endswith("Norm")
        and call.module not in told
    ]
    return len(nodes) + len(written)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
