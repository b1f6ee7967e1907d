"""`check --since`, `--with-dependents`, `baseline` and `diff` in repositories of every kind that people have."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scratch import NET, SICK, Repository

Run = Callable[..., "subprocess.CompletedProcess[str]"]
BLOCKS = """from torch import nn


def block():
    return nn.Sequential(nn.Linear(16, 16), nn.ReLU())
"""
SICK_BLOCKS = BLOCKS.replace("nn.ReLU()", "nn.Sigmoid()")
DEEP = """from torch import nn

from blocks import block


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*[block() for _ in range(20)])
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.body(x))
"""


def check(repo: Repository, *arguments: str, cwd: Path | None = None) -> tuple[int, set[tuple[str, str]]]:
    """Exit code, and path and code of each finding that counts."""
    code, text, errors = repo("check", *arguments, "--output-format", "json", cwd=cwd)
    assert errors == ""
    document: dict[str, Any] = json.loads(text)
    return code, {(finding["path"], finding["code"]) for finding in document["findings"]}


@pytest.fixture
def merged(repo: Repository) -> Repository:
    """`main` with a sick model of its own, into which a branch with another one was merged."""
    repo.git("switch", "-q", "-c", "work")
    repo.commit(other__py=SICK.replace("Net", "Other"))
    repo.git("switch", "-q", "main")
    repo.commit(net__py=SICK)
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "work")
    return repo


def test_since_either_side_of_a_merge_commit(merged: Repository) -> None:
    assert check(merged, "--since", "HEAD^1") == (1, {("other.py", "GL101")})
    assert check(merged, "--since", "HEAD^2") == (1, {("net.py", "GL101")})
    assert check(merged, "--since", "HEAD") == (0, set())
    assert check(merged, "--since", "main~1...work") == (1, {("net.py", "GL101"), ("other.py", "GL101")})


def test_since_in_the_midst_of_a_merge_with_conflicts(repo: Repository) -> None:
    repo.git("switch", "-q", "-c", "work")
    repo.commit(net__py=SICK)
    repo.git("switch", "-q", "main")
    repo.commit(net__py=NET.replace("range(2)", "range(3)"))
    merge = ["git", "merge", "work"]
    assert subprocess.run(merge, cwd=repo.folder, capture_output=True, check=False).returncode == 1
    code, found = check(repo, "--since", "HEAD")
    assert (code, found) == (2, {("net.py", "GL001")})  # the marks of the conflict: nothing could be analysed
    repo.write("net.py", SICK)
    assert check(repo, "--since", "HEAD") == (1, {("net.py", "GL101")})
    assert check(repo, "--since", "MERGE_HEAD") == (0, set())


def test_since_a_revert(repo: Repository) -> None:
    repo.commit(net__py=SICK)
    repo.git("revert", "--no-edit", "HEAD")
    assert check(repo, "--since", "HEAD~1") == (0, set())
    assert check(repo, "--since", "HEAD~2") == (0, set())
    repo.git("revert", "--no-edit", "HEAD")
    assert check(repo, "--since", "HEAD~1") == (1, {("net.py", "GL101")})
    assert check(repo, "--since", "HEAD~2") == (0, set())


def test_since_with_a_detached_head(merged: Repository) -> None:
    merged.git("switch", "-q", "--detach", "HEAD~1")
    assert check(merged, "--since", "HEAD~1") == (1, {("net.py", "GL101")})
    assert check(merged, "--since", "main") == (0, set())
    assert check(merged, "--since", "work") == (1, {("net.py", "GL101")})


def test_since_in_a_shallow_clone(merged: Repository, make: Callable[[str], Repository]) -> None:
    first = merged.git("rev-parse", "HEAD~2").strip()
    merged.git("clone", "-q", "--depth", "1", f"file://{merged.folder}", str(merged.folder.parent / "shallow"))
    shallow = make("shallow")
    shallow.write("net.py", f"# more\n{SICK}")
    shallow.write("new.py", SICK.replace("Net", "New"))
    assert check(shallow, "--since", "HEAD") == (1, {("new.py", "GL101")})
    for revision in ("HEAD~1", first, "origin/work"):
        code, text, errors = shallow("check", "--since", revision)
        assert (code, text) == (2, "")
        assert "this clone is shallow: git fetch --unshallow" in errors


def test_since_in_a_repository_with_a_submodule_and_inside_of_it(
    repo: Repository, make: Callable[[str], Repository]
) -> None:
    library = make("library")
    library.git("init", "-q", "-b", "main")
    library.commit(blocks__py=BLOCKS)
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.folder), "lib")
    repo.commit(deep__py=DEEP.replace("from blocks", "from lib.blocks"))
    inside = repo.folder / "lib"
    (inside / "blocks.py").write_text(SICK_BLOCKS)
    repo.git("-C", "lib", "commit", "-q", "-a", "-m", "worse")
    assert check(repo, "--since", "HEAD") == (1, {("deep.py", "GL101")})
    (inside / "net.py").write_text(SICK)
    assert check(repo, "--since", "HEAD", cwd=inside) == (1, {("net.py", "GL101")})
    repo.commit()
    assert check(repo, "--since", "HEAD~1", "deep.py") == (1, {("deep.py", "GL101")})
    repo.git("submodule", "deinit", "-q", "-f", "lib")
    code, text, errors = repo("check", "--since", "HEAD~1")
    assert (code, errors) == (0, "")
    assert "the submodule lib is not in this clone: git submodule update --init" in text


def test_since_in_a_linked_worktree(merged: Repository, make: Callable[[str], Repository]) -> None:
    merged.git("worktree", "add", "-q", "--detach", str(merged.folder.parent / "linked"), "HEAD~1")
    linked = make("linked")
    linked.write("new.py", SICK.replace("Net", "New"))
    assert check(linked, "--since", "HEAD") == (1, {("new.py", "GL101")})


def test_since_before_the_first_commit(make: Callable[[str], Repository]) -> None:
    empty = make("empty")
    empty.git("init", "-q", "-b", "main")
    empty.write("net.py", SICK)
    code, text, errors = empty("check", "--since", "HEAD")
    assert (code, text) == (2, "")
    assert 'there is no revision "HEAD" here' in errors
    assert check(empty, ".") == (1, {("net.py", "GL101")})


def test_a_changed_block_reaches_who_imports_it_since_a_revision(repo: Repository) -> None:
    repo.commit(blocks__py=BLOCKS, deep__py=DEEP, old__py=SICK.replace("Net", "Old"))
    repo.write("blocks.py", SICK_BLOCKS)
    assert check(repo, "blocks.py", "--since", "HEAD") == (0, set())  # it holds no model itself
    assert check(repo, "blocks.py", "--since", "HEAD", "--with-dependents") == (1, {("deep.py", "GL101")})
    assert check(repo, "--since", "HEAD") == (1, {("deep.py", "GL101")})
    assert check(repo, "old.py", "--since", "HEAD", "--with-dependents") == (0, set())
    repo.write("blocks.py", f"# only a remark\n{BLOCKS}")
    assert check(repo, "blocks.py", "--since", "HEAD", "--with-dependents") == (0, set())
    repo.write("blocks.py", SICK_BLOCKS)
    repo.git("mv", "deep.py", "deeper.py")
    assert check(repo, "blocks.py", "--since", "HEAD", "--with-dependents") == (1, {("deeper.py", "GL101")})


def test_a_baseline_over_renames_reverts_and_merges(merged: Repository) -> None:
    known = ("--baseline", "../known.json")
    assert merged("baseline", "write", *known)[0] == 0
    assert check(merged, ".", *known) == (0, set())
    merged.git("mv", "net.py", "moved.py")
    assert check(merged, ".", *known) == (0, set())
    assert check(merged, "--since", "HEAD", *known) == (0, set())
    merged.commit()
    merged.git("revert", "--no-edit", "HEAD")
    assert check(merged, ".", *known) == (0, set())
    merged.git("revert", "--no-edit", "-m", "1", "HEAD~2")  # the merge: other.py is gone
    code, found = check(merged, ".", *known)
    assert (code, [rule for _, rule in found]) == (1, ["GL004"])
    assert merged("baseline", "prune", *known)[0] == 0
    assert check(merged, ".", *known) == (0, set())
    merged.git("switch", "-q", "--detach", "HEAD~1")
    assert check(merged, ".", *known) == (1, {("other.py", "GL101")})


def test_without_any_repository(make: Callable[[str], Repository], run: Run) -> None:
    folder = make("bare").folder
    (folder / "blocks.py").write_text(SICK_BLOCKS)
    (folder / "deep.py").write_text(DEEP)
    for arguments in (["check", "--since", "HEAD"], ["diff", "HEAD"], ["check", "blocks.py", "--since", "main"]):
        done = run(*arguments, cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert "this is no git repository, so there is nothing to compare with" in done.stderr
        assert "gradlint baseline write" in done.stderr
    done = run("check", "blocks.py", "--with-dependents", "--output-format", "concise", cwd=folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert "deep.py" in done.stdout
    assert run("baseline", "write", cwd=folder).returncode == 0
    assert run("check", ".", "--baseline", "gradlint-baseline.json", cwd=folder).returncode == 0


def test_the_installed_command_from_commit_to_commit(merged: Repository, run: Run) -> None:
    """Two branches, by the command as it is installed, in a process of its own."""
    merged.git("switch", "-q", "--detach", "HEAD~1")
    done = run("diff", "HEAD~1", "--output-format", "markdown", cwd=merged.folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert "GL101" in done.stdout
    done = run("check", "--since", "HEAD~1", "--with-dependents", "net.py", cwd=merged.folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert "net.py:8:" in done.stdout
    done = run("check", "--since", "HEAD", cwd=merged.folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert merged.git("status", "--porcelain") == ""
