"""The paths that gradients take: what lies in series, what is bypassed, and how many layers the shortest way has."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gradlint.api import GraphView, OpNode
from gradlint_rules._operators import CONTRACTIONS, LAYOUT, RECURRENT

ENDS = ""
"""Name of the virtual node before the first and after the last node."""


@dataclass(frozen=True)
class Skeleton:
    """The nodes that depend on the input and hand a gradient on to the outputs."""

    graph: GraphView
    order: tuple[str, ...]
    before: Mapping[str, tuple[str, ...]]
    after: Mapping[str, tuple[str, ...]]

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Those of the model's outputs that a gradient can enter."""
        return tuple(name for name in self.graph.outputs if name in self.before)

    @cached_property
    def weight_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the parameters that are read, by name."""
        return {n.target: n.shape or () for n in self.graph.nodes.values() if n.op == "parameter"}

    @cached_property
    def _dominators(self) -> Mapping[str, str]:
        return _dominators(self.order, lambda v: self.before[v] or (ENDS,))

    @cached_property
    def _postdominators(self) -> Mapping[str, str]:
        ends = set(self.outputs)
        return _dominators(
            self.order[::-1], lambda v: (*self.after[v], ENDS) if v in ends or not self.after[v] else self.after[v]
        )

    @cached_property
    def trunk(self) -> tuple[str, ...]:
        """Nodes that every path from the input to any output passes, first to last."""
        depth = _depths(self.order, self._dominators)
        node = ENDS
        for index, output in enumerate(self.outputs):
            node = output if index == 0 else _meet(node, output, self._dominators, depth)
        path = []
        while node != ENDS:
            path.append(node)
            node = self._dominators[node]
        return tuple(path[::-1])

    @cached_property
    def chains(self) -> tuple[tuple[str, ...], ...]:
        """The trunk, then the maximal runs of nodes in series inside branches, longest first."""
        trunk = set(self.trunk)
        following = {
            v: w for v, w in self._postdominators.items() if w != ENDS and self._dominators[w] == v and v not in trunk
        }
        starts = [v for v in self.order if v in following and v not in set(following.values())]
        runs = []
        for start in starts:
            run = [start]
            while run[-1] in following:
                run.append(following[run[-1]])
            runs.append(tuple(run))
        return (self.trunk, *sorted(runs, key=len, reverse=True))

    def shortest(self, counts: Callable[[OpNode], bool]) -> int:
        """Least number of counted nodes on any path from the input to an output."""
        best: dict[str, int] = {}
        for v in self.order:
            own = 1 if counts(self.graph.nodes[v]) else 0
            best[v] = own + min((best[u] for u in self.before[v]), default=0)
        return min((best[v] for v in self.outputs), default=0)

    def between(self, first: str, last: str) -> frozenset[str]:
        """All nodes on paths from `first` to `last`, both included."""
        place = self._places
        within = self.order[place[first] : place[last] + 1]  # in order of execution: nothing else can lie between
        down, up = {first}, {last}
        for v in within:
            if not down.isdisjoint(self.before[v]):
                down.add(v)
        for v in reversed(within):
            if not up.isdisjoint(self.after[v]):
                up.add(v)
        return frozenset(down & up)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.order)}


_latest: list[tuple[GraphView, Skeleton]] = []


def skeleton(graph: GraphView) -> Skeleton:
    """The skeleton of a graph; that of the latest graph is remembered, since many rules ask in turn."""
    if not _latest or _latest[0][0] is not graph:
        _latest[:] = [(graph, _skeleton(graph))]
    return _latest[0][1]


def _skeleton(graph: GraphView) -> Skeleton:
    fed = set(graph.inputs)
    for node in graph.nodes.values():
        if any(name in fed for name in node.inputs):
            fed.add(node.name)
    carrying = {n.name for n in graph.nodes.values() if n.name in fed and n.requires_grad}
    wanted = {name for name in graph.outputs if name in carrying}
    for name in reversed(graph.order):
        if name in wanted:
            wanted.update(u for u in graph.nodes[name].inputs if u in carrying)
    order = tuple(name for name in graph.order if name in wanted)
    before = {v: tuple(dict.fromkeys(u for u in graph.nodes[v].inputs if u in wanted)) for v in order}
    after: dict[str, list[str]] = {v: [] for v in order}
    for v in order:
        for u in before[v]:
            after[u].append(v)
    return Skeleton(graph, order, before, {v: tuple(ws) for v, ws in after.items()})


def _dominators(order: Sequence[str], above: Callable[[str], Iterable[str]]) -> dict[str, str]:
    """Immediate dominators of a graph without cycles, given in topological order."""
    immediate: dict[str, str] = {}
    depth = {ENDS: 0}
    for v in order:
        first, *others = above(v)
        for u in others:
            first = _meet(first, u, immediate, depth)
        immediate[v] = first
        depth[v] = depth[first] + 1
    return immediate


def _depths(order: Sequence[str], immediate: Mapping[str, str]) -> dict[str, int]:
    depth = {ENDS: 0}
    for v in order:
        depth[v] = depth[immediate[v]] + 1
    return depth


def _meet(a: str, b: str, immediate: Mapping[str, str], depth: Mapping[str, int]) -> str:
    while a != b:
        if depth[a] < depth[b]:
            a, b = b, a
        a = immediate[a]
    return a


def weights_of(graph: GraphView, node: OpNode) -> tuple[str, ...]:
    """Names of the weights (two dimensions or more) that a contraction applies, the largest first, however reshaped."""
    if node.op not in CONTRACTIONS:
        return ()
    names: list[str] = []
    for source in node.inputs:
        names += _parameters_behind(graph, source)
    names = list(dict.fromkeys(names))
    if len(names) > 1:
        size = {n.target: math.prod(n.shape or ()) for n in graph.nodes.values() if n.op == "parameter"}
        names.sort(key=lambda name: -size[name])
    return tuple(names)


def _parameters_behind(graph: GraphView, name: str, steps: int = 12) -> list[str]:
    """Parameters that a value is made of, where it is made of nothing else."""
    node = graph.nodes[name]
    if node.op == "parameter":
        return [node.target] if node.shape is not None and len(node.shape) > 1 else []
    if steps == 0 or not node.inputs or node.op in ("input", "buffer", "constant"):
        return []
    found: list[str] = []
    for source in node.inputs:
        if graph.nodes[source].op in ("constant", "buffer"):
            continue
        deeper = _parameters_behind(graph, source, steps - 1)
        if not deeper and graph.nodes[source].op != "parameter":
            return []
        found += deeper
    return found


def is_layer(graph: GraphView, node: OpNode) -> bool:
    """Whether a node applies weights to the signal."""
    return bool(weights_of(graph, node)) or node.op in RECURRENT


def by_constants(graph: GraphView, node: OpNode) -> bool:
    """Whether a node scales or shifts one signal by plain numbers or constants."""
    if node.op not in ("mul", "div", "neg", "add", "sub", "rsub"):
        return False
    return all(graph.nodes[name].op in ("constant", "buffer") for name in node.inputs[1:])


def through_layout(graph: GraphView, name: str, *, extra: frozenset[str] = frozenset()) -> str:
    """The node whose values `name` shows: views, copies, casts and dropout seen through."""
    while True:
        node = graph.nodes[name]
        if (node.op not in LAYOUT and node.op not in extra) or not node.inputs:
            return name
        name = node.inputs[0]


def before_pooling(skeleton: Skeleton) -> tuple[str, ...]:
    """The trunk from the first layer to the input of the last, cut where positions are averaged or picked.

    Small max-pooling windows do not cut it: they average nothing away.
    """
    graph = skeleton.graph
    layers = [name for name in skeleton.trunk if is_layer(graph, graph.nodes[name])]
    if not layers:
        return ()
    path: list[str] = []
    for name in skeleton.trunk[skeleton.trunk.index(layers[0]) :]:
        if name == layers[-1] or _drops_positions(skeleton, name):
            break
        path.append(name)
    return tuple(path)


def _drops_positions(skeleton: Skeleton, name: str) -> bool:
    node = skeleton.graph.nodes[name]
    if node.op.startswith("max_pool"):
        source = skeleton.graph.nodes[node.inputs[0]]
        return math.prod(source.shape or ()) > 9 * math.prod(node.shape or ())
    return "pool" in node.op or node.op in ("mean", "sum", "getitem", "select", "amax", "max", "unpack")
