"""Losses inside a model: one number, and what of it reaches each layer."""

from collections.abc import Callable
from typing import Any

import torch
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


def of_the_differences(x: Tensor, y: Tensor) -> Tensor:
    """The class's own logit against all others together."""
    apart = x - x.gather(-1, y[..., None])
    return apart.masked_fill(F.one_hot(y, WIDTH).bool(), -1e9).logsumexp(-1)


def masked(loss: Callable[[Tensor, Any], Tensor]) -> Callable[[Tensor, Any], Tensor]:
    """The mean over tokens of some ids only."""
    return lambda x, y: torch.where(y > WIDTH // 4, loss(x, y), 0.0).sum() / (y > WIDTH // 4).sum()


def of_tokens(name: str, loss: Callable[[Tensor, Any], Tensor], within: float = 0.06) -> Case:
    return Case(name, lambda: Loss(loss), (TOKENS, Ids((8, 24), WIDTH)), within=within)


CANCELLED = 0.32
"""That what the class gets and what all get cancel in sums over tokens is not seen: biases are told twice too large."""


BY_HAND = (
    of_tokens("log of the sum over classes, of some tokens", masked(lambda x, y: x.logsumexp(-1))),
    of_tokens("differences to one class", lambda x, y: of_the_differences(x, y).mean(), CANCELLED),
    of_tokens("softplus of those, of some", masked(lambda x, y: F.softplus(of_the_differences(x, y))), CANCELLED),
)


@each(ELEMENTS, CLASSES, BY_HAND)
def test_against_autograd(case: Case) -> None:
    check(case)
