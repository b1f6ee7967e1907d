"""What hangs on a model below its own attributes: caches in dictionaries, lists, sets and plain objects."""

import sys
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

_DEEPEST = 8
_MOST = 20_000
"""Objects that are looked at; beyond them and below that depth a forward's traces stay."""
_FOREIGN = (sys.stdlib_module_names | {"torch"}) - {"types", "argparse", "collections"}
"""Packages whose objects are not a model's own (loggers, locks, compilers); modules of torch are."""
_OF_EVERY_MODULE = frozenset(nn.Module().__dict__)


class Holdings:
    """Containers and plain objects that are reachable from modules' attributes, with what they hold at first."""

    def __init__(self, modules: Iterable[nn.Module], *, tables: bool = True) -> None:
        """`tables`: also what every module has: parameters, submodules, hooks."""
        modules = list(modules)
        self.tensors: list[torch.Tensor] = []
        """Tensors that no module has registered."""
        self.hidden: list[nn.Module] = []
        """Modules that no module has registered."""
        self._seen = {id(module) for module in modules}
        self._kept: list[tuple[_Contents | _Attributes, Any]] = []
        level: list[Any] = []
        for module in modules:
            own = module.__dict__
            level += [value for name, value in own.items() if name not in _OF_EVERY_MODULE]
            if tables:
                self._keep_tables(own)
        registered = [table for module in modules for table in (module._parameters, module._buffers)]
        self._seen.update(id(tensor) for table in registered for tensor in table.values())
        self._left = _MOST
        for _ in range(_DEEPEST):
            level = [inside for value in level for inside in self._look(value)]

    def restore(self) -> None:
        """Refill whatever holds other objects than it did."""
        for keeper, held in self._kept:
            if _identities(keeper.held()) != _identities(held):
                keeper.refill(held)

    def _keep_tables(self, own: dict[str, Any]) -> None:
        for name in _OF_EVERY_MODULE & own.keys():
            base = _base(type(own[name]))
            if base is not None and id(own[name]) not in self._seen:
                self._keep(_Contents(own[name], base))

    def _keep(self, keeper: "_Contents | _Attributes") -> list[Any]:
        held = keeper.held()
        self._kept.append((keeper, held))
        return held

    def _look(self, value: Any) -> list[Any]:
        """Keep what a value holds, and tell that."""
        kind = type(value)
        if id(value) in self._seen or kind in (int, float, str, bool, bytes, type(None)) or not self._left:
            return []
        if issubclass(kind, tuple):
            return list(tuple.__iter__(value))
        base = _base(kind)
        if issubclass(kind, torch.Tensor):
            self.tensors.append(value)
        elif issubclass(kind, nn.Module):
            self.hidden.append(value)
        elif base is None and (issubclass(kind, type) or kind.__module__.partition(".")[0] in _FOREIGN):
            return []
        self._seen.add(id(value))
        self._left -= 1
        if issubclass(kind, torch.Tensor):
            return []
        inside: list[Any] = []
        if base is not None:
            listed = self._keep(_Contents(value, base))
            inside += [item[1] for item in listed] if issubclass(base, dict) else listed
        if base is None or kind is not base:
            inside += [item[1] for item in self._keep(_Attributes(value))]
        return inside


def _base(kind: type) -> type | None:
    """The container that a type is built on, whose own methods are safe to call whatever the type overrides."""
    return next((base for base in (OrderedDict, dict, list, set, deque) if issubclass(kind, base)), None)


class _Contents:
    """The items of a container."""

    def __init__(self, container: Any, base: Any) -> None:
        self._container = container
        self._base = base

    def held(self) -> list[Any]:
        return list(self._base.items(self._container) if issubclass(self._base, dict) else self._iterated())

    def refill(self, held: list[Any]) -> None:
        self._base.clear(self._container)
        fill = self._base.extend if issubclass(self._base, list | deque) else self._base.update
        fill(self._container, held)

    def _iterated(self) -> Any:
        return self._base.__iter__(self._container)


class _Attributes:
    """The attributes of an object, in its `__dict__` or its slots."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing
        slots = (vars(kind).get("__slots__", ()) for kind in type(thing).__mro__)
        names = (name for slot in slots for name in ((slot,) if isinstance(slot, str) else slot))
        self._slots = tuple(name for name in names if not name.startswith("__"))

    def held(self) -> list[Any]:
        table = self._table()
        return [*table.items(), *((name, value) for name in self._slots if (value := self._slot(name)) is not _EMPTY)]

    def refill(self, held: list[Any]) -> None:
        table, then = self._table(), dict(held)
        for name in self._slots:
            if name in then:
                object.__setattr__(self._thing, name, then.pop(name))
            elif self._slot(name) is not _EMPTY:
                object.__delattr__(self._thing, name)
        table.clear()
        table.update(then)

    def _table(self) -> dict[str, Any]:
        try:
            table = object.__getattribute__(self._thing, "__dict__")
        except AttributeError:
            return {}
        return table if isinstance(table, dict) else {}

    def _slot(self, name: str) -> Any:
        try:
            return object.__getattribute__(self._thing, name)
        except AttributeError:
            return _EMPTY


_EMPTY = object()


def _identities(items: list[Any]) -> list[tuple[int, ...]]:
    return [tuple(map(id, item)) if type(item) is tuple else (id(item),) for item in items]
