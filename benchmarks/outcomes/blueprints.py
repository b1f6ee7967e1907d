"""The networks that the truth benchmark trains, as choices: random architectures, healthy and sick.

Each is drawn from its number; nothing in it is chosen by what gradlint says of it. `networks` builds them.
"""

import hashlib
import random
from dataclasses import asdict, dataclass, replace
from typing import Any

ACTIVATIONS = (
    "relu", "leaky_relu", "gelu", "silu", "elu", "selu", "tanh", "sigmoid", "softplus", "softsign", "hardtanh",
    "hardsigmoid",
)  # fmt: skip
INITS = {"default": 34, "kaiming": 14, "lecun": 10, "xavier": 14, "orthogonal": 10, "small": 9, "large": 9}
"""Initialisations, and how often each is drawn (in percent)."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All choices of one network. Fields that its family does not have are left at their defaults."""

    number: int
    family: str
    """mlp, cnn, recurrent, transformer"""
    depth: int
    """Hidden layers; blocks of a transformer; layers of a recurrence."""
    width: int
    activation: str = "relu"
    """Of a recurrence: its cell (rnn_tanh, rnn_relu, lstm, gru)."""
    norm: str = "none"
    """none, batch, layer, rms; where it stands, `order` says."""
    skip: str = "none"
    """none, one (around every layer), two (around pairs), scaled (around every layer, branch / √depth)"""
    init: str = "default"
    bias: str = "default"
    """default, none, zero, one (all biases 1)"""
    order: str = "pre"
    """Of a transformer: norm `pre` or `post` its branches. Of others `branch` puts norms before branches instead of
    behind the weights (remedies only, none is drawn so)."""
    steps: int = 0
    """Time steps of a recurrence."""
    readout: str = "mean"

    def to_dict(self) -> dict[str, Any]:
        """As stored."""
        return asdict(self)

    @property
    def group(self) -> tuple[str, str, str]:
        """What halves are split by, so that no half has seen the other's kinds."""
        return self.family, f"{self.norm}-{self.skip}" if self.family != "recurrent" else self.activation, self.init


def draw(number: int) -> Blueprint:
    """The network of that number; the same for ever."""
    rng = random.Random(f"gradlint truth {number}")
    family = rng.choices(["mlp", "cnn", "recurrent", "transformer"], [46, 18, 18, 18])[0]
    return _FAMILIES[family](rng, number)


def _plain(rng: random.Random, number: int, family: str, depths: list[int], widths: list[int]) -> Blueprint:
    norms, skips = ["none", "batch", "layer", "rms"], ["none", "one", "two", "scaled"]
    return Blueprint(
        number,
        family,
        depth=rng.choice(depths),
        width=rng.choice(widths),
        activation=rng.choice(ACTIVATIONS),
        norm=rng.choices(norms, [55, 15, 15, 15])[0],
        skip=rng.choices(skips, [64, 12, 12, 12])[0],
        init=rng.choices(list(INITS), list(INITS.values()))[0],
        bias=rng.choices(["default", "none", "zero", "one"], [50, 20, 25, 5])[0],
        readout=rng.choice(["mean", "flat"]) if family == "cnn" else "mean",
    )


def _mlp(rng: random.Random, number: int) -> Blueprint:
    return _plain(rng, number, "mlp", [2, 4, 6, 8, 12, 16, 24, 32, 44, 60], [32, 64])


def _cnn(rng: random.Random, number: int) -> Blueprint:
    return _plain(rng, number, "cnn", [2, 4, 6, 8, 12, 16, 24, 36], [8, 16])


def _recurrent(rng: random.Random, number: int) -> Blueprint:
    return Blueprint(
        number,
        "recurrent",
        depth=rng.choices([1, 2, 3], [50, 30, 20])[0],
        width=rng.choice([16, 32]),
        activation=rng.choices(["rnn_tanh", "rnn_relu", "lstm", "gru"], [35, 20, 25, 20])[0],
        init=rng.choices(["default", "orthogonal", "small", "large", "open", "closed"], [40, 20, 10, 10, 10, 10])[0],
        steps=rng.choice([5, 10, 20, 40, 80]),
        readout=rng.choices(["last", "mean"], [75, 25])[0],
    )


def _transformer(rng: random.Random, number: int) -> Blueprint:
    return Blueprint(
        number,
        "transformer",
        depth=rng.choice([1, 2, 3, 4, 6, 8]),
        width=rng.choice([16, 32]),
        activation=rng.choice(["relu", "gelu", "silu", "tanh", "sigmoid"]),
        norm=rng.choices(["layer", "rms", "none"], [50, 15, 35])[0],
        order=rng.choice(["pre", "post"]),
        skip=rng.choices(["one", "scaled", "none"], [50, 15, 35])[0],
        init=rng.choices(["default", "xavier", "kaiming", "gpt", "small", "large"], [25, 20, 15, 20, 10, 10])[0],
        bias=rng.choices(["default", "zero"], [60, 40])[0],
    )


_FAMILIES = {"mlp": _mlp, "cnn": _cnn, "recurrent": _recurrent, "transformer": _transformer}


def half(blueprint: Blueprint) -> int:
    """0: thresholds may be fitted on it; 1: they are reported on it. Whole groups fall on one side."""
    return hashlib.blake2b(" ".join(blueprint.group).encode(), digest_size=1).digest()[0] % 2


def siblings(of: Blueprint) -> tuple[Blueprint, ...]:
    """Healthy networks of the same family and width, moderately deep, which show what can be had."""
    if of.family == "recurrent":
        lstm = Blueprint(-1, "recurrent", 1, of.width, "lstm", init="open", steps=of.steps, readout="last")
        return lstm, replace(lstm, activation="gru", init="default")
    if of.family == "transformer":
        return (Blueprint(-1, "transformer", min(of.depth, 4), of.width, "gelu", "layer", "one", "xavier", "zero"),)
    depth = max(2, min(of.depth, 8))
    return (Blueprint(-1, of.family, depth, of.width, "relu", "layer", "one", "kaiming", "zero", readout=of.readout),)
