"""`gradlint check --since`: only what is new counts, in every format."""

import io
import json
from typing import Any

import pytest
from scratch import DEEPER, NET, SICK, Repository

from gradlint.cli.formats import FORMATS

SHARED = NET.replace("[nn.Sequential(nn.Linear(16, 16), nn.ReLU()) for _ in range(2)]", "[nn.Linear(16, 16)] * 3")
"""One layer three times: GL507."""


def check(repo: Repository, *arguments: str) -> tuple[int, list[str], dict[str, Any]]:
    """Exit code, codes of the findings that count, and the whole document."""
    code, text, errors = repo("check", "--since", "HEAD", "--output-format", "json", *arguments)
    assert errors == ""
    document = json.loads(text)
    return code, [finding["code"] for finding in document["findings"]], document


def test_known_findings_of_a_changed_file_do_not_count(repo: Repository) -> None:
    repo.commit(net__py=SHARED, other__py=SICK.replace("Net", "Other"))
    repo.write("net.py", f"# more\n{SHARED}")
    code, codes, document = check(repo)
    assert (code, codes) == (0, [])
    (known,) = document["suppressed"]
    assert (known["by"], known["reason"], known["finding"]["code"]) == ("revision", "", "GL507")
    assert (document["summary"]["baselined"], document["summary"]["files"]) == (1, 1)
    commit = repo.git("rev-parse", "--short=7", "HEAD").strip()
    assert repo("check", "--since", "HEAD")[1] == (
        f"note: only what is new since HEAD ({commit}) counts; 1 file is as before and left out\n"
        "Nothing new in 1 model (1 file). (1 there before)\n"
    )
    repo.write("net.py", SHARED.replace("* 3", "* 4"))
    assert check(repo)[:2] == (1, ["GL507"])


def test_nothing_has_changed(repo: Repository) -> None:
    repo.commit(net__py=SICK)
    code, text, errors = repo("check", "--since", "HEAD")
    assert (code, errors, text.splitlines()[-1]) == (0, "", "No model found (0 files).")
    assert check(repo, "gone.py")[0] == 2


def test_renamed_copied_and_named_ones(repo: Repository) -> None:
    repo.commit(net__py=SHARED)
    repo.git("mv", "net.py", "moved.py")
    code, codes, document = check(repo)
    assert (code, codes) == (0, [])
    assert document["suppressed"][0]["finding"]["path"] == "moved.py"
    assert check(repo, "moved.py:Net")[:2] == (0, [])
    repo.write("net.py", SHARED)
    repo.write("moved.py", SHARED)
    assert check(repo)[:2] == (1, ["GL507"])


def test_a_baseline_holds_as_well(repo: Repository) -> None:
    repo.commit(net__py=SHARED)
    repo.write("fresh.py", SHARED.replace("Net", "Fresh"))
    assert repo("baseline", "write", "fresh.py", "--baseline", "../known.json")[0] == 0
    code, codes, document = check(repo, "--baseline", "../known.json")
    assert (code, codes, [item["by"] for item in document["suppressed"]]) == (0, [], ["baseline"])
    repo.write("net.py", f"\n{SHARED}")
    code, codes, document = check(repo, "--baseline", "../known.json")
    assert (code, codes, [item["by"] for item in document["suppressed"]]) == (0, [], ["baseline", "revision"])


def test_comments_that_silence_nothing_are_known_like_anything_else(repo: Repository) -> None:
    idle = NET.replace("import nn", "import nn  # gradlint: ignore[GL101] once")
    repo.commit(net__py=idle)
    repo.write("net.py", f"\n{idle}")
    assert check(repo)[:2] == (0, [])
    repo.write("net.py", idle.replace("super().__init__()", "super().__init__()  # gradlint: ignore[GL102] well"))
    assert check(repo)[:2] == (1, ["GL002"])


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(repo: Repository, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    repo.commit(net__py=SHARED)
    repo.write("net.py", f"\n{SHARED}")
    repo.write("deep.py", DEEPER.replace("Net", "Deep"))
    code, text, errors = repo("check", "--since", "HEAD", "--output-format", name)
    assert (code, errors) == (0, "")
    silent = {"concise": "1 there before", "full": "1 there before", "github": "1 there before", "gitlab": "[]"}
    assert silent.get(name, "GL507") in text


def test_standard_input(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit(net__py=SHARED)
    for text, expected in ((f"\n{SHARED}", 0), (SHARED.replace("* 3", "* 4"), 1)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert repo("check", "-", "--stdin-filename", "net.py", "--since", "HEAD")[0] == expected
