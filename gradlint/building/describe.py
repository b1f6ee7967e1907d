"""Describe a built model's modules: path, class, where they were made, what they own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from gradlint.building.sites import Chain
from gradlint.core.graph import ModuleInfo
from gradlint.core.location import Location

_LONGEST = 8


def module_paths(model: nn.Module) -> dict[int, list[str]]:
    """All dotted names of each module, by identity, in order of registration."""
    paths: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)
    return paths


def first_names(model: nn.Module) -> dict[int, str]:
    """First dotted name of each parameter and buffer, by identity."""
    names: dict[int, str] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        names.setdefault(id(tensor), name)
    return names


def further_names(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """First dotted name of each shared parameter → its other names."""
    first = first_names(model)
    found: dict[str, list[str]] = {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        if first.get(id(tensor), name) != name:
            found.setdefault(first[id(tensor)], []).append(name)
    return {name: tuple(others) for name, others in found.items()}


def module_infos(model: nn.Module, chains: Mapping[int, Chain]) -> dict[str, ModuleInfo]:
    """A description of every module by its first dotted name."""
    paths = module_paths(model)
    names = first_names(model)
    infos: dict[str, ModuleInfo] = {}
    for path, module in model.named_modules():
        own = [tensor for tensor in module._parameters.values() if tensor is not None]
        children = [paths[id(child)][0] for child in module.children()]
        infos[path] = ModuleInfo(
            path=path,
            class_name=type(module).__name__,
            sites=_sites(path, module, chains, infos),
            parameters=tuple(dict.fromkeys(names[id(tensor)] for tensor in own)),
            children=tuple(children),
            is_torch=is_torch(module),
            aliases=tuple(paths[id(module)][1:]),
            attributes=attributes(module),
        )
    return infos


def _sites(path: str, module: nn.Module, chains: Mapping[int, Chain], infos: Mapping[str, ModuleInfo]) -> Chain:
    """A module's own chain; one made without a constructor call (by a C extension, say) has its parent's."""
    own = chains.get(id(module), ())
    parent = infos.get(path.rpartition(".")[0]) if path else None
    return own or (parent.sites if parent is not None else ())


def is_torch(module: nn.Module) -> bool:
    """Whether torch itself defines the class."""
    return type(module).__module__.partition(".")[0] == "torch"


def attributes(module: nn.Module) -> dict[str, object]:
    """Scalars of an instance: numbers, strings, booleans and short tuples of them."""
    return {
        name: value
        for name, value in module.__dict__.items()
        if not name.startswith("_") and (_is_scalar(value) or _is_short_tuple(value))
    }


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _is_short_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= _LONGEST and all(_is_scalar(item) for item in value)


def parameter_sites(
    model: nn.Module, chains: Mapping[int, Chain], registered: Mapping[tuple[int, str], Location]
) -> dict[str, Location]:
    """User line that registered each parameter, by its first dotted name; its module's line where that is not known."""
    names = first_names(model)
    found: dict[str, Location] = {}
    for module in model.modules():
        for name, tensor in module._parameters.items():
            if tensor is None or names[id(tensor)] in found:
                continue
            place = registered.get((id(module), name))
            chain = chains.get(id(module), ())
            if place is not None or chain:
                found[names[id(tensor)]] = place or chain[0]
    return found


def element_count(model: nn.Module) -> int:
    """Elements of all parameters and buffers, shared ones once."""
    tensors: dict[int, torch.Tensor] = {id(t): t for t in [*model.parameters(), *model.buffers()]}
    return sum(tensor.numel() for tensor in tensors.values())
