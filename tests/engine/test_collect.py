"""Which files a run looks at."""

import os
from pathlib import Path

import pytest

from gradlint.config import Config, load
from gradlint.core.errors import UsageError
from gradlint.core.location import Location
from gradlint.core.report import Skipped
from gradlint.engine.collect import Job, collect


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [
        "b.py",
        "a.py",
        "setup.py",
        "conftest.py",
        "notes.txt",
        "pkg/model.py",
        "pkg/conftest.py",
        "pkg/generated/made.py",
        "pkg/generated/kept.py",
        ".hidden/x.py",
        "node_modules/x.py",
        "venv/pyvenv.cfg",
        "venv/lib/x.py",
        "lib/site-packages/torch/x.py",
        "build/x.py",
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(*paths: str, config: Config | None = None) -> list[str]:
    return [job.shown for job in collect(paths, config or Config(root=str(Path.cwd())))[0]]


def missing(*paths: str) -> Skipped:
    (item,) = collect(paths, Config())[1]
    assert item.fatal
    return item


def test_a_directory_stands_for_its_python_files_in_order(tree: Path) -> None:
    below = ["pkg/model.py", "pkg/generated/kept.py", "pkg/generated/made.py"]
    assert shown(".") == ["a.py", "b.py", "build/x.py", *below]
    assert shown("pkg") == below
    assert shown(str(tree / "pkg"))[0] == str(tree / "pkg" / "model.py")


def test_gitignore_files_count_the_nested_and_the_outer_ones_too(tree: Path) -> None:
    (tree / ".gitignore").write_text("/build\n*.tmp.py\n**/generated/*\n")
    (tree / "pkg" / ".gitignore").write_text("!generated/kept.py\n")
    assert shown(".") == ["a.py", "b.py", "pkg/model.py", "pkg/generated/kept.py"]
    assert "build/x.py" in shown(".", config=Config(respect_gitignore=False))
    (tree / ".git").mkdir()
    assert shown("pkg") == ["pkg/model.py", "pkg/generated/kept.py"]


def test_exclude_is_relative_to_the_configuration(tree: Path) -> None:
    config = Config(exclude=("build", "/pkg/generated/*.py"), extend_exclude=("b.py",), root=str(tree))
    assert shown(".", config=config) == ["a.py", "pkg/model.py"]


def test_a_named_file_is_always_checked(tree: Path) -> None:
    config = Config(exclude=("*.py",), root=str(tree))
    assert shown("setup.py", "build/x.py", config=config) == ["setup.py", "build/x.py"]


def test_each_file_once_in_the_order_given(tree: Path) -> None:
    assert shown("b.py", "a.py", "./b.py", "pkg/../a.py") == ["b.py", "a.py"]


def test_named_models_of_files_and_modules(tree: Path) -> None:
    jobs, skipped = collect(["a.py:Net", "a.py:Other", "b.py:Net", "b.py", "pkg.model:Net"], Config())
    assert skipped == ()
    assert [(job.shown, job.names, job.module) for job in jobs] == [
        ("a.py", ("Net", "Other"), ""),
        ("b.py", (), ""),
        ("pkg/model.py", ("Net",), "pkg.model"),
    ]


def test_a_module_is_found_without_being_imported(tree: Path) -> None:
    (tree / "pkg" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (job,), _ = collect(["pkg.model:Net"], Config())
    assert job.path == str(tree / "pkg" / "model.py")


def test_standard_input(tree: Path) -> None:
    (job,), _ = collect(["-"], Config(), stdin=("new.py", "x = 1"))
    assert job == Job(str(tree / "new.py"), "new.py", source="x = 1")


def test_what_does_not_exist_is_told_with_a_guess(tree: Path) -> None:
    item = missing("pkg/modle.py")
    assert item.reason == 'there is no file or directory "pkg/modle.py"'
    assert item.remedy == 'did you mean "pkg/model.py"?'
    assert missing("gone.py:Net").reason == 'there is no file or directory "gone.py"'
    assert (
        missing("no.such.module:Net").reason == 'there is no module "no.such.module" that could be imported from here'
    )


def test_links_in_circles_end(tree: Path) -> None:
    (tree / "pkg" / "loop").symlink_to(tree)
    assert len(shown(".")) == 6


def test_names_that_are_no_text_are_told(tree: Path) -> None:
    (tree / "odd\udce9.py").write_text("")
    jobs, (item,) = collect(["."], Config(root=str(tree)))
    assert item.path == "odd\\udce9.py"
    assert item.reason == "the name of the file is not valid UTF-8"
    assert len(jobs) == 6


def test_a_link_to_itself_is_told_of_and_a_pipe_is_passed_over(tree: Path) -> None:
    (tree / "odd").mkdir()
    (tree / "odd" / "self.py").symlink_to("self.py")
    (tree / "odd" / "gone.py").symlink_to("nowhere.py")
    os.mkfifo(tree / "odd" / "pipe.py")  # to read it would wait for a writer for ever
    assert shown("odd") == ["odd/gone.py", "odd/self.py"]


def test_an_empty_path_does_not_stand_for_the_working_directory(tree: Path) -> None:
    assert missing("").fatal


@pytest.mark.parametrize("given", ["pipe.py", "pipe.py:Net"])
def test_a_named_pipe_is_told_of_and_not_waited_for(tree: Path, given: str) -> None:
    os.mkfifo(tree / "pipe.py")
    item = missing(given)
    assert (item.path, item.reason) == ("pipe.py", "it is a named pipe, not a file")
    assert item.remedy == 'pass its content on standard input: "gradlint check - < pipe.py"'
    assert missing("/dev/zero").reason == "it is a device, not a file"


@pytest.mark.parametrize("pattern", ["[z-a]", "!", "\\"])
def test_an_exclude_that_is_no_pattern_is_refused_where_it_stands(tree: Path, pattern: str) -> None:
    (tree / "gradlint.toml").write_text(f"timeout = 5\nextend-exclude = ['build', '{pattern}']\n")
    with pytest.raises(UsageError) as caught:
        collect(["."], load(tree))
    assert caught.value.message.startswith(f'"{pattern}" is no pattern of paths: ')
    assert caught.value.location == Location(str(tree / "gradlint.toml"), 2)


def test_a_line_of_gitignore_that_is_no_pattern_ignores_nothing(tree: Path) -> None:
    (tree / ".gitignore").write_text("[z-a]\n!\nb.py\n\\\n")
    assert {"a.py", "b.py"} & set(shown(".")) == {"a.py"}
