"""What a stranger's file says cannot steer a terminal, nor break a document."""

import pytest

from gradlint.core.text import tame, tamed


@pytest.mark.parametrize(
    "harmful",
    ["\x00", "\x1b", "\r", "\x07", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066", "\ud800", "\udcff", "\uffff"],
)
def test_harmful_characters_are_shown_as_replaced(harmful: str) -> None:
    assert tame(f"a{harmful}b") == "a�b"


@pytest.mark.parametrize("harmless", ["a\tb\nc", "a\u00a0b", "😀", "שלום", "\u200f", "é", "e\u0301", "→ −12.5"])
def test_other_characters_stay(harmless: str) -> None:
    assert tame(harmless) == harmless


def test_line_ends_of_windows_are_line_ends() -> None:
    assert tame("a\r\nb") == "a\nb"


def test_keys_and_values_of_documents() -> None:
    given = {"a\x1b": ["\x9b", {"b": ("\x00", 1, None, 2.5, True)}]}
    assert tamed(given) == {"a�": ["�", {"b": ["�", 1, None, 2.5, True]}]}
