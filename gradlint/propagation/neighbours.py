"""How alike neighbouring places of a map are: resampling with overlapping windows makes them so, both ways.

A·x of independent places has the covariance AAᵀ between them, Aᵀg of independent cotangents AᵀA; a second resampling
(bilinear ×2, then ×8) adds neighbours up coherently. Kept per axis as a correlation by distance. Convolutions with
independent weights leave it as it is; a map of single elements multiplies that of cotangents by
E[f′(u) f′(v)]/E[f′²], where the places u and v in front of it correlate as the resampling before them has it.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from gradlint.propagation import particles as P
from gradlint.propagation.profiles import keeps_places, space
from gradlint.propagation.transfer.elementwise import MAPS
from gradlint.propagation.transfer.resampling import matrices
from gradlint.tracing.model_graph import op_of

Alike = tuple[Tensor, ...]
"""Per axis, the correlation of two places by their distance; 1.0 at distance zero."""


@dataclass
class Neighbours:
    """Correlations in one graph; places of nodes that are not listed are independent."""

    ahead: dict[fx.Node, Alike] = field(default_factory=dict)
    back: dict[fx.Node, Alike] = field(default_factory=dict)
    """Of the cotangents."""

    @staticmethod
    def of(graph: fx.Graph) -> "Neighbours":
        """From the inputs of a traced graph to its outputs, and back."""
        found = Neighbours()
        nodes = [n for n in graph.nodes if n.op == "call_function" and space(n)]
        if not any(op_of(n).op.startswith("upsample") for n in nodes):
            return found
        for node in nodes:
            _note(found.ahead, node, [found._before(source, node) for source in node.all_input_nodes if space(source)])
        for node in reversed(nodes):
            _note(found.back, node, [found._behind(user, node) for user in node.users])
        return found

    def energies(self, node: fx.Node, a: list[Tensor]) -> tuple[float, float]:
        """tr ACAᵀ of what `a` (`[out, in]` per axis) reads, and tr AᵀCA of the cotangents of what it makes."""
        source = node.args[0]
        assert isinstance(source, fx.Node)
        given, sent = self.ahead.get(source) or _independent(source), self.back.get(node) or _independent(node)
        ahead = (float((m * (m @ _toeplitz(r))).sum()) for m, r in zip(a, given, strict=True))
        back = (float((m * (_toeplitz(r) @ m)).sum()) for m, r in zip(a, sent, strict=True))
        return math.prod(ahead), math.prod(back)

    def beyond(self, node: fx.Node) -> float:
        """Σ over pairs of places of (correlation in front of a node) x (that of its cotangents), per place, beyond 1.

        A weight's gradient adds up its places: neighbours whose inputs and cotangents are alike do so coherently.
        """
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or source not in self.ahead or node not in self.back:
            return 0.0
        if space(source) != space(node):
            return 0.0
        each = zip(self.ahead[source], self.back[node], strict=True)
        return math.prod(float(_toeplitz(given * sent).sum()) / given.numel() for given, sent in each) - 1

    def _before(self, source: fx.Node, node: fx.Node) -> Alike | None:
        seen = self.ahead.get(source)
        if op_of(node).op.startswith("upsample"):
            each = zip(matrices(node), seen or _independent(source), strict=True)
            return tuple(_by_distance(m @ _toeplitz(r) @ m.T) for m, r in each)
        return seen if keeps_places(op_of(node)) and space(source) == space(node) else None

    def _behind(self, user: fx.Node, node: fx.Node) -> Alike | None:
        if user.op != "call_function":
            return None
        after = self.back.get(user)
        if op_of(user).op.startswith("upsample"):
            each = zip(matrices(user), after or _independent(user), strict=True)
            return tuple(_by_distance(m.T @ _toeplitz(r) @ m) for m, r in each)
        if after is None or not keeps_places(op_of(user)) or space(user) != space(node):
            return None
        if op_of(user).op not in MAPS:
            return after
        each = zip(after, self.ahead.get(node) or _independent(node), strict=True)
        return tuple(r * _kept(user, met) for r, met in each)


def _note(known: dict[fx.Node, Alike], node: fx.Node, seen: list[Alike | None]) -> None:
    """The mean over operands or readers, those of independent places among them."""
    if any(s is not None for s in seen):
        full = [s if s is not None else _independent(node) for s in seen]
        known[node] = tuple(torch.stack(axis).mean(0) for axis in zip(*full, strict=True))


def _kept(node: fx.Node, correlation: Tensor) -> Tensor:
    """E[f′(u) f′(v)]/E[f′²] of a map of single elements, for standard normal u and v of these correlations."""
    u, w = P.normal("neighbours", rows=2)[:, : P.distinct()]
    c = correlation.clamp(-1, 1)[:, None]
    x = torch.cat([u[None], c * u + (1 - c.square()).sqrt() * w]).requires_grad_()
    kwargs = {k: v for k, v in node.kwargs.items() if k != "inplace"}
    with torch.enable_grad():
        y = node.target(x.clone(), *node.args[1:], **kwargs)  # type: ignore[operator]
    (slopes,) = torch.autograd.grad(y.sum(), x)
    return (slopes[:1] * slopes[1:]).mean(1) / slopes[0].square().mean().clamp(min=1e-300)


def _independent(node: fx.Node) -> Alike:
    return tuple(torch.eye(n, 1, dtype=P.DTYPE)[:, 0] for n in space(node))


def _toeplitz(r: Tensor) -> Tensor:
    at = torch.arange(r.numel())
    return r[(at[:, None] - at).abs()]


def _by_distance(c: Tensor) -> Tensor:
    """The correlation by distance that a covariance between places has on average."""
    means = torch.stack([c.diagonal(d).mean() for d in range(c.shape[0])])
    return means / means[0].clamp(min=1e-300)
