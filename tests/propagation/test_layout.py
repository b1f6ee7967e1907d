"""Operators that rearrange, select or repeat: reshapes, permutations, slices, splits, expansion, pixel shuffle."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from _compare import Case, check, each
from _modules import WIDTH, Chain, Op, dense, point, pooled, token_mean
from torch import Tensor, nn

VECTORS, TOKENS, IMAGE = (64, WIDTH), (8, 24, WIDTH), (4, WIDTH, 8, 8)
Layout = Callable[[Tensor], Tensor]


def tokens(name: str, op: Layout, after: int = WIDTH, *, ends: Callable[[], nn.Module] | None = None) -> Case:
    """Between two linear layers, behind a ReLU."""
    return Case(name, lambda: Chain(dense(), nn.ReLU(), Op(op), dense(after) if ends is None else ends()), (TOKENS,))


def image(name: str, op: Layout, ends: Callable[[], nn.Module]) -> Case:
    """Behind a map and a ReLU."""
    return Case(name, lambda: Chain(point(), nn.ReLU(), Op(op), ends()), (IMAGE,))


def patches(x: Tensor) -> Tensor:
    """4x4 patches as tokens."""
    b, c, h, w = x.shape
    return x.view(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, 16 * c)


def unpatched(x: Tensor) -> Tensor:
    """Tokens become a map (DiT)."""
    b, t, c = x.shape
    return torch.einsum("nhwpqc->nchpwq", x.view(b, 4, t // 4, 2, 2, c // 4)).reshape(b, c // 4, 8, t // 2)


def windows(x: Tensor) -> Tensor:
    """Windows become samples (Swin)."""
    b, t, c = x.shape
    return x.view(b, t // 6, 6, c).reshape(-1, 6, c)


def shuffled(x: Tensor) -> Tensor:
    """Channel shuffle (ShuffleNet)."""
    b, c, h, w = x.shape
    return x.view(b, 4, c // 4, h, w).transpose(1, 2).reshape(b, c, h, w)


def head_split(x: Tensor) -> Tensor:
    b, t, c = x.shape
    return x.view(b, t, 4, c // 4).transpose(1, 2).contiguous().view(b * 4, t, c // 4)


RESHAPED = (
    tokens("two dims merged", lambda x: x.reshape(-1, WIDTH)),
    tokens("tokens as a map", unpatched, ends=lambda: point(2, WIDTH // 4)),
    tokens("a dim of one", lambda x: x.unsqueeze(1).squeeze(1)),
    tokens("windows as samples", windows),
    tokens("tokens flattened", lambda x: x.flatten(1), 24 * WIDTH),
    tokens("time first and back", lambda x: x.transpose(0, 1).contiguous().transpose(0, 1)),
    tokens("dims in another order by einsum", lambda x: torch.einsum("btc->tbc", x)),
    tokens("permuted there and back", lambda x: x.permute(2, 0, 1).permute(1, 2, 0)),
    Case(
        "token mixing",
        lambda: Chain(
            dense(bias=False), Op(lambda x: x.mT), nn.Linear(24, 24, False), nn.GELU(), Op(lambda x: x.mT), dense()
        ),
        (TOKENS,),
    ),
    tokens("features in groups", lambda x: x.view(8, 24, 4, WIDTH // 4), WIDTH // 4),
    tokens("heads as samples", head_split, WIDTH // 4),
    tokens("unflattened", lambda x: torch.unflatten(x, -1, (4, -1)).flatten(-2)),
    tokens("rolled and flipped", lambda x: torch.roll(x, 3, 1).flip(1)),
    tokens("einops by hand", lambda x: x.movedim(-1, 1).swapaxes(1, 2)),
    Case(
        "a Flatten module on the input",
        lambda: Chain(nn.Flatten(), nn.Linear(3 * 64, WIDTH), nn.ReLU(), dense()),
        ((16, 3, 8, 8),),
    ),
    image("flattened", lambda x: x.flatten(1), lambda: dense(64 * WIDTH)),
    image("flattened small", lambda x: F.avg_pool2d(x, 4).flatten(1), lambda: dense(4 * WIDTH)),
    image("pixels as tokens", lambda x: x.flatten(2).transpose(1, 2), dense),
    image("patches as tokens", patches, lambda: dense(16 * WIDTH)),
    image("channels last and back", lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), point),
    image("channels shuffled", shuffled, point),
    image("unfolded and folded", lambda x: F.fold(F.relu(F.unfold(x, 2, stride=2) - 0.5), 8, 2, stride=2), point),
    image(
        "folded, windows that overlap",
        lambda x: x.flatten(2),
        lambda: Chain(nn.Conv1d(WIDTH, 9 * WIDTH, 1), Op(lambda x: F.fold(x, 8, 3, padding=1)), point()),
    ),
    image("unfolded", lambda x: F.unfold(x, 2, stride=2), lambda: nn.Conv1d(4 * WIDTH, WIDTH, 1)),
    image(
        "unfolded, windows that overlap", lambda x: F.unfold(x, 3, padding=1), lambda: nn.Conv1d(9 * WIDTH, WIDTH, 1)
    ),
    tokens("windows of time, side by side", lambda x: x.unfold(1, 4, 4).flatten(2), 4 * WIDTH),
    tokens("windows of time that overlap", lambda x: x.unfold(1, 6, 2).flatten(2), 6 * WIDTH),
    tokens("windows of time with gaps", lambda x: x.unfold(1, 2, 4).flatten(2), 2 * WIDTH),
    Case(
        "means of windows of time",
        lambda: Chain(dense(bias=False), nn.ReLU(), Op(lambda x: x.unfold(1, 5, 1).mean(-1)), dense()),
        (TOKENS,),
    ),
    tokens("windows of features that overlap", lambda x: x.unfold(-1, 64, 32), 64),
    image("largest of windows", lambda x: x.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4).amax(-1), point),
    Case(
        "windows of time that overlap, shared gradient",
        lambda: Chain(
            dense(), nn.ReLU(), Op(lambda x: x.unfold(1, 6, 2).flatten(2)), dense(6 * WIDTH), Op(token_mean), dense()
        ),
        (TOKENS,),
    ),
    image("pixel shuffle", lambda x: F.pixel_shuffle(x, 2), lambda: point(2, WIDTH // 4)),
    image("pixel unshuffle", lambda x: F.pixel_unshuffle(x, 2), lambda: point(2, 4 * WIDTH)),
    image(
        "pixel shuffle, pooled",
        lambda x: F.pixel_shuffle(x, 2),
        lambda: Chain(point(2, WIDTH // 4), nn.ReLU(), pooled()),
    ),
)
TAKEN = (
    tokens("first token", lambda x: x[:, 0]),
    tokens("half of the tokens", lambda x: x[:, :12]),
    tokens("every other token", lambda x: x[:, ::2]),
    tokens("half of the features", lambda x: x[..., : WIDTH // 2], WIDTH // 2),
    tokens("half of the samples", lambda x: x[:4]),
    tokens("narrowed", lambda x: x.narrow(1, 2, 8)),
    tokens("the same chunk twice", lambda x: x[..., :64] * x[..., :64], WIDTH // 2),
    tokens("two of three splits added", lambda x: torch.add(*torch.split(x, [32, 32, 64], -1)[:2]), 32),
    tokens("one of two chunks", lambda x: x.chunk(2, -1)[1], WIDTH // 2),
    tokens("tokens gathered", lambda x: x[:, torch.tensor([0, 3, 5, 7])]),
    tokens("tokens by index_select", lambda x: x.index_select(1, torch.tensor([1, 1, 2]))),
    tokens("even and odd features", lambda x: x[..., ::2] + x[..., 1::2], WIDTH // 2),
    tokens("chosen by mask", lambda x: x[:, torch.arange(24) % 2 == 0]),
    Case(
        "qkv in one",
        lambda: Chain(dense(WIDTH, 3 * WIDTH), Op(lambda x: (lambda q, k, v: q * k + v)(*x.chunk(3, -1))), dense()),
        (TOKENS,),
    ),
    image("a quarter of the channels", lambda x: x[:, : WIDTH // 4], lambda: point(2, WIDTH // 4)),
)
REPEATED = (
    tokens("tokens repeated", lambda x: x.repeat(1, 2, 1)),
    tokens("tokens interleaved", lambda x: x.repeat_interleave(2, 1)),
    tokens("features repeated", lambda x: x.repeat(1, 1, 2), 2 * WIDTH),
    tokens("two brought to one shape", lambda x: torch.mul(*torch.broadcast_tensors(x, x.mean(1, keepdim=True).exp()))),
    tokens("mean for all", lambda x: x.mean(1, keepdim=True).expand_as(x)),
    tokens(
        "mean for all, pooled",
        lambda x: x + x.mean(1, keepdim=True).expand_as(x),
        ends=lambda: Chain(dense(), Op(token_mean), dense()),
    ),
)


@each(RESHAPED)
def test_reshaping(case: Case) -> None:
    check(case)


@each(TAKEN)
def test_taking(case: Case) -> None:
    check(case)


@each(REPEATED)
def test_repeating(case: Case) -> None:
    check(case)
