"""Operators without a rule that turn out to act on each element alone: the user's own activations."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from gradlint.propagation.call import Call, NoRuleError
from gradlint.propagation.signal import Signal

_SOME = 96
"""Particles on which it is checked that an element's result does not depend on its neighbours."""


def by_shape(call: Call) -> Signal:
    """Apply an unknown operator to the particles, if it is a map of one tensor that acts on each element alone.

    Raises:
        NoRuleError: it is not.
    """
    signals = [a for a in (*call.args, *call.kwargs.values()) if isinstance(a, Signal)]
    if len(signals) != 1 or signals[0].shape != call.shape or signals[0].x.shape[1] < 2 * _SOME:
        raise NoRuleError("no transfer rule")
    source = signals[0]
    with torch.random.fork_rng(devices=[]):
        y = _apply(call, source.x)
        alone = _apply(call, source.value[:, _SOME : 2 * _SOME])
    if y.shape != source.x.shape or not torch.equal(y.detach()[:, _SOME : 2 * _SOME], alone):
        raise NoRuleError("no transfer rule, and its elements depend on one another")
    return Signal(y, call.shape, source.dims, before=source, profile=source.profile)


def _apply(call: Call, x: Tensor) -> Tensor:
    swap: Any = tree_map(lambda v: x.clone() if isinstance(v, Signal) else v, (call.args, dict(call.kwargs)))
    with torch.enable_grad():
        y = call.node.target(*swap[0], **swap[1])  # type: ignore[operator]
    if not isinstance(y, Tensor) or y.dtype != x.dtype:
        raise NoRuleError("no transfer rule")
    return y
