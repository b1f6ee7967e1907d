"""What a stranger's file says, made safe to print: in a terminal, in XML, in a line-based log."""

import re
from typing import Any

_HARMFUL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, all but tab and newline
    "\u2028\u2029"  # separators that some readers take for the end of a line
    "\u202a-\u202e\u2066-\u2069"  # overrides that show text in another order than it is written in
    "\ud800-\udfff\ufffe\uffff"  # what UTF-8 or XML cannot hold
    "]"
)


def tame(text: str) -> str:
    """Text that steers no terminal and that UTF-8, JSON and XML can hold; its tabs and newlines are kept."""
    return _HARMFUL.sub("�", text.replace("\r\n", "\n"))


def tamed(value: Any) -> Any:
    """Plain dictionaries and lists with every text in them tamed, keys included."""
    if isinstance(value, str):
        return tame(value)
    if isinstance(value, list | tuple):
        return [tamed(item) for item in value]
    if isinstance(value, dict):
        return {tamed(key): tamed(item) for key, item in value.items()}
    return value
