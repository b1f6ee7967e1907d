"""What stands in for a namespace, a configuration object or a dictionary of settings that another file makes."""

import json
from typing import Any


class Settings(dict[str, Any]):
    """Read by attribute as well as by key: what a model does with its settings cannot be known beforehand."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__({key: _settings(value) for key, value in values.items()})
        self.__dict__ = self


def _settings(value: Any) -> Any:
    if isinstance(value, dict):
        return Settings(value)
    if isinstance(value, list | tuple):
        return type(value)(_settings(item) for item in value)
    return value


def spelt(values: dict[str, Any]) -> str:
    """An expression that makes `Settings` of the values, wherever it is evaluated.

    Raises:
        ValueError: where a value is not finite.
    """
    json.dumps(values, allow_nan=False)
    return f"__import__({__name__!r}, fromlist=['Settings']).Settings({values!r})"


def changed(thing: Any, values: dict[str, Any]) -> Any:
    """A configuration object with attributes that a script assigns to it one by one."""
    for name, value in values.items():
        setattr(thing, name, value)
    return thing


CHANGED = f"__import__({__name__!r}, fromlist=['changed']).changed"
"""An expression for that function, wherever it is evaluated."""
