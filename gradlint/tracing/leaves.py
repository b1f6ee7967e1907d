"""The tensors among a value's leaves: the same walk for what a module returns and for what it is given."""

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.distributions import Distribution

_CACHES = frozenset({"past_key_values", "past_key_value", "cache_params", "mems", "present", "presents", "kv_cache"})
_PLAIN = (int, float, complex, str, bytes, enum.Enum, torch.dtype, torch.device, type(None))
"""What an output may hold that no gradient could ever come through."""


def tensors(value: Any, *, caches: bool = True) -> Iterator[torch.Tensor]:
    """Tensors of nested tuples, lists, mappings, dataclasses and distributions, in order of appearance.

    Args:
        value: what a module returned or was given.
        caches: False leaves out key/value caches (`past_key_values` and objects of a `…Cache` class).
    """
    if isinstance(value, torch.Tensor):
        yield value
    elif not caches and type(value).__name__.endswith("Cache"):
        return
    elif isinstance(value, Mapping):
        yield from _items(value.items(), caches)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors(item, caches=caches)
    elif isinstance(value, Distribution):
        yield from _items(_parameters(value), caches)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = [(f.name, getattr(value, f.name, None)) for f in dataclasses.fields(value)]
        yield from _items(pairs, caches)


def _parameters(value: Distribution) -> list[tuple[str, Any]]:
    """What a distribution was made of: its own tensors, and the distributions that it is built on."""
    return [(n, v) for n, v in vars(value).items() if isinstance(v, torch.Tensor | Distribution) and n[:1] != "_"]


def opaque(value: Any) -> Iterator[str]:
    """Class names of the leaves that may hold tensors in a way that `tensors` does not see."""
    if isinstance(value, torch.Tensor | Distribution) or type(value).__name__.endswith("Cache"):
        return
    if isinstance(value, Mapping):
        value = list(value.values())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    if isinstance(value, tuple | list):
        for item in value:
            yield from opaque(item)
    elif not isinstance(value, _PLAIN):
        yield type(value).__name__


def _items(pairs: Any, caches: bool) -> Iterator[torch.Tensor]:
    for key, item in pairs:
        if caches or key not in _CACHES:
            yield from tensors(item, caches=caches)


def is_floating(tensor: torch.Tensor) -> bool:
    """Whether a gradient can flow through this dtype."""
    return tensor.dtype.is_floating_point or tensor.dtype.is_complex


def first_floating(value: Any) -> torch.Tensor | None:
    """The first floating tensor of a value: the one that stands for a module's output."""
    return next((t for t in tensors(value, caches=False) if is_floating(t)), None)


def output_leaves(value: Any) -> list[torch.Tensor]:
    """Floating tensors of a model's output, each once, caches left out."""
    unique: dict[int, torch.Tensor] = {}
    for tensor in tensors(value, caches=False):
        if is_floating(tensor):
            unique.setdefault(id(tensor), tensor)
    return list(unique.values())


def map_tensors(value: Any, convert: Callable[[torch.Tensor], Any]) -> Any:
    """The same nesting of tuples, lists, dicts and slices with each tensor converted."""
    if isinstance(value, torch.Tensor):
        return convert(value)
    if isinstance(value, tuple):
        items = [map_tensors(item, convert) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [map_tensors(item, convert) for item in value]
    if isinstance(value, dict):
        return {key: map_tensors(item, convert) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(map_tensors(item, convert) for item in (value.start, value.stop, value.step)))
    return value


def named_tensors(names: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Each tensor of named arguments under a name of its own (`x`, or `state_0`, `state_1` where it holds several)."""
    for name, value in names.items():
        found = list(tensors(value))
        for index, tensor in enumerate(found):
            yield (name if len(found) == 1 else f"{name}_{index}"), tensor
