"""Small repositories, written down file by file."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.discovery.elsewhere import Bounds, constructions_elsewhere
from gradlint.discovery.values import Construction

MODEL = """
import torch
from torch import nn
class NetConfig:
    def __init__(self, n_layer=1, width=8): self.n_layer, self.width = n_layer, width
class Block(nn.Module):
    def forward(self, x): return x
class Net(nn.Module):
    def __init__(self, hidden, depth): super().__init__()
    def forward(self, x): return x
"""

Find = Callable[..., list[Construction]]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Write files, search from `model.py` for `Net`; `bounds` limit the search. Only calls that are known wholly come
    back, unless they are asked for `partly`.
    """

    def found(
        files: dict[str, str], *, model: str = "model.py", bounds: Bounds | None = None, partly: bool = False
    ) -> list[Construction]:
        (tmp_path / "pyproject.toml").write_text("")
        for name, text in {model: MODEL, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        made = constructions_elsewhere(str(tmp_path / model), ["Net"], bounds)["Net"]
        return made if partly else [construction for construction in made if construction.is_whole]

    return found
