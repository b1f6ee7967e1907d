"""Scratch repositories for the commands that compare revisions."""

import os
import subprocess
from pathlib import Path

import pytest

from gradlint.cli import main

NET = """from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(16, 16)
        self.body = nn.Sequential(*[nn.Sequential(nn.Linear(16, 16), nn.ReLU()) for _ in range(2)])
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.body(self.stem(x)))
"""
DEEPER = NET.replace("range(2)", "range(5)")
SICK = NET.replace("range(2)", "range(20)").replace("nn.ReLU()", "nn.Sigmoid()")


class Repository:
    """A repository in a folder of its own. After each command it is seen to be as it was."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self.folder, self._patch, self._captured = folder, patch, captured
        folder.mkdir(parents=True, exist_ok=True)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name: str, text: str = NET) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def commit(self, **files: str) -> str:
        """Write `name__py="…"`, commit everything, and give the commit."""
        for name, text in files.items():
            self.write(name.replace("__", "."), text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD").strip()

    def state(self) -> tuple[object, ...]:
        """Everything of the user's that a command could touch."""
        asked = [("status", "--porcelain", "--ignored"), ("worktree", "list"), ("stash", "list"), ("for-each-ref",)]
        answers = [self.git("--no-optional-locks", *arguments) for arguments in asked]
        kept = [self.folder / ".git" / name for name in ("index", "HEAD", "config")]
        return (*answers, *((path.read_bytes(), path.stat().st_mtime_ns) for path in kept if path.is_file()))

    def __call__(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
        self._patch.chdir(cwd or self.folder)
        before, temporary = self.state(), set(Path(os.environ["TMPDIR"]).iterdir())
        code = main(arguments)
        said = self._captured.readouterr()
        assert self.state() == before
        assert set(Path(os.environ["TMPDIR"]).iterdir()) == temporary
        return code, said.out, said.err

    def said(self) -> str:
        """What has gone to stderr meanwhile."""
        return self._captured.readouterr().err

    def diff(self, *arguments: str) -> tuple[int, str]:
        """Exit code and text; nothing was said on stderr."""
        code, text, errors = self("diff", *arguments)
        assert errors == ""
        return code, text
