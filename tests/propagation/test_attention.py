"""Softmax over units, positions and keys; attention fused, of torch's modules and written by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from _compare import Case, check, each, predict
from _modules import WIDTH, Chain, Op, Skip, dense, token_mean
from torch import Tensor, nn

from gradlint.probe import measure

TOKENS = (16, 8, WIDTH)
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]


class Heads(nn.Module):
    """Projections, a way to mix, and the output projection."""

    def __init__(self, mix: Mix, heads: int = 4, groups: int | None = None, *, sharp: float = 1.0) -> None:
        super().__init__()
        self.heads, self.groups = heads, groups or heads
        each = WIDTH // heads
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, each * self.groups)
        self.value = nn.Linear(WIDTH, each * self.groups)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.mix = Op(mix)
        with torch.no_grad():
            self.query.weight.mul_(sharp)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) in and out."""
        b, t, _ = x.shape
        made = ((self.query, self.heads), (self.key, self.groups), (self.value, self.groups))
        mixed = self.mix(*(layer(x).view(b, t, n, -1).transpose(1, 2) for layer, n in made))
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(b, t, -1))
        return y


def fused(**settings: Any) -> Mix:
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **settings)


def by_matmul(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), -1) @ v


def by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.einsum("bhqd,bhkd->bhqk", q, k).mul(q.shape[-1] ** -0.5).softmax(-1)
    return torch.einsum("bhqk,bhkd->bhqd", weights, v)


def unscaled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.softmax(q @ k.mT, -1) @ v


def turned_round(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The keys ask: the scores of another attention, the other way round (LookViT)."""
    return F.softmax((q @ k.mT / math.sqrt(q.shape[-1])).mT, -1) @ v


def turned_by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.einsum("bhqd,bhkd->bhqk", q, k).mul(q.shape[-1] ** -0.5).mT.softmax(-1)
    return torch.einsum("bhkq,bhqd->bhkd", weights, v)


def linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (F.elu(q) + 1) @ ((F.elu(k) + 1).mT @ v) / k.shape[-2]


def cosine(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Swin V2: the angle between query and key, times a temperature."""
    return F.softmax(10 * F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT, -1) @ v


class Biased(Heads):
    """A learned bias of each score by relative position, and windows whose halves do not see each other (-100)."""

    def __init__(self, *, shifted: bool = False) -> None:
        super().__init__(fused())
        tokens = TOKENS[1]
        self.table = nn.Embedding(2 * tokens - 1, self.heads)
        steps = torch.arange(tokens)
        self.steps = steps[:, None] - steps[None] + tokens - 1
        halves = (steps[:, None] < tokens // 2) != (steps[None] < tokens // 2)
        hidden = torch.zeros(tokens, tokens).masked_fill(halves, -100.0) if shifted else torch.zeros(())
        self.mix = Op(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, self.biases() + hidden))

    def biases(self) -> Tensor:
        """(1, heads, queries, keys)"""
        biases: Tensor = self.table(self.steps).permute(2, 0, 1)[None]
        return biases


def block(mix: Mix, **settings: Any) -> nn.Module:
    return Chain(dense(), nn.GELU(), Heads(mix, **settings), dense())


def attends(name: str, mix: Mix, shape: tuple[int, ...] = TOKENS, seeds: int = 3, **settings: Any) -> tuple[Case, Case]:
    """Alone, and in front of a mean over tokens (one gradient for all)."""
    return (
        Case(name, lambda: block(mix, **settings), (shape,), seeds=seeds),
        Case(
            f"{name}, pooled",
            lambda: Chain(block(mix, **settings), Op(token_mean), dense()),
            (shape,),
            within=0.06,
            seeds=seeds,
        ),
    )


def multihead(**settings: Any) -> nn.Module:
    class Self(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.MultiheadAttention(WIDTH, 4, batch_first=True)

        def forward(self, x: Tensor) -> Any:
            return self.inside(x, x, x, **settings)[0]

    return Self()


KEEP = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
KEEP[:, 0] = True

FUSED = (
    *attends("fused", fused()),
    *attends("fused, one head", fused(), heads=1),
    attends("fused, scaled", fused(scale=1.0))[0],
    attends("fused, sharp", fused(), sharp=8.0)[0],
    attends("fused, keys hidden", fused(attn_mask=KEEP))[0],
    *attends("fused, grouped", fused(enable_gqa=True), groups=2),
    *attends("fused, one key head", fused(enable_gqa=True), groups=1),
)
BY_HAND = (
    *attends("by matmul", by_matmul),
    attends("by matmul, one head", by_matmul, heads=1)[0],
    *attends("by einsum", by_einsum),
    attends("unscaled", unscaled)[0],
    *attends("linear attention", linear_attention, seeds=12),
)
MODULES = (
    Case("MultiheadAttention", lambda: Chain(dense(), nn.GELU(), multihead(), dense()), (TOKENS,)),
    Case(
        "MultiheadAttention without weights",
        lambda: Chain(dense(), nn.GELU(), multihead(need_weights=False), dense()),
        (TOKENS,),
    ),
    Case("cosine attention", lambda: block(cosine), (TOKENS,), within=0.06),
    Case("relative position bias", lambda: Chain(dense(), nn.GELU(), Biased(), dense()), (TOKENS,), within=0.06),
    Case(
        "relative position bias, halves apart",
        lambda: Chain(dense(), nn.GELU(), Biased(shifted=True), dense()),
        (TOKENS,),
        within=0.08,
    ),
    Case("attention on the input", lambda: Chain(Heads(fused())), (TOKENS,)),
    Case(
        "a residual block",
        lambda: Chain(
            dense(), Skip(nn.LayerNorm(WIDTH), Heads(fused())), Skip(nn.LayerNorm(WIDTH), dense(), nn.GELU(), dense())
        ),
        (TOKENS,),
    ),
    Case(
        "encoder layer, norm first",
        lambda: Chain(dense(), nn.TransformerEncoderLayer(WIDTH, 4, 256, batch_first=True, norm_first=True)),
        (TOKENS,),
    ),
    Case(
        "encoder layers, norm behind",
        lambda: Chain(*(nn.TransformerEncoderLayer(WIDTH, 4, 256, batch_first=True) for _ in range(2))),
        (TOKENS,),
    ),
)
SOFTMAX = (
    Case("softmax of ten", lambda: Chain(dense(WIDTH, 10, bias=False), nn.Softmax(-1), dense(10)), ((64, WIDTH),)),
    Case("log-softmax of ten", lambda: Chain(dense(), nn.ReLU(), dense(WIDTH, 10), nn.LogSoftmax(-1)), ((64, WIDTH),)),
    Case("log-softmax, wide", lambda: Chain(dense(), nn.ReLU(), dense(), nn.LogSoftmax(-1)), ((64, WIDTH),)),
)


@each(FUSED)
def test_fused_attention(case: Case) -> None:
    check(case)


@each(BY_HAND)
def test_attention_by_hand(case: Case) -> None:
    check(case)


@each(MODULES)
def test_attention_modules(case: Case) -> None:
    check(case)


@each(SOFTMAX)
def test_softmax(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("write", [turned_round, turned_by_einsum])
def test_what_keys_get_that_ask_is_read_as_positions(write: Mix) -> None:
    model = Chain(dense(), nn.GELU(), Heads(write), Op(token_mean), dense())
    x = torch.randn(*TOKENS)
    flow, found = predict(model, x), measure(model, (x,), {}).parameters()
    for name in ("2.out.weight", "2.out.bias", "2.value.weight", "0.weight"):
        assert flow.parameters()[name].gradient_rms == pytest.approx(found[name].gradient_rms, rel=0.2), name


class Inverted(nn.Module):
    """A softmax matrix' inverse by iteration (Nyströmformer)."""

    def forward(self, x: Tensor) -> Tensor:
        scores = (x @ x.transpose(1, 2)).softmax(-1)
        inverse = scores.transpose(1, 2)
        for _ in range(6):
            inverse = 2 * inverse - inverse @ scores @ inverse
        y: Tensor = inverse @ x
        return y


def test_powers_of_a_matrix_over_positions_are_named() -> None:
    flow = predict(Chain(dense(), Inverted(), dense()), torch.randn(8, 24, WIDTH))
    assert {unknown.op for unknown in flow.unknown} == {"matmul"}
    assert all(p.gradient_rms and p.gradient_rms < 1e6 for p in flow.parameters().values())


def test_a_shift_of_whole_rows_in_front_of_softmax_sends_nothing_back() -> None:
    def gradient(scores: Callable[[Tensor], Tensor]) -> float | None:
        torch.manual_seed(0)
        flow = predict(Chain(dense(), Op(lambda x: scores(x).softmax(-1)), dense()), torch.randn(TOKENS))
        return flow.modules()["0"].gradient_rms

    plain = gradient(lambda x: -x)
    assert plain and gradient(lambda x: x.max(-1, keepdim=True)[0].expand_as(x) - x) == pytest.approx(plain, rel=0.05)
