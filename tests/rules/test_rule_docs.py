"""`docs/rules/` holds the page of every rule, word for word as `gradlint rule` prints it.

To write the pages anew: `python tests/rules/test_rule_docs.py`.
"""

from pathlib import Path

import gradlint_rules
from gradlint.report.page import page

FOLDER = Path(__file__).parents[2] / "docs" / "rules"
PAGES = {f"{rule.code}-{rule.name}.md": page(rule()) for rule in gradlint_rules.RULES}


def test_the_pages_are_those_of_the_rules() -> None:
    assert {file.name: file.read_text() for file in FOLDER.glob("*.md")} == PAGES


if __name__ == "__main__":
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in PAGES.items():
        (FOLDER / name).write_text(text)
