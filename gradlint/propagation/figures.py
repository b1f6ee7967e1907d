"""What one run notes of its particles while they are there: figures of activations, and what a backward pass brings.

Thousands of nodes with 64 KB of particles and as much of cotangents each would be the largest thing in memory.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from torch import Tensor, fx

from gradlint.core.flow import NodeFlow
from gradlint.propagation import particles as P
from gradlint.propagation.signal import Signal
from gradlint.propagation.slopes import slopes_of

if TYPE_CHECKING:
    from gradlint.propagation.engine import Propagation


def watch(x: Tensor, note: Callable[[Tensor], None]) -> None:
    """Call `note` with the gradient that arrives at `x`, which does not keep it."""
    if not x.is_leaf:
        # a fork none of whose readers sends anything back sends nothing on
        x.register_hook(lambda g: note(g) if g is not None else None)  # type: ignore[no-untyped-call]
        return

    def take(leaf: Tensor) -> None:
        if leaf.grad is not None:
            note(leaf.grad)
            leaf.grad = None

    x.register_post_accumulate_grad_hook(take)  # type: ignore[no-untyped-call]


@dataclass
class Arrived:
    """What one backward pass has brought: RMS per element."""

    nodes: dict[tuple[str, int], float] = field(default_factory=dict)
    """By name and kind of position."""
    elementwise: dict[int, float] = field(default_factory=dict)
    """At parameters that act elementwise, by their place in `Propagation.elementwise`."""
    parameters: dict[str, float] = field(default_factory=dict)
    derived: list[tuple[Tensor, float]] = field(default_factory=list)
    """At weights that were computed from parameters."""
    steps: dict[str, Tensor] = field(default_factory=dict)
    """Per fused recurrence the mean square of the gradient at each step of its input."""

    def at_node(self, name: str, place: int, g: Tensor) -> None:
        """Note a node's gradient."""
        self.nodes[name, place] = P.rms(g)

    def at_elementwise(self, place: int, g: Tensor) -> None:
        """Note the gradient of a parameter's particles."""
        self.elementwise[place] = P.rms(g)

    def at_parameter(self, name: str, rms: float) -> None:
        """Contributions of several uses add as energies."""
        self.parameters[name] = math.hypot(self.parameters.get(name, 0.0), rms)


@dataclass(frozen=True, slots=True)
class Seen:
    """Figures of one node's activation, one for each kind of position, with the number of positions."""

    kinds: tuple[NodeFlow, ...]
    sizes: tuple[int, ...]

    @staticmethod
    def of(run: "Propagation", node: fx.Node, signals: Sequence[Signal], sizes: Sequence[int]) -> "Seen":
        """From the particles of a node."""
        return Seen(tuple(_figures(run, node, signal) for signal in signals), tuple(sizes))

    def with_gradient(self, name: str, arrived: Arrived) -> NodeFlow:
        """The node's figures, with what a backward pass has brought."""
        gradients = [arrived.nodes.get((name, place), 0.0) for place in range(len(self.kinds))]
        finite = [g if math.isfinite(g) else math.inf for g in gradients]
        kinds = [replace(kind, gradient_rms=g) for kind, g in zip(self.kinds, finite, strict=True)]
        return _together(kinds, self.sizes) if len(kinds) > 1 else kinds[0]


def _figures(run: "Propagation", node: fx.Node, signal: Signal) -> NodeFlow:
    x = signal.value[:, : P.distinct()]
    scale = P.scale_of(x)
    m = P.moments(x / scale).times(scale**2) if scale < 1e150 else P.Moments(math.inf, 0, 0, 0)
    slopes = slopes_of(run, node, signal)
    return NodeFlow(
        name=node.name,
        activation_rms=P.rms(x),
        gradient_rms=0.0,
        mean=float(x.mean()),
        q=m.q,
        p=m.p,
        s=m.s,
        contrast=_contrast(x),
        o=m.o,
        saturated=slopes.saturated if slopes is not None else None,
        dead=slopes.dead if slopes is not None else None,
        slope_rms=slopes.rms if slopes is not None else None,
        bounded=slopes is not None and slopes.bounded,
    )


def _contrast(x: Tensor) -> float:
    """Half the mean square of what differs between samples a and b, at either position."""
    apart = x[:2] - x[2:]
    scale = P.scale_of(apart)
    return float((apart / scale).square().mean()) * scale**2 / 2 if scale < 1e150 else math.inf


def _together(kinds: list[NodeFlow], sizes: Sequence[int]) -> NodeFlow:
    """One node's figures, from those of several kinds of positions."""

    def mean(values: list[float | None]) -> float | None:
        known = [(v, n) for v, n in zip(values, sizes, strict=True) if v is not None]
        return sum(v * n for v, n in known) / sum(n for _, n in known) if known else None

    return replace(
        kinds[-1],
        activation_rms=pooled([k.activation_rms for k in kinds], sizes),
        gradient_rms=pooled([k.gradient_rms for k in kinds], sizes),
        mean=mean([k.mean for k in kinds]),
        q=mean([k.q for k in kinds]),
        p=mean([k.p for k in kinds]),
        s=mean([k.s for k in kinds]),
        contrast=mean([k.contrast for k in kinds]),
        o=mean([k.o for k in kinds]),
        saturated=mean([k.saturated for k in kinds]),
        dead=mean([k.dead for k in kinds]),
        slope_rms=mean([k.slope_rms for k in kinds]),
    )


def pooled(values: Sequence[float | None], sizes: Sequence[int]) -> float | None:
    """RMS over all elements of several tensors."""
    known = [v for v in values if v is not None]
    if not known or len(known) < len(values) or not any(sizes):  # a module that is handed nothing
        return None
    return math.hypot(*(v * math.sqrt(n) for v, n in zip(known, sizes, strict=True))) / math.sqrt(sum(sizes))
