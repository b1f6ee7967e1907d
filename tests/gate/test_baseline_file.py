"""The file of known findings: how it is written, read and refused."""

import json
import stat
from pathlib import Path

import pytest

from gradlint.core.errors import UsageError
from gradlint.gate.baseline import Baseline, Entry, read_baseline, write_baseline

ONE = Entry("net.py", "Net", "body", "GL101", "0123456789abcdef", 2)
TWO = Entry("a/other.py", "Other", "", "GL001", "fedcba9876543210")
TEXT = """{
"version": 1,
"findings": [
{"path": "a/other.py", "model": "Other", "module": "", "rule": "GL001", "hash": "fedcba9876543210", "count": 1},
{"path": "net.py", "model": "Net", "module": "body", "rule": "GL101", "hash": "0123456789abcdef", "count": 2},
null
]
}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gradlint-baseline.json"


def test_one_sorted_line_per_entry_in_valid_json(path: Path) -> None:
    assert write_baseline(path, [ONE, TWO])
    assert path.read_text() == TEXT
    assert json.loads(TEXT)["version"] == 1
    assert read_baseline(path) == Baseline(path.resolve(), (TWO, ONE), (4, 5))


def test_writing_the_same_again_leaves_the_file_alone(path: Path) -> None:
    write_baseline(path, [ONE])
    before = path.stat()
    assert not write_baseline(path, [ONE])
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_writing_keeps_mode_and_links_and_leaves_nothing_beside(path: Path, tmp_path: Path) -> None:
    write_baseline(path, [ONE])
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    write_baseline(link, [TWO])
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert read_baseline(link).entries == (TWO,)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gradlint-baseline.json", "link.json"]


def test_what_cannot_be_written_is_told_and_leaves_what_was_there(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the baseline"):
        write_baseline(tmp_path / "no" / "such.json", [ONE])
    path.mkdir()
    file = tmp_path / "file"
    file.touch()
    for bad in (path, file / "known.json", tmp_path / ("x" * 400)):
        with pytest.raises(UsageError, match="cannot write the baseline"):
            write_baseline(bad, [ONE])
        with pytest.raises(UsageError, match="baseline"):
            read_baseline(bad)
    file.unlink()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_line_ends_order_and_spelling_of_paths_do_not_matter(path: Path) -> None:
    lines = TEXT.replace("net.py", "./sub/../net.py").splitlines()
    lines[3], lines[4] = lines[4], lines[3]
    path.write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    assert read_baseline(path).entries == (ONE, TWO)


def test_formatted_by_another_tool_and_without_the_null(path: Path) -> None:
    document = json.loads(TEXT)
    document["findings"].pop()
    path.write_text(json.dumps(document, indent=4))
    assert read_baseline(path).entries == (TWO, ONE)
    assert read_baseline(path).lines == (9, 17)


@pytest.mark.parametrize(
    ("text", "line", "message", "remedy"),
    [
        ("", 1, "not valid JSON", "write it anew"),
        (TEXT[:-20], 5, "not valid JSON", "write it anew"),
        ("[]", 1, 'expected {"version": 1', "write it anew"),
        ('{"version": true, "findings": []}', 1, 'expected {"version": 1', "write it anew"),
        (TEXT.replace('"version": 1', '"version": 2'), 1, "is of version 2, expected 1", "upgrade gradlint"),
        ('{"version": 1, "findings": {}}', 1, '"findings": expected a list', "write it anew"),
        ('{"version": 1, "finding": []}', 1, 'unknown key "finding"', "write it anew"),
        (TEXT.replace('"count": 2', '"count": 0'), 5, "findings[1].count: expected `int` >= 1", "mend that line"),
        (TEXT.replace('"rule": "GL101", ', ""), 5, "findings[1]: object missing required field `rule`", "mend that"),
        (TEXT.replace('"model": "Net"', '"modle": "Net"'), 5, "unknown field `modle`", "mend that line"),
        (TEXT.replace('"Net"', '"\\ud800"'), 5, "surrogates not allowed", "mend that line"),
        (TEXT.replace("null", "null, null"), 1, "findings[2]: expected `object`, got `null`", "mend that line"),
        (TEXT.replace("null", "<<<<<<< ours\nnull"), 6, "marks of a merge conflict", "keep the lines of both sides"),
        ("[" * 100_000, 1, "nested too deeply", "write it anew"),
    ],
)
def test_refusals_name_file_line_and_remedy(path: Path, text: str, line: int, message: str, remedy: str) -> None:
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_baseline(path)
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert caught.value.location is not None
    assert (caught.value.location.path, caught.value.location.line) == (str(path), line)


def test_absent_and_unreadable_files_are_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="there is no baseline") as caught:
        read_baseline(path)
    assert caught.value.remedy == f"write it: gradlint baseline write --baseline {path}"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(UsageError, match="it is not UTF-8"):
        read_baseline(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="cannot read the baseline"):
        read_baseline(path)


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path: Path) -> None:
    baseline = Baseline(tmp_path / "ci" / "known.json")
    assert baseline.shown(str(tmp_path / "ci" / "a.py")) == "a.py"
    assert baseline.shown(str(tmp_path / "src" / "a.py")) == "../src/a.py"
    assert baseline.place("../src/a.py") == tmp_path / "src" / "a.py"
