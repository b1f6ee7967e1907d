"""Local derivatives of a map of single numbers: at the particles that it meets, and over all that it could meet."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from gradlint.propagation import particles as P
from gradlint.propagation.signal import Signal
from gradlint.propagation.transfer.elementwise import MAPS
from gradlint.tracing.model_graph import op_of

if TYPE_CHECKING:
    from gradlint.propagation.engine import Propagation

FLAT = 0.01
"""A unit whose slope is under this share of the steepest slope of its map counts as saturated."""
_GRID = torch.cat([torch.linspace(-12, 12, 481, dtype=P.DTYPE), torch.tensor([-1e6, -1e4, 1e4, 1e6], dtype=P.DTYPE)])

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Slopes:
    """What the derivative of a map says of its units."""

    saturated: float
    """Share of particles at which it is small beside the steepest."""
    dead: float
    """Share of units that have none in any replica."""
    rms: float
    bounded: bool
    """Whether the map's range is bounded."""


def slopes_of(run: "Propagation", node: fx.Node, signal: Signal) -> Slopes | None:
    """Of a node that maps single numbers and was not edited; None for others."""
    edited = run.editor is not None and node.name in run.editor.nodes
    if signal.before is None or edited or node.op != "call_function" or op_of(node).op not in MAPS:
        return None
    rest = [run.environment.get(a) if isinstance(a, fx.Node) else a for a in node.args[1:]]
    kwargs = {k: v for k, v in node.kwargs.items() if k not in ("inplace", "out") and not isinstance(v, fx.Node)}
    if any(isinstance(a, Tensor | Signal) for a in rest):
        return None
    shape = _shape_of(node.target, (*rest,), (*kwargs.items(),))
    slope = _derivative(node.target, signal.before.value[:, : P.distinct()], rest, kwargs) if shape else None
    if slope is None or shape is None:
        return None
    steepest, bounded = shape
    saturated = float((slope.abs() < FLAT * steepest).double().mean())
    return Slopes(saturated, float((slope == 0).all(0).double().mean()), P.rms(slope), bounded)


def _shape_of(function: Any, rest: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]) -> tuple[float, bool] | None:
    """The map's steepest slope, and whether its range is bounded."""
    try:
        return _looked_over(function, rest, kwargs)
    except TypeError:  # unhashable settings
        return _looked_over.__wrapped__(function, rest, kwargs)


@lru_cache(maxsize=64)
def _looked_over(
    function: Any, rest: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]
) -> tuple[float, bool] | None:
    slope = _derivative(function, _GRID, rest, dict(kwargs))
    if slope is None:
        return None
    with torch.no_grad():
        ends = function(_GRID.clone(), *rest, **dict(kwargs))[-4:]
    reach = max(float(ends.abs().amax()), 1e-300)
    changes = abs(ends[0] - ends[1]) + abs(ends[3] - ends[2])
    bounded = bool(torch.isfinite(ends).all()) and reach < 1e4 and bool(changes < 1e-3 * reach)
    inner = slope[:-4]
    finite = inner[torch.isfinite(inner)]
    return (float(finite.abs().amax()) if finite.numel() else 1.0), bounded


def _derivative(function: Any, x: Tensor, rest: Any, kwargs: dict[str, Any]) -> Tensor | None:
    """At each element of `x`; None where the function gives nothing that could be differentiated."""
    with torch.enable_grad():
        points = x.detach().reshape(-1).requires_grad_()
        y = function(points.clone(), *rest, **kwargs)
        if not isinstance(y, Tensor) or not y.requires_grad:
            return None
        (slope,) = torch.autograd.grad(y.sum(), points)
    return slope.view_as(x)
