"""The published JSON schema of the configuration, beside what the configuration itself takes."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import tomli

from gradlint.cli import main
from gradlint.config import KEYS, convert, reject_unknown
from gradlint.core.errors import UsageError
from gradlint.report.config_schema import config_schema

DOCS = Path(__file__).parents[2] / "docs"
PAGES = "".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))
OURS = ("[tool.gradlint", "[[tool.gradlint", "#:schema")
EXAMPLES = [text for text in re.findall(r"```toml\n(.*?)```", PAGES, re.DOTALL) if text.startswith(OURS)]
VALID = [
    "",
    'fail-on = "never"\ntimeout = 5\njobs = 2\nrespect-gitignore = false\nall-modules = true',
    'targets = [{ target = "m.py:N", inputs = [[4, 8], { dict = { x = [2, 3] } }] }]',
    "[rules.saturating-stack]\nanything = 1",
    '[[overrides]]\nrule = "GL101"\nreason = "so"\nmodel = "N"',
]
INVALID = [
    "tiemout = 5",
    'fail-on = "never ever"',
    "timeout = 0",
    "jobs = 1.5",
    'select = "GL101"',
    "[[targets]]\nargs = []",
    '[[targets]]\ntarget = "m.py:N"\ninputs = [[-1]]',
    'severity = { GL1 = "fatal" }',
    '[[overrides]]\nrule = "GL101"\nreason = "so"',
    "root = 'x'",
]


def test_the_published_schema_is_current() -> None:
    """`UPDATE_DOCS=1 python -m pytest tests/config/test_config_schema.py` writes it anew."""
    path = DOCS / "config-schema.json"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(config_schema(), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == config_schema()


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--schema"]) == 0
    assert capsys.readouterr().out == config_schema()


def test_every_key_is_there_and_described() -> None:
    schema = json.loads(config_schema())
    assert tuple(schema["properties"]) == KEYS
    assert all(value["description"].endswith(".") for value in schema["properties"].values())
    assert schema["additionalProperties"] is False
    assert '"null"' not in config_schema()
    for name in re.findall(r'"#/\$defs/(\w+)"', config_schema()):
        assert name in schema["$defs"]


def taken(table: dict[str, Any]) -> bool:
    """Whether the configuration itself takes it."""
    try:
        reject_unknown(table, "x", "")
        convert(table, "x", "")
    except UsageError:
        return False
    return "root" not in table


@pytest.mark.parametrize("text", [*VALID, *INVALID, *EXAMPLES])
def test_the_schema_says_what_the_configuration_says(text: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    table = tomli.loads(text)
    table = table.get("tool", {}).get("gradlint", table)
    validator = jsonschema.Draft202012Validator(json.loads(config_schema()))
    assert validator.is_valid(table) == taken(table) == (text not in INVALID)
