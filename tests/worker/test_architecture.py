"""Counts of a model, read off its graph."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.core.architecture import Architecture
from gradlint.core.report import ModelSummary
from gradlint.core.target import Target
from gradlint.worker.analysis import analyse
from gradlint.worker.messages import Settings

HEAD = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\nclass Net(nn.Module):\n"
Made = Callable[[str, str], Architecture]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """The architecture of a model with the given constructor and forward."""

    def make(constructor: str, forward: str) -> Architecture:
        body = [f"        {line}" for line in ("super().__init__()", *constructor.split("\n"))]
        ends = [f"        {line}" for line in forward.split("\n")]
        source = HEAD + "\n".join(["    def __init__(self):", *body, "    def forward(self, x):", *ends]) + "\n"
        path = tmp_path / "net.py"
        path.write_text(source)
        result = analyse(Target(str(path), "Net", 6), source, Settings(()), on_stage=lambda name: None)
        assert isinstance(result.summary, ModelSummary), result.skipped
        assert result.summary.architecture is not None
        return result.summary.architecture

    return make


def test_a_plain_stack(made: Made) -> None:
    found = made(
        "self.a = nn.Linear(8, 8)\nself.b = nn.Linear(8, 2)\nself.act = nn.ReLU()", "return self.b(self.act(self.a(x)))"
    )
    assert (found.layers, found.size) == ({"Linear": 2, "ReLU": 1}, 3)
    assert (found.depth, found.skips, found.norms, found.activations) == (2, 0, 0, {"relu": 1})
    assert [(part.path, part.class_name, part.is_reached) for part in found.modules] == [
        ("a", "Linear", True),
        ("b", "Linear", True),
    ]
    assert found.modules[0].attenuation is not None
    assert found.modules[0].attenuation > (found.modules[1].attenuation or 0)


@pytest.mark.parametrize(
    ("forward", "skips"),
    [
        ("return x + self.b(self.a(x))", 1),
        ("h = self.a(x)\nreturn h + self.b(F.gelu(h))", 1),
        ("h = self.b(self.a(x))\nh += self.a(x)\nreturn h", 1),  # a shortcut with weights of its own
        ("return torch.cat([x, self.b(self.a(x))], 1)", 1),
        ("h = self.a(x)\nreturn torch.cat([h, self.b(h)], 1)", 1),
        ("return torch.cat([self.c(x), self.b(self.a(x))], 1)", 0),  # branches side by side
        ("return self.a(x) + self.b(x)", 0),
        ("return F.relu(x) + self.a(x) * 0 + self.b(self.a(x) + 1)", 2),
        ("return self.b(self.a(x))", 0),
    ],
)
def test_skips(made: Made, forward: str, skips: int) -> None:
    constructor = "self.a = nn.Linear(8, 8)\nself.b = nn.Linear(8, 8)\nself.c = nn.Linear(8, 8)"
    assert made(constructor, forward).skips == skips


def test_norms_and_loops(made: Made) -> None:
    found = made(
        "self.a = nn.Linear(8, 8)\nself.n = nn.LayerNorm(8)", "for _ in range(3):\n    x = self.n(self.a(x))\nreturn x"
    )
    assert (found.layers, found.depth, found.norms) == ({"LayerNorm": 1, "Linear": 1}, 3, 3)


def test_weights_of_ones_own_and_what_nothing_reaches(made: Made) -> None:
    found = made(
        "self.w = nn.Parameter(torch.randn(8, 8))\nself.a = nn.Linear(8, 8)\nself.cut = nn.Linear(8, 8)",
        "return self.a(x @ self.w.t()) @ self.w + self.cut(x).detach()",
    )
    assert found.depth == 3
    assert [(part.path, part.is_reached) for part in found.modules] == [("", True), ("a", True), ("cut", False)]
    assert found.modules[2].attenuation is None
