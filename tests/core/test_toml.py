"""Lines of configuration that are written for users to paste."""

import pytest
import tomli

from gradlint.core.toml import key, quoted, table, target_entry


@pytest.mark.parametrize("text", ["model.py:Net", 'a"b\\c.py:Net', "über\x7f\n\t\x01.py:N", "", "日本"])
def test_what_is_written_reads_back(text: str) -> None:
    entry = target_entry(text, {"kwargs": table({"width": "8", "größe": quoted(text), "a b": "[1, 2]"})})
    (read,) = tomli.loads(entry)["tool"]["gradlint"]["targets"]
    assert read == {"target": text, "kwargs": {"width": 8, "größe": text, "a b": [1, 2]}}
    assert tomli.loads(f"{key(text)} = 1") == {text: 1}


def test_plain_ones_stay_plain() -> None:
    expected = '[[targets]]\ntarget = "model.py:Net"\nkwargs = { width = … }'
    assert target_entry("model.py:Net", {"kwargs": table({"width": "…"})}, name="targets") == expected
