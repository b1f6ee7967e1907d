"""What a guess is made of beside numbers: configuration objects, and modules that are built when they are needed."""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gradlint.core.toml import quoted, table, written


@dataclass(frozen=True, slots=True)
class Deferred:
    """An argument that is made where the model is built: under the same guard, recorded like the rest of it."""

    make: Callable[[], Any]
    described: str
    owner: Callable[..., Any] | None = None
    """What it is made by, where that takes guesses too."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Those guesses."""

    @classmethod
    def call(cls, owner: Callable[..., Any], kwargs: Mapping[str, Any]) -> "Deferred":
        """A call whose arguments may be put off themselves."""
        shown = ", ".join(f"{name}={described(value)}" for name, value in kwargs.items())
        return cls(lambda: owner(**resolved(kwargs)), f"{owner.__name__}({shown})", owner, kwargs)

    def sizes(self) -> dict[str, Any]:
        """What it is made with, by name, inner calls first: outer names count where both have one."""
        inner = [value.sizes() for value in self.kwargs.values() if isinstance(value, Deferred)]
        return {name: value for known in (*inner, self.kwargs) for name, value in known.items()}


def resolved(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with everything made that was put off."""
    return {name: _made(value) for name, value in kwargs.items()}


def _made(value: Any) -> Any:
    if isinstance(value, Deferred):
        return value.make()
    return [_made(entry) for entry in value] if type(value) is list else value


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
    return written(value, lambda other: table({"expression": quoted(_expression(other))}))


def _expression(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else "…"


def asked_attributes(tree: ast.AST | None) -> frozenset[str]:
    """Attributes that code asks for with a default, or whether they are there: they need not be."""
    return frozenset(_optional(tree)) if tree is not None else frozenset()


def _optional(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str() as attribute), _]):
                yield attribute
            case ast.Call(func=ast.Name(id="hasattr"), args=[_, ast.Constant(value=str() as attribute)]):
                yield attribute
