"""What a callable asks for."""

import inspect
from typing import Any


def signature_of(thing: Any) -> list[inspect.Parameter]:
    """Parameters of a callable; none where they are not known."""
    try:
        return list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return []


def required(thing: Any) -> list[inspect.Parameter]:
    """Parameters without a default."""
    varying = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in signature_of(thing) if p.default is p.empty and p.kind not in varying]


def positional(thing: Any) -> tuple[str, ...]:
    """Names of the parameters that can be given by position."""
    return tuple(p.name for p in signature_of(thing) if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
