"""Describe a live model that its owner hands over: nothing is built, nothing is changed."""

import inspect

from torch import nn

from gradlint.building.built import BuiltModel
from gradlint.building.describe import is_torch, module_infos, parameter_sites
from gradlint.building.laws import read_values
from gradlint.building.sites import Chain
from gradlint.core.location import Location


def adopt(model: nn.Module) -> BuiltModel:
    """A live model as the later stages take it: its parameters' own values, places as far as its classes' source tells.

    A module stands on the class line of the nearest module around it whose class has source outside torch.
    """
    chains: dict[int, Chain] = {}
    _place(model, (), chains, {})
    return BuiltModel(
        target=None,
        model=model,
        modules=module_infos(model, chains),
        parameter_sites=parameter_sites(model, chains, {}),
        values=read_values(model, {}),
        built="live",
        class_location=class_line(type(model)),
    )


def _place(module: nn.Module, around: Chain, chains: dict[int, Chain], known: dict[type, Location | None]) -> None:
    if id(module) in chains:
        return
    cls = type(module)
    if cls not in known:
        known[cls] = None if is_torch(module) else class_line(cls)
    own = known[cls]
    chains[id(module)] = chain = around if own is None else (own, *around)
    for child in module.children():
        _place(child, chain, chains, known)


def class_line(cls: type) -> Location | None:
    """The line of a class statement, where Python can find its source."""
    try:
        path = inspect.getsourcefile(cls)
        line = inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return None
    return Location(path, max(line, 1)) if path else None
