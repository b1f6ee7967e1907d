"""How hard a model is to train, before it is trained: the effort that each optimiser will need, in decades.

Three troubles, each of which makes steps useless in a way of its own: steps that move all answers alike (slowness),
steps that scramble what was learned (scrambling), early time steps that the gradient does not reach (forgetting). Their
shares in the effort, and the efforts from which a model is handicapped or does not train at all, were fitted to what
became of networks in training (docs/truth.md).
"""

from dataclasses import dataclass

from gradlint.core.flow import Flow
from gradlint.core.tangents import Tangents

SLOWNESS_SGD = 0.5
"""Decades of effort per decade of slowness: while it trains, a model's kernel grows."""
SLOWNESS_ADAM = 0.4
FORGETTING = 0.3
NOTHING = 8.0
"""Decades of loss over time from which nothing is left to lose."""
OPTIMISERS = ("sgd", "adam")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What stands between a model and its training; all in decades, 0 where nothing does."""

    scrambling: float
    """Magnification of small changes of the weights in what tells samples apart (`Tangents.scrambling`)."""
    slowness: float
    """Share of an SGD step that moves all answers alike (`Tangents.slowness`)."""
    slowness_adam: float
    forgetting: float
    """What the gradient loses from the best-fed time step to the first, as the model reads them."""

    def effort(self, optimizer: str) -> float:
        """Decades of effort with "sgd" (momentum counts as SGD) or "adam"."""
        shares = self.shares
        if optimizer == "sgd":
            return max(shares["scrambling"], shares["slowness"]) + shares["forgetting"]
        return shares["scrambling"] + SLOWNESS_ADAM * self.slowness_adam + shares["forgetting"]

    @property
    def shares(self) -> dict[str, float]:
        """What each trouble adds to the effort with SGD, in decades."""
        return {
            "slowness": SLOWNESS_SGD * self.slowness,
            "scrambling": self.scrambling,
            "forgetting": FORGETTING * min(NOTHING, self.forgetting),
        }


def outlook(tangents: Tangents, flow: Flow) -> Outlook:
    """Read off a model's tangent kernel and its flow."""
    return Outlook(
        scrambling=tangents.scrambling,
        slowness=max(0.0, tangents.slowness),
        slowness_adam=max(0.0, tangents.slowness_adam),
        forgetting=max((max(0.0, time.lost_as_read) for time in flow.times), default=0.0),
    )
