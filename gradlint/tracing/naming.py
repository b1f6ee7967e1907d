"""Dotted names of a model's parts: the first name of what is registered several times, and all the others."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Names:
    """Names by identity of the object; `shared` lists further names of parameters by their first."""

    modules: dict[int, str]
    parameters: dict[int, str]
    buffers: dict[int, str]
    shared: dict[str, tuple[str, ...]]


def _first_names(
    pairs: Iterable[tuple[str, torch.Tensor]],
) -> tuple[dict[int, str], dict[str, tuple[str, ...]]]:
    first: dict[int, str] = {}
    further: dict[str, list[str]] = {}
    for name, tensor in pairs:
        known = first.setdefault(id(tensor), name)
        if known != name:
            further.setdefault(known, []).append(name)
    return first, {name: tuple(others) for name, others in further.items()}


def names_of(model: nn.Module) -> Names:
    """All names of a model's modules, parameters and buffers."""
    parameters, shared = _first_names(model.named_parameters(remove_duplicate=False))
    buffers, _ = _first_names(model.named_buffers(remove_duplicate=False))
    return Names({id(m): name for name, m in model.named_modules()}, parameters, buffers, shared)
