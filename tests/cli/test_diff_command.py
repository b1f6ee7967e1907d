"""`gradlint diff` in scratch repositories: what it says, how it exits, and that it leaves everything alone."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from scratch import DEEPER, NET, SICK, Repository

from gradlint.cli import main


def test_a_changed_file_of_the_working_tree(repo: Repository) -> None:
    repo.write("net.py", SICK)
    code, text = repo.diff("HEAD")
    assert code == 1
    assert text.startswith("Net  net.py:4  changed\n  layers       6 → 42 (+20 Sigmoid, +18 Linear, −2 ReLU)\n"), text
    assert re.search(r"^  depth        4 → 22$", text, re.MULTILINE)
    assert re.search(r"^  This change costs 1\d\.\d decades at stem\.$", text, re.MULTILINE)
    assert re.search(r"^new error\[GL101\]: saturating-stack  Net: 20 sigmoid layers starve", text, re.MULTILINE)
    assert "8 |         self.body = nn.Sequential(*[nn.Sequential(nn.Linear(16, 16), nn.Sigmoid())" in text
    assert "→ the working tree: 1 model changed; findings: 1 new (1 file checked).\n" in text
    assert repo.diff("HEAD", "--fail-on", "never")[0] == 0


@pytest.mark.parametrize("name", ["markdown", "json"])
def test_other_formats(repo: Repository, name: str, tmp_path: Path) -> None:
    repo.write("net.py", SICK)
    code, text, errors = repo("diff", "HEAD", "--output-format", name, "-o", str(tmp_path / "out"))
    assert (code, text, errors) == (1, "", "")
    written = (tmp_path / "out").read_text()
    if name == "json":
        (change,) = json.loads(written)["models"]
        assert (change["status"], change["before"]["architecture"]["depth"]) == ("changed", 4)
        assert change["loss"] > 10
    else:
        assert "| depth | 4 | 22 |  |" in written
        assert "for _ in range(20)])\n  ```\n" in written


def test_nothing_has_changed(repo: Repository) -> None:
    repo.write("notes.txt", "hello")
    code, text = repo.diff("HEAD")
    assert code == 0
    assert text.endswith(
        "no model has changed; no new finding (0 files checked, 1 left out: no change reaches them).\n"
    )


def test_two_revisions_and_a_revert(repo: Repository) -> None:
    first = repo.git("rev-parse", "HEAD").strip()
    second = repo.commit(net__py=SICK)
    repo.commit(net__py=NET)
    repo.write("net.py", "this is no Python")  # neither the working tree nor the index has a say
    code, text = repo.diff(first, second)
    assert (code, text.splitlines()[0]) == (1, "Net  net.py:4  changed")
    assert "8 |         self.body = nn.Sequential(*[nn.Sequential(nn.Linear(16, 16), nn.Sigmoid())" in text
    code, text = repo.diff(second, "main")
    assert code == 0
    assert "This change wins 1" in text
    assert "fixed: net.py:8 GL101 saturating-stack Net: 20 sigmoid layers" in text
    code, text = repo.diff(first, "HEAD")
    assert (code, "no model has changed" in text) == (0, True)


def test_a_loss_without_a_finding_is_gated_where_that_is_asked_for(repo: Repository) -> None:
    repo.write("net.py", DEEPER)
    code, text = repo.diff("HEAD")
    assert code == 0
    cost = float(re.search(r"costs (\d\.\d) decades at stem", text)[1])  # type: ignore[index]
    assert 0.3 < cost < 3
    assert repo.diff("HEAD", "--max-loss", str(cost + 0.1))[0] == 0
    assert repo.diff("HEAD", "--max-loss", str(cost - 0.1), "--fail-on", "never")[0] == 1


def test_renamed_files_and_classes_stay_the_same_model(repo: Repository) -> None:
    repo.commit(net__py=SICK)
    repo.git("mv", "net.py", "moved.py")
    code, text = repo.diff("HEAD")
    assert code == 0
    assert text.startswith("Net (was net.py:Net)  moved.py:4  renamed\n\nmoved: moved.py:8 GL101"), text
    (repo.folder / "moved.py").rename(repo.folder / "again.py")  # git knows nothing of it: the file is not tracked
    repo.git("reset", "-q")
    code, text = repo.diff("HEAD")
    assert (code, text.splitlines()[0]) == (0, "Net (was net.py:Net)  again.py:4  renamed")
    repo.write("again.py", SICK.replace("class Net", "class Tower"))
    code, text = repo.diff("HEAD")
    assert (code, text.splitlines()[0]) == (0, "Tower (was net.py:Net)  again.py:4  renamed")
    assert "moved: again.py:8 GL101" in text


def test_new_deleted_and_untracked_files(repo: Repository) -> None:
    repo.commit(old__py=SICK.replace("Net", "Old"))
    repo.git("rm", "-q", "old.py")
    repo.write("fresh.py", DEEPER.replace("Net", "Fresh"))
    repo.write(".gitignore", "hidden.py\n")
    repo.write("hidden.py", SICK.replace("Net", "Hidden"))
    code, text = repo.diff("HEAD")
    assert code == 0, text
    assert re.findall(r"^(\w+)  (\w+\.py):4  (\w+)$", text, re.MULTILINE) == [
        ("Fresh", "fresh.py", "added"),
        ("Old", "old.py", "removed"),
    ]
    assert "fixed: old.py:8 GL101" in text
    repo.write("fresh.py", SICK.replace("Net", "Fresh").replace("20", "24"))
    code, text = repo.diff("HEAD")
    assert code == 1
    assert "new error[GL101]" in text


def test_a_changed_sibling_reaches_whoever_imports_it(repo: Repository) -> None:
    uses = "from torch import nn\nfrom blocks import Act\n" + NET.partition("import nn\n")[2]
    repo.commit(acts__py="from torch import nn\n\nAct = nn.ReLU\n", blocks__py="from acts import Act\n")
    repo.commit(deep__py=uses.replace("nn.ReLU()", "Act()").replace("range(2)", "range(20)"))
    repo.write("acts.py", "from torch import nn\n\nAct = nn.Sigmoid\n")
    code, text = repo.diff("HEAD")
    assert code == 1
    assert "deep.py:5  changed" in text
    assert "20 relu → 20 sigmoid" in text
    assert "1 left out" in text


def test_a_training_script_that_builds_it_otherwise_reaches_its_model(repo: Repository) -> None:
    sized = NET.replace("def __init__(self)", "def __init__(self, depth)").replace("range(2)", "range(depth)")
    repo.commit(net__py=sized, train__py="from net import Net\n\nmodel = Net(2)\n")
    repo.write("train.py", "from net import Net\n\nmodel = Net(9)\n")
    _, text = repo.diff("HEAD")
    assert "layers       6 → 20" in text, text


def test_a_file_that_no_longer_parses(repo: Repository) -> None:
    repo.commit(other__py=NET.replace("Net", "Other"))
    repo.write("net.py", NET + "\nclass :\n")
    code, text = repo.diff("HEAD")
    assert code == 2  # nothing that was to be checked could be
    assert "Net  net.py:4  not analysed any more" in text
    assert "new warning[GL001]" in text
    repo.write("other.py", DEEPER.replace("Net", "Other"))
    assert repo.diff("HEAD")[0] == 1
    assert repo.diff("HEAD", "--ignore", "GL001", "--max-loss", "9")[0] == 1
    repo.commit()
    repo.write("net.py", NET)
    code, text = repo.diff("HEAD")
    assert (code, text.splitlines()[0]) == (0, "Net  net.py:4  not analysed before")
    assert "fixed: net.py:14 GL001" in text


def test_merges_branches_and_where_they_parted(repo: Repository) -> None:
    repo.git("switch", "-q", "-c", "side")
    repo.commit(side__py=SICK.replace("Net", "Side"))
    repo.git("switch", "-q", "main")
    repo.commit(net__py=DEEPER)
    repo.git("switch", "-q", "side")
    names = re.compile(r"^(\w+)  \w+\.py:4", re.MULTILINE)
    assert names.findall(repo.diff("main")[1]) == ["Net", "Side"]
    assert names.findall(repo.diff("main...side")[1]) == ["Side"]
    assert names.findall(repo.diff("main...")[1]) == ["Side"]
    repo.git("merge", "-q", "main", "-m", "both")
    assert names.findall(repo.diff("main")[1]) == ["Side"]
    assert names.findall(repo.diff("HEAD^1", "HEAD")[1]) == ["Net"]
    repo.git("switch", "-q", "--detach")
    repo.write("net.py", NET)
    assert names.findall(repo.diff("HEAD")[1]) == ["Net"]


def test_a_dirty_index_and_unfinished_work_stay(repo: Repository) -> None:
    repo.write("net.py", DEEPER)
    repo.git("stash", "-q")
    repo.write("net.py", SICK)
    repo.git("add", "net.py")
    repo.write("net.py", DEEPER)
    hook = repo.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    repo.git("config", "core.fsmonitor", "touch hooked; false")
    code, text = repo.diff("HEAD")
    assert code == 0
    assert "Net  net.py:4  changed" in text
    assert not (repo.folder / "hooked").exists()


def test_a_folder_of_a_repository_and_its_settings(repo: Repository) -> None:
    repo.commit(**{"pkg/__init____py": "", "pkg/net__py": NET, "gradlint__toml": 'ignore = ["GL101"]\n'})
    repo.write("net.py", SICK)
    repo.write("pkg/net.py", SICK)
    repo.write("gradlint.toml", 'ignore = ["GL1"]\n\n[[targets]]\ntarget = "new.py:New"\n')
    repo.write("new.py", NET.replace("Net", "New"))
    code, text, errors = repo("diff", "HEAD", cwd=repo.folder / "pkg")
    assert (code, errors, text.splitlines()[0]) == (0, "", "Net  net.py:4  changed"), text
    assert "(1 file checked, 1 left out" in text
    assert repo("diff", "HEAD", "--config", "ignore = []", cwd=repo.folder / "pkg")[0] == 1


def test_hostile_file_names(repo: Repository) -> None:
    names = [
        "-n.py",
        "a b.py",
        'qu"ote.py',
        "ünï.py",
        "new\nline.py",
        "tab\t.py",
        "$(touch hooked).py",
        "*.py",
        "[red].py",
    ]
    for number, name in enumerate(names):
        repo.write(name, NET.replace("Net", f"Net{number}"))
    repo.commit()
    for number, name in enumerate(names):
        repo.write(name, DEEPER.replace("Net", f"Net{number}"))
    code, text = repo.diff("HEAD")
    assert code == 0
    assert text.count("  changed\n") == len(names)
    assert f"{len(names)} models changed" in text
    assert not (repo.folder / "hooked").exists()


@pytest.mark.parametrize("command", [["diff", "{}"], ["check", "--since", "{}"]])
@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("mian", 'there is no revision "mian" here', 'did you mean "main"?'),
        ("", 'there is no revision "" here', "`git log --oneline --all` lists commits"),
        ("--output=x", 'there is no revision "--output=x" here', "`git log --oneline --all` lists commits"),
        ("main..HEAD", '"main..HEAD" is a range, not a revision', "gradlint diff BASE HEAD, or BASE...HEAD"),
        ("main:net.py", 'there is no revision "main:net.py" here', "`git log --oneline --all` lists commits"),
    ],
)
def test_an_unknown_revision(repo: Repository, command: list[str], name: str, message: str, remedy: str) -> None:
    arguments = [part.format(name) for part in command]
    arguments.insert(1, "--") if arguments[0] == "diff" else arguments.append(".")
    code, text, errors = repo(*arguments)
    assert (code, text, errors) == (2, "", f"error: {message}\n  = help: {remedy}\n")


def test_a_shallow_clone(repo: Repository, make: Callable[[str], Repository]) -> None:
    first = repo.git("rev-parse", "HEAD").strip()
    repo.commit(net__py=DEEPER)
    clone = make("clone")
    clone.git("clone", "-q", "--depth", "1", f"file://{repo.folder}", ".")
    code, _, errors = clone("diff", first)
    assert (code, errors.splitlines()[0]) == (2, f'error: there is no revision "{first}" here')
    assert "this clone is shallow: git fetch --unshallow (on GitHub: actions/checkout with fetch-depth: 0)" in errors
    code, _, errors = clone("diff", "HEAD~1")
    assert (code, "git fetch --unshallow" in errors) == (2, True)
    clone.write("net.py", NET)
    assert clone.diff("HEAD")[1].startswith("Net  net.py:4  changed")


def test_without_a_repository_and_in_a_bare_one(
    repo: Repository, make: Callable[[str], Repository], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = make("bare")
    bare.git("clone", "-q", "--bare", str(repo.folder), ".")
    monkeypatch.chdir(bare.folder)
    assert main(["diff", "main"]) == 2
    plain = make("plain")
    plain.write("net.py")
    monkeypatch.chdir(plain.folder)
    assert main(["diff", "main"]) == 2
    assert main(["check", "--since", "main", "net.py"]) == 2
    monkeypatch.chdir(repo.folder)
    monkeypatch.setenv("PATH", "")
    assert main(["diff", "main"]) == 2
    errors = repo.said().splitlines()
    assert errors[::2] == [
        "error: a bare repository has no working tree to check",
        *["error: this is no git repository, so there is nothing to compare with"] * 2,
        "error: git is not installed, or not on the PATH",
    ]
    assert errors[3] == "  = help: run it inside a repository, or use a baseline: gradlint baseline write"


def test_a_submodule(repo: Repository, make: Callable[[str], Repository]) -> None:
    library = make("library")
    library.git("init", "-q", "-b", "main")
    library.commit(acts__py="from torch import nn\n\nAct = nn.ReLU\n")
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.folder), "lib")
    repo.commit(net__py="from lib.acts import Act\n" + SICK.replace("nn.Sigmoid()", "Act()"))
    library.commit(acts__py="from torch import nn\n\nAct = nn.Sigmoid\n")
    subprocess.run(["git", "pull", "-q"], cwd=repo.folder / "lib", check=True)
    code, text = repo.diff("HEAD")
    assert code == 1
    assert "20 relu → 20 sigmoid" in text
    clone = make("clone")
    clone.git("clone", "-q", str(repo.folder), ".")
    clone.write("net.py", NET)
    code, text = clone.diff("HEAD")
    assert code == 0
    assert "note: the submodule lib is not in this clone: git submodule update --init\n" in text
    assert "Net  net.py:4  not analysed before" in text


def test_links_and_large_file_pointers(repo: Repository, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(SICK)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 9\n"
    act = b"from torch import nn\n\nAct = nn.ReLU\n"
    store = repo.folder / ".git/lfs/objects/aa/aa" / ("a" * 64)
    store.parent.mkdir(parents=True)
    store.write_bytes(act)
    (repo.folder / "link.py").symlink_to("net.py")
    (repo.folder / "out.py").symlink_to(outside)
    uses = "from acts import Act\n" + NET.replace("nn.ReLU()", "Act()")
    repo.commit(acts__py=pointer.format("a" * 64), uses__py=uses, gone__py=pointer.format("b" * 64))
    repo.write("acts.py", act.decode().replace("ReLU", "Tanh"))
    repo.write("net.py", DEEPER)
    code, text = repo.diff("HEAD")
    assert code == 0, text
    assert "2 relu → 2 tanh" in text
    assert "note: a file is a pointer of Git LFS whose content is not in this clone: git lfs fetch" in text
    assert "outside" not in text


def test_an_interrupted_run_leaves_nothing_behind(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write("net.py", DEEPER)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gradlint.engine.revisions.compare.check_both", interrupt)
    assert repo("diff", "HEAD")[0] == 130  # that nothing is left is seen to after each command

    def terminate(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("gradlint.engine.revisions.compare.check_both", terminate)
    with pytest.raises(SystemExit) as leaving:
        repo("diff", "HEAD")
    assert leaving.value.code == 143
    assert list(Path(os.environ["TMPDIR"]).iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
