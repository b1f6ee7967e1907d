"""Whatever a user's file says in names, messages and source lines: documents stay documents, and nothing is steered."""

import json as stdlib_json
import re
import unicodedata
from collections.abc import Callable
from importlib import import_module
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gradlint.cli.formats import FORMATS
from gradlint.core.report import Report
from gradlint.report.markup import prose
from gradlint.report.style import Style

HOSTILE = (
    "\x1b[31m\x00\x07\x08\x7f\x85\x9b2J\r\n::error::owned\n::stop-commands::x\n##[error]x\u2028\u202e\ud800\udcff\ufffe"
    " ]]>&amp;<script>alert(1)</script></details> | ``` `a` [x](http://evil.example) www.evil.example \\| \\"
    " @team #1 !2 a@b.example %0A%25 'q' \"q\" *b* _i_ ~~~ <!-- -->\n# h\n- l\n> q\n---\n```\n/close\n\n    code\t."
)
OURS = {"<code>", "</code>"}
BLOCKS = re.compile(r"<details><summary>[^<>]*(<code>[^<>]*</code>[^<>]*)*</summary>\n|</details>\n")
Say = Callable[[str], Report]
anything = st.text(st.characters(exclude_categories=[])) | st.text(
    "`|\\@<>&#[]()!*_~\n\r\x1b\u2028\ud800 a:/-", max_size=40
)


def render(name: str, report: Report, source: str) -> str:
    text = FORMATS[name](report, Style(source=lambda path, line: source, show_skipped=True, verbose=True))
    text.encode("utf-8")
    return text


def is_harmless(text: str) -> bool:
    categories = {unicodedata.category(character) for character in set(text) - {"\n", "\t"}}
    directions = {unicodedata.bidirectional(character) for character in set(text)}
    overrides = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return categories.isdisjoint({"Cc", "Cs", "Zl", "Zp"}) and directions.isdisjoint(overrides)


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_that_steers_a_terminal_is_in_any_format(name: str, say: Say) -> None:
    text = render(name, say(HOSTILE), HOSTILE)
    assert "owned" in text
    assert is_harmless(text)


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in strings(part)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", ["json", "sarif", "gitlab"])
def test_nor_in_what_the_json_formats_mean(name: str, say: Say) -> None:
    found = strings(stdlib_json.loads(render(name, say(HOSTILE), HOSTILE)))
    assert all(is_harmless(text) for text in found)


@settings(deadline=None, max_examples=60)
@given(text=anything)
@pytest.mark.parametrize("name", ["json", "sarif", "gitlab"])
def test_json_parses_whatever_is_said(name: str, text: str, say: Say) -> None:
    document = stdlib_json.loads(render(name, say(text), text))
    assert document


@settings(deadline=None, max_examples=60)
@given(text=anything)
def test_json_lines_parse_one_by_one_whatever_is_said(text: str, say: Say) -> None:
    lines = render("json-lines", say(text), text).splitlines()
    assert [stdlib_json.loads(line)["type"] for line in lines] == (
        ["finding", "finding", "model", "suppressed", "skipped", "skipped", "skipped", "summary"]
    )


@settings(deadline=None, max_examples=60)
@given(text=anything)
def test_xml_parses_whatever_is_said(text: str, say: Say) -> None:
    root = ElementTree.fromstring(render("junit", say(text), text))
    assert len(list(root.iter("testcase"))) >= 1
    assert {element.tag for element in root.iter()} <= (
        {"testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"}
    )


def obeyed(text: str) -> list[str]:
    """The commands that a runner of GitHub would obey; `##[…]` anywhere in a line is one, too."""
    found, stopped = [], ""
    for line in text.splitlines():
        if stopped:
            stopped = "" if line.strip() == f"::{stopped}::" else stopped
        elif line.strip().startswith("::stop-commands::"):
            stopped = line.strip().removeprefix("::stop-commands::")
        elif line.strip().startswith("::"):
            found.append(line.strip().split(" ")[0].strip(":"))
        elif "##[" in line:
            found.append(line)
    assert not stopped
    return found


@settings(deadline=None, max_examples=60)
@given(text=anything)
def test_github_obeys_no_command_of_a_stranger(text: str, say: Say) -> None:
    assert obeyed(render("github", say(text), text)) == ["error", "warning", "error"]


def test_github_obeys_no_command_of_a_hostile_file(say: Say) -> None:
    text = render("github", say(HOSTILE), HOSTILE)
    assert obeyed(text) == ["error", "warning", "error"]
    first = text.splitlines()[0]
    properties = first.removeprefix("::error ").partition("::")[0].split(",")
    assert [part.partition("=")[0] for part in properties] == ["title", "file", "line", "col", "endColumn"]
    assert all(":" not in part and "%" not in re.sub("%(25|0A|0D|3A|2C)", "", part) for part in properties)


def tokens(text: str) -> list[Token]:
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    return [token for block in parsed for token in (block, *(block.children or ()))]


def check_markdown(text: str) -> None:
    found = tokens(text)
    assert {token.type for token in found}.isdisjoint(
        {"link_open", "image", "blockquote_open", "hr", "code_block", "em_open"}
    )
    assert [token.content for token in found if token.type == "heading_open"] == [""]
    assert {token.content for token in found if token.type == "html_inline"} <= OURS
    assert all(BLOCKS.fullmatch(token.content) for token in found if token.type == "html_block")
    assert sum(1 for token in found if token.type == "tr_open") == 3
    assert sum(1 for token in found if token.type in ("td_open", "th_open")) == 15
    outside = [token.content for token in found if token.type == "text"]
    assert not any(re.search(r"[@#!~]\w|://|www\.", text) for text in outside if not text.startswith("\ue000"))


@settings(deadline=None, max_examples=100)
@given(text=anything)
def test_markdown_is_not_broken_out_of(text: str, say: Say) -> None:
    check_markdown(render("markdown", say(text), text).replace("<code>", "<code>\ue000"))


def test_markdown_of_a_hostile_file(say: Say) -> None:
    check_markdown(render("markdown", say(HOSTILE), HOSTILE).replace("<code>", "<code>\ue000"))


def test_prose_reads_as_it_was_written() -> None:
    said = "a|b `c` <d> @team #1 *e* _f_ [g](h) \\ & ~i~ $j$"
    (paragraph,) = [token for token in tokens(f"**x** {prose(said)}") if token.type == "inline"]
    shown = "".join(child.content for child in paragraph.children or ())
    assert shown.replace("\u200b", "") == f"x {said}"
    assert "@\u200bteam" in shown and "#\u200b1" in shown


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_one_function_of_one_file(name: str, report: Report, style: Style) -> None:
    python_name = name.replace("-", "_")
    function = getattr(import_module(f"gradlint.report.{python_name}"), python_name)
    assert function(report, style) == FORMATS[name](report, style)
