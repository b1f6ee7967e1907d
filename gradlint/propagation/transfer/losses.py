"""Losses that a model computes itself: of each element alone, and over classes."""

import math
from dataclasses import replace

import torch

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NamedCall, NoRuleError, Transfer
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.transfer.elementwise import elementwise
from gradlint.propagation.transfer.reduction import log_sum_exp, mean_over, remaining_dims

_REDUCTION_AT = {
    "mse_loss": 2,
    "l1_loss": 2,
    "smooth_l1_loss": 2,
    "huber_loss": 2,
    "soft_margin_loss": 2,
    "kl_div": 2,
    "binary_cross_entropy": 3,
    "binary_cross_entropy_with_logits": 4,
}
"""Place of the argument that says how the losses of all elements are put together."""
_EACH, _MEAN, _SUM = 0, 1, 2
"""Its values (`torch.nn._reduction`)."""


def by_element(call: Call) -> Signal:
    """Losses of single elements: the operator itself on the particles, then the mean."""
    at = _REDUCTION_AT[call.op.op]
    args = list(call.args)
    reduction = int(args[at]) if at < len(args) else int(call.kwargs.get("reduction", _MEAN))
    kwargs = {**call.kwargs, "reduction": _EACH} if at >= len(args) else call.kwargs
    if at < len(args):
        args[at] = _EACH
    first, second = (call.signal(value).shape for value in call.args[:2])
    shape = max(first, second, key=math.prod)
    return _together(call, elementwise(replace(_part(call, "each", shape), args=tuple(args), kwargs=kwargs)), reduction)


def over_classes(call: Call) -> Signal:
    """`cross_entropy_loss(x, classes)` and `nll_loss(log p, classes)`, where each of the C classes is as likely.

    At a logit the gradient is its probability, less one at one class: less 1/C, and what chance adds at each place.
    """
    signal = call.signal(call.args[0])
    crossed = call.op.op == "cross_entropy_loss"
    weighted = call.arg(2, "weight") is not None or (crossed and call.arg(5, "label_smoothing", 0.0))
    if weighted or isinstance(call.args[1], Signal):
        raise NoRuleError("classes that are weighted, smoothed or given as probabilities")
    axis = 1 if len(signal.shape) > 1 else 0
    classes, rest = signal.shape[axis], (*signal.shape[:axis], *signal.shape[axis + 1 :])
    part = replace(_part(call, "classes", rest), args=(signal, axis), kwargs={})
    picked = signal.value.mean(1, keepdim=True)

    def back(g: torch.Tensor, scale: float) -> torch.Tensor:
        chance = P.ALONE.times(P.moments(g).q * (1 / classes - 1 / classes**2))
        return (P.cotangent(chance, "class", call.key) - g / classes)[:, : signal.x.shape[1]]

    if crossed:
        norm = log_sum_exp(part).x.mean(1, keepdim=True)
        y = emit(norm.detach() - picked, (norm, lambda g, scale: g), (signal.x, back))
    else:
        y = emit(-picked, (signal.x, back))
    each = Signal(y, rest, remaining_dims(signal, (axis,), rest))
    return _together(call, each, int(call.arg(3, "reduction", _MEAN)))


def _together(call: Call, each: Signal, reduction: int) -> Signal:
    if reduction == _EACH:
        return each
    whole = mean_over(_part(call, "mean", ()), each, tuple(range(len(each.shape))))
    return whole.with_x(whole.x * math.prod(each.shape)) if reduction == _SUM else whole


def _part(call: Call, name: str, shape: tuple[int, ...]) -> NamedCall:
    return NamedCall(call.node, call.op, call.args, call.kwargs, call.run, f"{call.key} {name}", shape)


RULES: dict[str, Transfer] = {
    **dict.fromkeys(_REDUCTION_AT, by_element),
    **dict.fromkeys("cross_entropy_loss nll_loss nll_loss_nd nll_loss2d".split(), over_classes),
}
