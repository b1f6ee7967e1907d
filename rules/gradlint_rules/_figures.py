"""How well each layer is fed with gradient: update ratios along a chain, and what the chain loses where."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

from gradlint.api import Flow, GraphView, NodeFlow, OpNode
from gradlint_rules._operators import LOOKUPS, NORMS
from gradlint_rules._paths import Skeleton, by_constants, is_layer, weights_of
from gradlint_rules.thresholds import TINY, UNEVEN


@dataclass(frozen=True, slots=True)
class Layer:
    """One application of a weight, and how its update compares with a healthy one."""

    node: str
    parameter: str
    module: str
    feed: float
    """log10 of the gradient RMS relative to the weight's RMS, the RMS of the input and the output's gradient."""
    shaken: float
    """The same, relative to weights of ordinary scale where those of the layer start next to zero on purpose."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Decades of gradient that one step of a chain costs on the way back (negative: wins)."""

    node: str
    kind: str
    """"layer", "saturating", "activation", "scaling", "shift", "norm", "branches", "residual" or "other"."""
    decades: float


@dataclass(frozen=True)
class ChainFigures:
    """A chain's layers and losses, first node first."""

    nodes: tuple[str, ...]
    layers: tuple[Layer, ...]
    losses: tuple[Loss, ...]
    is_trunk: bool
    batch: int
    outputs: int
    """Number of elements of the model's outputs."""
    beside: tuple[Layer, ...] = ()
    """Layers that may blow up with the chain without standing in it: in the branches that it adds to itself, and the
    embeddings that it starts from."""

    @property
    def starvation(self) -> float:
        """Decades by which the worst-fed layer lies below a healthy one (0 where none is known)."""
        return max(self._lacks, default=0.0)

    @property
    def growth(self) -> float:
        """Decades by which the most shaken layer lies above a healthy one."""
        loudest = self.loudest
        return loudest.shaken - self._healthy_high if loudest is not None else 0.0

    @property
    def hungriest(self) -> Layer | None:
        """The layer that lacks most."""
        return self.layers[self._worst] if self.layers else None

    @property
    def richer(self) -> Layer | None:
        """The later layer beside which the hungriest is starved; None where it is starved beside the output itself."""
        worst = self.hungriest
        if worst is None or self._lacks[self._worst] <= self._healthy_low - worst.feed + 1e-9:
            return None
        return max(self.layers[self._worst :], key=lambda layer: layer.shaken)

    @cached_property
    def _lacks(self) -> tuple[float, ...]:
        """Of each layer the decades below a healthy one, or below the best-fed later one less what is usual there."""
        later = list(accumulate((layer.shaken for layer in reversed(self.layers)), max))[::-1]
        low = self._healthy_low if self.layers else 0.0
        return tuple(
            max(low - layer.feed, best - layer.feed - UNEVEN) for layer, best in zip(self.layers, later, strict=True)
        )

    @property
    def _worst(self) -> int:
        return max(range(len(self.layers)), key=self._lacks.__getitem__)

    @property
    def loudest(self) -> Layer | None:
        """The layer with the largest update ratio."""
        if not self.layers and not self.is_trunk:
            return None
        return max((*self.layers, *self.beside), key=lambda layer: layer.shaken, default=None)

    @property
    def _healthy_low(self) -> float:
        """A healthy layer's update ratio is √(batch · outputs) in the mean; one output is the least it can be."""
        return 0.5 * math.log10(self.batch) if self.is_trunk else self.layers[-1].feed

    @property
    def _healthy_high(self) -> float:
        return 0.5 * math.log10(max(1, self.outputs)) if self.is_trunk else self.layers[-1].feed

    def lost(self, *kinds: str) -> float:
        """Decades lost to steps of these kinds."""
        return sum(loss.decades for loss in self.losses if loss.kind in kinds)

    def of(self, *kinds: str) -> tuple[Loss, ...]:
        """The steps of these kinds."""
        return tuple(loss for loss in self.losses if loss.kind in kinds)


def chain_figures(skeleton: Skeleton, chain: tuple[str, ...], flow: Flow) -> ChainFigures:
    """Read a chain's figures from a flow (that of the model, or one after an edit)."""
    graph = skeleton.graph
    layers = tuple(
        layer for name in chain for layer in [_layer(skeleton, graph.nodes[name], flow)] if layer is not None
    )
    steps = pairwise(chain)
    losses = [loss for before, name in steps for loss in [_loss(skeleton, before, name, flow)] if loss is not None]
    shapes = [graph.nodes[name].shape or () for name in skeleton.outputs]
    batch = shapes[0][0] if shapes and shapes[0] else 1
    elements = sum(math.prod(shape) for shape in shapes)
    is_trunk = chain == skeleton.trunk
    beside = _beside(skeleton, chain, losses, flow) if is_trunk else ()
    return ChainFigures(chain, layers, _with_regions(graph, losses), is_trunk, max(1, batch), elements, beside)


def _beside(skeleton: Skeleton, chain: tuple[str, ...], losses: list[Loss], flow: Flow) -> tuple[Layer, ...]:
    graph = skeleton.graph
    found = [_lookup(graph, graph.nodes[name], flow) for name in chain]
    sums = {loss.node for loss in losses if loss.kind == "residual" and graph.nodes[loss.node].op == "add"}
    for before, end in pairwise(chain):
        if end in sums:
            inside = skeleton.between(before, end) - {before, end}
            found += [_layer(skeleton, graph.nodes[name], flow) for name in skeleton.order if name in inside]
    return tuple(layer for layer in found if layer is not None)


def _lookup(graph: GraphView, node: OpNode, flow: Flow) -> Layer | None:
    """An embedding as the layer that it is: a linear map of inputs of which one is 1 and the others 0.

    Read off the gradient at its result, since a weight tied to the head also gets the head's gradient.
    """
    weights = [graph.nodes[name].target for name in node.inputs if graph.nodes[name].op == "parameter"]
    found, behind = flow.parameter_flows.get(weights[0]) if weights else None, flow.nodes.get(node.name)
    if node.op not in LOOKUPS or found is None or behind is None or not node.shape or not flow.output_gradient_rms:
        return None
    if not found.update_ratio or not found.value_rms or not behind.gradient_rms:
        return None
    positions = math.prod(node.shape[:-1])
    feed = math.log10(behind.gradient_rms * math.sqrt(positions) / found.value_rms / flow.output_gradient_rms)
    return Layer(node.name, weights[0], node.module, feed, feed - max(0.0, math.log10(TINY / found.value_rms)))


def _with_regions(graph: GraphView, losses: list[Loss]) -> tuple[Loss, ...]:
    """Count scaling and shifting in front of a bounded function as part of it: `clamp(x / 4 + 1)` is one function.

    The inverse of an exponential that was lifted above zero is bounded too: `1 / (1 + exp(-x))`.
    """
    merged: list[Loss] = []
    for loss in losses:
        ops = [graph.nodes[earlier.node].op for earlier in merged[-2:]]
        if graph.nodes[loss.node].op in ("div", "reciprocal") and loss.kind != "scaling" and ops == ["exp", "add"]:
            loss = Loss(loss.node, "saturating", loss.decades + merged.pop().decades + merged.pop().decades)
        if loss.kind == "saturating":
            while merged and merged[-1].kind in ("scaling", "shift"):
                loss = Loss(loss.node, loss.kind, loss.decades + merged.pop().decades)
        merged.append(loss)
    return tuple(merged)


def _layer(skeleton: Skeleton, node: OpNode, flow: Flow) -> Layer | None:
    weights = weights_of(skeleton.graph, node)
    sources = skeleton.before[node.name] or node.inputs[:1]
    if not weights or not flow.output_gradient_rms:
        return None
    parameter = flow.parameter_flows.get(weights[0])
    fed = flow.nodes.get(sources[0])
    scale = fed.activation_rms if fed is not None and fed.activation_rms else None
    if parameter is None or not parameter.update_ratio or scale is None:
        return None
    feed = math.log10(parameter.update_ratio / scale / flow.output_gradient_rms)
    ordinary = TINY / math.sqrt(_inputs(skeleton, node, weights[0]))
    lifted = math.log10(ordinary / parameter.value_rms) if parameter.value_rms else 0.0
    return Layer(node.name, weights[0], node.module, feed, feed - max(0.0, lifted))


def _inputs(skeleton: Skeleton, node: OpNode, weight: str) -> int:
    """Number of inputs that one output of a layer sums over."""
    shape = skeleton.weight_shapes.get(weight) or (1, 1)
    outputs = shape[1] if "transpose" in node.op else shape[0]
    return max(1, math.prod(shape) // max(1, outputs))


def _energy(graph: GraphView, name: str, flow: Flow) -> float | None:
    """log10 of the gradient's norm at a node."""
    node = flow.nodes.get(name)
    shape = graph.nodes[name].shape
    if node is None or not node.gradient_rms or shape is None:
        return None
    return math.log10(node.gradient_rms) + 0.5 * math.log10(max(1, math.prod(shape)))


def _loss(skeleton: Skeleton, before: str, name: str, flow: Flow) -> Loss | None:
    start, end = _energy(skeleton.graph, before, flow), _energy(skeleton.graph, name, flow)
    if start is None or end is None:
        return None
    return Loss(name, _kind(skeleton, before, name, flow), end - start)


def _kind(skeleton: Skeleton, before: str, name: str, flow: Flow) -> str:
    graph = skeleton.graph
    node, figures = graph.nodes[name], flow.nodes.get(name)
    sources = skeleton.before[name]
    if sources != (before,) or len(skeleton.after[before]) != 1:
        return "residual" if before in sources else "branches"
    if is_layer(graph, node):
        return "layer"
    if node.op in NORMS:
        return "norm"
    if by_constants(graph, node):
        is_scaling = node.op in ("mul", "div", "neg")
        return (
            ("other" if _divides_by_it(node, flow.nodes.get(before), figures) else "scaling") if is_scaling else "shift"
        )
    if figures is not None and figures.slope_rms is not None:
        return "saturating" if figures.bounded else "activation"
    return "other"


def _divides_by_it(node: OpNode, before: NodeFlow | None, behind: NodeFlow | None) -> bool:
    """Whether a division is `1 / x` and not `x / 8`: both read one signal and one number."""
    if node.op != "div" or not node.scalars or before is None or behind is None:
        return False
    try:
        number = abs(float(node.scalars[0]))
    except ValueError:
        return False
    sizes = (before.activation_rms, behind.activation_rms)
    if not number or not sizes[0] or not sizes[1]:
        return False
    return abs(math.log10(sizes[1] / sizes[0]) + math.log10(number)) > 0.01
