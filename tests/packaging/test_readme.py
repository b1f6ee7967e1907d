"""The README's example is real output: run its first command's check again and compare.

`UPDATE_README=1 python -m pytest tests/packaging/test_readme.py` writes it anew.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
MARKS = re.compile(r"(<!-- example:begin -->\n```text\n)(.*?)(```\n<!-- example:end -->)", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@pytest.fixture(scope="module")
def printed() -> str:
    """What `gradlint check fixtures/ailing/sigmoid_mlp.py --probe --exit-zero` prints."""
    command = [str(Path(sys.executable).with_name("gradlint")), "check", "fixtures/ailing/sigmoid_mlp.py"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    done = subprocess.run(
        [*command, "--probe", "--exit-zero"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() + "\n"


def numbers(text: str) -> list[float]:
    """All numbers of a text."""
    return [float(n.replace("−", "-")) for n in NUMBER.findall(text)]


def test_the_example_is_what_the_command_prints(printed: str) -> None:
    text = README.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_README"):
        README.write_text(MARKS.sub(lambda m: m[1] + printed + m[3], text), encoding="utf-8")
        text = README.read_text(encoding="utf-8")
    found = MARKS.search(text)
    assert found is not None, "README.md has lost the marks around its example"
    shown = found[2]
    assert NUMBER.sub("#", shown) == NUMBER.sub("#", printed)
    for ours, theirs in zip(numbers(shown), numbers(printed), strict=True):
        # Exponents of RMS figures and the decades themselves may move in their last digit from one CPU to another.
        assert ours == pytest.approx(theirs, rel=0.1, abs=0.11)


def test_the_example_confirms_its_finding(printed: str) -> None:
    assert "GL101" in printed
    assert "confirmed" in printed


def test_the_first_two_shell_commands_set_up_everything() -> None:
    sys.path.insert(0, str(ROOT / ".ci"))
    try:
        from readme_commands import shell_commands
    finally:
        sys.path.pop(0)
    first, second, *_ = shell_commands(README.read_text(encoding="utf-8"))
    assert "gradlint check fixtures/ailing/sigmoid_mlp.py --probe --exit-zero" in first
    assert second.endswith("python -m pytest -q")
