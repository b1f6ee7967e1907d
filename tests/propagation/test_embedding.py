"""Tables: token, position and type embeddings, repeated ids, padding, tied heads."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from _compare import Case, Ids, check, each
from _modules import WIDTH, Chain, Op, dense, token_mean
from torch import Tensor, nn

VOCABULARY = 1000
IDS = Ids((8, 24), VOCABULARY)


class Embedded(nn.Module):
    """Tokens, positions, types: the sum of some of them."""

    def __init__(self, *, positions: bool = False, types: bool = False, std: float = 1.0) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(64, WIDTH) if positions else None
        self.types = nn.Embedding(2, WIDTH) if types else None
        for table in (self.tokens, self.positions, self.types):
            if table is not None:
                nn.init.normal_(table.weight, std=std)

    def forward(self, ids: Tensor) -> Tensor:
        x: Tensor = self.tokens(ids)
        if self.positions is not None:
            x = x + self.positions(torch.arange(ids.shape[1]))
        if self.types is not None:
            x = x + self.types(torch.zeros_like(ids))
        return x


class Tied(nn.Module):
    """The table is also the head."""

    def __init__(self, std: float, depth: int = 1) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = Chain(*(Chain(dense(), nn.GELU()) for _ in range(depth)), nn.LayerNorm(WIDTH))
        nn.init.normal_(self.table.weight, std=std)

    def forward(self, ids: Tensor) -> Tensor:
        return F.linear(self.layers(self.table(ids)), self.table.weight)


def reads(name: str, make: Callable[[], nn.Module], ids: Ids = IDS, *, pooled: bool = False) -> Case:
    """In front of a linear layer, an activation and another (behind a mean over tokens)."""
    tail = [Op(token_mean), dense()] if pooled else []
    return Case(name, lambda: Chain(make(), dense(), nn.GELU(), dense(), *tail), (ids,), within=0.06)


EMBEDDED = (
    reads("tokens", lambda: nn.Embedding(VOCABULARY, WIDTH)),
    reads("tokens, pooled", lambda: nn.Embedding(VOCABULARY, WIDTH), pooled=True),
    reads("few words", lambda: nn.Embedding(4, WIDTH), Ids((8, 24), 4)),
    reads("small table", lambda: Embedded(std=0.02)),
    reads("tokens and positions", lambda: Embedded(positions=True)),
    reads("tokens and positions, pooled", lambda: Embedded(positions=True), pooled=True),
    reads("tokens, positions and types", lambda: Embedded(positions=True, types=True)),
    reads("vectors of ids", lambda: nn.Embedding(VOCABULARY, WIDTH), Ids((64,), VOCABULARY)),
    reads("padding row", lambda: nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)),
    Case("tied, small table", lambda: Tied(0.02), (IDS,)),
    Case("tied, no layers between", lambda: Tied(0.02, 0), (IDS,)),
    Case("tied, scale one", lambda: Tied(1.0), (IDS,)),
    Case(
        "scaled by the root of the width",
        lambda: Chain(nn.Embedding(VOCABULARY, WIDTH), Op(lambda x: x * WIDTH**0.5), nn.LayerNorm(WIDTH), dense()),
        (IDS,),
    ),
)


@each(EMBEDDED)
def test_embedding(case: Case) -> None:
    check(case)


class Quantised(nn.Module):
    """The nearest entry of a code book that no gradient trains; the gradient goes straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Embedding(64, WIDTH)
        self.codes.weight.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        entries = self.codes((x @ self.codes.weight.t()).argmax(-1))
        result: torch.Tensor = x + (entries - x).detach()
        return result


def test_a_code_book_that_is_not_trained() -> None:
    check(Case("quantised", lambda: Chain(dense(), Quantised(), dense()), ((8, 24, WIDTH),), within=0.06))
