"""The examples in docs/output-formats.md are real output: run the check again and compare, numbers aside.

`UPDATE_DOCS=1 python -m pytest tests/packaging/test_output_formats_page.py` writes them anew.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gradlint.cli.formats import FORMATS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "output-formats.md"
EXAMPLES = {"concise": "text", "json": "json", "json-lines": "json", "sarif": "json", "github": "text"}
EXAMPLES |= {"gitlab": "json", "junit": "xml", "markdown": "markdown"}
VARYING = re.compile(r"gradlint-[0-9a-f]{32}|[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
"""Figures differ a little from one CPU to another, and with them the hash of the text that holds them."""


def marks(name: str) -> re.Pattern[str]:
    begin, end = f"<!-- example:{name}:begin -->\n", f"<!-- example:{name}:end -->"
    return re.compile(f"({re.escape(begin)})(.*?)({re.escape(end)})", re.DOTALL)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each format says of the example."""
    folder = tmp_path_factory.mktemp("reports")
    command = [str(Path(sys.executable).with_name("gradlint")), "check", "fixtures/ailing/sigmoid_mlp.py", "--isolated"]
    reports = [part for name in EXAMPLES for part in ("--report", f"{name}={folder / name}")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    done = subprocess.run([*command, *reports], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in EXAMPLES}
    texts["sarif"] = json.dumps(json.loads(texts["sarif"])["runs"][0]["results"], indent=2, ensure_ascii=False) + "\n"
    return texts


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_what_the_command_prints(name: str, printed: dict[str, str]) -> None:
    fence = "````" if name == "markdown" else "```"
    block = f"{fence}{EXAMPLES[name]}\n{printed[name]}{fence}\n"
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_DOCS"):
        text = marks(name).sub(lambda match: match[1] + block + match[3], text)
        PAGE.write_text(text, encoding="utf-8")
    found = marks(name).search(text)
    assert found is not None, f"the page has lost the marks around its example of {name}"
    assert VARYING.sub("#", found[2]) == VARYING.sub("#", block)


def test_every_format_has_a_section() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(FORMATS)
    assert all(f"| `{name}` |" in text for name in FORMATS)
