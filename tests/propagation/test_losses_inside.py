"""Losses inside a model: one number, and what of it reaches each layer."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from _compare import Case, Given, Ids, check, each
from _modules import WIDTH, dense
from torch import Tensor, nn

TOKENS, VECTORS = (8, 24, WIDTH), (64, WIDTH)


class Loss(nn.Module):
    """Two layers and a loss against a target."""

    def __init__(self, loss: Callable[[Tensor, Any], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.loss = dense(), dense(), loss

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return self.loss(self.last(self.first(x).relu()), target)


def against(name: str, loss: Callable[[Tensor, Any], Tensor], inputs: Given, target: Given) -> Case:
    return Case(name, lambda: Loss(loss), (inputs, target), within=0.06)


def far(loss: Callable[..., Tensor], **options: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """Of predictions far from their targets: what is left of Wᵀ(W h − y) of W's own making is small."""
    return lambda x, y: loss(x, 4 * y, **options)


ELEMENTS = (
    against("squares", far(F.mse_loss), TOKENS, TOKENS),
    against("squares, summed", far(F.mse_loss, reduction="sum"), VECTORS, VECTORS),
    against("squares, each", far(F.mse_loss, reduction="none"), VECTORS, VECTORS),
    against("magnitudes", far(F.l1_loss), TOKENS, TOKENS),
    against("smooth magnitudes", far(F.smooth_l1_loss, beta=0.5), VECTORS, VECTORS),
    against("Huber", far(F.huber_loss), VECTORS, VECTORS),
    against("binary, of logits", lambda x, y: F.binary_cross_entropy_with_logits(x / 8, y.sigmoid()), VECTORS, VECTORS),
    against("binary", lambda x, y: F.binary_cross_entropy((x / 8).sigmoid(), y.sigmoid()), VECTORS, VECTORS),
)
CLASSES = (
    against("classes of samples", F.cross_entropy, VECTORS, Ids((64,), WIDTH)),
    against(
        "classes of samples, summed", lambda x, y: F.cross_entropy(x, y, reduction="sum"), VECTORS, Ids((64,), WIDTH)
    ),
    against(
        "classes of tokens", lambda x, y: F.cross_entropy(x.flatten(0, 1), y.flatten()), TOKENS, Ids((8, 24), WIDTH)
    ),
    against("classes of places", lambda x, y: F.cross_entropy(x.mT, y), TOKENS, Ids((8, 24), WIDTH)),
    against("logarithms of probabilities", lambda x, y: F.nll_loss(x.log_softmax(-1), y), VECTORS, Ids((64,), WIDTH)),
)


@each(ELEMENTS, CLASSES)
def test_against_autograd(case: Case) -> None:
    check(case)
