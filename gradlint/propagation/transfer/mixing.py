"""What a sum over positions with unknown coefficients (softmax rows) keeps of its operand's units.

What positions share passes as it is. What they do not share comes out as a random combination of it: fresh for one
call, but alike for calls on alike operands, where the same layer acts several times.
"""

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call


def mixed_ahead(call: Call, x: Tensor, target: P.Moments, shared: P.Moments) -> Tensor:
    """`[R, S]` zero-mean particles of moments `target`; alike for several kinds of queries, which read the same keys.

    Args:
        call: the operator call.
        x: `[R, S]` centred operand.
        target: moments of the result.
        shared: covariance of the result with the operand, alike at all positions.
    """
    if call.node not in call.run.repeats.mixed:
        return P.gaussian(target, call.node_key)
    noise = P.normal(call.node_key)
    return _mixed(call, x.expand(P.R, P.S), target, shared, noise, back=False)


def mixed_back(call: Call, g: Tensor, target: P.Moments, shared: P.Moments, name: str) -> Tensor:
    """The same for cotangents."""
    if call.node not in call.run.repeats.answering and call.key == call.node_key:
        return P.cotangent(target, name, call.key)  # one kind of query, one call
    noise = P.HADAMARD @ P.cotangent(P.ALONE, name, call.key)
    return _mixed(call, g, target, shared, noise, back=True)


def _mixed(call: Call, x: Tensor, target: P.Moments, shared: P.Moments, noise: Tensor, *, back: bool) -> Tensor:
    rows = P.HADAMARD @ x
    now, want, cross = (torch.tensor(m.eigenvalues(), dtype=P.DTYPE)[:, None] for m in (P.moments(x), target, shared))
    known = now > 1e-12 * now.max()
    gain = torch.where(known, cross / now.clamp(min=1e-300), 0.0)
    gain = torch.minimum(gain.abs(), (want.clamp(min=0) / now.clamp(min=1e-300)).sqrt()) * gain.sign()
    rest = (want - gain.square() * now).clamp(min=0)
    contrasts = rows[[2, 3, 2, 3]]
    drawn, _ = call.run.repeats.rows(x.shape, back=back).act(contrasts, noise, 1.0, turned=False)
    return P.HADAMARD.T @ (gain * rows + rest.sqrt() * drawn)
