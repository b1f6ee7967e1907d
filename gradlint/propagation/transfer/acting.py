"""How a weight acts at one of its calls, and what that call adds to its gradient."""

import math
from dataclasses import dataclass

from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call
from gradlint.propagation.dims import Dims, Role, count
from gradlint.propagation.drawn import DrawnMatrix, RealMatrix
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.weights import Weight


@dataclass(frozen=True, slots=True)
class Acting:
    """The random part of what one call of a weight gives: fresh, or as far as earlier calls have not fixed it."""

    call: Call
    weight: Weight
    dims: Dims
    ratio: float
    """Inputs / outputs."""
    turned: bool

    def _matrix(self, *, back: bool) -> DrawnMatrix | None:
        return self.call.run.repeats.drawn(self.weight, back=back)

    def ahead(self, x: Tensor, m: P.Moments) -> Tensor:
        """`[R, S]` zero-mean result of moments `m` for centred particles `x`."""
        matrix = self._matrix(back=False)
        if matrix is None:
            return P.gaussian(m, self.call.key)
        n, units = P.distinct(), self.call.run.repeats.key(self.weight, self.call.key, turned=self.turned)
        noise = P.normal(self.call.key, units=units)[:, :n]
        drawn, echo = matrix.act((P.HADAMARD @ x.expand(P.R, P.S))[:, :n], noise, self.ratio, turned=self.turned)
        return P.along_directions(m, drawn + echo).repeat(1, P.BLOCKS)

    def back(self, g: Tensor, m: P.Moments) -> Tensor:
        """`[R, S]` cotangent of moments `m` for what arrives."""
        matrix = self._matrix(back=True)
        if matrix is None:
            return P.cotangent(m, "back", self.call.key)
        noise = P.HADAMARD @ P.cotangent(P.ALONE, "back", self.call.key)
        drawn, echo = matrix.act(P.HADAMARD @ g, noise, 1 / self.ratio, turned=not self.turned)
        return P.along_directions(m, drawn + echo)

    def learn(self, g: Tensor, x: Tensor, seen: P.Moments, scale: float) -> None:
        """Note the gradient of the weight."""
        learn_weight(self.call, self.weight, g, x, seen, self.dims, scale)


def act_really(call: Call, signal: Signal, weight: Weight, matrix: RealMatrix, dims: Dims, *, turned: bool) -> Signal:
    """`W x` with a real sample of W, forward and backward."""
    x = signal.value.expand(P.R, P.S)

    def back(g: Tensor, scale: float) -> Tensor:
        learn_weight(call, weight, g, x, P.ZERO, dims, scale)
        return matrix.act(g, turned=not turned)

    return Signal(emit(matrix.act(x, turned=turned), (signal.x, back)), call.shape, dims, dense=True)


def extent(dims: Dims) -> tuple[int, int, int]:
    """Samples, positions, and sets of units that share a weight, of a contraction's result."""
    outputs = next((count([d], Role.UNIT) for d in reversed(dims) if count([d], Role.UNIT) > 1), 1)
    places = count(dims, Role.POSITION) * count(dims, Role.KEY)
    return count(dims, Role.SAMPLE), places, count(dims, Role.UNIT) // outputs


def learn_weight(
    call: Call, weight: Weight, g: Tensor, x: Tensor | None, seen: P.Moments, dims: Dims, scale: float
) -> None:
    """Note the gradient of a weight: RMS per element.

    Args:
        call: the operator call.
        weight: the weight.
        g: cotangent of the result.
        x: input particles (None: the weight is a bias).
        seen: moments of the input.
        dims: dims of the result.
        scale: what `g` is to be multiplied by.
    """
    if call.run.repeats.is_repeated(weight):
        call.run.repeats.note(weight, g * scale, x, extent(dims))
    else:
        m, beyond = P.moments(g), call.run.neighbours.beyond(call.node) if x is not None else 0.0
        batch, places, heads = extent(dims)
        near = heads * batch * places * beyond * max(m.q - m.p, 0.0) * max(seen.q - seen.p, 0.0)
        call.run.learn(weight, scale * math.sqrt(max(_weight_energy(m, seen, dims) + near, 0.0)))


def _weight_energy(g: P.Moments, x: P.Moments, dims: Dims) -> float:
    """E[dW²] = 1ᵀ(K_g ∘ K_x)1 over all N = B·P elements.

    Both covariances have the same four eigenspaces (common, positions, samples, both), so the sum is that of the
    products of their eigenvalues.
    """
    batch, places, heads = extent(dims)
    return heads * sum(
        freedom * a * b
        for freedom, a, b in zip(
            P.freedoms(batch, places),
            P.batch_eigenvalues(g, batch, places),
            P.batch_eigenvalues(x, batch, places),
            strict=True,
        )
    )
