"""From particles to a `Flow`: figures per node, module and parameter."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gradlint.core.flow import Flow, ModuleFlow, NodeFlow, TimeFlow
from gradlint.propagation import particles as P
from gradlint.propagation.engine import Propagation
from gradlint.propagation.loops import loop_times
from gradlint.propagation.parameters import gradients, parameter_flows
from gradlint.propagation.signal import Signal
from gradlint.propagation.transfer.elementwise import MAPS

FLAT = 0.01
"""A unit whose slope is under this share of the steepest slope of its map counts as saturated."""
_GRID = torch.cat([torch.linspace(-12, 12, 481, dtype=P.DTYPE), torch.tensor([-1e6, -1e4, 1e4, 1e6], dtype=P.DTYPE)])


def build_flow(run: Propagation) -> Flow:
    """Collect what one forward and backward over particles has left behind."""
    learned = gradients(run)
    nodes = {name: _node(run, name, signal) for name, signal in run.signals.items()}
    for name, parts in run.parts.items():
        nodes[name] = _together([_node(run, name, signal) for signal in parts.signals], parts.sizes)
    for name, values in run.folded.items():
        nodes[name] = NodeFlow(name, P.rms(values.detach()), learned.nodes.get(name, 0.0))
    parametrised = frozenset(_owner(name) for name, _ in run.graph.model.named_parameters())
    outputs = [n for n in run.graph.view.outputs if n in nodes]
    sizes = [math.prod(run.graph.view.nodes[n].shape or (1,)) for n in outputs]
    output = _pooled([nodes[n].gradient_rms for n in outputs], sizes)
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
    found = {name: tuple(energy.sqrt().tolist()) for name, energy in run.arriving.items()}
    return [replace(time, arriving=found.get(time.name, ())) for time in run.times]


def _owner(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _node(run: Propagation, name: str, signal: Signal) -> NodeFlow:
    x = signal.value
    m = (
        P.moments(x / P.scale_of(x)).times(P.scale_of(x) ** 2)
        if P.scale_of(x) < 1e150
        else P.Moments(math.inf, 0, 0, 0)
    )
    gradient = P.rms(signal.x.grad) if signal.x.grad is not None else 0.0
    saturated = dead = slope_rms = None
    bounded = False
    op = run.graph.view.nodes.get(name)
    edited = run.editor is not None and name in run.editor.nodes
    if op is not None and op.op in MAPS and signal.before is not None and not edited:
        slopes = _slopes(run, name, signal.before.value)
        if slopes is not None:
            slope, steepest, bounded = slopes
            saturated = float((slope.abs() < FLAT * steepest).double().mean())
            dead = float((slope == 0).all(0).double().mean())
            slope_rms = P.rms(slope)
    return NodeFlow(
        name=name,
        activation_rms=P.rms(x),
        gradient_rms=gradient if math.isfinite(gradient) else math.inf,
        mean=float(x.mean()),
        q=m.q,
        p=m.p,
        s=m.s,
        o=m.o,
        saturated=saturated,
        dead=dead,
        slope_rms=slope_rms,
        bounded=bounded,
        known=not any(u.node == name for u in run.unknown),
    )


def _together(kinds: list[NodeFlow], sizes: Sequence[int]) -> NodeFlow:
    """One node's figures, from those of several kinds of positions."""

    def mean(values: list[float | None]) -> float | None:
        known = [(v, n) for v, n in zip(values, sizes, strict=True) if v is not None]
        return sum(v * n for v, n in known) / sum(n for _, n in known) if known else None

    return replace(
        kinds[-1],
        activation_rms=_pooled([k.activation_rms for k in kinds], sizes),
        gradient_rms=_pooled([k.gradient_rms for k in kinds], sizes),
        mean=mean([k.mean for k in kinds]),
        q=mean([k.q for k in kinds]),
        p=mean([k.p for k in kinds]),
        s=mean([k.s for k in kinds]),
        o=mean([k.o for k in kinds]),
        saturated=mean([k.saturated for k in kinds]),
        dead=mean([k.dead for k in kinds]),
        slope_rms=mean([k.slope_rms for k in kinds]),
    )


def _slopes(run: Propagation, name: str, x: Tensor) -> tuple[Tensor, float, bool] | None:
    """Local derivative at the particles, the map's steepest slope, and whether its range is bounded."""
    node = next((n for n in run.environment if n.name == name), None)
    if node is None or not callable(node.target):
        return None
    function = node.target
    rest = [run.environment.get(a) if isinstance(a, torch.fx.Node) else a for a in node.args[1:]]
    if any(isinstance(a, Tensor | Signal) for a in rest):
        return None
    kwargs = {k: v for k, v in node.kwargs.items() if k not in ("inplace", "out") and not isinstance(v, torch.fx.Node)}
    with torch.enable_grad():
        points = torch.cat([x.reshape(-1), _GRID]).requires_grad_()
        y = function(points.clone(), *rest, **kwargs)
        if not isinstance(y, Tensor) or not y.requires_grad:
            return None
        (slope,) = torch.autograd.grad(y.sum(), points)
    grid = slope[x.numel() :]
    ends = y.detach()[-4:]
    reach = max(float(ends.abs().amax()), 1e-300)
    bounded = (
        bool(torch.isfinite(ends).all())
        and reach < 1e4
        and bool(abs(ends[0] - ends[1]) + abs(ends[3] - ends[2]) < 1e-3 * reach)
    )
    finite = grid[:-4][torch.isfinite(grid[:-4])]
    return slope[: x.numel()].view_as(x), float(finite.abs().amax()) if finite.numel() else 1.0, bounded


def _pooled(values: Sequence[float | None], sizes: Sequence[int]) -> float | None:
    """RMS over all elements of several tensors."""
    known = [v for v in values if v is not None]
    if not known or len(known) < len(values) or not any(sizes):  # a module that is handed nothing
        return None
    return math.hypot(*(v * math.sqrt(n) for v, n in zip(known, sizes, strict=True))) / math.sqrt(sum(sizes))


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
        gradient = _pooled(received, sizes)
        activation = _pooled([n.activation_rms for n in seen], sizes)
        flows[path] = ModuleFlow(activation, gradient, attenuation(output, gradient), len(outputs))
    return flows


def attenuation(output: float | None, gradient: float | None) -> float | None:
    """log10(output gradient / gradient); infinite where nothing arrives."""
    if output is None or gradient is None or output == 0:
        return None
    if gradient == 0:
        return math.inf
    return math.log10(output) - math.log10(gradient) if math.isfinite(gradient) else -math.inf
