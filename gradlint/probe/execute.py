"""Run a recorded graph (or an edited copy of it) on real tensors, forward and backward."""

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from gradlint.building.built import Fed
from gradlint.core.graph import OpNode
from gradlint.probe.backward import cotangents, pull_back
from gradlint.probe.figures import decades, norm, rms
from gradlint.probe.run import rms_of
from gradlint.tracing.forward import input_tensors
from gradlint.tracing.leaves import is_floating, tensors
from gradlint.tracing.model_graph import ModelGraph, constant_of
from gradlint.tracing.preserve import Backups, random_state
from gradlint.tracing.reach import leaves_of

Environment = dict[fx.Node, Any]


@dataclass
class NodeRun:
    """What one execution has shown. All figures are RMS."""

    output_gradient: float = 0.0
    activations: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, float] = field(default_factory=dict)
    """Gradient at each watched node, 0 where none arrives."""
    parameters: dict[str, float] = field(default_factory=dict)
    """Gradient at each parameter that the graph reads, 0 where none arrives."""

    def attenuation(self, subject: str) -> float | None:
        """Decades lost between the outputs and a parameter or watched node; None where it was not looked at."""
        gradient = self.parameters.get(subject, self.gradients.get(subject))
        return decades(self.output_gradient, gradient)


def inputs_of(graph: ModelGraph, fed: Fed) -> list[torch.Tensor]:
    """The values of the graph's placeholders, in order."""
    return [tensor for _, tensor in input_tensors(graph.model, fed)]


def resolve(graph: ModelGraph, name: str) -> fx.Node | None:
    """A node by its own name, or by the path of the module whose last call gave it."""
    nodes: dict[str, fx.Node] = {node.name: node for node in graph.graph.nodes}
    if name in nodes:
        return nodes[name]
    found = [call.output for call in graph.view.calls if call.module == name and call.output is not None]
    return nodes.get(found[-1]) if found else None


class Executor:
    """Evaluates the nodes of a graph in order.

    Args:
        graph: the recorded pass; its model's parameters and buffers are read.
        inputs: one tensor per placeholder; copied, since operators may write into them.
        parameters: values to use instead of the model's own, by dotted name or constant name.
    """

    def __init__(
        self, graph: ModelGraph, inputs: Sequence[torch.Tensor], parameters: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        self._graph = graph
        self._inputs = iter([t.detach().clone() for t in inputs])
        self._instead = dict(parameters or {})
        self._own = dict(graph.model.named_parameters())
        self._buffers = dict(graph.model.named_buffers())
        self.leaves: dict[str, torch.Tensor] = {}

    def value(self, node: fx.Node, environment: Environment) -> Any:
        """Evaluate one node, in the grad mode in which it was recorded."""
        if node.op == "placeholder":
            return next(self._inputs)
        if node.op == "get_attr":
            return self._attribute(node)
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: environment[n])
        description = node.meta.get("op")
        grad = description.grad_enabled if isinstance(description, OpNode) else True
        with torch.set_grad_enabled(grad):
            return node.target(*args, **kwargs)  # type: ignore[operator]

    def _attribute(self, node: fx.Node) -> torch.Tensor:
        name, constant = str(node.target), constant_of(node)
        if constant is not None:
            return constant.clone()
        if name in self.leaves:
            return self.leaves[name]
        if name in self._buffers and name not in self._instead:
            return self._buffers[name].clone()
        own = self._own.get(name)
        trainable = own is None or own.requires_grad
        leaf = self._instead.get(name, own)
        assert leaf is not None, f"the graph reads {name}, which the model does not have"
        self.leaves[name] = leaf.detach().requires_grad_(trainable and is_floating(leaf))
        return self.leaves[name]


def execute(
    graph: ModelGraph,
    inputs: Sequence[torch.Tensor],
    *,
    edited: fx.Graph | None = None,
    parameters: Mapping[str, torch.Tensor] | None = None,
    watch: Collection[str] = (),
    seed: int = 0,
) -> NodeRun:
    """Run forward and backward with standard normal cotangents on the outputs.

    Args:
        graph: the recorded pass.
        inputs: one tensor per placeholder.
        edited: a changed copy of `graph.graph` to run instead.
        parameters: values to use instead of the model's own.
        watch: names of nodes at whose results activation and gradient are measured.
        seed: of the cotangents.

    Raises:
        Exception: whatever an operator raises, `NotImplementedError` for one that cannot be computed again.
    """
    run, executor = NodeRun(), Executor(graph, inputs, parameters)
    environment: Environment = {}
    outputs: list[torch.Tensor] = []
    with _undisturbed(graph):
        for node in (edited or graph.graph).nodes:
            if node.op == "output":
                outputs = [environment[n] for n in node.all_input_nodes]
                continue
            environment[node] = executor.value(node, environment)
            if node.name in watch:
                _watch(run, node.name, environment[node])
        _backward(run, executor, outputs, seed)
    return run


def _undisturbed(graph: ModelGraph) -> ExitStack:
    """Seeded generators, gradients on; parameters that the recorded pass wrote are put back."""
    stack = ExitStack()
    stack.enter_context(random_state())
    stack.enter_context(torch.enable_grad())
    if any(node.inplace and not node.grad_enabled for node in graph.view.nodes.values()):
        backups = Backups()
        for parameter in graph.model.parameters():
            backups.keep(parameter)
        stack.callback(backups.restore)
    return stack


def _watch(run: NodeRun, name: str, value: Any) -> None:
    tensor = next((t for t in tensors(value) if is_floating(t)), None)
    if tensor is None:
        return
    run.activations[name], run.gradients[name] = rms(tensor), 0.0
    if tensor.requires_grad:
        tensor.register_hook(lambda g: run.gradients.__setitem__(name, rms(g)))  # type: ignore[no-untyped-call]


def _backward(run: NodeRun, executor: Executor, outputs: list[torch.Tensor], seed: int) -> None:
    drawn = cotangents(outputs, seed)
    arriving = [norm(cotangent) for cotangent in drawn]
    for index, tensor in enumerate(outputs):
        if tensor.requires_grad:
            tensor.register_hook(lambda g, i=index: arriving.__setitem__(i, norm(g)))  # type: ignore[no-untyped-call]
    pairs = [(t, c) for t, c in zip(outputs, drawn, strict=True) if t.requires_grad]
    leaves = leaves_of(t for t, _ in pairs)
    gradients = pull_back([t for t, _ in pairs], [c for _, c in pairs], leaves)
    found = {id(leaf): g for leaf, g in zip(leaves, gradients, strict=True) if g is not None}
    numel = sum(t.numel() for t in outputs)
    run.output_gradient = math.hypot(*arriving) / math.sqrt(numel) if numel else 0.0
    run.parameters = {name: rms_of(found.get(id(p)), p) or 0.0 for name, p in executor.leaves.items()}


def values_at(graph: ModelGraph, inputs: Sequence[torch.Tensor], nodes: Collection[fx.Node]) -> Environment:
    """Copies of the values of some nodes, as they are when their operator has run; no gradients."""
    executor, environment, found = Executor(graph, inputs), Environment(), Environment()
    with _undisturbed(graph), torch.no_grad():
        for node in graph.graph.nodes:
            if node.op == "output" or len(found) == len(nodes):
                break
            environment[node] = executor.value(node, environment)
            if node in nodes:
                found[node] = _copied(environment[node])
    return found


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    return type(value)(_copied(item) for item in value) if type(value) in (tuple, list) else value


class Stretch:
    """The part of a graph between two nodes, as a function of the first one's value.

    Args:
        graph: the recorded pass.
        inputs: one tensor per placeholder.
        start: node whose value is varied.
        stop: node whose value is asked for.
    """

    def __init__(self, graph: ModelGraph, inputs: Sequence[torch.Tensor], start: fx.Node, stop: fx.Node) -> None:
        self._start, self._stop = start, stop
        self._between = _between(graph.graph, start, stop)
        fixed = {n for node in self._between for n in node.all_input_nodes} - {start, *self._between}
        self._fixed = values_at(graph, inputs, {start, *fixed})
        self._executor = Executor(graph, inputs)
        self.value: torch.Tensor = self._fixed.pop(start)
        """What the first node gives on the inputs."""

    @property
    def is_connected(self) -> bool:
        """Whether the last node depends on the first at all."""
        return self._stop in self._between

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Value of the last node where the first one gives `x`."""
        environment: Environment = {node: _copied(value) for node, value in self._fixed.items()}
        environment[self._start] = x.clone()
        for node in self._between:
            environment[node] = self._executor.value(node, environment)
        result: torch.Tensor = environment[self._stop]
        return result


def _between(graph: fx.Graph, start: fx.Node, stop: fx.Node) -> list[fx.Node]:
    """Nodes that depend on `start` and lie at or before `stop`, in order, up to `stop`."""
    found: dict[fx.Node, None] = {}
    for node in graph.nodes:
        if any(n is start or n in found for n in node.all_input_nodes):
            found[node] = None
        if node is stop:
            break
    return list(found)
