"""Which files import a changed one."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.discovery.elsewhere import Bounds, Dependents, dependents_of

Find = Callable[..., list[str]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    def written(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path.resolve()

    return written


@pytest.fixture
def find(write: Callable[[dict[str, str]], Path]) -> Find:
    """Write files; the names of those that depend on the changed ones."""

    def found(files: dict[str, str], *changed: str) -> list[str]:
        root = write(files)
        answer = dependents_of({root / name for name in changed}, root)
        assert answer.is_complete
        return [path.relative_to(root).as_posix() for path in answer.files]

    return found


@pytest.mark.parametrize(
    "line",
    [
        "import blocks",
        "import blocks as b",
        "from blocks import Block",
        "from blocks import *",
        "def f():\n    from blocks import Block",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import blocks",
        "try:\n    from .blocks import Block\nexcept ImportError:\n    from blocks import Block",
    ],
)
def test_an_import_of_any_form(find: Find, line: str) -> None:
    files = {"blocks.py": "class Block: pass\n", "net.py": f"{line}\n", "other.py": "import torch\n"}
    assert find(files, "blocks.py") == ["net.py"]


def test_through_others_and_in_circles(find: Find) -> None:
    files = {
        "a.py": "import b\n",
        "b.py": "import c\n",
        "c.py": "import a\nx = 1\n",
        "d.py": "from a import b\n",
        "e.py": "y = 1\n",
    }
    assert find(files, "c.py") == ["a.py", "b.py", "d.py"]


def test_a_mention_is_no_import(find: Find) -> None:
    files = {
        "blocks.py": "x = 1\n",
        "net.py": "# blocks\nblocks = 3\n",
        "pkg/blocks.py": "",
        "pkg/n.py": "from .blocks import x\n",
    }
    assert find(files, "blocks.py") == []


PACKAGE = {
    "pkg/__init__.py": "from .blocks import Block\nfrom .other import Other\n",
    "pkg/blocks.py": "class Block: pass\n",
    "pkg/other.py": "class Other: pass\n",
    "uses_block.py": "from pkg import Block\n",
    "uses_other.py": "from pkg import Other\n",
    "uses_all.py": "import pkg\n",
    "uses_file.py": "import pkg.blocks\n",
}


def test_a_name_that_a_package_hands_on_leads_to_its_definition(find: Find) -> None:
    expected = ["pkg/__init__.py", "uses_all.py", "uses_block.py", "uses_file.py"]
    assert find(PACKAGE, "pkg/blocks.py") == expected


def test_what_changes_where_names_are_handed_on_means_all_who_take_them(find: Find) -> None:
    assert find(PACKAGE, "pkg/__init__.py") == ["uses_all.py", "uses_block.py", "uses_other.py"]


@pytest.mark.parametrize("line", ["from . import Block", "from .. import Block", "from ..sub import Block"])
def test_relative_imports(find: Find, line: str) -> None:
    folder = "pkg/" if line.startswith("from . ") else "pkg/deep/" if ".." in line and "sub" not in line else "pkg/x/"
    files = {f"{folder}net.py": f"{line}\n"}
    files |= {"pkg/__init__.py": "class Block: pass\n", "pkg/sub/__init__.py": "class Block: pass\n"}
    changed = "pkg/sub/__init__.py" if "sub" in line else "pkg/__init__.py"
    assert find(files, changed) == [f"{folder}net.py"]


def test_a_source_folder_is_no_part_of_the_name(find: Find) -> None:
    files = {
        "src/pkg/__init__.py": "",
        "src/pkg/blocks.py": "class Block: pass\n",
        "scripts/train.py": "from pkg.blocks import Block\n",
        "broken.py": "from pkg.blocks import (\n",
    }
    assert find(files, "src/pkg/blocks.py") == ["scripts/train.py"]


def test_a_search_that_was_cut_short_says_so(write: Callable[[dict[str, str]], Path]) -> None:
    root = write({"a.py": "", "b.py": "import a\n", "c.py": "import a\n"})
    for bounds in (Bounds(files=2), Bounds(entries=2), Bounds(read=1), Bounds(seconds=0.0)):
        assert not dependents_of({root / "a.py"}, root, bounds).is_complete
    assert dependents_of({root / "a.py"}, root, Bounds(seconds=30.0)).is_complete


def test_of_nothing_nothing_depends(tmp_path: Path) -> None:
    assert dependents_of(set(), tmp_path) == Dependents((), is_complete=True)
