"""The settings in force, as TOML with a comment that says where each came from."""

from typing import Any

import msgspec

from gradlint.config import KEYS, Config
from gradlint.core.toml import key as key_of


def settings(config: Config) -> str:
    """One line per key."""
    values = msgspec.to_builtins(config)
    lines = []
    for key in KEYS:
        value = values[key]
        origin = config.origins.get(key, "default")
        lines.append(f"# {key} is not set" if value is None else f"{key} = {_toml(value)}  # {origin}")
    return "".join(f"{line}\n" for line in lines)


def _toml(value: Any) -> str:
    """A value as TOML; tables inline, what is not set left out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = ", ".join(f"{key_of(key)} = {_toml(item)}" for key, item in value.items() if item is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return msgspec.json.encode(value).decode()
