"""Figures of tensors: norms, RMS, decades, correlation."""

import math

import torch


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in double precision, on the CPU where its device has none."""
    return _reachable(tensor).to(_wide(tensor))


def norm(tensor: torch.Tensor | None) -> float:
    """Euclidean norm over all elements, summed in double precision; sparse gradients count their values.

    Hooks get None where autograd left a gradient undefined, which is how it spells zero.
    """
    if tensor is None:
        return 0.0
    values = _reachable(tensor)
    if values.layout is not torch.strided:
        values = values.coalesce().values() if values.layout is torch.sparse_coo else values.to_dense()
    return float(torch.linalg.vector_norm(values, dtype=_wide(values)))


def _reachable(tensor: torch.Tensor) -> torch.Tensor:
    """Detached, and on a device that knows double precision."""
    return tensor.detach().cpu() if tensor.device.type == "mps" else tensor.detach()


def _wide(tensor: torch.Tensor) -> torch.dtype:
    return torch.complex128 if tensor.is_complex() else torch.float64


def rms(tensor: torch.Tensor | None) -> float:
    """Root mean square over the elements; 0 for an empty tensor, and for a gradient that autograd left undefined."""
    return norm(tensor) / math.sqrt(tensor.numel()) if tensor is not None and tensor.numel() else 0.0


def decades(reference: float | None, value: float | None) -> float | None:
    """log10(reference / value): infinite where nothing arrives, None where either is not known."""
    if reference is None or value is None or not reference > 0 or math.isnan(value):
        return None
    if value == 0:
        return math.inf
    return math.log10(reference) - math.log10(value) if math.isfinite(value) and math.isfinite(reference) else None


def sample_correlation(x: torch.Tensor, batch: int) -> float | None:
    """Correlation between two samples after the mean over everything is removed; None for fewer than two samples.

    Args:
        x: activations, the batch in the first dimension of that size.
        batch: number of samples.
    """
    dim = next((d for d, size in enumerate(x.shape) if size == batch), None)
    if dim is None or batch < 2 or x.is_complex():
        return None
    rows = widened(x).movedim(dim, 0).reshape(batch, -1)
    rows = rows - rows.mean()
    own = float(rows.pow(2).mean())
    cross = float((rows.sum(0).pow(2) - rows.pow(2).sum(0)).mean()) / (batch * (batch - 1))
    return cross / own if own > 1e-30 and math.isfinite(own) else None
