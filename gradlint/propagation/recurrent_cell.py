"""A recurrence as a real sample at its true width: the only faithful picture of weights that are used at every step.

Independent draws per step would forget that W acts again and again (at H = 64 and 100 steps the growth is wrong by
three decades), so the fused cells of torch are run on Gaussian inputs that have the signal's own covariances, forward
and backward, with the real weights (or weights drawn from their law).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.weights import Weight

SAMPLES = 4
CAP = 256
"""Steps that are really run; beyond them the per-step gain is extrapolated."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A fused recurrence: operator name, flat weights in torch's order, and its settings."""

    kind: str
    weights: tuple[Tensor, ...]
    has_biases: bool
    layers: int
    bidirectional: bool

    @property
    def hidden(self) -> int:
        """Width of the state that recurs."""
        return int(self.weights[1].shape[1])

    @property
    def directions(self) -> int:
        """1, or 2 where it also runs backward in time."""
        return 2 if self.bidirectional else 1

    def start(self, samples: int) -> Any:
        """Zero state."""
        h = torch.zeros(self.layers * self.directions, samples, self.hidden, dtype=P.DTYPE)
        if self.kind != "lstm":
            return h
        cell_width = self.weights[1].shape[0] // 4
        return h, torch.zeros(self.layers * self.directions, samples, cell_width, dtype=P.DTYPE)

    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """`x` `[T, samples, inputs]` → outputs `[T, samples, directions·hidden]` and the last state."""
        function: Callable[..., Any] = getattr(torch._VF, self.kind)
        result = function(
            x, state, list(self.weights), self.has_biases, self.layers, 0.0, False, self.bidirectional, False
        )
        return (result[0], (result[1], result[2])) if self.kind == "lstm" else (result[0], result[1])


def real_weights(weights: tuple[Weight, ...], key: str) -> tuple[Tensor, ...]:
    """The weights' values, or draws from their laws, float64 and learnable."""
    out = []
    for i, weight in enumerate(weights):
        if weight.values is not None:
            values = weight.values.detach().to(P.DTYPE)
        else:
            gen = P.generator("cell", key, i)
            at = torch.randint(0, weight.sample.numel(), (weight.numel,), generator=gen)
            values = weight.sample[at].reshape(weight.shape)
        out.append(values.clone().requires_grad_(weight.learned))
    return tuple(out)


def draw_inputs(x: Tensor, steps: int, width: int, key: str) -> Tensor:
    """`[T, samples, width]` Gaussian inputs with the particles' covariances between samples and between steps."""
    mean = x.mean(1).mean() if x.shape[1] > 1 else x.mean()
    c = P.moments(x - mean)
    parts = (max(c.o, 0.0), max(c.p - c.o, 0.0), max(c.s - c.o, 0.0), max(c.q - c.p - c.s + c.o, 0.0))
    shapes = ((1, 1), (1, SAMPLES), (steps, 1), (steps, SAMPLES))
    gen = P.generator("sequence", key)
    total = torch.zeros(steps, SAMPLES, width, dtype=P.DTYPE) + mean
    for variance, (t, b) in zip(parts, shapes, strict=True):
        total = total + math.sqrt(variance) * torch.randn(t, b, width, generator=gen, dtype=P.DTYPE)
    return total


def sequence_moments(g: Tensor) -> P.Moments:
    """`[T, samples, width]` → moments between samples and steps."""
    t, b, _ = g.shape
    scale = P.scale_of(g)
    g = g / scale
    q = float(g.square().mean())
    over_t = float(g.sum(0).square().mean())
    over_b = float(g.sum(1).square().mean())
    both = float(g.sum((0, 1)).square().mean())
    p = (over_t - t * q) / (t * (t - 1)) if t > 1 else q
    s = (over_b - b * q) / (b * (b - 1)) if b > 1 else q
    o = (
        (both - t * b * q - b * t * (t - 1) * p - t * b * (b - 1) * s) / (t * b * (t - 1) * (b - 1))
        if t > 1 and b > 1
        else p
    )
    return P.Moments(q, p, s, o).times(scale * scale)


def received_moments(g: Tensor) -> P.Moments:
    """`sequence_moments` of a cotangent; what so few samples share by chance counts as none: sums over a whole batch
    would multiply it."""
    m = sequence_moments(g)
    return m if g.shape[1] <= 2 or _is_shared(g) else P.Moments(m.q, m.p, 0.0, 0.0)


def _is_shared(g: Tensor) -> bool:
    """Whether pairs of samples are alike in more than single draws: step by step, or summed over time."""
    first, second = torch.triu_indices(g.shape[1], g.shape[1], 1)
    pairs = ((g[:, first] * g[:, second]).sum((0, 2)), (g.sum(0)[first] * g.sum(0)[second]).sum(1))
    return any(float(c.mean().abs()) > 3 * float(c.std()) / c.numel() ** 0.5 for c in pairs)


def particles_of(values: Tensor, key: str) -> Tensor:
    """`[R, S]` elements of `[T, samples, width]`: one unit, two steps, two samples, with the values' own RMS."""
    t, b, width = values.shape
    n = P.distinct()
    gen = P.generator("particles", key)
    unit = torch.randint(0, width, (n,), generator=gen)
    first = torch.randint(0, t, (n,), generator=gen)
    second = (first + 1 + torch.randint(0, max(1, t - 1), (n,), generator=gen)) % t
    a = torch.randint(0, b, (n,), generator=gen)
    other = (a + 1 + torch.randint(0, max(1, b - 1), (n,), generator=gen)) % b
    rows = [values[first, a, unit], values[second, a, unit], values[first, other, unit], values[second, other, unit]]
    x = torch.stack(rows).detach()
    size = P.rms(x)
    return (x * (P.rms(values.detach().reshape(1, -1)) / size if size > 0 else 1.0)).repeat(1, P.BLOCKS)


@dataclass(frozen=True, slots=True)
class StepGradients:
    """RMS of ∂L/∂h_t (top layer) and ∂L/∂x_t for each step, cotangent on the last output only."""

    hidden: tuple[float, ...]
    inputs: tuple[float, ...]


def step_gradients(cell: Cell, x: Tensor) -> StepGradients:
    """Run the cell step by step on `[T, samples, inputs]` and differentiate its last output."""
    steps = x.shape[0]
    with torch.enable_grad():
        fed = [x[t : t + 1].detach().clone().requires_grad_() for t in range(steps)]
        state = cell.start(x.shape[1])
        states: list[tuple[Tensor, ...]] = []
        for t in range(steps):
            _, state = cell.run(fed[t], state)
            states.append(state if isinstance(state, tuple) else (state,))
        output = states[-1][0][-1]  # the top layer's state is what the last step gives
        gen = P.generator("last", steps)
        cotangent = torch.randn(output.shape, generator=gen, dtype=P.DTYPE)
        wanted = [pair[0] for pair in states]
        found = torch.autograd.grad(output, [*wanted, *fed], cotangent, allow_unused=True)
    hidden = [P.rms(g[-1]) if g is not None else 0.0 for g in found[:steps]]
    inputs = tuple(P.rms(g.reshape(1, -1)) if g is not None else 0.0 for g in found[steps:])
    return StepGradients(tuple(hidden), inputs)
