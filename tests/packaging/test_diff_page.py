"""The example of docs/diff.md is real output: make the change again and compare, numbers aside.

`UPDATE_DOCS=1 python -m pytest tests/packaging/test_diff_page.py` writes it anew.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "diff.md"
MARKS = re.compile(r"(<!-- example:begin -->\n)(.*?)(<!-- example:end -->)", re.DOTALL)
VARYING = re.compile(r"\([0-9a-f]{7}\)|[-−+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
"""Figures differ a little from one CPU to another; a commit's hash holds the time at which it was made."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the example's command prints."""
    folder = tmp_path_factory.mktemp("project")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    people = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
    environment = {**kept, **people, **dates, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    environment["NO_COLOR"] = "1"
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    before = found[1]
    (folder / "net.py").write_text(before)
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "net"]):
        subprocess.run(["git", *command], cwd=folder, env=environment, check=True)
    after = before.replace(
        "return x + self.down(torch.relu(self.up(self.norm(x))))", "return self.down(torch.sigmoid(self.up(x)))"
    )
    (folder / "net.py").write_text(after.replace("        self.norm = nn.LayerNorm(width)\n", ""))
    command = [str(Path(sys.executable).with_name("gradlint")), "diff", "main", "--isolated"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_the_example_is_what_the_command_prints(printed: str) -> None:
    block = f"```console\n$ gradlint diff main\n{printed}```\n"
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_DOCS"):
        text = MARKS.sub(lambda match: match[1] + block + match[3], text)
        PAGE.write_text(text, encoding="utf-8")
    found = MARKS.search(text)
    assert found is not None, "the page has lost the marks around its example"
    assert VARYING.sub("#", found[2]) == VARYING.sub("#", block)


def test_the_example_shows_a_loss_and_a_new_finding(printed: str) -> None:
    assert "This change costs " in printed
    assert "\nnew warning[GL101]" in printed
