"""Gradients of parameters, also through whatever the model computes of them before it meets an activation."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gradlint.core.flow import ParameterFlow
from gradlint.propagation import particles as P
from gradlint.propagation.engine import Propagation
from gradlint.propagation.invariances import settle


@dataclass
class Gradients:
    """RMS per element: of parameters by name, and of nodes that hold something computed from parameters alone."""

    parameters: dict[str, float] = field(default_factory=dict)
    nodes: dict[str, float] = field(default_factory=dict)

    def add(self, table: dict[str, float], name: str, rms: float) -> None:
        """Contributions of several uses add as energies."""
        table[name] = math.hypot(table.get(name, 0.0), rms)


def gradients(run: Propagation) -> Gradients:
    """What the backward pass has left at the parameters."""
    run.repeats.settle(run.learn)
    found = Gradients(dict(run.arrived.parameters))
    derived = list(run.arrived.derived)
    for place, rms in sorted(run.arrived.elementwise.items()):
        weight = run.elementwise[place]
        if weight.values is not None and weight.computed is not None:
            derived.append((weight.values, rms))
            continue
        part = min(1.0, weight.numel / max(1, math.prod(run.values[weight.name].shape)))
        rms *= math.sqrt(part)  # the rest of it gets nothing
        if weight.computed is not None:
            derived.append((weight.computed, rms))
        else:
            found.add(found.parameters, weight.name, rms)
    for values, rms in derived:
        _send_back(run, values, rms, found)
    settle(run, found.parameters)
    return found


def _send_back(run: Propagation, values: Tensor, rms: float, found: Gradients) -> None:
    """From a computed weight to the parameters, and the steps between, that it was made of."""
    gen = P.generator("derived", tuple(values.shape))
    noise = torch.randn(values.shape, generator=gen, dtype=values.dtype)
    leaves, steps = [(n, leaf) for n, leaf in run.leaves.items() if leaf.requires_grad], list(run.folded.items())
    wanted = [tensor for _, tensor in (*leaves, *steps)]
    received = torch.autograd.grad(values, wanted, noise, allow_unused=True, retain_graph=True)
    for i, (name, g) in enumerate(zip((name for name, _ in (*leaves, *steps)), received, strict=True)):
        if g is not None:
            found.add(found.parameters if i < len(leaves) else found.nodes, name, rms * P.rms(g))


def parameter_flows(run: Propagation, learned: dict[str, float]) -> dict[str, ParameterFlow]:
    """Gradient and value of every parameter; None where only an operator without a rule reads it."""
    unknown = {u.node for u in run.unknown}
    flows = {}
    for name, parameter in run.graph.model.named_parameters():
        known = run.values.get(name)
        value: float | None = None
        if known is not None:
            value = P.rms(known.sample if known.values is None else known.values.detach())
        gradient: float | None = learned.get(name, 0.0)
        if gradient == 0.0 and name in run.graph.reachable and _only_unknown(run, name, unknown):
            gradient = None
        if not parameter.requires_grad:
            gradient = 0.0
        flows[name] = ParameterFlow(gradient, value)
    return flows


def _only_unknown(run: Propagation, name: str, unknown: set[str]) -> bool:
    """Whether some reader of the parameter is an operator without a rule."""
    return any(
        user.name in unknown
        for node in run.graph.graph.nodes
        if node.op == "get_attr" and str(node.target) == name
        for user in node.users
    )
