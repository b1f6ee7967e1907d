"""`gradlint init`: what it finds, where it writes, and that nothing which was there is lost."""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli
import yaml

from gradlint.cli import main
from gradlint.config import load

PAGE = Path(__file__).parents[2] / "docs" / "init.md"
NET = """from torch import nn


class Net(nn.Module):
    def __init__(self, width{default}):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, x):
        return self.layer(x)
"""


class Project:
    """A git repository, without git."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        (folder / ".git").mkdir()

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error of `gradlint init …`."""
        code = main(["init", *arguments])
        out, err = self._capsys.readouterr()
        return code, out, err

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def text(self, name: str) -> str:
        return (self.folder / name).read_bytes().decode()

    def hooks(self) -> Any:
        return yaml.safe_load(self.text(".pre-commit-config.yaml"))["repos"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, capsys)


def test_the_example_of_the_docs(project: Project) -> None:
    page = PAGE.read_text(encoding="utf-8")
    net, train = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    said, section = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in ("console", "toml"))
    project.file("models/net.py", net)
    project.file("train.py", train)
    project.file("third_party/other.py", net)
    project.file("pyproject.toml", '[project]\nname = "x"\n')
    code, out, err = project()
    assert (code, f"$ gradlint init\n{out}", err) == (0, said, "")
    assert project.text("pyproject.toml") == f'[project]\nname = "x"\n\n{section}'


def test_no_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.format(default=""))
    code = "import sys; from gradlint.cli import main; assert main(['init']) == 0; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=dict(os.environ), check=True, timeout=60)
    assert (tmp_path / "gradlint.toml").exists()


def test_the_settings_hold(project: Project) -> None:
    project.file("net.py", NET.format(default="=8"))
    project.file("vendor [x]/vendor/net.py", NET.format(default="=8"))
    project.file("pyproject.toml", "")
    assert project()[0] == 0
    config = load(project.folder)
    assert config.fail_on == "warning"
    assert config.targets == ()
    assert main(["check", ".", "--output-format", "json"]) == 0
    assert '"files": 1' in project._capsys.readouterr().out


@pytest.mark.parametrize("table", ["pyproject.toml", "gradlint.toml"])
def test_the_entries_can_be_filled_in(project: Project, table: str) -> None:
    project.file("net.py", NET.format(default=""))
    if table == "pyproject.toml":
        project.file(table, "[project]\nname = 'x'\n")
    assert project()[0] == 0
    text = project.text(table)
    start = text.index("# [[")
    filled = text[:start] + text[start:].replace("# ", "").replace("…", "8")
    project.file(table, filled)
    (target,) = load(project.folder).targets
    assert (target.target, target.kwargs) == ("net.py:Net", {"width": 64})


def test_names_that_toml_would_not_take_are_written_so_that_it_does(project: Project) -> None:
    project.file("odd\nna\x7fme.py", NET.format(default="").replace("width", "größe"))
    project.file("pyproject.toml", "")
    assert project()[0] == 0
    text = project.text("pyproject.toml")
    start = text.index("# [[")
    project.file("pyproject.toml", text[:start] + text[start:].replace("# ", "").replace("…", "8"))
    (target,) = load(project.folder).targets
    assert (target.target, target.kwargs) == ("odd\nna\x7fme.py:Net", {"größe": 64})


def test_arguments_that_another_file_gives_are_not_asked_for(project: Project) -> None:
    project.file("net.py", NET.format(default=""))
    project.file("train.py", "from net import Net\n\nmodel = Net(16)\n")
    assert "arguments" not in project()[1]
    assert "targets" not in project.text("gradlint.toml")


def test_optimizers_that_differ_are_left_open(project: Project) -> None:
    for name, kind in (("a", "SGD"), ("b", "Adam")):
        project.file(f"{name}.py", f"import torch\n\n\ndef run(p):\n    return torch.optim.{kind}(p, lr=0.1)\n")
    assert project()[0] == 0
    assert '# optimizer = "adam"                      # or "sgd": several are used here' in project.text(
        "gradlint.toml"
    )
    assert load(project.folder).optimizer is None


def test_submodules_and_output_are_left_out_but_packages_of_those_names_are_not(project: Project) -> None:
    project.file(".gitmodules", '[submodule "dep"]\n\tpath = libs/dep\n\turl = x\n')
    for name in ("libs/dep/net.py", "build/net.py", "pkg/build/__init__.py", "pkg/build/net.py"):
        project.file(name, NET.format(default="=8"))
    code, out, _ = project()
    assert code == 0
    assert "left out: build (output), libs/dep (a git submodule)\n" in out
    assert load(project.folder).extend_exclude == ("/build/", "/libs/dep/")


def test_files_that_are_no_python_are_told(project: Project) -> None:
    project.file("odd.py", "def (:\n")
    code, out, _ = project()
    assert (code, "    not read: odd.py\n" in out) == (0, True)


def test_the_nearest_pyproject_is_used_but_none_beyond_the_repository(project: Project, tmp_path: Path) -> None:
    project.file("pyproject.toml", "")
    inner = tmp_path / "inner"
    (inner / ".git").mkdir(parents=True)
    (inner / "sub").mkdir()
    assert project("inner/sub")[0] == 0
    assert project.text("pyproject.toml") == ""
    assert (inner / "gradlint.toml").exists()
    assert (inner / ".pre-commit-config.yaml").exists()


def test_twice_changes_nothing(project: Project) -> None:
    project.file("pyproject.toml", "")
    project()
    before = project.text("pyproject.toml"), project.text(".pre-commit-config.yaml")
    code, out, _ = project()
    assert code == 0
    assert out.startswith("pyproject.toml configures gradlint already: it is left as it is.\n")
    assert ".pre-commit-config.yaml has the hook already." in out
    assert (project.text("pyproject.toml"), project.text(".pre-commit-config.yaml")) == before
    code, out, err = project("--dry-run")
    assert (code, out) == (0, "")
    assert "configures gradlint already" in err


def test_dry_run_shows_what_is_then_written(project: Project) -> None:
    project.file("pyproject.toml", '[project]\nname = "x"')
    code, diff, _ = project("--diff")
    assert code == 0
    assert project.text("pyproject.toml") == '[project]\nname = "x"'
    assert not (project.folder / ".pre-commit-config.yaml").exists()
    subprocess.run(
        ["git", "apply", "--unsafe-paths", "-p0", "-"], cwd=project.folder, input=diff, text=True, check=True
    )
    applied = project.text("pyproject.toml"), project.text(".pre-commit-config.yaml")
    project.file("pyproject.toml", '[project]\nname = "x"')
    (project.folder / ".pre-commit-config.yaml").unlink()
    project()
    assert (project.text("pyproject.toml"), project.text(".pre-commit-config.yaml")) == applied


def test_line_ends_and_byte_order_marks_stay(project: Project) -> None:
    before = '\ufeff[project]\r\nname = "x"\r\n'
    path = project.file("pyproject.toml", before)
    path.chmod(0o640)
    assert project()[0] == 0
    after = project.text("pyproject.toml")
    assert after.startswith(before)
    assert after.count("\n") == after.count("\r\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert tomli.loads(after.lstrip("\ufeff"))["tool"]["gradlint"]["fail-on"] == "warning"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tool = { ruff = { line-length = 100 } }\n", "cannot be added behind what it holds"),
        ("[project\n", "not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_added_to_stays(project: Project, text: str, said: str) -> None:
    project.file("pyproject.toml", text)
    code, _, err = project()
    assert code == 2
    assert said in err
    assert project.text("pyproject.toml") == text
    assert not (project.folder / ".pre-commit-config.yaml").exists()


HOOKS = {
    "at the end": "repos:\n- repo: https://x/y\n  rev: v1\n  hooks:\n  - id: ruff\n",
    "no newline": "repos:\n  - repo: https://x/y\n    rev: v1\n    hooks:\n      - id: ruff",
    "keys behind": "repos:\n  - repo: https://x/y\n    rev: v1\n    hooks: [{id: ruff}]\n\n# so\nci:\n  skip: []\n",
    "windows": "# ours\r\nrepos:  # all\r\n  - repo: https://x/y\r\n    rev: v1\r\n    hooks:\r\n      - id: ruff\r\n",
}


@pytest.mark.parametrize("text", HOOKS.values(), ids=HOOKS)
def test_a_hook_is_added_to_those_that_are_there(project: Project, text: str) -> None:
    project.file(".pre-commit-config.yaml", text)
    assert project()[0] == 0
    first, ours = project.hooks()
    assert first["hooks"] == [{"id": "ruff"}]
    assert ours["repo"] == "local"
    assert ours["hooks"][0]["id"] == "gradlint"
    after = project.text(".pre-commit-config.yaml")
    changes = difflib.ndiff(text.splitlines(), after.splitlines())
    assert not [line for line in changes if line.startswith("- ")], "something was taken away"
    assert {**yaml.safe_load(after), "repos": 0} == {**yaml.safe_load(text), "repos": 0}
    assert ("\r" in text) == ("\r" in after)


def test_an_empty_list_of_repositories_gets_the_hook(project: Project) -> None:
    project.file(".pre-commit-config.yaml", "fail_fast: true\nrepos: []\n")
    assert project()[0] == 0
    assert [repo["repo"] for repo in project.hooks()] == ["local"]


@pytest.mark.parametrize("text", ["repos: [{repo: x, rev: v1, hooks: [{id: y}]}]\n", "fail_fast: true\n"])
def test_hooks_written_another_way_are_left_to_their_author(project: Project, text: str) -> None:
    project.file(".pre-commit-config.yaml", text)
    code, _, err = project()
    assert code == 2
    assert "- id: gradlint" in err
    assert project.text(".pre-commit-config.yaml") == text
    assert not (project.folder / "gradlint.toml").exists()
    assert project("--no-pre-commit")[0] == 0
    assert (project.folder / "gradlint.toml").exists()


def test_a_search_that_takes_too_long_is_cut_short_and_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradlint.engine.survey._PATIENCE", 0.0)
    project.file("net.py", NET.format(default=""))
    code, out, _ = project()
    assert (code, "so many models that not all were looked at" in out) == (0, True)
    assert "targets" not in project.text("gradlint.toml")


def test_without_git_there_is_no_hook(project: Project) -> None:
    (project.folder / ".git").rmdir()
    code, out, _ = project()
    assert code == 0
    assert "No git repository: no pre-commit hook was written." in out
    assert not (project.folder / ".pre-commit-config.yaml").exists()


def test_no_such_folder(project: Project) -> None:
    code, _, err = project("nowhere")
    assert (code, 'there is no folder "nowhere"' in err) == (2, True)


def test_guesses_are_written_where_there_are_some(project: Project) -> None:
    project.file(
        "net.py",
        """from torch import nn

class Base(nn.Module):
    def __init__(self, encoder, dims, num_classes: int, mode, cfg, norm_layer, bias: bool, other: "Other", n_head):
        super().__init__()
        self.encoder = encoder
        layers = [nn.Linear(w, w) for w in dims]
        if mode == "deep":
            layers += [nn.ReLU()]
        self.layers = nn.Sequential(*layers, norm_layer(8), nn.Linear(cfg.width, num_classes, bias=bias))


class Net(Base):
    def forward(self, x):
        return self.layers(self.encoder(x))
""",
    )
    assert project()[0] == 0
    text = project.text("gradlint.toml")
    values = 'encoder = …, dims = [32, 64, 128, 256], num_classes = 10, mode = "deep", cfg = …, norm_layer = …'
    assert f'# target = "net.py:Net"\n# kwargs = {{ {values}, bias = false, other = …, n_head = 8 }}\n' in text
