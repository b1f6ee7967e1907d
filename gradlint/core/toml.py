"""Values and lines of configuration, ready to be pasted: the one writer of TOML."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

TARGETS = "tool.gradlint.targets"


def quoted(text: str) -> str:
    """A basic string of TOML: JSON's, but for one character that JSON lets stand."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """Bare where TOML allows it, quoted elsewhere."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def table(values: Mapping[str, str]) -> str:
    """An inline table of values that are TOML already, or dots to be filled in."""
    return f"{{ {', '.join(f'{key(name)} = {value}' for name, value in values.items())} }}"


def written(value: Any, other: Callable[[Any], str]) -> str:
    """A value as TOML; `other` writes what is neither a flag, a number, a text nor a list of such."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(item, other) for item in value)}]"
    return other(value)


def target_entry(target: str, said: Mapping[str, str], *, name: str = TARGETS) -> str:
    """How one model is built and fed.

    Args:
        target: as in `model.py:Net`.
        said: what is said of it by key, each value TOML already.
        name: of the table; `targets` in a file of gradlint's own.
    """
    lines = [f"[[{name}]]", f"target = {quoted(target)}", *(f"{what} = {value}" for what, value in said.items())]
    return "\n".join(lines)
