"""From particles to a `Flow`: figures per node, module and parameter."""

import math
from dataclasses import replace

from torch import Tensor

from gradlint.core.flow import Flow, ModuleFlow, NodeFlow, TimeFlow
from gradlint.propagation import particles as P
from gradlint.propagation.engine import Propagation
from gradlint.propagation.figures import pooled
from gradlint.propagation.loops import loop_times
from gradlint.propagation.parameters import gradients, parameter_flows


def build_flow(run: Propagation) -> Flow:
    """Collect what one forward and backward over particles has left behind."""
    learned = gradients(run)
    nodes = {name: seen.with_gradient(name, run.arrived) for name, seen in run.seen.items()}
    for name in {u.node for u in run.unknown}.intersection(nodes):
        nodes[name] = replace(nodes[name], known=False)
    for name, values in run.folded.items():
        nodes[name] = NodeFlow(name, P.rms(values.detach()), learned.nodes.get(name, 0.0))
    parametrised = frozenset(_owner(name) for name, _ in run.graph.model.named_parameters())
    outputs = [n for n in run.graph.view.outputs if n in nodes]
    sizes = [math.prod(run.graph.view.nodes[n].shape or (1,)) for n in outputs]
    output = pooled([nodes[n].gradient_rms for n in outputs], sizes)
    return Flow(
        module_flows=_modules(run, nodes, output),
        parameter_flows=parameter_flows(run, learned.parameters),
        nodes=nodes,
        times=(*_times(run), *loop_times(run.graph.view, nodes, parametrised)),
        unknown=tuple(run.unknown),
        output_gradient_rms=output if output is not None else 1.0,
        parametrised=parametrised,
        mixes_samples=bool(run.mixing),
    )


def _times(run: Propagation) -> list[TimeFlow]:
    """Fused recurrences, with what arrives at each of their steps."""
    found = {name: tuple(energy.sqrt().tolist()) for name, energy in run.arrived.steps.items()}
    return [replace(time, arriving=found.get(time.name, ())) for time in run.times]


def _owner(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _constants(run: Propagation, wanted: set[str]) -> dict[str, NodeFlow]:
    """What was computed as it stands, from ids or from nothing (tables of positions): no gradient arrives there."""
    return {
        node.name: NodeFlow(node.name, P.rms(value.detach()), 0.0)
        for node, value in run.environment.items()
        if node.name in wanted and isinstance(value, Tensor) and value.is_floating_point()
    }


def _modules(run: Propagation, nodes: dict[str, NodeFlow], output: float | None) -> dict[str, ModuleFlow]:
    flows: dict[str, ModuleFlow] = {}
    by_module: dict[str, list[str]] = {}
    ops = run.graph.view.nodes
    for call in run.graph.view.calls:
        if call.output is not None:
            by_module.setdefault(call.module, []).append(call.output)
    constants = _constants(run, {o for outputs in by_module.values() for o in outputs}.difference(nodes))
    for path, outputs in by_module.items():
        seen = [nodes[o] if o in nodes else constants[o] for o in outputs if o in nodes or o in constants]
        if not seen:
            flows[path] = ModuleFlow(None, None, None, len(outputs))
            continue
        sizes = [math.prod(ops[n.name].shape or (1,)) for n in seen]
        received = [n.gradient_rms if ops[n.name].requires_grad else 0.0 for n in seen]  # 0: nothing learned before
        gradient = pooled(received, sizes)
        activation = pooled([n.activation_rms for n in seen], sizes)
        flows[path] = ModuleFlow(activation, gradient, attenuation(output, gradient), len(outputs))
    return flows


def attenuation(output: float | None, gradient: float | None) -> float | None:
    """log10(output gradient / gradient); infinite where nothing arrives."""
    if output is None or gradient is None or output == 0:
        return None
    if gradient == 0:
        return math.inf
    return math.log10(output) - math.log10(gradient) if math.isfinite(gradient) else -math.inf
