"""Classes for parameters that take a module, or a class of one: of the file, else of those beside it."""

import inspect
import re
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from torch import nn

from gradlint.building.guessing.reads import attributes_read, provided
from gradlint.building.guessing.siblings import imported, siblings_of
from gradlint.building.guessing.signature import required
from gradlint.discovery.arguments.usage import Usage, definition_of

_WHOLE = re.compile(r"(.*_)?(net|model|backbone|encoder|network|module|teacher|student)")
"""Names that say no more than that."""
_BLOCKS = ("Block", "Bottleneck", "Unit", "Layer", "Cell")
_TRIED = 6
"""Files that are imported in search of a class."""


def is_module_class(value: Any, apart: Any = None) -> TypeGuard[type[nn.Module]]:
    """Whether something is a user's class of modules that can be built and run."""
    if not isinstance(value, type) or not issubclass(value, nn.Module) or value is apart:
        return False
    return not value.__module__.startswith("torch.") and "forward" in dir(value) and not inspect.isabstract(value)


def class_for(name: str, usage: Usage, thing: Any, home: ModuleType, beside: int | None) -> type[nn.Module] | None:
    """A module class that a parameter's name, a check of its type, or what is read of it means; None: there is none.

    Args:
        name: the parameter.
        usage: how the code uses it.
        thing: the class or factory that takes it.
        home: the module of that.
        beside: which of those of the folder's other files to take that could be meant; None: they are not searched.
    """
    reads = attributes_read(name, definition_of(thing, {}), vars(home).get)
    classes = {key: value for key, value in vars(home).items() if is_module_class(value, thing)}
    for wanted in usage.classes:
        if wanted in classes:
            return classes[wanted]
    fitting = {key: value for key, value in classes.items() if _fits(value, name, reads)}
    close = [key for key in fitting if _is_close(key, name)]
    if close:
        return fitting[min(close, key=len)]
    if name == "block":  # of a ResNet
        return next((value for key, value in reversed(fitting.items()) if key.endswith(_BLOCKS)), None)
    if reads and fitting:
        return next(iter(fitting.values()))
    return None if beside is None else _beside(name, reads, home, beside)


def subclasses_named(base: Any, words: frozenset[str]) -> list[type[nn.Module]]:
    """Classes of the same file that derive from one, and that an error names: "must be a decoder"."""
    home = sys.modules.get(getattr(base, "__module__", ""))
    named = {word.lower() for word in words}
    known = vars(home).values() if home is not None and isinstance(base, type) else ()
    return [
        cls for cls in known if is_module_class(cls, base) and issubclass(cls, base) and cls.__name__.lower() in named
    ]


def _is_close(key: str, name: str) -> bool:
    words = name.lower().replace("_", "")
    return words in key.lower() or (len(key) > 4 and key.lower() in words)


def _fits(value: type[nn.Module], name: str, reads: frozenset[str]) -> bool:
    """Whether instances have what is read of the parameter; what wraps such a module itself is not meant."""
    return all(parameter.name != name for parameter in required(value)) and reads <= provided(value)


def _beside(name: str, reads: frozenset[str], home: ModuleType, place: int) -> type[nn.Module] | None:
    """A class of another file: close by name, or with all that is read, or what the folder's files are about."""
    if getattr(home, "__file__", None) is None:
        return None
    found = siblings_of(Path(str(home.__file__)).resolve(), reads)
    close = [sibling for sibling in found if _is_close(sibling.name, name)]
    telling = close if not reads and not _WHOLE.fullmatch(name) else [*close, *(s for s in found if s not in close)]
    likely = sorted((s for s in telling if reads or s in close or s.importers), key=lambda s: not s.names_all)
    classes = (imported(sibling) for sibling in likely[:_TRIED])
    fitting = list(islice((cls for cls in classes if is_module_class(cls) and _fits(cls, name, reads)), place + 1))
    return fitting[-1] if fitting else None
