"""The installed command."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scratch import NET, Repository

from gradlint.cli import main
from gradlint.engine import run as engine_run
from gradlint.worker.process import Worker

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


class Warm:
    """Workers that outlive a run: torch is imported once for all tests."""

    def __init__(self) -> None:
        self.idle: list[Worker] = []

    def hire(self, *, timeout: float, memory: int) -> Worker:
        worker = self.idle.pop() if self.idle else Worker(timeout=timeout, memory=memory)
        if worker._process is None:
            worker._start()  # here and not in a thread of the run, with whose end it would be killed
        worker.close = lambda: self.idle.append(worker)  # type: ignore[method-assign]
        return worker

    def dismiss(self) -> None:
        for worker in self.idle:
            Worker.close(worker)


@pytest.fixture(scope="session")
def hire() -> Iterator[Callable[..., Worker]]:
    """What to put in the place of `gradlint.engine.run.Worker`."""
    made = Warm()
    yield made.hire
    made.dismiss()


@pytest.fixture
def here(
    hire: Callable[..., Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, started in `tmp_path`: exit code, stdout, stderr. Nothing is kept: workers that have
    looked at other tests' files cannot tell what a result was made from."""
    monkeypatch.setenv("GRADLINT_CACHE", "false")
    monkeypatch.setattr(engine_run, "Worker", hire)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(arguments)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A healthy model in a folder of its own."""
    path = tmp_path / "model.py"
    path.write_text(MODEL.format(name="Net"))
    return path


@pytest.fixture
def make(
    hire: Callable[..., Worker],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[str], Repository]:
    """Makes repositories that know nothing of whoever runs the tests."""
    monkeypatch.setattr(engine_run, "Worker", hire)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    people = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    temporary = tmp_path_factory.mktemp("temporary")
    for name, value in {**settings, **people, "TMPDIR": str(temporary)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return lambda name: Repository(tmp_path / name, monkeypatch, capsys)


@pytest.fixture
def repo(make: Callable[[str], Repository]) -> Repository:
    """A repository with one healthy model."""
    made = make("project")
    made.git("init", "-q", "-b", "main")
    made.commit(net__py=NET)
    return made
