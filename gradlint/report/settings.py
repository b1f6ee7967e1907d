"""The settings in force, as TOML with a comment that says where each came from."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gradlint.config import KEYS, Config
from gradlint.core.toml import table, written


def settings(config: Config) -> str:
    """One line per key."""
    values = msgspec.to_builtins(config)
    lines = []
    for key in KEYS:
        value = values[key]
        origin = config.origins.get(key, "default")
        lines.append(f"# {key} is not set" if value is None else f"{key} = {written(value, _table)}  # {origin}")
    return "".join(f"{line}\n" for line in lines)


def _table(values: Mapping[str, Any]) -> str:
    """An inline table; what is not set is left out."""
    inner = {key: written(value, _table) for key, value in values.items() if value is not None}
    return table(inner) if inner else "{}"
