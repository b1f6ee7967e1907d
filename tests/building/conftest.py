"""Model files written for one test each."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.building import BuiltModel, build, load_module
from gradlint.core.target import Target
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import Examined, examine

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a model file (three import lines, then the given text from line 4 on) and give its path."""

    def run(text: str, name: str = "model.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + textwrap.dedent(text).lstrip("\n"))
        return str(path)

    return run


@pytest.fixture
def target_of(write: Callable[..., str]) -> Callable[[str], Target]:
    """The only target of a model file."""

    def run(text: str) -> Target:
        path = write(text)
        (target,) = find_targets(scan_file(path, Path(path).read_text()))
        return target

    return run


@pytest.fixture
def built(target_of: Callable[[str], Target]) -> Callable[..., BuiltModel]:
    """The only model of a file, built."""

    def run(text: str, *, large: int = 30_000_000) -> BuiltModel:
        target = target_of(text)
        return build(target, load_module(target.path), large=large)

    return run


@pytest.fixture
def examined_file(write: Callable[..., str]) -> Callable[[str], Examined]:
    """The last model of a file, through the whole pipeline but the rules."""

    def run(text: str) -> Examined:
        path = write(text)
        source = Path(path).read_text()
        return examine(find_targets(scan_file(path, source))[-1], source, on_stage=lambda name: None)

    return run
