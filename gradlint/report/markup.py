"""Text of strangers inside Markdown: it stays text, whatever it says, and calls nobody."""

import re

from gradlint.core.text import tame
from gradlint.report.style import plain

_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~$!&@]")
_CALLS = re.compile(r"(?<=[@#!~$%&^])(?=[\w\"])|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
_APART = "\u200b"
"""It has no width, and keeps `@name`, `#1` and addresses from becoming mentions, references and links."""
_BACKTICKS = re.compile(r"`+")


def prose(text: str) -> str:
    """Text within a sentence or a table cell, never at the beginning of a block."""
    return _entities(_CALLS.sub(_APART, plain(text))).replace(_APART, "&#8203;")


def code(text: str) -> str:
    """Text in the font of code; a tag, since no number of backticks is safe in a table."""
    return f"<code>{_entities(plain(text))}</code>"


def fenced(text: str, language: str, indent: str = "") -> str:
    """Lines of code in a block whose fence is longer than any in them."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join(indent + line for line in (f"{fence}{language}", *tame(text).split("\n"), fence))


def _entities(text: str) -> str:
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", text)
