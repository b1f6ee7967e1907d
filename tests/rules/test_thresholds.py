"""`docs/thresholds.md` shows the thresholds as they are in the code."""

import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path

from gradlint_rules import thresholds

DOCUMENT = Path(__file__).parents[2] / "docs" / "thresholds.md"


def in_the_code() -> dict[str, tuple[float, str]]:
    """Name → value and the string below it."""
    found: dict[str, tuple[float, str]] = {}
    body = ast.parse(inspect.getsource(thresholds)).body
    for statement, text in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            assert isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant), statement.target.id
            name = statement.target.id
            found[name] = (getattr(thresholds, name), " ".join(str(text.value.value).split()))
    return found


def in_the_document() -> dict[str, tuple[float, str]]:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", DOCUMENT.read_text(), flags=re.M)
    return {name: (float(value), text.strip()) for name, value, text in rows}


def test_document_and_code_agree() -> None:
    assert in_the_document() == in_the_code()


def test_every_threshold_says_which_rules_use_it_or_is_used() -> None:
    pack = Path(inspect.getfile(thresholds)).parent
    code = "\n".join(file.read_text() for file in pack.glob("*.py") if file.name != "thresholds.py")
    assert [name for name in in_the_code() if not re.search(rf"\b{name}\b", code)] == []
