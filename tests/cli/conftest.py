"""The installed command."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("gradlint")
Run = Callable[..., "subprocess.CompletedProcess[str]"]

PACK = '''
from gradlint.api import API_VERSION, Finding, Rule, Severity, Site

class Sure(Rule):
    """Fires on every model whose first linear layer is wider than `width`."""

    code = "TST101"
    name = "sure-thing"
    summary = "Wide linear layers"
    level = "preview"
    OPTIONS = {"width": int}

    def check(self, ctx):
        width = ctx.options.get("width", 0)
        for path, module in ctx.modules.items():
            if module.class_name == "Linear" and module.attributes["in_features"] > width:
                yield Finding(self.code, self.name, Severity.ERROR, f"{path} is wide", (Site(module.sites[0], "here"),),
                              module=path, predicted={"width": module.attributes["in_features"], "summary": "too wide"})
                return
        ctx.near_miss(f"no layer wider than {width}")

class Broken(Rule):
    """Raises."""

    code = "TST900"
    name = "broken-thing"
    summary = "Raises"
    level = "preview"

    def check(self, ctx):
        raise ZeroDivisionError("oops")

RULES = (Sure, Broken)
'''
MODEL = """from torch import nn


class {name}(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 2)

    def forward(self, x):
        return self.layer(x)
"""


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed third-party rule pack."""
    folder = tmp_path_factory.mktemp("pack")
    (folder / "test_pack.py").write_text(PACK)
    info = folder / "test_pack-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: test-pack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gradlint.rules]\ntests = test_pack\n")
    return folder


@pytest.fixture(scope="session")
def run(pack: Path) -> Run:
    """Run `gradlint …` in a folder, with the test pack installed."""

    def call(*arguments: str, cwd: Path, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRADLINT_", "FORCE_COLOR"))}
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(pack), kept.get("PYTHONPATH", "")]))
        kept["OMP_NUM_THREADS"] = "1"
        return subprocess.run(
            [str(COMMAND), *arguments],
            cwd=cwd,
            input=stdin,
            env={**kept, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A healthy model in a folder of its own."""
    path = tmp_path / "model.py"
    path.write_text(MODEL.format(name="Net"))
    return path
