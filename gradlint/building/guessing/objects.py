"""What a guess is made of beside numbers: configuration objects, and modules that are built when they are needed."""

import ast
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gradlint.building.guessing.usage import asked_attributes


@dataclass(frozen=True, slots=True)
class Deferred:
    """An argument that is made where the model is built: under the same guard, recorded like the rest of it."""

    make: Callable[[], Any]
    described: str


class GuessedConfig:
    """Stands for a configuration object that nobody has defined: its attributes are guessed when they are read."""

    def __init__(self, parameter: str, tree: ast.AST | None, value_of: Callable[[str], Any]) -> None:
        self.__dict__.update(_parameter=parameter, _value_of=value_of, _optional=asked_attributes(tree))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in self.__dict__["_optional"] or name in ("keys", "items", "to_dict", "copy"):
            raise AttributeError(f"'{self.__dict__['_parameter']}' has no attribute '{name}'")
        value = self.__dict__["_value_of"](f"{self.__dict__['_parameter']}.{name}")
        self.__dict__[name] = value
        return value

    def __getitem__(self, name: str) -> Any:
        if not isinstance(name, str):
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.__dict__ if not name.startswith("_"))

    def get(self, name: str, default: Any = None) -> Any:
        """As a dictionary's: what has a default need not be guessed."""
        return self.__dict__.get(name, default)

    def __repr__(self) -> str:
        known = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self)
        return f"Config({known})"


def described(value: Any) -> str:
    """A guessed value for people."""
    if isinstance(value, Deferred):
        return value.described
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, tuple):
        return f"({', '.join(map(described, value))}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(map(described, value))}]"
    return repr(value)


def toml(value: Any) -> str:
    """A guessed value as it is written in `pyproject.toml`; dots where that takes an expression of the user's."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return f'{{ expression = "{value.__name__ if isinstance(value, type) else "…"}" }}'
