"""Inputs that the user's own checks ask for: assertions, raised errors, and the words of their messages."""

from pathlib import Path

import pytest
import torch

from gradlint import building
from gradlint.building.feeding.demands import Demand, demands
from gradlint.core.target import Target

HEAD = "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
HEAD += "    def __init__(self):\n        super().__init__()\n"
CONV = HEAD + "        self.size, self.conv = 48, nn.Conv2d(3, 8, 3)\n\n    def forward(self, x):\n        {check}\n"
CONV += "        return self.conv(x)\n"
SEQUENCE = (
    HEAD
    + "        self.fc = nn.Linear(16, 4)\n\n    def forward(self, x):\n        {check}\n        return self.fc(x)\n"
)


def fed(tmp_path: Path, source: str) -> tuple[int, ...]:
    """Shape of the first input on which the model of a file runs."""
    path = tmp_path / "net.py"
    path.write_text(source)
    built = building.build(Target(str(path), "Net", 5), building.load_module(str(path)))
    return tuple(building.feed(built).args[0].shape)


@pytest.mark.parametrize(
    ("check", "sides"),
    [
        ("assert x.shape[2] == self.size and x.shape[3] == self.size", (48, 48)),
        ("b, c, h, w = x.shape\n        assert h == self.size == w, 'no'", (48, 48)),
        ("assert x.shape[-2:] == (self.size, 48), 'wrong size'", (48, 48)),
        ("if x.size(-1) != self.size:\n            raise ValueError('wrong size')", (48, 48)),
        ("if x.shape[2] % 36:\n            raise ValueError('wrong size')", (36, 36)),
        ("if max(x.shape) != self.size:\n            raise ValueError(f'{max(x.shape)} should be 48')", (48, 48)),
    ],
)
def test_the_size_of_an_image(tmp_path: Path, check: str, sides: tuple[int, int]) -> None:
    assert fed(tmp_path, CONV.format(check=check))[2:] == sides


def test_the_number_of_channels(tmp_path: Path) -> None:
    body = "        self.conv = nn.Conv2d(1, 8, 3)\n\n    def forward(self, x):\n"
    body += "        if x.shape[1] != 2:\n            raise ValueError(f'2 channels are needed, not {x.shape[1]}')\n"
    assert fed(tmp_path, HEAD + body + "        return self.conv(x[:, :1] + x[:, 1:])\n")[1] == 2


@pytest.mark.parametrize("check", ["assert x.ndim == 4", "assert 4 == x.dim()", "assert len(x.shape) == 4, x.shape"])
def test_the_number_of_dimensions(tmp_path: Path, check: str) -> None:
    shape = fed(tmp_path, SEQUENCE.format(check=check))
    assert (len(shape), shape[-1]) == (4, 16)


def told(check: str, x: object) -> list[Demand]:
    """Demands of a check that `x` does not meet."""
    try:
        _run(check, x)
    except (AssertionError, ValueError) as error:
        return demands(error)
    raise AssertionError("the check is met")


def _run(check: str, x: object) -> None:
    assert x == 3, "text without figures"
    raise ValueError(check)


def test_an_error_of_torch_asks_for_nothing() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.zeros(2, 3) @ torch.zeros(4, 5)
    assert demands(error.value.with_traceback(None)) == []


def test_what_a_message_says_comes_after_the_condition() -> None:
    assert told("", 7) == [Demand(7, 3), Demand(3, 7)]
    assert told("takes 2 channels, got 132", 3) == [Demand(2, 132), Demand(132, 2)]
