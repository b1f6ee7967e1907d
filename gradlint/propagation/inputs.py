"""What comes in from outside: independent standard elements."""

from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.dims import Dims, Role, count, default_dims
from gradlint.propagation.signal import Signal


def free_signal(shape: tuple[int, ...], *key: object) -> Signal:
    """Independent standard normal elements; their dims may be read as the consumer needs."""
    dims = default_dims(shape)
    return Signal(standard(dims, *key).requires_grad_(), shape, dims, free=True)


def alike(dims: Dims) -> P.Moments:
    """Moments of independent standard elements: alike over positions (samples) where there is but one."""
    p = 1.0 if count(dims, Role.POSITION) * count(dims, Role.KEY) == 1 else 0.0
    s = 1.0 if count(dims, Role.SAMPLE) == 1 else 0.0
    return P.Moments(1.0, p, s, p * s)


def standard(dims: Dims, *key: object) -> Tensor:
    """`[R, S]` independent standard normal activations."""
    return P.gaussian(alike(dims), *key)
