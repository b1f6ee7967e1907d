"""The hook of `.pre-commit-hooks.yaml`, run by pre-commit itself on real commits."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HEAD = "from torch import nn\n\n\n"
BLOCK = """{head}class Block(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return {value}
"""
NET = """from blocks import Block
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*[Block(64) for _ in range(20)])
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.body(x))
"""
HEALTHY = BLOCK.format(head=HEAD, value="x + self.linear(nn.functional.layer_norm(x, x.shape[-1:]))")
SICK = BLOCK.format(head=HEAD, value="self.linear(x).sigmoid()")
POISON = 'import pathlib, os\npathlib.Path(os.environ["TORCH_SEEN"]).touch()\nraise ImportError("torch was imported")\n'


@pytest.fixture(scope="module")
def pre_commit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `python -m pre_commit` runs."""
    home = tmp_path_factory.mktemp("pre-commit")
    path = [os.environ.get("PYTHONPATH", "")]
    try:
        import pre_commit  # noqa: F401
    except ImportError:
        install = [sys.executable, "-m", "pip", "install", "-q", "--target", str(home / "packages"), "pre-commit"]
        done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"pre-commit cannot be installed: {done.stderr.strip()[-200:]}")
        path.append(str(home / "packages"))
    people = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GRADLINT_"))}
    return {
        **kept,
        **people,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PRE_COMMIT_HOME": str(home / "home"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
    }


class Scratch:
    """A git repository that uses the hook."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def must(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def commit(self, *, environment: dict[str, str] | None = None, **texts: str) -> tuple[bool, str]:
        """Write files, commit them: whether that went through, and what was said."""
        for stem, text in texts.items():
            (self.folder / f"{stem}.py").write_text(text)
        self.must("git", "add", "-A")
        done = self.run("git", "commit", "-m", "x", **(environment or {}))
        return done.returncode == 0, done.stdout + done.stderr


def made(folder: Path, environment: dict[str, str]) -> Scratch:
    folder.mkdir()
    scratch = Scratch(folder, environment)
    scratch.must("git", "init", "-q", ".")
    return scratch


@pytest.fixture
def scratch(tmp_path: Path, pre_commit: dict[str, str]) -> Scratch:
    """A repository with a healthy model, the hook of a second one that holds our hook file, and both committed."""
    hooks = made(tmp_path / "hooks", pre_commit)
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hooks.folder)
    hooks.must("git", "add", "-A")
    hooks.must("git", "commit", "-qm", "hooks")
    user = made(tmp_path / "user", pre_commit)
    entry = {"repo": str(hooks.folder), "rev": hooks.must("git", "rev-parse", "HEAD"), "hooks": [{"id": "gradlint"}]}
    (user.folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [entry]}))
    (user.folder / "net.py").write_text(NET)
    (user.folder / "blocks.py").write_text(HEALTHY)
    user.must("git", "add", "-A")
    user.must("git", "commit", "-qm", "before the hook")
    user.must(sys.executable, "-m", "pre_commit", "install")
    return user


def test_a_changed_block_stops_the_commit_with_what_it_does_to_the_model(scratch: Scratch) -> None:
    went, said = scratch.commit(blocks=SICK)
    assert not went
    assert "error[GL101]: saturating-stack  Net: 20 sigmoid layers starve the first ones of gradient" in said
    assert "--> net.py:12:26" in said
    assert "files were modified" not in said
    went, said = scratch.commit(blocks=HEALTHY + "\n# now it is fine\n")
    assert went, said


def test_a_bad_model_is_stopped_and_a_healthy_one_passes(scratch: Scratch) -> None:
    bad = NET.replace("from blocks import Block\n", SICK.replace(HEAD, "")).replace("class Net", "\n\nclass Net")
    went, said = scratch.commit(bad="from torch import nn\n\n\n" + bad)
    assert not went
    assert "GL101" in said
    good = "from torch import nn\n\n\n" + bad.replace("self.linear(x).sigmoid()", "self.linear(x).relu() + x")
    went, said = scratch.commit(bad=good.replace("range(20)", "range(2)"))
    assert went, said


def test_a_file_without_a_model_costs_no_torch(scratch: Scratch, tmp_path: Path) -> None:
    poison = tmp_path / "poison" / "torch"
    poison.mkdir(parents=True)
    (poison / "__init__.py").write_text(POISON)
    seen = tmp_path / "seen"
    path = os.pathsep.join([str(poison.parent), scratch.environment["PYTHONPATH"]])
    poisoned = {"PYTHONPATH": path, "TORCH_SEEN": str(seen)}
    went, said = scratch.commit(environment=poisoned, tools="def double(x):\n    return 2 * x\n")
    assert went, said
    assert "gradlint" in said
    assert "Passed" in said
    assert not seen.exists()
    (scratch.folder / "notes.txt").write_text("no Python\n")
    went, said = scratch.commit(environment=poisoned)
    assert went, said
    assert "Skipped" in said
    scratch.commit(environment=poisoned, blocks=SICK)
    assert seen.exists(), "the poison does not work"


def test_try_repo(scratch: Scratch) -> None:
    (scratch.folder / "blocks.py").write_text(SICK)
    hooks = str(scratch.folder.parent / "hooks")
    done = scratch.run(sys.executable, "-m", "pre_commit", "try-repo", hooks, "gradlint", "--files", "blocks.py")
    assert done.returncode == 1
    assert "error[GL101]" in done.stdout
    assert "Failed" in done.stdout


def test_gradlint_init_writes_the_same_hook(scratch: Scratch) -> None:
    (scratch.folder / ".pre-commit-config.yaml").unlink()
    scratch.must("gradlint", "init")
    (repo,) = yaml.safe_load((scratch.folder / ".pre-commit-config.yaml").read_text())["repos"]
    (ours,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    del ours["description"]
    assert repo == {"repo": "local", "hooks": [ours]}
    went, said = scratch.commit(blocks=SICK)
    assert (went, "error[GL101]" in said) == (False, True), said


def test_the_page_shows_the_same_hook() -> None:
    page = (ROOT / "docs" / "pre-commit.md").read_text(encoding="utf-8")
    shown = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    (ours,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    del ours["description"]
    assert shown == {"repos": [{"repo": "local", "hooks": [ours]}]}
