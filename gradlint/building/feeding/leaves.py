"""Input shapes that a layer accepts, likeliest first."""

import math
from collections.abc import Iterator
from dataclasses import replace

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from gradlint.building.feeding.hints import SMALLEST_BATCH, Hints
from gradlint.core.target import InputSpec

_SIZES_2D = (32, 64, 28, 128, 224, 256, 299)
_SIZES_1D = (64, 128, 256, 1024, 16000)
_SIZES_3D = (16, 32)


def entry_leaves(module: nn.Module, limit: int = 8) -> list[nn.Module]:
    """The first layers, in order of registration, whose input shape their own attributes tell."""
    found: list[nn.Module] = []
    inside: set[int] = set()
    for leaf in module.modules():
        if id(leaf) in inside:
            continue
        if isinstance(leaf, _KNOWN):
            found.append(leaf)
            inside.update(id(part) for part in leaf.modules())
            if len(found) == limit:
                break
    return found


def alternatives(leaf: nn.Module, hints: Hints) -> list[InputSpec]:
    """Inputs that a layer takes, likeliest first."""
    return list(dict.fromkeys(_alternatives(leaf, hints)))


def _alternatives(leaf: nn.Module, hints: Hints) -> Iterator[InputSpec]:
    match leaf:
        case nn.Embedding() | nn.EmbeddingBag():
            yield from _ids(leaf.num_embeddings, hints)
        case nn.RNNBase():
            yield from _recurrent(leaf.input_size, leaf.batch_first, hints)
        case nn.RNNCellBase():
            yield from _features(leaf.input_size, replace(hints, sequential=True))
        case nn.MultiheadAttention():
            yield from _recurrent(leaf.embed_dim, bool(leaf.batch_first), hints)
        case _ConvTransposeNd():
            yield from _maps(leaf.in_channels, len(leaf.kernel_size), hints, generator=True)
        case _ConvNd():
            yield from _maps(leaf.in_channels, len(leaf.kernel_size), hints)
        case nn.Linear():
            yield from _features(leaf.in_features, hints)
        case nn.Bilinear():
            yield from _features(leaf.in1_features, hints)
            yield from _features(leaf.in2_features, hints)
        case nn.LayerNorm():
            yield from _normed(leaf.normalized_shape, hints)
        case _BatchNorm() | _InstanceNorm():
            yield from _channels(leaf, leaf.num_features, hints)
        case nn.GroupNorm():
            yield from _maps(leaf.num_channels, 2, hints)


_KNOWN = (
    nn.Embedding | nn.EmbeddingBag | nn.RNNBase | nn.RNNCellBase | nn.MultiheadAttention | _ConvNd | nn.Linear
    | nn.Bilinear | nn.LayerNorm | _BatchNorm | _InstanceNorm | nn.GroupNorm
)  # fmt: skip


def _times(hints: Hints) -> tuple[int, ...]:
    return tuple(dict.fromkeys((hints.time, *hints.times)))


def _ids(count: int, hints: Hints) -> Iterator[InputSpec]:
    for time in _times(hints):
        yield InputSpec((hints.batch, time), "int64", high=count)
    yield InputSpec((hints.batch,), "int64", high=count)


def _recurrent(features: int, batch_first: bool, hints: Hints) -> Iterator[InputSpec]:
    for time in _times(hints):
        sizes = (hints.batch, time) if batch_first else (time, hints.batch)
        yield InputSpec((*sizes, features))
    yield InputSpec((hints.batch, features))


def _features(features: int, hints: Hints) -> Iterator[InputSpec]:
    flat = InputSpec((hints.batch, features))
    series = [InputSpec((hints.batch, time, features)) for time in _times(hints)]
    yield from [*series, flat] if hints.sequential else [flat, series[0]]
    for channels in (1, 3):
        side = math.isqrt(features // channels)
        if side > 1 and channels * side * side == features:
            yield InputSpec((hints.batch, channels, side, side))
    if not hints.sequential:
        yield from series[1:]


def _maps(channels: int, dims: int, hints: Hints, *, generator: bool = False) -> Iterator[InputSpec]:
    sizes: tuple[int, ...] = {1: _SIZES_1D, 2: _SIZES_2D, 3: _SIZES_3D}[dims]
    if dims == 2 and channels == 1:
        sizes = (28, *sizes)
    if dims == 1:
        sizes = (*(t for t in _times(hints)[:1] if hints.sequential), *sizes)
    if dims == 2:
        sizes = (*hints.image_sizes, *sizes)
    if generator:
        sizes = (1, 4, *sizes)
    for size in dict.fromkeys(sizes):
        yield InputSpec((hints.batch, channels, *(size,) * dims))
    if dims == 3:  # films have larger frames than they are long
        yield InputSpec((hints.batch, channels, 16, 112, 112))
        yield InputSpec((SMALLEST_BATCH, channels, 16, 224, 224))
        yield InputSpec((hints.batch, channels, 64, 64, 64))
    if generator:
        yield InputSpec((hints.batch, channels))


def _normed(shape: tuple[int, ...], hints: Hints) -> Iterator[InputSpec]:
    if len(shape) > 1:
        yield InputSpec((hints.batch, *shape))
    else:
        yield from _features(shape[0], hints)


def _channels(leaf: nn.Module, channels: int, hints: Hints) -> Iterator[InputSpec]:
    name = type(leaf).__name__
    if name.endswith("1d"):
        yield InputSpec((hints.batch, channels))
    dims = int(name[-2]) if name[-2:] in ("1d", "2d", "3d") else 2
    yield from _maps(channels, dims, hints)
