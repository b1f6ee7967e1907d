"""Builds the networks of `blueprints`: ordinary modules of the kind that people write."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from outcomes.blueprints import Blueprint

CLASSES = 4
FEATURES = 8
"""Features of a vector, and of each time step."""
CHANNELS = 3
SIDE = 6
"""Height and width of an image."""
VOCABULARY = 16
TOKENS = 8

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "silu": nn.SiLU, "elu": nn.ELU, "selu": nn.SELU,
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "softplus": nn.Softplus, "softsign": nn.Softsign,
    "hardtanh": nn.Hardtanh, "hardsigmoid": nn.Hardsigmoid,
}  # fmt: skip


def build(blueprint: Blueprint, seed: int) -> nn.Module:
    """The network, freshly initialised."""
    torch.manual_seed(seed)
    model = _BUILDERS[blueprint.family](blueprint)
    _initialise(model, blueprint)
    return model


def example(blueprint: Blueprint, batch: int = 8) -> Tensor:
    """An input of the right shape and kind."""
    if blueprint.family == "mlp":
        return torch.randn(batch, FEATURES)
    if blueprint.family == "cnn":
        return torch.randn(batch, CHANNELS, SIDE, SIDE)
    if blueprint.family == "recurrent":
        return torch.randn(batch, blueprint.steps, FEATURES)
    return torch.randint(0, VOCABULARY, (batch, TOKENS))


class Layer(nn.Module):
    """Weights, norm, activation; or the norm in front, where the layer begins a branch that wants it there."""

    def __init__(self, blueprint: Blueprint, weights: nn.Module, place: int) -> None:
        super().__init__()
        leads = place % branch_size(blueprint) == 0
        self.before = _norm(blueprint) if blueprint.order == "branch" and leads else nn.Identity()
        self.weights = weights
        self.norm = _norm(blueprint) if blueprint.order != "branch" else nn.Identity()
        self.activation = ACTIVATIONS[blueprint.activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        out: Tensor = self.activation(self.norm(self.weights(self.before(x))))
        return out


def branch_size(blueprint: Blueprint) -> int:
    """Layers that a skip goes around."""
    return 2 if blueprint.skip == "two" else 1


class Stack(nn.Module):
    """A stem, layers with or without skips around them, and a linear head on vectors or pooled maps."""

    def __init__(self, blueprint: Blueprint, stem: nn.Module, layers: list[nn.Module], head: nn.Linear) -> None:
        super().__init__()
        size = branch_size(blueprint)
        self.skips = blueprint.skip != "none"
        self.scale = 1 / math.sqrt(blueprint.depth) if blueprint.skip == "scaled" else 1.0
        self.flat = blueprint.readout == "flat"
        self.stem = stem
        self.blocks = nn.ModuleList(nn.Sequential(*layers[i : i + size]) for i in range(0, len(layers), size))
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """[B, …] → [B, classes]."""
        x = self.stem(x)
        for block in self.blocks:
            out = block(x)
            x = x + self.scale * out if self.skips else out
        if x.ndim == 4:
            x = x.flatten(1) if self.flat else x.mean((2, 3))
        out = self.head(x)
        return out


class ChannelNorm(nn.Module):
    """Layer or RMS norm over the channels of [B, C, H, W]."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        out: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


def _norm(blueprint: Blueprint) -> nn.Module:
    width, is_map = blueprint.width, blueprint.family == "cnn"
    if blueprint.norm == "batch":
        return (nn.BatchNorm2d if is_map else nn.BatchNorm1d)(width, track_running_stats=False)
    if blueprint.norm == "none":
        return nn.Identity()
    norm = nn.LayerNorm(width) if blueprint.norm == "layer" else nn.RMSNorm(width)
    return ChannelNorm(norm) if is_map else norm


def _build_mlp(blueprint: Blueprint) -> nn.Module:
    width, bias = blueprint.width, blueprint.bias != "none"
    layers: list[nn.Module] = [
        Layer(blueprint, nn.Linear(width, width, bias), place) for place in range(blueprint.depth)
    ]
    return Stack(blueprint, nn.Linear(FEATURES, width, bias), layers, nn.Linear(width, CLASSES))


def _build_cnn(blueprint: Blueprint) -> nn.Module:
    width, bias = blueprint.width, blueprint.bias != "none"
    layers: list[nn.Module] = [
        Layer(blueprint, nn.Conv2d(width, width, 3, padding=1, bias=bias), place) for place in range(blueprint.depth)
    ]
    stem = nn.Conv2d(CHANNELS, width, 3, stride=2, padding=1, bias=bias)
    size = width * (SIDE // 2) ** 2 if blueprint.readout == "flat" else width
    return Stack(blueprint, stem, layers, nn.Linear(size, CLASSES))


class Recurrent(nn.Module):
    """A fused recurrence, and a linear head on its last step or on the mean over time."""

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        kind, _, function = blueprint.activation.partition("_")
        options: dict[str, Any] = {"nonlinearity": function} if function else {}
        cell = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
        self.cell = cell(FEATURES, blueprint.width, blueprint.depth, batch_first=True, **options)
        self.last = blueprint.readout == "last"
        self.head = nn.Linear(blueprint.width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, F] → [B, classes]."""
        states, _ = self.cell(x)
        out: Tensor = self.head(states[:, -1] if self.last else states.mean(1))
        return out


class Attention(nn.Module):
    """Multi-head self-attention over [B, T, D]."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)).softmax(-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, tokens, width)
        out: Tensor = self.out(mixed)
        return out


class Block(nn.Module):
    """One transformer block; norm before or behind each branch, skips or none."""

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        width = blueprint.width
        self.attention = Attention(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), ACTIVATIONS[blueprint.activation](), nn.Linear(4 * width, width)
        )
        self.norm1, self.norm2 = _norm(blueprint), _norm(blueprint)
        self.is_pre = blueprint.order == "pre"
        self.skips = blueprint.skip != "none"
        self.scale = 1 / math.sqrt(2 * blueprint.depth) if blueprint.skip == "scaled" else 1.0

    def _branch(self, x: Tensor, branch: nn.Module, norm: nn.Module) -> Tensor:
        out: Tensor = branch(norm(x) if self.is_pre else x)
        out = x + self.scale * out if self.skips else out
        return out if self.is_pre else norm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self._branch(self._branch(x, self.attention, self.norm1), self.mlp, self.norm2)


class Transformer(nn.Module):
    """Token and position embeddings, blocks, a final norm where the blocks have theirs in front, mean, head."""

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, blueprint.width)
        self.positions = nn.Parameter(0.02 * torch.randn(TOKENS, blueprint.width))
        self.blocks = nn.Sequential(*(Block(blueprint) for _ in range(blueprint.depth)))
        self.norm = _norm(blueprint) if blueprint.order == "pre" else nn.Identity()
        self.head = nn.Linear(blueprint.width, CLASSES)

    def forward(self, ids: Tensor) -> Tensor:
        """[B, T] ids → [B, classes]."""
        x = self.norm(self.blocks(self.tokens(ids) + self.positions))
        out: Tensor = self.head(x.mean(1))
        return out


_BUILDERS: dict[str, Callable[[Blueprint], nn.Module]] = {
    "mlp": _build_mlp, "cnn": _build_cnn, "recurrent": Recurrent, "transformer": Transformer,
}  # fmt: skip

_INITS: dict[str, Callable[[Tensor], Any]] = {
    "default": lambda w: w,
    "kaiming": nn.init.kaiming_normal_,
    "lecun": lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear"),
    "xavier": nn.init.xavier_uniform_,
    "orthogonal": nn.init.orthogonal_,
    "small": lambda w: nn.init.normal_(w, std=0.01),
    "large": lambda w: nn.init.normal_(w, std=2 / math.sqrt(w[0].numel())),
}
_GPT = 0.02
"""Standard deviation of GPT-2's weights."""


def _initialise(model: nn.Module, blueprint: Blueprint) -> None:
    if blueprint.family == "recurrent":
        _initialise_recurrence(model, blueprint)
        return
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            if blueprint.init == "gpt":
                nn.init.normal_(module.weight, std=_GPT)
            else:
                _INITS[blueprint.init](module.weight)
            if module.bias is not None and blueprint.bias in ("zero", "one"):
                nn.init.constant_(module.bias, 1.0 if blueprint.bias == "one" else 0.0)
        elif isinstance(module, nn.Embedding) and blueprint.init == "gpt":
            nn.init.normal_(module.weight, std=_GPT)


def _initialise_recurrence(model: nn.Module, blueprint: Blueprint) -> None:
    """`open`: forget gates of LSTMs start open for the whole sequence, plain cells as the identity; `closed`: shut."""
    width, init = blueprint.width, blueprint.init
    for name, parameter in model.named_parameters():
        is_state = name.startswith("cell.weight_hh")
        if is_state and (init == "orthogonal" or (init == "open" and blueprint.activation.startswith("rnn"))):
            for block in parameter.data.split(width):
                (nn.init.orthogonal_ if init == "orthogonal" else nn.init.eye_)(block)
        elif name.startswith("cell.weight") and init in ("small", "large"):
            nn.init.normal_(parameter, std=0.01 if init == "small" else 2 / math.sqrt(width))
        elif name.startswith("cell.bias_ih") and blueprint.activation in ("lstm", "gru") and init in ("open", "closed"):
            gates = parameter.data[width : 2 * width]  # forget gate of an LSTM, update gate of a GRU
            bias = math.log(max(2, blueprint.steps))
            gates.fill_(bias if init == "open" else -bias)
