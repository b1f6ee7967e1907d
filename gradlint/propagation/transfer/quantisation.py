"""Simulated quantisation: values are rounded, gradients go straight through where the range holds them."""

from typing import Any

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, Transfer
from gradlint.propagation.signal import Signal


def per_tensor(call: Call) -> Any:
    """One step for all elements: as it is where step and zero are known, else as `within_range`."""
    signal, scale, zero = call.args[0], call.arg(1, "scale"), call.arg(2, "zero_point")
    if not isinstance(signal, Signal) or not all(isinstance(v, int | float | Tensor) for v in (scale, zero)):
        return within_range(call)
    ends = (int(call.arg(3, "quant_min")), int(call.arg(4, "quant_max")))
    x = signal.x.to(torch.float32)  # the operator knows no other numbers
    y = torch.fake_quantize_per_tensor_affine(x, float(scale), int(zero), *ends)
    return signal.with_x(y.to(P.DTYPE), before=None, parts=())


def within_range(call: Call) -> Any:
    """A range that an observer has chosen holds what it has seen, in steps of under a hundredth of it."""
    return call.args[0]


RULES: dict[str, Transfer] = {
    "fake_quantize_per_tensor_affine": per_tensor,
    "fake_quantize_per_channel_affine": within_range,
    "_fake_quantize_learnable_per_tensor_affine": within_range,
    "_fake_quantize_learnable_per_channel_affine": within_range,
    "fused_moving_avg_obs_fake_quant": within_range,
    "_fused_moving_avg_obs_fq_helper": within_range,
}
