"""The learned scale and shift behind a norm."""

import math

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call
from gradlint.propagation.dims import Dims, Role, count
from gradlint.propagation.sharing import shared
from gradlint.propagation.signal import Signal, emit
from gradlint.propagation.weights import Weight, per_unit


def affine(call: Call, signal: Signal, weight: object, bias: object, over: Dims | None = None) -> Signal:
    """Scale and shift per unit; their gradients sum over the dims `over` (else over samples and positions)."""
    y = signal.x
    samples, positions = (count(signal.dims if over is None else over, r) for r in (Role.SAMPLE, Role.POSITION))
    heads = math.sqrt(1 if over is None else count(over, Role.UNIT))  # sets of units that share them
    for operand, multiply in ((weight, True), (bias, False)):
        if operand is None:
            continue
        if isinstance(operand, Weight):
            key = call.run.repeats.key(operand, call.key)
            drawn = per_unit(operand, None, "affine", key).expand(P.R, P.S)
            values = call.run.particles_of(operand, drawn, "affine")
            z = shared(values, samples, positions, 1, call.key, "affine", multiply)
            z = emit(z.detach(), (z, lambda g, scale: g * heads)) if heads > 1 else z
        else:
            z = call.signal(operand, signal.dims).x
        y = y * z if multiply else y + z
    return Signal(y, call.shape, signal.dims, dense=signal.dense, profile=signal.profile, kinship=signal.kinship)
