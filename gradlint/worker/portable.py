"""Values that JSON would bend on their way to the worker: tuples, infinities, keys that are no strings."""

import math
from dataclasses import replace
from typing import Any

from gradlint.core.target import Target


def portable(target: Target) -> Target:
    """The target with every argument that JSON cannot carry faithfully spelt out as `{"expression": "…"}`."""
    return replace(
        target,
        args=None if target.args is None else tuple(_carried(value) for value in target.args),
        kwargs=None if target.kwargs is None else {name: _carried(value) for name, value in target.kwargs.items()},
    )


def _carried(value: Any) -> Any:
    return value if _is_faithful(value) else {"expression": _spelt(value)}


def _is_faithful(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(_is_faithful(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_faithful(item) for key, item in value.items())
    return value is None or isinstance(value, bool | int | str)


def _spelt(value: Any) -> str:
    """Python source of a literal."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, tuple):
        return f"({''.join(f'{_spelt(item)}, ' for item in value)})"
    if isinstance(value, list):
        return f"[{', '.join(_spelt(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_spelt(key)}: {_spelt(item)}' for key, item in value.items())}}}"
    return repr(value)
