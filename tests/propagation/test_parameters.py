"""What becomes of parameters: sharing, parametrizations, severed branches, frozen weights."""

import torch
from _compare import Case, check, each
from _modules import WIDTH, Chain, Fan, Op, dense
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

VECTORS, TOKENS = (64, WIDTH), (8, 24, WIDTH)


class Shared(nn.Module):
    """One layer, applied again and again."""

    def __init__(self, inside: nn.Module, times: int) -> None:
        super().__init__()
        self.inside, self.times = inside, times

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.inside(x)
        return x


class Adapted(nn.Module):
    """A low-rank update of a frozen matrix (LoRA)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = dense()
        self.base.weight.requires_grad_(False)
        self.down, self.up = nn.Linear(WIDTH, 32, bias=False), nn.Linear(32, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.base(x) + self.up(self.down(x))
        return y


class Squashed(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return 2 * torch.tanh(w)


class Spare(nn.Module):
    """A layer that nothing calls."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = dense(), dense()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.used(x)
        return y


def severed(x: Tensor) -> Tensor:
    return x.detach()


def unwatched(x: Tensor) -> Tensor:
    with torch.no_grad():
        return 2 * x


def parametrised() -> nn.Module:
    """A layer whose weight is computed from what it learns."""
    layer = dense()
    parametrize.register_parametrization(layer, "weight", Squashed())
    return layer


def frozen(layer: nn.Module) -> nn.Module:
    return layer.requires_grad_(False)


def aliased() -> nn.Module:
    layer = dense()
    return Chain(dense(), nn.Tanh(), layer, nn.Tanh(), layer)


SHARED = (
    Case("twice, tanh", lambda: Chain(Shared(Chain(dense(), nn.Tanh()), 2), dense()), (VECTORS,)),
    Case("six times, tanh", lambda: Chain(Shared(Chain(dense(), nn.Tanh()), 6), dense()), (VECTORS,)),
    Case("two names of one layer", aliased, (VECTORS,)),
)
COMPUTED = (
    Case("weight norm", lambda: Chain(parametrizations.weight_norm(dense()), nn.ReLU(), dense()), (VECTORS,)),
    Case("spectral norm", lambda: Chain(parametrizations.spectral_norm(dense()), nn.ReLU(), dense()), (VECTORS,)),
    Case("a parametrization of one's own", lambda: Chain(nn.ReLU(), parametrised(), nn.ReLU(), dense()), (VECTORS,)),
    Case("low-rank update", lambda: Chain(dense(), nn.ReLU(), Adapted(), nn.ReLU(), dense()), (VECTORS,)),
)
SEVERED = (
    Case("detached", lambda: Chain(dense(), nn.Tanh(), Op(severed), dense()), (VECTORS,)),
    Case("without gradient", lambda: Chain(dense(), nn.Tanh(), Op(unwatched), dense()), (VECTORS,)),
    Case(
        "one branch detached",
        lambda: Chain(dense(), Fan(torch.add, dense(), Chain(Op(severed), dense())), nn.ReLU(), dense()),
        (VECTORS,),
    ),
    Case("frozen first layers", lambda: Chain(frozen(Chain(dense(), nn.ReLU())), dense()), (VECTORS,)),
    Case("stop-gradient gate", lambda: Chain(dense(), Op(lambda x: x * x.detach().sigmoid()), dense()), (VECTORS,)),
    Case("frozen layer", lambda: Chain(dense(), nn.ReLU(), frozen(dense()), nn.ReLU(), dense()), (VECTORS,)),
    Case("unused layer", Spare, (VECTORS,)),
    Case(
        "rounded, straight through",
        lambda: Chain(dense(), Op(lambda x: x + (x.round() - x).detach()), dense()),
        (VECTORS,),
    ),
    Case("signs only", lambda: Chain(dense(), Op(torch.sign), dense()), (VECTORS,)),
)


@each(SHARED)
def test_sharing(case: Case) -> None:
    check(case)


@each(COMPUTED)
def test_computed_weights(case: Case) -> None:
    check(case)


@each(SEVERED)
def test_severing(case: Case) -> None:
    check(case)
