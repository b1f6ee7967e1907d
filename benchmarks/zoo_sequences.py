"""Small hand-written models of sequences, one idea each: attention, gates, experts, recurrences."""

from collections.abc import Callable
from typing import Any

import torch
from accuracy_models import Case, Inputs
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, TIME = 64, 4, 32


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _rotated(x: Tensor) -> Tensor:
    """RoPE."""
    time, width = x.shape[-2:]
    rates = 10_000 ** (-torch.arange(0, width, 2, dtype=x.dtype) / width)
    angles = torch.arange(time, dtype=x.dtype)[:, None] * rates
    first, second = x.chunk(2, -1)
    return torch.cat([first * angles.cos() - second * angles.sin(), first * angles.sin() + second * angles.cos()], -1)


class Attention(nn.Module):
    """Attention by hand, with what is asked for."""

    def __init__(
        self,
        *,
        causal: bool = False,
        window: int = 0,
        bias: bool = False,
        groups: int = HEADS,
        rotary: bool = False,
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.causal, self.window, self.groups, self.rotary, self.fused = causal, window, groups, rotary, fused
        self.q, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.kv = nn.Linear(WIDTH, 2 * WIDTH * groups // HEADS)
        self.bias = nn.Parameter(0.02 * torch.randn(HEADS, 2 * TIME - 1)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        key, value = self.kv(x).chunk(2, -1)
        q, k, v = _split(self.q(x), HEADS), _split(key, self.groups), _split(value, self.groups)
        k, v = (t.repeat_interleave(HEADS // self.groups, 1) for t in (k, v))
        if self.rotary:
            q, k = _rotated(q), _rotated(k)
        if self.fused:
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        else:
            mixed = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + self._added(x)).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _added(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1])
        apart = places[:, None] - places
        hidden = (apart < 0) & self.causal | (apart.abs() >= self.window) & (self.window > 0)
        added = torch.zeros(apart.shape, dtype=x.dtype).masked_fill(hidden, -torch.inf)
        return added if self.bias is None else added + self.bias[:, apart + TIME - 1]


class Linear(nn.Module):
    """Linear attention: q (kᵀ v), both made positive and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (_split(t, HEADS) for t in self.qkv(x).chunk(3, -1))
        q, k = q.softmax(-1), k.softmax(-2)
        return self.out((q @ (k.transpose(-2, -1) @ v)).transpose(1, 2).flatten(2))


class Gated(nn.Module):
    """A gated MLP: SwiGLU, GEGLU."""

    def __init__(self, activation: Callable[[Tensor], Tensor], hidden: int = 2 * WIDTH) -> None:
        super().__init__()
        self.activation = activation
        self.both, self.down = nn.Linear(WIDTH, 2 * hidden), nn.Linear(hidden, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.both(x).chunk(2, -1)
        return self.down(self.activation(gate) * up)


class Experts(nn.Module):
    """A mixture of experts: all of them weighted, or for each token the best k, written with masks or with indices."""

    def __init__(self, count: int = 4, best: int = 0, indexed: bool = False) -> None:
        super().__init__()
        self.router, self.best, self.indexed = nn.Linear(WIDTH, count), best, indexed
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH)) for _ in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = self.router(x).softmax(-1)
        if self.indexed:
            return self._gathered(x, weights)
        if self.best:
            least = weights.topk(self.best, -1).values[..., -1:]
            weights = torch.where(weights >= least, weights, 0.0)
        return sum(weights[..., i, None] * expert(x) for i, expert in enumerate(self.experts))

    def _gathered(self, x: Tensor, weights: Tensor) -> Tensor:
        flat, out = x.flatten(0, 1), torch.zeros_like(x.flatten(0, 1))
        top, chosen = weights.flatten(0, 1).topk(self.best, -1)
        for i, expert in enumerate(self.experts):
            rows, slot = torch.where(chosen == i)
            out.index_add_(0, rows, expert(flat[rows]) * top[rows, slot, None])
        return out.view_as(x)


class Block(nn.Module):
    """Pre-norm or post-norm residual block."""

    def __init__(self, parts: list[nn.Module], pre: bool = True, norm: type[nn.Module] = nn.LayerNorm) -> None:
        super().__init__()
        self.parts, self.pre = nn.ModuleList(parts), pre
        self.norms = nn.ModuleList(norm(WIDTH) for _ in parts)

    def forward(self, x: Tensor) -> Tensor:
        for norm, part in zip(self.norms, self.parts, strict=True):
            x = x + part(norm(x)) if self.pre else norm(x + part(x))
        return x


class Language(nn.Module):
    """Embedding, positions, blocks, head; the head's weight may be the embedding's."""

    def __init__(self, blocks: list[nn.Module], tied: bool = False, words: int = 300) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, WIDTH), nn.Parameter(0.02 * torch.randn(TIME, WIDTH))
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, words, bias=False)
        if tied:
            self.head.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.words(ids) + self.places)))


class Reader(nn.Module):
    """A fused recurrence, read at its last step or at all."""

    def __init__(self, cell: type[nn.RNNBase], last: bool = True, **options: Any) -> None:
        super().__init__()
        self.cell, self.last = cell(WIDTH, WIDTH, batch_first=True, **options), last
        self.head = nn.Linear(WIDTH * (2 if self.cell.bidirectional else 1), 10)

    def forward(self, x: Tensor) -> Tensor:
        out = self.cell(x)[0]
        return self.head(out[:, -1] if self.last else out)


class Loop(nn.Module):
    """A recurrence by hand."""

    def __init__(self, cell: type[nn.RNNCellBase]) -> None:
        super().__init__()
        self.cell, self.head = cell(WIDTH, WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))


def _ids() -> Inputs:
    return (torch.randint(0, 300, (8, TIME)),)


def _vectors(time: int) -> Callable[[], Inputs]:
    return lambda: (torch.randn(8, time, WIDTH),)


def _language(name: str, parts: Callable[[], list[nn.Module]], *, tied: bool = False, **options: Any) -> Case:
    return Case(name, lambda: Language([Block(parts(), **options) for _ in range(3)], tied), _ids)


def _recurrent(name: str, time: int, build: Callable[[], nn.Module]) -> Case:
    return Case(f"{name}, {time} steps", build, _vectors(time))


def _multihead() -> nn.Module:
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, batch_first=True, dropout=0.0)
    return nn.Sequential(nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), nn.Linear(WIDTH, 10))


SEQUENCES = (
    _language("attention, full", lambda: [Attention(), _mlp()]),
    _language("attention, causal", lambda: [Attention(causal=True), _mlp()]),
    _language("attention, fused causal", lambda: [Attention(causal=True, fused=True), _mlp()]),
    _language("attention, windowed", lambda: [Attention(window=5), _mlp()]),
    _language("attention, relative bias", lambda: [Attention(bias=True), _mlp()]),
    _language("attention, grouped-query", lambda: [Attention(groups=2), _mlp()]),
    _language("attention, linear", lambda: [Linear(), _mlp()]),
    _language("RoPE", lambda: [Attention(causal=True, rotary=True), _mlp()]),
    _language("SwiGLU", lambda: [Attention(), Gated(functional.silu)], norm=nn.RMSNorm),
    _language("GEGLU", lambda: [Attention(), Gated(functional.gelu)]),
    _language("experts, soft", lambda: [Attention(), Experts()]),
    _language("experts, best 2", lambda: [Attention(), Experts(best=2)]),
    _language("experts, best 1 by index", lambda: [Attention(), Experts(best=1, indexed=True)]),
    _language("post-norm", lambda: [Attention(), _mlp()], pre=False),
    _language("tied head", lambda: [Attention(), _mlp()], tied=True),
    Case("nn.TransformerEncoder", _multihead, _vectors(TIME)),
    _recurrent("RNN", 10, lambda: Reader(nn.RNN)),
    _recurrent("LSTM", 10, lambda: Reader(nn.LSTM)),
    _recurrent("GRU", 10, lambda: Reader(nn.GRU)),
    _recurrent("RNN", 100, lambda: Reader(nn.RNN)),
    _recurrent("LSTM", 100, lambda: Reader(nn.LSTM)),
    _recurrent("GRU", 100, lambda: Reader(nn.GRU)),
    _recurrent("LSTM", 1000, lambda: Reader(nn.LSTM)),
    _recurrent("GRU, all outputs", 1000, lambda: Reader(nn.GRU, last=False)),
    _recurrent(
        "LSTM, two layers, both ways", 30, lambda: Reader(nn.LSTM, num_layers=2, bidirectional=True, last=False)
    ),
    _recurrent("RNNCell loop", 20, lambda: Loop(nn.RNNCell)),
    _recurrent("LSTMCell loop", 20, lambda: Loop(nn.LSTMCell)),
    _recurrent("GRUCell loop", 20, lambda: Loop(nn.GRUCell)),
)
