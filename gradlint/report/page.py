"""A rule's page, as Markdown: the same text as in the documentation."""

import inspect
from collections.abc import Sequence

import msgspec

from gradlint.api import Rule

HOME = "https://pypi.org/project/torch-gradlint/"
"""Where gradlint is to be found."""


def help_uri(rule: Rule) -> str:
    """Address of a rule of gradlint's own pack; a stranger's pack may live anywhere, and its page is in the report."""
    return f"{HOME}#{rule.code}" if type(rule).__module__.startswith("gradlint_rules.") else ""


def page(rule: Rule) -> str:
    """Title, summary, level, the rule's own docstring, and its first examples."""
    text = inspect.cleandoc(type(rule).__doc__ or "")
    head = f"# {rule.code} {rule.name}\n\n{rule.summary}\n\nLevel: {rule.level}\n\n{text}\n"
    shown = (("Example", rule.INVALID), ("Healthy twin", rule.VALID))
    return head + "".join(_example(title, examples[0]) for title, examples in shown if examples)


def _example(title: str, source: str) -> str:
    return f"\n## {title}\n\n```python\n{source.strip()}\n```\n"


def overview(rules: Sequence[Rule]) -> str:
    """One line per rule."""
    width = max((len(rule.name) for rule in rules), default=0)
    lines = [
        f"{rule.code}  {rule.name:<{width}}  {rule.summary}" + ("" if rule.level == "stable" else f" ({rule.level})")
        for rule in rules
    ]
    return "".join(f"{line}\n" for line in lines)


def rules_json(rules: Sequence[Rule]) -> str:
    """A JSON list with code, name, summary, level and page of each rule."""
    listed = [
        {"code": rule.code, "name": rule.name, "summary": rule.summary, "level": rule.level, "page": page(rule)}
        for rule in rules
    ]
    return msgspec.json.format(msgspec.json.encode(listed), indent=2).decode() + "\n"
