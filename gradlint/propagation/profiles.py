"""Where on a map the energy lies: borders see fewer taps, so deep stacks move activation and gradient to the middle.

One vector per spatial axis (mean 1): signals carry that of the activation, `Profiles` holds those of the cotangents;
both pass from node to node by which outputs and inputs the taps connect. Taking maps as even says f^L for L padded
convolutions; with these profiles the loss is that of the taps that really meet energy (design `flow.md`, correction 3).
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from gradlint.core.graph import OpNode
from gradlint.propagation import particles as P
from gradlint.tracing.model_graph import TensorMeta, op_of

Profile = tuple[Tensor, ...]
"""One vector per spatial axis, each of mean 1."""

_FIRST_SPATIAL = 2


@dataclass
class Profiles:
    """Profiles of all nodes of one graph; nodes that are not listed are even."""

    links: dict[fx.Node, tuple[Tensor, ...]] = field(default_factory=dict)
    """Per convolution or pool and axis `[outputs, inputs]`: number of taps that connect them."""
    gradient: dict[fx.Node, Profile] = field(default_factory=dict)
    """Cotangents; nodes that are not listed are even."""

    @staticmethod
    def of(graph: fx.Graph) -> "Profiles":
        """Links and cotangent profiles of a traced graph."""
        found = Profiles()
        nodes = [n for n in graph.nodes if n.op == "call_function"]
        found.links = {n: links for n in nodes if (links := _links(n) or _pool_links(n)) is not None}
        for node in reversed(nodes if found.links else []):
            users = [u for u in node.users if u.op == "call_function" and _reads_map(u, node)]
            mixed = _mean([found._behind(user, node) for user in users], node) if space(node) else None
            if mixed is not None:
                found.gradient[node] = mixed
        return found

    def forward_factor(self, node: fx.Node, profile: Profile | None) -> float:
        """Energy that a convolution's taps meet, relative to an even input."""
        if profile is None or node not in self.links:
            return 1.0
        return math.prod(float(link.sum(0) @ v / link.sum()) for link, v in zip(self.links[node], profile, strict=True))

    def backward_factor(self, node: fx.Node) -> float:
        """Cotangent energy that a convolution's taps meet, relative to an even output."""
        profile = self.gradient.get(node)
        if profile is None or node not in self.links:
            return 1.0
        return math.prod(float(link.sum(1) @ v / link.sum()) for link, v in zip(self.links[node], profile, strict=True))

    def ahead(self, node: fx.Node, profile: Profile | None) -> Profile | None:
        """Where the energy lies behind a convolution or a pool."""
        if node not in self.links:
            return None
        conv = op_of(node).op.startswith("conv")
        links = self.links[node] if conv else tuple(map(_averaging, self.links[node]))
        before = profile or tuple(torch.ones(link.shape[1], dtype=P.DTYPE) for link in links)
        return tuple(_normal(link @ v) for link, v in zip(links, before, strict=True))

    def _behind(self, user: fx.Node, node: fx.Node) -> Profile | None:
        if user in self.links:
            after = self.gradient.get(user) or _even(user)
            return tuple(_normal(link.T @ v) for link, v in zip(self.links[user], after, strict=True))
        return self.gradient.get(user) if keeps_places(op_of(user)) and space(user) == space(node) else None


def normalised(profile: Profile | None, q: float, o: float, means: "UnitMeans | None") -> Profile | None:
    """Behind a norm that takes out each unit's mean: what differs from that mean, borders included, is energy.

    Args:
        profile: before the norm.
        q: second moment.
        o: the part of it that another sample and position share (the units' means).
        means: how the units' means lie on the map, where a convolution has just made them.
    """
    if profile is None or q <= 0 or means is None:
        return profile
    scale = max(o, 0.0) / means.shared
    rest = max(q - scale * means.energy, 0.0)
    axes = zip(profile, means.deviations, strict=True)
    return tuple(_normal(rest * v + scale * e.clamp(min=0)) for v, e in axes)


@dataclass(frozen=True, slots=True)
class UnitMeans:
    """Means of a convolution's units over its map: at borders they lack the taps that meet padding.

    All relative to the mean of a unit to which every tap contributes.
    """

    energy: float
    """Mean square over positions."""
    shared: float
    """Mean product of two positions."""
    deviations: tuple[Tensor, ...]
    """Per axis and place: mean square of what differs from the unit's mean over the map."""

    @staticmethod
    def of(links: tuple[Tensor, ...]) -> "UnitMeans":
        """From the taps that connect outputs and inputs, per axis `[outputs, inputs]`."""
        taps = [max(float(link.sum(1).max()), 1.0) for link in links]
        valid = [link.sum(1) / k for link, k in zip(links, taps, strict=True)]  # share of taps valid at each place
        energy = [float(c.mean()) for c in valid]
        # Each missing tap is missing at some places of one border only: a tap's own share of places is 1 - misses/n.
        cross = [_cross(link, k) for link, k in zip(links, taps, strict=True)]
        both = [float(x.mean()) for x in cross]
        shared = math.prod(both)
        deviations = []
        for i in range(len(links)):
            others_energy = math.prod(e for j, e in enumerate(energy) if j != i)
            others_both = math.prod(b for j, b in enumerate(both) if j != i)
            deviations.append(valid[i] * others_energy + shared - 2 * cross[i] * others_both)
        return UnitMeans(math.prod(energy), shared, tuple(deviations))


def _cross(link: Tensor, taps: float) -> Tensor:
    """`[outputs]` mean over taps of (valid here) x (share of places at which the tap is valid)."""
    out = link.shape[0]
    valid = link.sum(1)
    k = round(taps)
    shares = torch.zeros(k, dtype=P.DTYPE)
    here = torch.zeros(out, k, dtype=P.DTYPE)
    middle = out // 2
    for place in range(out):  # near the start the first taps are missing, near the end the last ones
        n = round(float(valid[place]))
        here[place, k - n :] = 1.0 if place <= middle else 0.0
        if place > middle:
            here[place, :n] = 1.0
    shares = here.mean(0)
    return (here * shares).sum(1) / k


def mixed(profiles: list[Profile | None], weights: list[float]) -> Profile | None:
    """Profile of a sum of signals, weighted by their energies."""
    known = next((p for p in profiles if p is not None), None)
    total = sum(weights)
    if known is None or total <= 0 or any(p is not None and _extents(p) != _extents(known) for p in profiles):
        return None
    even = tuple(torch.ones_like(v) for v in known)
    shares = [w / total for w in weights]
    axes = zip(*(p or even for p in profiles), strict=True)
    return tuple(torch.stack([w * v for w, v in zip(shares, axis, strict=True)]).sum(0) for axis in axes)


def unit_means(profiles: Profiles, node: fx.Node) -> UnitMeans | None:
    """How the means of a convolution's units lie on its map; None for other operators."""
    links = profiles.links.get(node)
    return UnitMeans.of(links) if links is not None and op_of(node).op.startswith("conv") else None


def _extents(profile: Profile) -> tuple[int, ...]:
    return tuple(v.numel() for v in profile)


_MOVING = frozenset(
    "linear matmul bmm einsum view reshape permute transpose flatten unflatten getitem roll flip gather index_select "
    "scaled_dot_product_attention softmax expand repeat sum mean pad lstm gru".split()
)
"""Operators after which a place is no longer the same place."""


def keeps_places(op: OpNode) -> bool:
    """Whether a place of an operator's result is the same place of its operand."""
    return op.op not in _MOVING and "pool" not in op.op and "upsample" not in op.op


def _mean(profiles: list[Profile | None], node: fx.Node) -> Profile | None:
    """Average of several readers' (or operands') profiles, even ones among them; None where all are even."""
    if not any(p is not None for p in profiles):
        return None
    full = [p if p is not None else _even(node) for p in profiles]
    return tuple(torch.stack(axis).mean(0) for axis in zip(*full, strict=True))


def space(node: fx.Node) -> tuple[int, ...]:
    """Spatial extents of an image-like tensor (batch, channels, …), else nothing."""
    meta = node.meta.get("val")
    if not isinstance(meta, TensorMeta) or not 3 <= len(meta.shape) <= 5:
        return ()
    return tuple(meta.shape[_FIRST_SPATIAL:])


def _image(node: fx.Node) -> fx.Node | None:
    first = node.args[0] if node.args else None
    return first if isinstance(first, fx.Node) else None


def _reads_map(user: fx.Node, node: fx.Node) -> bool:
    return user.args[0] is node if op_of(user).op.startswith("conv") and user.args else True


def _averaging(link: Tensor) -> Tensor:
    """A pool's windows average (or choose) among the inputs that they meet."""
    return link / link.sum(1, keepdim=True).clamp(min=1e-9)


def _even(node: fx.Node) -> Profile:
    return tuple(torch.ones(n, dtype=P.DTYPE) for n in space(node))


def _normal(v: Tensor) -> Tensor:
    mean = float(v.mean())
    return v / mean if mean > 0 else torch.ones_like(v)


def _links(node: fx.Node) -> tuple[Tensor, ...] | None:
    """Which outputs and inputs of a convolution its taps connect, per axis."""
    op = op_of(node).op
    axes = len(space(node))
    source = _image(node)
    weight = node.args[1] if len(node.args) > 1 else None
    if not op.startswith("conv") or not axes or source is None or not isinstance(weight, fx.Node):
        return None
    if op.startswith("conv_") and not op.startswith("conv_transpose"):
        return None
    kernel = weight.meta["val"].shape[_FIRST_SPATIAL:]
    transposed = op.startswith("conv_transpose")
    stride, padding = _setting(node, 3, axes, 1), _setting(node, 4, axes, 0)
    dilation = _setting(node, 7 if transposed else 5, axes, 1)
    if stride is None or dilation is None or len(kernel) != axes or len(space(source)) != axes:
        return None
    if padding is None:  # "same" (an even split) or "valid"
        same = len(node.args) > 4 and node.args[4] == "same"
        padding = [(k - 1) * d // 2 if same else 0 for k, d in zip(kernel, dilation, strict=True)]
    given, result = (space(node), space(source)) if transposed else (space(source), space(node))
    axis_links = [
        axis_link(n, k, s, p, d, o)
        for n, k, s, p, d, o in zip(given, kernel, stride, padding, dilation, result, strict=True)
    ]
    return tuple(link.T for link in axis_links) if transposed else tuple(axis_links)


def _pool_links(node: fx.Node) -> tuple[Tensor, ...] | None:
    """Which outputs and inputs of a pool or a resampling its windows connect, per axis."""
    op, source = op_of(node).op, _image(node)
    axes = len(space(node))
    if source is None or not axes or len(space(source)) != axes or not ("pool" in op or op.startswith("upsample")):
        return None
    sizes = list(zip(space(source), space(node), strict=True))
    if op.startswith(("avg_pool", "max_pool")):
        kernel = _setting(node, 1, axes, 1)
        given = len(node.args) > 2 and node.args[2] not in (None, (), [])
        stride = _setting(node, 2, axes, 1) if given else kernel
        padding = _setting(node, 3, axes, 0)
        if kernel is None or stride is None or padding is None:
            return None
        return tuple(
            axis_link(n, k, s, p, 1, o) for (n, o), k, s, p in zip(sizes, kernel, stride, padding, strict=True)
        )
    return tuple(_window_link(n, o) for n, o in sizes)


def _window_link(n: int, out: int) -> Tensor:
    """`[out, n]` the windows of adaptive pooling, and nearly those of resampling."""
    link = torch.zeros(out, n, dtype=P.DTYPE)
    for i in range(out):
        link[i, (i * n) // out : -((-(i + 1) * n) // out)] = 1
    return link / link.sum(1, keepdim=True)


def axis_link(n: int, k: int, stride: int, pad: int, dilation: int, out: int) -> Tensor:
    """`[out, n]` number of taps that connect each output of one axis with each input."""
    at = torch.arange(out)[:, None] * stride - pad + torch.arange(k)[None] * dilation
    inside = (at >= 0) & (at < n)
    link = torch.zeros(out, n, dtype=P.DTYPE)
    return link.scatter_add_(1, at.clamp(0, n - 1), inside.to(P.DTYPE))


def _setting(node: fx.Node, index: int, axes: int, default: int) -> list[int] | None:
    value = node.args[index] if len(node.args) > index else default
    if isinstance(value, int):
        return [value] * axes
    if isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
        numbers = [int(v) for v in value if isinstance(v, int)]
        return numbers * axes if len(numbers) == 1 else numbers
    return None
