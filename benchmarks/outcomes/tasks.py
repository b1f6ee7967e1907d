"""What the networks are trained on: two tasks per family, four classes each, samples drawn afresh for every step.

One task suits the family; the classes of the other are of high frequency, so that no linear or nearly constant function
tells them apart.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from outcomes.blueprints import Blueprint
from outcomes.networks import CHANNELS, CLASSES, FEATURES, SIDE, TOKENS, VOCABULARY

TASKS = ("suited", "fine")
ENTROPY = math.log(CLASSES)
Batch = tuple[Tensor, Tensor]
"""Inputs and classes."""


def batch(blueprint: Blueprint, task: str, size: int, generator: torch.Generator) -> Batch:
    """Fresh samples."""
    return _TASKS[blueprint.family, task](blueprint, size, generator)


def _vectors(_: Blueprint, size: int, gen: torch.Generator) -> Batch:
    """The largest of four outputs of a fixed random network with one hidden layer."""
    x = torch.randn(size, FEATURES, generator=gen)
    teacher = torch.Generator().manual_seed(7)
    first = torch.randn(FEATURES, 16, generator=teacher) / math.sqrt(FEATURES)
    second = torch.randn(16, CLASSES, generator=teacher)
    return x, (torch.tanh(2 * x @ first) @ second).argmax(1)


def _waves(_: Blueprint, size: int, gen: torch.Generator) -> Batch:
    """Two bits, each the sign of a wave along one feature."""
    x = torch.randn(size, FEATURES, generator=gen)
    bits = torch.sin(2.5 * x[:, :2]) > 0
    return x, 2 * bits[:, 0].long() + bits[:, 1].long()


def _patterns(_: Blueprint, size: int, gen: torch.Generator) -> Batch:
    """Which of four small patterns stands somewhere in the noise, at three places."""
    x = torch.randn(size, CHANNELS, SIDE, SIDE, generator=gen)
    classes = torch.randint(0, CLASSES, (size,), generator=gen)
    patterns = 1.5 * torch.randn(CLASSES, CHANNELS, 3, 3, generator=torch.Generator().manual_seed(7))
    places = torch.randint(0, SIDE - 2, (size, 3, 2), generator=gen).tolist()
    for sample, kind in enumerate(classes.tolist()):
        for row, column in places[sample]:
            x[sample, :, row : row + 3, column : column + 3] += patterns[kind]
    return x / x.std(), classes


def _textures(_: Blueprint, size: int, gen: torch.Generator) -> Batch:
    """Two bits: whether neighbours agree or differ, along rows and along columns."""
    noise = torch.randn(size, CHANNELS, SIDE + 1, SIDE + 1, generator=gen)
    bits = torch.randint(0, 2, (2, size, 1, 1, 1), generator=gen)
    rows, columns = 2.0 * bits - 1
    noise = noise[:, :, 1:] + rows * noise[:, :, :-1]
    noise = noise[:, :, :, 1:] + columns * noise[:, :, :, :-1]
    classes = (2 * bits[0] + bits[1]).flatten()
    return noise / 2, classes


def _recall(blueprint: Blueprint, size: int, gen: torch.Generator) -> Batch:
    """Which feature was large at the first step; noise after it."""
    x = torch.randn(size, blueprint.steps, FEATURES, generator=gen)
    classes = torch.randint(0, CLASSES, (size,), generator=gen)
    x[torch.arange(size), 0, classes] += 4
    return x, classes


def _rhythms(blueprint: Blueprint, size: int, gen: torch.Generator) -> Batch:
    """Two bits: whether successive steps agree or differ, in each half of the features."""
    noise = torch.randn(size, blueprint.steps + 1, FEATURES, generator=gen)
    bits = torch.randint(0, 2, (size, 2), generator=gen)
    signs = (2.0 * bits - 1).repeat_interleave(FEATURES // 2, 1)[:, None]
    return (noise[:, 1:] + signs * noise[:, :-1]) / math.sqrt(2), 2 * bits[:, 0] + bits[:, 1]


def _marked(_: Blueprint, size: int, gen: torch.Generator) -> Batch:
    """Which of four marked tokens stands among the others."""
    ids = torch.randint(CLASSES, VOCABULARY, (size, TOKENS), generator=gen)
    classes = torch.randint(0, CLASSES, (size,), generator=gen)
    ids[torch.arange(size), torch.randint(0, TOKENS, (size,), generator=gen)] = classes
    return ids, classes


def _sums(_: Blueprint, size: int, gen: torch.Generator) -> Batch:
    """The sum of two marked tokens, modulo four."""
    ids = torch.randint(CLASSES, VOCABULARY, (size, TOKENS), generator=gen)
    marked = torch.randint(0, CLASSES, (size, 2), generator=gen)
    places = torch.rand(size, TOKENS, generator=gen).topk(2).indices
    ids.scatter_(1, places, marked)
    return ids, marked.sum(1) % CLASSES


_TASKS: dict[tuple[str, str], Callable[[Blueprint, int, torch.Generator], Batch]] = {
    ("mlp", "suited"): _vectors, ("mlp", "fine"): _waves,
    ("cnn", "suited"): _patterns, ("cnn", "fine"): _textures,
    ("recurrent", "suited"): _recall, ("recurrent", "fine"): _rhythms,
    ("transformer", "suited"): _marked, ("transformer", "fine"): _sums,
}  # fmt: skip
