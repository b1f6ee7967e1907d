"""Every rule fires on its own INVALID examples, keeps quiet on its VALID ones, and has a complete page."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gradlint_rules
from gradlint.api import Rule

INVALID = [(rule, i) for rule in gradlint_rules.RULES for i in range(len(rule.INVALID))]
VALID = [(rule, i) for rule in gradlint_rules.RULES for i in range(len(rule.VALID))]
WITHOUT_EXAMPLES = {"GL001", "GL002", "GL004"}  # reported by the engine: there is no model to run a rule on


WITHOUT_CLAIM = {"GL003"}  # says how much of the flow is known: nothing that could be measured


def _name(case: Any) -> str:
    return case.code if isinstance(case, type) else str(case)


@pytest.mark.parametrize(("rule", "index"), INVALID, ids=_name)
def test_fires_on_invalid(judge: Callable[..., Any], rule: type[Rule], index: int) -> None:
    judged = judge(rule.INVALID[index])
    assert rule.code in judged.codes, judged.near_misses
    finding = next(f for f in judged.findings if f.code == rule.code)
    assert finding.message and finding.predicted["summary"]
    assert finding.location.line >= 1 and finding.location.path.endswith("model.py")
    assert finding.claim is not None or finding.code in WITHOUT_CLAIM


@pytest.mark.parametrize(("rule", "index"), VALID, ids=_name)
def test_quiet_on_valid(judge: Callable[..., Any], rule: type[Rule], index: int) -> None:
    judged = judge(rule.VALID[index])
    assert rule.code not in {finding.code for finding in judged.raw}


@pytest.mark.parametrize("rule", gradlint_rules.RULES, ids=_name)
def test_the_page_is_complete(rule: type[Rule]) -> None:
    page = inspect.cleandoc(rule.__doc__ or "")
    for heading in ("## What it does", "## Why is this bad?", "## Known limits", "## Use instead", "## Options"):
        assert heading in page
    assert rule.summary and rule.name and rule.level in ("stable", "preview", "pedantic")
    assert rule.code in WITHOUT_EXAMPLES or (rule.INVALID and rule.VALID)


def test_codes_and_names_are_unique() -> None:
    codes = [rule.code for rule in gradlint_rules.RULES]
    names = [rule.name for rule in gradlint_rules.RULES]
    assert len(set(codes)) == len(codes) == len(set(names))
    assert codes == sorted(codes)


def test_one_rule_one_file_under_150_lines() -> None:
    files = [Path(inspect.getfile(rule)) for rule in gradlint_rules.RULES]
    assert len(set(files)) == len(files)
    assert all(file.stem == rule.name.replace("-", "_") for file, rule in zip(files, gradlint_rules.RULES, strict=True))
    assert {file.name: n for file in files if (n := len(file.read_text().splitlines())) >= 150} == {}


def test_the_pack_imports_only_the_public_api() -> None:
    folder = Path(inspect.getfile(gradlint_rules)).parent
    for file in folder.glob("*.py"):
        imported = [n.module or "" for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.ImportFrom)]
        ours = {name for name in imported if name.split(".")[0] == "gradlint"}
        assert ours <= {"gradlint.api"}, file.name


@pytest.mark.parametrize(("rule", "index"), INVALID, ids=_name)
def test_remedies_say_what_they_leave_or_give(judge: Callable[..., Any], rule: type[Rule], index: int) -> None:
    for finding in judge(rule.INVALID[index]).raw:
        for remedy in finding.remedies:
            assert remedy.predicted.startswith(("leaves ", "gives ")), f"{finding.code}: {remedy.predicted}"
