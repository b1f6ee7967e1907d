"""Gates by a softmax over a few parts, alike all over a map: split attention (ResNeSt, SKNet).

A part's weight gets Σ_t g_t·x_t over the map, and the softmax lets only differences between the parts pass. The parts
share g, and of x its mean: that adds up coherently over positions, while what differs between them mostly does not.
"""

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call
from gradlint.propagation.sharing import sum_replicas
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.elementwise import elementwise, lacking


def product(call: Call) -> Signal:
    """`a * b`, where one of them may be a gate."""
    result = elementwise(call)
    signals = [v for v in call.args if isinstance(v, Signal)]
    gates = [s for s in signals if s.group > 1]
    if len(signals) != 2 or len(gates) != 1 or any(s.x.shape[1] == 1 for s in signals):
        return result
    gate = gates[0]
    gated = signals[signals[0] is gate]
    samples, positions, units = lacking(gate, result.dims)
    if gated.shape != result.shape or units > 1 or samples * positions == 1:
        return result
    x, w = gated.value, gate.value

    def to_gate(g: Tensor, scale: float) -> Tensor:
        common, rest = _apart(g, x, gate.group, call.key)
        return sum_replicas(common, samples, positions, (call.key, "common")) + sum_replicas(
            rest, samples, positions, (call.key, "rest")
        )

    return result.with_x(emit(result.value, (gate.x, to_gate), (gated.x, lambda g, scale: g * w)))


def _apart(g: Tensor, x: Tensor, n: int, key: str) -> tuple[Tensor, Tensor]:
    """g·x as its mean over each group of `n` units and the rest.

    Members of a group have nothing in common but g and the mean of x; what chance gives them beyond that would be
    multiplied by the number of positions.
    """
    z, mean = g * x, x.mean(1)
    whole, alike = P.moments(z), P.moments(group_means(g, n)).times(n).minus(P.moments(g)).times(1 / (n - 1))
    across = alike.product(P.symmetrise(torch.outer(mean, mean)))
    shared = whole.plus(across.times(n - 1)).times(1 / n)
    common = group_means(z, n)
    parts = ((common, shared, "common"), (z - common, whole.minus(shared), "rest"))
    first, second = (P.reshape_cotangent(part, target, "gate", name, key) for part, target, name in parts)
    return first, second


def group_means(x: Tensor, n: int) -> Tensor:
    """Each particle becomes the mean of its group of `n`, the same groups in all blocks."""
    wide = x.expand(P.R, P.S).view(P.R, P.BLOCKS, -1)
    whole = P.distinct() // n * n
    means = wide[..., :whole].reshape(P.R, P.BLOCKS, -1, n).mean(3).repeat_interleave(n, 2)
    return torch.cat([means, means[..., : P.distinct() - whole]], 2).reshape(P.R, P.S)


RULES = {"mul": product}
