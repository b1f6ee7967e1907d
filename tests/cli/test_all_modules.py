"""Parts of models on their own, and guesses that the tables of flows tell."""

from collections.abc import Callable
from pathlib import Path

import pytest

SICK = """from torch import nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*[nn.Sequential(nn.Linear(16, 16), nn.Sigmoid()) for _ in range(20)])

    def forward(self, x):
        return self.body(x)


class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, 4)

    def forward(self, x):
        return self.layer(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = Encoder(), Head(16)

    def forward(self, x):
        return self.head(self.encoder(x))
"""
GUESSED = """from torch import nn


class Net(nn.Module):
    def __init__(self, in_features, hidden_size):
        super().__init__()
        self.layer, self.head = nn.Linear(in_features, hidden_size), nn.Linear(hidden_size, 2)

    def forward(self, x):
        return self.head(self.layer(x).relu())
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(SICK)
    return path


def models(text: str) -> list[str]:
    """Names of the models that `-v` lists."""
    return [
        line.split()[1].rstrip(":") for line in text.splitlines() if line.startswith("net.py:") and "; fed " in line
    ]


def test_parts_are_left_to_their_model_unless_they_are_asked_for(here: Call, sick: Path) -> None:
    code, text, _ = here("check", "net.py", "-v")
    assert (code, models(text)) == (1, ["Net"])
    code, text, _ = here("check", "net.py", "-v", "--all-modules")
    assert (code, models(text)) == (1, ["Encoder", "Head", "Net"])
    assert "error[GL101]: saturating-stack  Encoder: 20 sigmoid layers" in text
    assert "error[GL101]: saturating-stack  Net: 20 sigmoid layers" in text
    assert "Head: built as in net.py:25" in text


def test_the_key_says_the_same(here: Call, sick: Path, tmp_path: Path) -> None:
    (tmp_path / "gradlint.toml").write_text("all-modules = true\n")
    assert models(here("check", "net.py", "-v")[1]) == ["Encoder", "Head", "Net"]


@pytest.mark.parametrize("command", ["flow", "probe"])
def test_the_table_of_a_guessed_model_says_so(here: Call, tmp_path: Path, command: str) -> None:
    (tmp_path / "net.py").write_text(GUESSED)
    code, text, errors = here(command, "net.py")
    assert (code, errors) == (0, "")
    told = "in doubt: nothing says with which arguments it is built: these are a guess: in_features="
    assert text.splitlines()[2].startswith(told)
    (tmp_path / "net.py").write_text(GUESSED + "\n\nmodel = Net(8, 32)\n")
    assert "in doubt" not in here(command, "net.py")[1]
