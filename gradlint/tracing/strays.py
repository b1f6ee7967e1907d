"""Trainable tensors that a model keeps in plain Python containers, where `nn.Module` does not see them."""

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from gradlint.building.describe import is_torch
from gradlint.core.graph import Stray

_DEEPEST = 3
"""Containers inside of containers that are looked into."""
_CONTAINERS = (list, tuple, set, frozenset, deque, dict)
_OWN_TABLES = frozenset(vars(nn.Module()))
"""What `nn.Module` itself keeps: tables of parameters, buffers, modules and hooks."""


def find_strays(model: nn.Module) -> list[tuple[Stray, torch.Tensor]]:
    """Every trainable tensor that a plain container holds and no module of the model has registered.

    Left out are torch's own modules (fused recurrences keep a list of their weights), and modules whose class says for
    itself what its parameters are, by an own `parameters`.
    """
    registered = {id(p) for p in nn.Module.parameters(model)}
    found: dict[int, tuple[Stray, torch.Tensor]] = {}
    if _speaks_for_itself(model):
        return []
    for owner, module in model.named_modules():
        containers = {} if _speaks_for_itself(module) or is_torch(module) else vars(module)
        for attribute, value in list(containers.items()):
            if attribute in _OWN_TABLES or not isinstance(value, _CONTAINERS):
                continue
            for name, tensor, bare in _trainable(value, attribute, _DEEPEST):
                if id(tensor) not in registered:
                    kind, shape = type(value).__name__, tuple(int(size) for size in tensor.shape)
                    stray = Stray(name, shape, owner, attribute, kind, len(value), bare, reached=False)
                    found.setdefault(id(tensor), (stray, tensor))
    return list(found.values())


def strays(model: nn.Module, reached: Collection[int]) -> tuple[Stray, ...]:
    """What rules are told of them; `reached` holds the identities of the leaves that a gradient reaches."""
    return tuple(replace(stray, reached=id(tensor) in reached) for stray, tensor in find_strays(model))


def _speaks_for_itself(module: nn.Module) -> bool:
    cls = type(module)
    return (cls.parameters, cls.named_parameters) != (nn.Module.parameters, nn.Module.named_parameters)


def _trainable(value: Any, place: str, depth: int) -> Iterator[tuple[str, torch.Tensor, bool]]:
    """Name, tensor, and whether the container holds the tensor itself."""
    if isinstance(value, nn.Parameter):
        if value.requires_grad:
            yield place, value, True
    elif isinstance(value, nn.Module):
        for name, tensor in nn.Module.named_parameters(value):
            if tensor.requires_grad:
                yield f"{place}.{name}", tensor, False
    elif isinstance(value, _CONTAINERS) and depth:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(pairs):
            yield from _trainable(item, f"{place}[{key!r}]", depth - 1)
