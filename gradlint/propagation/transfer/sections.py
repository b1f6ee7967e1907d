"""Part of what has been joined: the units that a slice names are those of certain components."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.dims import Dims, Role, dim
from gradlint.propagation.signal import Signal, emit


def section(
    signal: Signal, axis: int, chosen: Sequence[int] | int, shape: tuple[int, ...], dims: Dims
) -> Signal | None:
    """Consecutive units of a concatenation, seen by the particles of their components alone.

    None where it is no concatenation along this dim, or where what is chosen is not consecutive.
    """
    n = signal.shape[axis]
    if not signal.parts or signal.dims[axis] != dim(n, Role.UNIT) or sum(p.units for p in signal.parts) != n:
        return None
    if any(p.units == 0 for p in signal.parts):
        return None
    picked = chosen if isinstance(chosen, range) else range(chosen, chosen + 1) if isinstance(chosen, int) else range(0)
    if picked.step != 1 or not picked:
        return None
    here = _places(signal, picked)
    spread = P.tiled(here[torch.arange(P.distinct()) % here.numel()])
    back_at = P.tiled(here)

    def back(g: Tensor, scale: float) -> Tensor:
        out = torch.zeros(P.R, P.S, dtype=P.DTYPE)
        first = g.view(P.R, P.BLOCKS, -1)[..., : here.numel()].reshape(P.R, -1)
        out[:, back_at] = first * (P.moments(g).q / max(P.moments(first).q, 1e-300)) ** 0.5
        return out

    return Signal(emit(signal.value[:, spread], (signal.x, back)), shape, dims, dense=signal.dense)


def _places(signal: Signal, picked: range) -> Tensor:
    """Places within one block of the particles that stand for the chosen units, in proportion."""
    start, found = 0, []
    for part in signal.parts:
        local = part.index[: part.index.numel() // P.BLOCKS]
        low, high = max(picked.start - start, 0), min(picked.stop - start, part.units)
        if low < high:
            first = min(local.numel() * low // part.units, local.numel() - 1)
            found.append(local[first : max(-(-local.numel() * high // part.units), first + 1)])
        start += part.units
    return torch.cat(found)
