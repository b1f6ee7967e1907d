"""A real loss for a model's output: the one its training code applies, else one that suits the output's shape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional

from gradlint.building.seeds import seed_for
from gradlint.core.target import LossUse

_BY_NAME = {
    "cross_entropy": "cross-entropy",
    "crossentropyloss": "cross-entropy",
    "nll_loss": "negative log-likelihood",
    "nllloss": "negative log-likelihood",
    "bce_with_logits": "binary cross-entropy with logits",
    "binary_cross_entropy_with_logits": "binary cross-entropy with logits",
    "bcewithlogitsloss": "binary cross-entropy with logits",
    "bceloss": "binary cross-entropy",
    "binary_cross_entropy": "binary cross-entropy",
}


@dataclass(frozen=True)
class RealLoss:
    """A mean-reduced loss of the first output against random targets."""

    name: str
    compute: Callable[[list[torch.Tensor]], torch.Tensor]


def loss_for(outputs: Sequence[torch.Tensor], uses: Sequence[LossUse] = (), *, seed: int = 0) -> RealLoss:
    """Choose a loss.

    Args:
        outputs: floating outputs of the model, of which the first is judged.
        uses: losses that the training code applies to this model.
        seed: of the targets.
    """
    name = next((_BY_NAME[use.name.lower()] for use in uses if use.name.lower() in _BY_NAME), "")
    if not name and not uses and _looks_like_logits(outputs[0]):
        name = "cross-entropy"
    compute = _LOSSES.get(name, _squared)
    return RealLoss(name or "mean squared error", lambda given: compute(given[0].float(), _generator(seed)))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for("targets", seed))


def _looks_like_logits(output: torch.Tensor) -> bool:
    """`[batch, classes]` or `[batch, tokens, vocabulary]`, and free to be negative."""
    return output.dim() in (2, 3) and output.shape[-1] >= 2 and bool((output < 0).any()) and bool((output > 0).any())


def _classes_last(output: torch.Tensor) -> torch.Tensor:
    """`[N, classes]`: of images the channels are the classes, otherwise the last dimension."""
    if output.dim() >= 4:
        output = output.movedim(1, -1)
    return output.reshape(-1, output.shape[-1])


def _cross_entropy(output: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    scores = _classes_last(output)
    target = torch.randint(0, scores.shape[1], (scores.shape[0],), generator=generator)
    return functional.cross_entropy(scores, target.to(scores.device))


def _likelihood(output: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    scores = _classes_last(output)
    target = torch.randint(0, scores.shape[1], (scores.shape[0],), generator=generator)
    return functional.nll_loss(scores, target.to(scores.device))


def _binary_with_logits(output: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    target = torch.randint(0, 2, output.shape, generator=generator)
    return functional.binary_cross_entropy_with_logits(output, target.to(output))


def _binary(output: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    target = torch.randint(0, 2, output.shape, generator=generator)
    return functional.binary_cross_entropy(output.clamp(0, 1), target.to(output))


def _squared(output: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return functional.mse_loss(output, torch.randn(output.shape, generator=generator).to(output))


_LOSSES: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "cross-entropy": _cross_entropy,
    "negative log-likelihood": _likelihood,
    "binary cross-entropy with logits": _binary_with_logits,
    "binary cross-entropy": _binary,
}
