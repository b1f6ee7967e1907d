"""Positions of several kinds: a class token and patches, which stay apart until something mixes them."""

from collections.abc import Callable

import pytest
import torch
from _compare import Case, check, each, predict
from _modules import WIDTH, Op, dense
from torch import Tensor, nn
from torch.nn import functional as F

from gradlint.building import adopt
from gradlint.building.built import Fed
from gradlint.core.edit import Edit, EditKind
from gradlint.propagation import propagate, what_if
from gradlint.tracing import trace

PATCHES = 16


def encoder(*, pre: bool = True) -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=pre)


class Packed(nn.Module):
    """Attention as timm writes it: one linear layer for queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), dense(WIDTH, 3 * WIDTH), dense()

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        y: Tensor = x + self.out(mixed.transpose(1, 2).reshape(b, n, c))
        return y


class ByHand(nn.Module):
    """Attention without the fused operator, with a bias of the scores if wanted (BEiT)."""

    def __init__(self, *, biased: bool = False) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), dense(WIDTH, 3 * WIDTH), dense()
        self.bias = nn.Parameter(torch.randn(1, 4, PATCHES + 1, PATCHES + 1)) if biased else None

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1)) * (c // 4) ** -0.5
        if self.bias is not None:
            scores = scores + self.bias
        y: Tensor = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c))
        return y


class Classified(nn.Module):
    """Patches behind one or more learned tokens."""

    def __init__(
        self,
        *layers: nn.Module,
        size: float = 0.02,
        tokens: int = 1,
        read: Callable[[Tensor], Tensor] = lambda x: x[:, 0],
    ) -> None:
        super().__init__()
        self.embed, self.norm, self.head = dense(), nn.LayerNorm(WIDTH), dense()
        self.token = nn.ParameterList(torch.randn(1, 1, WIDTH) * size for _ in range(tokens))
        self.places = nn.Parameter(torch.randn(1, PATCHES + tokens, WIDTH) * 0.02)
        self.layers = nn.ModuleList(layers)
        self.read = Op(read)

    def forward(self, x: Tensor) -> Tensor:
        first = [token.expand(x.shape[0], -1, -1) for token in self.token]
        x = torch.cat([*first, self.embed(x)], 1) + self.places
        for layer in self.layers:
            x = layer(x)
        y: Tensor = self.head(self.read(self.norm(x)))
        return y


INPUT = ((8, PATCHES, WIDTH),)
BY_QUERIES = 0.1
"""Where next to all that a small token receives comes back through its query, known to be a little too small."""
TOKENS = (
    Case("one block", lambda: Classified(encoder()), INPUT, BY_QUERIES),
    Case("four blocks", lambda: Classified(*(encoder() for _ in range(4))), INPUT, 0.06),
    Case("norms behind", lambda: Classified(encoder(pre=False), encoder(pre=False)), INPUT, 0.05),
    Case("a token as large as the patches", lambda: Classified(encoder(), size=1.0), INPUT, 0.06),
    Case("one linear layer for all three", lambda: Classified(Packed(), Packed()), INPUT, 0.06),
    Case("attention by hand", lambda: Classified(ByHand(), ByHand()), INPUT, 0.06),
    Case("attention by hand, biased", lambda: Classified(ByHand(biased=True), ByHand(biased=True)), INPUT, 0.08),
    Case("attention by hand, all tokens read", lambda: Classified(ByHand(), ByHand(), read=lambda x: x), INPUT, 0.05),
    Case("all tokens read", lambda: Classified(encoder(), encoder(), read=lambda x: x), INPUT, 0.05),
    Case("patches read", lambda: Classified(encoder(), read=lambda x: x[:, 1:].mean(1)), INPUT, 0.05),
    Case("two tokens, both read", lambda: Classified(encoder(), tokens=2, read=lambda x: x[:, :2]), INPUT, 0.06),
    Case(
        "both tokens' mean",
        lambda: Classified(encoder(), tokens=2, read=lambda x: (x[:, 0] + x[:, 1]) / 2),
        INPUT,
        BY_QUERIES,
    ),
    Case("a token apart", lambda: Classified(encoder(), read=lambda x: x.select(1, 0)), INPUT, BY_QUERIES),
)


@each(TOKENS)
def test_a_token_of_another_kind(case: Case) -> None:
    check(case)


def whole(x: Tensor) -> Tensor:
    """Something that takes all positions alike."""
    return x.transpose(1, 2).flatten(1)[:, :WIDTH]


@pytest.mark.parametrize("read", [whole, lambda x: x.cumsum(1)[:, -1], lambda x: x.flip(1)[:, 0]])
def test_where_kinds_meet_their_mixture_goes_on(read: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    flow = predict(Classified(encoder(), read=read), torch.randn(8, PATCHES, WIDTH))
    assert not flow.unknown
    assert all(p.gradient_rms for name, p in flow.parameters().items() if "in_proj_bias" not in name)


def test_an_edit_of_a_node_with_kinds() -> None:
    torch.manual_seed(0)
    model, x = Classified(encoder(), encoder()), torch.randn(8, PATCHES, WIDTH)
    built = adopt(model)
    graph = trace(built, Fed((x,), {}))
    before = propagate(graph, built.values)
    activations = tuple(n.name for n in graph.view.nodes.values() if n.op == "gelu")
    after = what_if(graph, built.values, Edit(EditKind.ACTIVATION, "sigmoid", nodes=activations, detail="sigmoid"))
    assert len(activations) == 2 and after is not None and not after.unknown
    assert after.modules().keys() == before.modules().keys()
