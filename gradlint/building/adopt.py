"""Describe a live model that its owner hands over: nothing is built, nothing is changed."""

from torch import nn

from gradlint.building.built import BuiltModel
from gradlint.building.describe import module_infos, parameter_sites
from gradlint.building.laws import read_values
from gradlint.building.live_sites import Parts, class_line, parts_of
from gradlint.building.sites import Chain
from gradlint.core.location import Location


def adopt(model: nn.Module) -> BuiltModel:
    """A live model as the later stages take it: its parameters' own values, places as far as its classes' source tells.

    A module stands where the class that holds it assigns it; where that cannot be read, on the line of that class.
    """
    places = _Places()
    places.visit(model, (), {}, "")
    return BuiltModel(
        target=None,
        model=model,
        modules=module_infos(model, places.chains),
        parameter_sites=parameter_sites(model, places.chains, places.parameters),
        values=read_values(model, {}),
        built="live",
        class_location=class_line(type(model)),
    )


class _Places:
    """Walks the module tree, knowing the innermost class around whose source tells where its parts were made."""

    def __init__(self) -> None:
        self.chains: dict[int, Chain] = {}
        self.parameters: dict[tuple[int, str], Location] = {}
        self._classes: dict[type, tuple[Location | None, Parts]] = {}

    def visit(self, module: nn.Module, around: Chain, parts: Parts, path: str) -> None:
        """Place a module and what it holds.

        Args:
            module: the module.
            around: the line of the innermost class with source, and the chain of the module of that class.
            parts: the expressions of that class.
            path: where the module stands inside it.
        """
        if id(module) in self.chains:
            return
        place = _nearest(parts, path)
        chain = (place, *around[1:]) if place is not None else around
        line, own_parts = self._class(type(module))
        self.chains[id(module)] = chain or ((line,) if line is not None else ())
        if line is not None:
            around, parts, path = (line, *chain), own_parts, ""
        for name in list(module._parameters.keys()):  # a scripted module's table cannot be iterated
            if line is not None and name in own_parts:
                self.parameters[id(module), name] = own_parts[name]
        for name, child in module._modules.items():
            if child is not None:
                self.visit(child, around, parts, f"{path}.{name}" if path else name)

    def _class(self, cls: type) -> tuple[Location | None, Parts]:
        if cls not in self._classes:
            line = None if cls.__module__.partition(".")[0] == "torch" else class_line(cls)
            self._classes[cls] = (line, parts_of(cls) if line is not None else {})
        return self._classes[cls]


def _nearest(parts: Parts, path: str) -> Location | None:
    """The expression of a part, or of the part around it (`body` for `body.3` of `nn.Sequential(*layers)`)."""
    while path:
        if path in parts:
            return parts[path]
        path = path.rpartition(".")[0]
    return None
