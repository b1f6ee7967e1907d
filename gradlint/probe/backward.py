"""Cotangents, and the gradients that they give."""

from collections.abc import Iterable, Sequence

import torch

from gradlint.building.seeds import seed_for


def cotangents(outputs: Iterable[torch.Tensor], seed: int) -> list[torch.Tensor]:
    """Independent standard normal tensors, one like each output, drawn on the CPU so that devices agree."""
    generator = torch.Generator().manual_seed(seed_for("cotangents", seed))
    drawn = []
    for tensor in outputs:
        dtype = torch.complex64 if tensor.is_complex() else torch.float32
        drawn.append(torch.randn(tensor.shape, generator=generator, dtype=dtype).to(tensor))
    return drawn


def pull_back(
    outputs: Sequence[torch.Tensor],
    given: Sequence[torch.Tensor],
    targets: Sequence[torch.Tensor],
    *,
    retain_graph: bool = False,
) -> list[torch.Tensor | None]:
    """Gradients at `targets` of the outputs' inner product with the cotangents `given`; None where nothing arrives.

    Of a scalar, because `torch.autograd.grad` imports sympy as soon as it is handed gradients of the outputs.
    """
    if not outputs or not targets:
        return [None] * len(targets)
    with torch._C.DisableTorchFunction():
        products = [_inner(t, c).to(outputs[0].device) for t, c in zip(outputs, given, strict=True)]
        total = torch.stack(products).sum()
        return list(torch.autograd.grad(total, targets, retain_graph=retain_graph, allow_unused=True))


def _inner(tensor: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
    """Real inner product; its gradient at `tensor` is the cotangent."""
    if tensor.is_complex():
        tensor, cotangent = torch.view_as_real(tensor), torch.view_as_real(cotangent)
    return (tensor * cotangent).sum().float()
