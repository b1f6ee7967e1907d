"""Likely arguments are read off the code; where they say something, it is what a build would guess first."""

from pathlib import Path
from typing import Any

import pytest

from gradlint.building import guessed, load_module
from gradlint.core.target import Target
from gradlint.discovery import scan_file
from gradlint.discovery.arguments.likely import likely_arguments
from gradlint.discovery.modules import definitions

NET = """
import torch.nn as nn

class Part(nn.Module):
    def __init__(self, in_channels, kernel_size):
        super().__init__()
    def forward(self, x):
        return x

class Net(nn.Module):
    def __init__(self, {parameters}):
        super().__init__()
        {code}
    def forward(self, x):
        return x
"""


def net(tmp_path: Path, parameters: str, code: str = "pass") -> tuple[dict[str, Any], Path]:
    path = tmp_path / "net.py"
    path.write_text(NET.format(parameters=parameters, code=code))
    scan = scan_file(str(path), path.read_text())
    candidate = scan.candidate("Net")
    assert candidate is not None
    assert scan.tree is not None
    return likely_arguments(candidate, definitions(scan.tree)), path


@pytest.mark.parametrize(
    ("parameters", "code", "expected"),
    [
        ("dim, n_heads", "pass", {"dim": 256, "n_heads": 8}),
        ("width", "self.fc = nn.Linear(width, 3)", {"width": 64}),
        ("image_size", "pass", {"image_size": 224}),
        ("rate: float", "pass", {"rate": 1.0}),
        ("use_bias: bool", "pass", {"use_bias": False}),
        ("depths", "self.n = [d for d in depths]", {"depths": (2, 2, 2, 2)}),
        ("mode", "self.deep = mode == 'deep'", {"mode": "deep"}),
        ("c, k", "self.part = Part(c, k)", {"c": 3, "k": 3}),
        ("*, hidden", "pass", {"hidden": 256}),
    ],
)
def test_values(tmp_path: Path, parameters: str, code: str, expected: dict[str, Any]) -> None:
    likely, path = net(tmp_path, parameters, code)
    assert likely == expected
    first = next(guessed(Target(str(path), "Net", 10), load_module(str(path))))
    assert first.kwargs == expected


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ("encoder", "pass"),
        ("norm_layer", "pass"),
        ("act", "pass"),
        ("cfg", "self.width = cfg.width"),
        ("part: Part", "pass"),
        ("block", "self.block = block(3)"),
        ("layers: nn.ModuleList", "pass"),
        ("name: str", "pass"),
    ],
)
def test_what_takes_no_plain_value_is_left_out(tmp_path: Path, parameters: str, code: str) -> None:
    assert net(tmp_path, parameters, code)[0] == {}


def test_a_constructor_that_is_inherited_and_a_factory(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    source = (
        NET.format(parameters="dim", code="pass")
        + "class Other(Net):\n    pass\ndef make(depth):\n    return Other(depth)\n"
    )
    scan = scan_file(str(path), source)
    assert scan.tree is not None
    known = definitions(scan.tree)
    found = {c.name: likely_arguments(c, known) for c in scan.candidates}
    assert (found["Other"], found["make"]) == ({"dim": 256}, {"depth": 4})
