"""From particles to a `Flow`: figures per node, module and parameter."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from gradlint.core.flow import Flow, ModuleFlow, NodeFlow, ParameterFlow
from gradlint.propagation import particles as P
from gradlint.propagation.engine import Propagation
from gradlint.propagation.loops import loop_times
from gradlint.propagation.signal import Signal
from gradlint.propagation.transfer.elementwise import MAPS

FLAT = 0.01
"""A unit whose slope is under this share of the steepest slope of its map counts as saturated."""
_GRID = torch.cat([torch.linspace(-12, 12, 481, dtype=P.DTYPE), torch.tensor([-1e6, -1e4, 1e4, 1e6], dtype=P.DTYPE)])


def build_flow(run: Propagation) -> Flow:
    """Collect what one forward and backward over particles has left behind."""
    nodes = {name: _node(run, name, signal) for name, signal in run.signals.items()}
    parametrised = frozenset(_owner(name) for name, _ in run.graph.model.named_parameters())
    output = _pooled(nodes[n].gradient_rms for n in run.graph.view.outputs if n in nodes)
    return Flow(
        module_flows=_modules(run, nodes, output),
        parameter_flows=_parameters(run),
        nodes=nodes,
        times=(*run.times, *loop_times(run.graph.view, nodes, parametrised)),
        unknown=tuple(run.unknown),
        output_gradient_rms=output if output is not None else 1.0,
        parametrised=parametrised,
    )


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


def _pooled(values: Iterable[float | None]) -> float | None:
    known = list(values)
    if not known or any(v is None for v in known):
        return None
    return math.hypot(*(v for v in known if v is not None)) / math.sqrt(len(known))


def _modules(run: Propagation, nodes: dict[str, NodeFlow], output: float | None) -> dict[str, ModuleFlow]:
    flows: dict[str, ModuleFlow] = {}
    by_module: dict[str, list[str]] = {}
    ops = run.graph.view.nodes
    for call in run.graph.view.calls:
        if call.output is not None:
            by_module.setdefault(call.module, []).append(call.output)
    for path, outputs in by_module.items():
        seen = [nodes[o] for o in outputs if o in nodes]
        if not seen:
            flows[path] = ModuleFlow(None, None, None, len(outputs))
            continue
        gradient = _pooled(n.gradient_rms if ops[n.name].requires_grad else 0.0 for n in seen)  # nothing learned before
        flows[path] = ModuleFlow(
            _pooled(n.activation_rms for n in seen), gradient, attenuation(output, gradient), len(outputs)
        )
    return flows


def attenuation(output: float | None, gradient: float | None) -> float | None:
    """log10(output gradient / gradient); infinite where nothing arrives."""
    if output is None or gradient is None or output == 0:
        return None
    if gradient == 0:
        return math.inf
    return math.log10(output) - math.log10(gradient) if math.isfinite(gradient) else -math.inf


def _parameters(run: Propagation) -> dict[str, ParameterFlow]:
    gradients = dict(run.energies)
    names = {id(leaf): name for name, leaf in run.leaves.items()}
    for weight, x in run.elementwise:
        if x.grad is None:
            continue
        if weight.values is not None and weight.values.grad_fn is not None:
            run.derived.append((weight.values, [P.rms(x.grad)]))
        else:
            gradients[weight.name] = math.hypot(gradients.get(weight.name, 0.0), P.rms(x.grad))
    for values, rms in run.derived:
        for name, contribution in _through(run, values, rms[0], names):
            gradients[name] = math.hypot(gradients.get(name, 0.0), contribution)
    unknown_nodes = {u.node for u in run.unknown}
    flows = {}
    for name, parameter in run.graph.model.named_parameters():
        known = run.values.get(name)
        value: float | None = None
        if known is not None:
            value = P.rms(known.sample if known.values is None else known.values.detach())
        gradient: float | None = gradients.get(name, 0.0)
        if gradient == 0.0 and name in run.graph.reachable and _only_unknown(run, name, unknown_nodes):
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


def _through(run: Propagation, values: Tensor, rms: float, names: dict[int, str]) -> list[tuple[str, float]]:
    """Gradient RMS at the parameters that a computed weight was made of."""
    gen = P.generator("derived", tuple(values.shape))
    noise = torch.randn(values.shape, generator=gen, dtype=values.dtype)
    leaves = list(run.leaves.values())
    found = torch.autograd.grad(values, leaves, noise, allow_unused=True, retain_graph=True)
    return [
        (names[id(leaf)], rms * P.rms(g.reshape(1, -1))) for leaf, g in zip(leaves, found, strict=True) if g is not None
    ]
