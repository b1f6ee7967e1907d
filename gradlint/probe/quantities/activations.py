"""Quantities of activations: collapsed samples, saturated and dead units, linear maps in a row."""

import statistics
from typing import Any

import torch
from torch import fx

from gradlint.building.seeds import seed_for
from gradlint.core.finding import Claim
from gradlint.probe.execute import Stretch, values_at
from gradlint.probe.figures import norm, sample_correlation
from gradlint.probe.laboratory import Laboratory
from gradlint.probe.quantities.measured import Measured, unmeasured
from gradlint.tracing.leaves import is_floating
from gradlint.tracing.model_graph import op_of

_FLAT = 0.01
"""A unit whose slope is under this share of the steepest slope of its map counts as saturated."""
_AFFINE = 1e-3
"""Relative deviation from f(x+y) + f(0) = f(x) + f(y) up to which a map counts as affine."""


def correlation(lab: Laboratory, claim: Claim) -> Measured:
    """Correlation between two samples at a module or node, the mean over everything taken off."""
    value = lab.first.correlation(claim.subject)
    if value is None:
        node = lab.graph.view.nodes.get(claim.subject) and lab.node(claim.subject)
        tensor = lab.value(node) if node else None
        if tensor is not None and lab.batch is not None and is_floating(tensor):
            value = sample_correlation(tensor, lab.batch)
    if value is None:
        return unmeasured(f"samples cannot be told from positions at {claim.subject or 'the output'}")
    left = max(0.0, 1 - value)
    summary = f"two samples correlate to {value:.6g} in a real forward pass"
    near = 2 * (1 - claim.threshold) if claim.threshold is not None and claim.threshold < 1 else None
    return Measured(value, summary, {"correlation": value, "left_between_samples": left}, near=near)


def saturated_fraction(lab: Laboratory, claim: Claim) -> Measured:
    """Share of units whose slope is under 1 % of the map's steepest, over the subjects."""
    shares = []
    for name in claim.subjects or (claim.subject,):
        found = _slopes(lab, name)
        if found is None:
            return unmeasured(f"{name} is no elementwise map of one tensor")
        slope, steepest = found
        shares.append(float((slope.abs() < _FLAT * steepest).double().mean()))
    share = statistics.mean(shares)
    return Measured(
        share, f"{100 * share:.2g} % of the units are saturated in a real forward pass", {"saturated": share}
    )


def dead_fraction(lab: Laboratory, claim: Claim) -> Measured:
    """Share of units whose slope is zero for every sample and position, over the subjects."""
    shares = []
    for name in claim.subjects or (claim.subject,):
        found = _slopes(lab, name)
        if found is None:
            return unmeasured(f"{name} is no elementwise map of one tensor")
        slope, _ = found
        units = 1 if slope.dim() >= 4 else slope.dim() - 1
        dims = [d for d in range(slope.dim()) if d != units]
        shares.append(float((slope == 0).all(dim=tuple(dims)).double().mean()) if dims else 0.0)
    share = statistics.mean(shares)
    return Measured(share, f"{100 * share:.2g} % of the units are dead for the whole batch", {"dead": share})


def affine_product(lab: Laboratory, claim: Claim) -> Measured:
    """1.0 where the maps from `reference` to the subject (or all `subjects`, modules in order) are one affine map."""
    first = lab.node(claim.reference or (claim.subjects[0] if claim.subjects else claim.subject))
    last = lab.node(claim.subjects[-1] if claim.subjects and not claim.reference else claim.subject)
    start = _source(lab, claim, first)
    if start is None or last is None:
        return unmeasured("the maps named are not in the recorded graph")
    stretch = Stretch(lab.graph, lab.inputs, start, last)
    x = stretch.value
    if not stretch.is_connected or not isinstance(x, torch.Tensor) or not is_floating(x):
        return unmeasured("the second map does not read the first one's result")
    y = x.roll(1, 0) if x.dim() and x.shape[0] > 1 else torch.randn_like(x) * x.abs().mean()
    with torch.no_grad():
        both, one, other, zero = stretch(x + y), stretch(x), stretch(y), stretch(torch.zeros_like(x))
    scale = norm(one - zero) + norm(other - zero)
    if scale == 0:
        return unmeasured("the maps give the same for all inputs")
    deviation = norm(both - one - other + zero) / scale
    figures = {"deviation": deviation}
    if deviation <= _AFFINE:
        return Measured(1.0, f"f(x + y) = f(x) + f(y) − f(0) on real data, to {deviation:.0e}", dict(figures))
    return Measured(0.0, f"f(x + y) differs from f(x) + f(y) − f(0) by {100 * deviation:.2g} %", dict(figures))


def _source(lab: Laboratory, claim: Claim, first: fx.Node | None) -> fx.Node | None:
    """The node whose value the first map takes."""
    if first is None:
        return None
    named = claim.reference or (claim.subjects[0] if claim.subjects else claim.subject)
    if first.name != named:  # a module: it may hold several operators
        call = next(c for c in reversed(lab.graph.view.calls) if c.module == named)
        return lab.node(call.inputs[0]) if call.inputs else None
    return next((n for n in first.all_input_nodes if n.op != "get_attr"), None)


def _slopes(lab: Laboratory, name: str) -> tuple[torch.Tensor, float] | None:
    """Local derivative of an elementwise map at its real inputs, and the map's steepest slope."""
    node = lab.node(name)
    if node is None or not callable(node.target):
        return None
    sources = [n for n in node.all_input_nodes if n.op != "get_attr"]
    if len(sources) != 1 or node.args[:1] != (sources[0],):
        return None
    found = values_at(lab.graph, lab.inputs, node.all_input_nodes)
    x = found[sources[0]]
    if not isinstance(x, torch.Tensor) or not is_floating(x):
        return None
    is_alone = len(node.all_input_nodes) == 1
    if not (_is_elementwise(node, x) if is_alone else op_of(node).op == "prelu"):
        return None
    slope = _slope(node, found, x)
    steep = _slope(node, found, torch.linspace(-12, 12, 481).to(x)) if is_alone else None
    if slope is None:
        return None
    steepest = max(float(s[s.isfinite()].abs().max()) for s in (slope, steep) if s is not None)
    return slope, steepest


def _is_elementwise(node: fx.Node, x: torch.Tensor) -> bool:
    """Whether the same elements in another order give the same results in that order."""
    order = torch.randperm(x.numel(), generator=torch.Generator().manual_seed(seed_for("order"))).to(x.device)
    with torch.no_grad():
        straight = node.target(x.clone(), *node.args[1:], **node.kwargs)  # type: ignore[operator]
        mixed = node.target(x.flatten()[order].view_as(x), *node.args[1:], **node.kwargs)  # type: ignore[operator]
    if not isinstance(straight, torch.Tensor) or straight.shape != x.shape:
        return False
    return torch.allclose(straight.flatten()[order], mixed.flatten(), rtol=1e-4, atol=1e-6)


def _slope(node: fx.Node, found: dict[fx.Node, Any], x: torch.Tensor) -> torch.Tensor | None:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        rest, kwargs = fx.node.map_arg((node.args[1:], node.kwargs), lambda n: found[n])
        y = node.target(leaf.clone(), *rest, **kwargs)  # type: ignore[operator]
        if not isinstance(y, torch.Tensor) or y.shape != x.shape or not y.requires_grad:
            return None
        (slope,) = torch.autograd.grad(y.sum(), leaf)
    return slope
