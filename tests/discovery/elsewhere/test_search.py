"""Which files are read, in which order, and which names stand for the checked class."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.core.target import InputSpec, Unsaid
from gradlint.discovery.elsewhere import Bounds, constructions_elsewhere
from gradlint.discovery.elsewhere.repository import Repository, root_of
from gradlint.discovery.values import Construction

Find = Callable[..., list[Construction]]
CALL = "from model import Net\nNet({}, 1)"


def first(made: list[Construction]) -> list[object]:
    return [(construction.args or ())[0] for construction in made]


def test_the_order_of_sources(find: Find) -> None:
    files = {
        "lib/other.py": CALL.format(6),
        "README.md": f"```python\n{CALL.format(5)}\n```",
        "demo/show.py": CALL.format(4),
        "tests/test_net.py": CALL.format(3),
        "sub/train.py": CALL.format(2),
        "train.py": CALL.format(1),
    }
    made = find(files)
    assert first(made) == [1, 2, 3, 4, 5, 6]
    assert [construction.place for construction in made][::2] == ["train.py:2", "tests/test_net.py:2", "README.md:3"]


def test_one_way_to_build_is_named_once(find: Find) -> None:
    made = find({"train.py": f"{CALL.format(1)}\nNet(1, 1)\nNet(2, 1)", "main.py": CALL.format(1)})
    assert sorted(first(made), key=str) == [1, 2]


@pytest.mark.parametrize(
    "code",
    [
        "from pkg.model import Net\nNet(8, 1)",
        "from pkg.model import Net as N\nN(8, 1)",
        "from pkg import Net\nNet(8, 1)",
        "from pkg import *\nNet(8, 1)",
        "from pkg.model import *\nNet(8, 1)",
        "import pkg\npkg.Net(8, 1)",
        "import pkg.model\npkg.model.Net(8, 1)",
        "import pkg.model as m\nm.Net(8, 1)",
        "from pkg import model\nmodel = model.Net(8, 1)\nmodel.train()",
        "from pkg import model\nmodel.Net(8, 1)",
        "from pkg.model import Net\nModel = Net\nModel(8, 1)",
        "def main():\n    from pkg.model import Net\n    return Net(8, 1).cuda()",
        "try:\n    from pkg.model import Net\nexcept ImportError:\n    from .pkg.model import Net\nNet(8, 1)",
        "from pkg.alias import Public\nNet = Public\nPublic(8, 1)",
    ],
)
@pytest.mark.parametrize("folder", ["", "src/"])
def test_names_of_the_class(find: Find, code: str, folder: str) -> None:
    files = {
        f"{folder}pkg/__init__.py": "from .model import Net\n",
        f"{folder}pkg/alias.py": "from . import model\nPublic = model.Net\n",
        "train.py": code,
    }
    assert first(find(files, model=f"{folder}pkg/model.py")) == [8]


def test_relative_imports(find: Find) -> None:
    files = {
        "pkg/train.py": "from .nets.model import Net as N\nN(8, 1)",
        "pkg/nets/run.py": "from . import model\nmodel.Net(9, 1)",
    }
    assert sorted(first(find(files, model="pkg/nets/model.py")), key=str) == [8, 9]


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("from other import Net\nNet(8, 1)", "class Net: pass"),
        ("import other\nother.Net(8, 1)", "class Net: pass"),
        ("class Net: pass\nNet(8, 1)", ""),
        ("from model import Net\nclass Net: pass\nNet(8, 1)", ""),
        ("from torchvision.models import Net\nNet(8, 1)", ""),
        ("Net(8, 1)", ""),
        (
            "try:\n    from model import Net\nexcept ImportError:\n    from other import Net\nNet(8, 1)",
            "class Net: pass",
        ),
        ("from other import Net\nNet(8, 1)", "from train import Net"),
        ("from other import *\nNet(8, 1)", "from other import *"),
    ],
)
def test_another_class_of_the_same_name_is_not_taken(find: Find, code: str, other: str) -> None:
    assert find({"train.py": code, "other.py": other}) == []


def test_of_two_files_of_one_name_neither_is_guessed(find: Find) -> None:
    files = {"b/model.py": "class Net: pass", "scripts/train.py": CALL.format(8)}
    assert find(files, model="a/model.py") == []
    assert first(find({"b/model.py": "class Net: pass", "a/train.py": CALL.format(8)}, model="a/model.py")) == [8]


def test_a_notebook(find: Find) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["Net(7, 1)"]},
        {
            "cell_type": "code",
            "source": ["%matplotlib inline\n", "!pip install x\n", "from model import Net\n", "import torch"],
        },
        {"cell_type": "code", "source": "%%bash\nNet(6, 1)"},
        {"cell_type": "code", "source": "this is no Python Net(5, 1)"},
        {"cell_type": "code", "source": "net = Net(8, 1)\nnet(torch.ones(2, 3))"},
    ]
    (made,) = find({"notebooks/demo.ipynb": json.dumps({"cells": cells})})
    assert (made.args, made.inputs) == ((8, 1), (InputSpec((2, 3)),))
    assert (made.place, made.fed_place) == ("notebooks/demo.ipynb:cell 5:1", "notebooks/demo.ipynb:cell 5:2")


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": 3}', '{"cells": [{"cell_type": "code"}]}', '"Net"'])
def test_a_broken_notebook(find: Find, text: str) -> None:
    assert first(find({"Net.ipynb": text, "train.py": CALL.format(8)})) == [8]


README = """
# Net

```bash
python train.py Net
```
```python
import torch
{imports}
```
   ~~~py
   net = Net(hidden=8, depth=1)
   ~~~
```python
>>> out = Net(9, 1)
Net(10, 1)
```
```python
Net(..., because
```
"""


@pytest.mark.parametrize("imports", ["from model import Net", ""])
def test_a_readme(find: Find, imports: str) -> None:
    made = find({"README.md": README.replace("{imports}", imports)})
    assert [(construction.args, construction.kwargs) for construction in made] == [
        ((), {"hidden": 8, "depth": 1}),
        ((9, 1), {}),
    ]
    assert [construction.place for construction in made] == ["README.md:12", "README.md:15"]


def test_a_readme_that_speaks_of_another_class(find: Find) -> None:
    readme = README.replace("{imports}", "")
    assert find({"README.md": readme, "other.py": "class Net: pass"}) == []
    assert find({"README.md": readme.replace("import torch", "from torch.nn import Net")}) == []


def test_files_that_cannot_be_read_are_passed_over(find: Find, tmp_path: Path) -> None:
    (tmp_path / "train_binary.py").write_bytes(b"\x00\xff Net(1, 1)")
    (tmp_path / "train_latin.py").write_bytes("# \xe9\nfrom model import Net\nNet(4, 1)".encode("latin-1"))
    (tmp_path / "train_locked.py").write_text(CALL.format(3))
    (tmp_path / "train_locked.py").chmod(0)
    (tmp_path / "train_folder.py").mkdir()
    os.mkfifo(tmp_path / "train_pipe.py")
    (tmp_path / "train_loop.py").symlink_to(tmp_path / "train_loop.py")
    (tmp_path / "train_nowhere.py").symlink_to(tmp_path / "nothing.py")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    made = find({"train.py": CALL.format(8), "train_broken.py": "from model import Net\nNet(1, 1"})
    assert set(first(made)) - {3} == {8, 4}  # root may read what is locked


def test_a_link_that_leads_out_of_the_repository_is_not_followed(find: Find, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.py"
    outside.write_text(CALL.format(1))
    (tmp_path / "train.py").symlink_to(outside)
    assert find({}) == []


@pytest.mark.parametrize(
    "folder", [".hidden", "node_modules", "venv", "build", "lib/site-packages", "ignored", "pkg/__pycache__"]
)
def test_folders_that_are_left_out(find: Find, folder: str) -> None:
    files = {f"{folder}/train.py": CALL.format(8), "venv/pyvenv.cfg": "", ".gitignore": "ignored/\n"}
    assert find(files) == []


def test_the_number_of_files_is_bounded_and_the_nearest_come_first(find: Find) -> None:
    files = {f"data/f{number}.py": "" for number in range(50)}
    files |= {"a/train.py": CALL.format(1), "pkg/train.py": "from .model import Net\nNet(8, 1)"}
    assert first(find(files, model="pkg/model.py", bounds=Bounds(files=2))) == [8]


@pytest.mark.parametrize("bounds", [Bounds(read=0), Bounds(seconds=0.0), Bounds(entries=0, files=0)])
def test_out_of_bounds_nothing_is_found(find: Find, bounds: Bounds) -> None:
    assert find({"sub/train.py": CALL.format(8)}, bounds=bounds) == []


def test_without_any_mark_only_the_own_folder_is_searched(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.py").write_text("class Net: pass")
    (tmp_path / "train.py").write_text("from a.model import Net\nNet(1)")
    (tmp_path / "a" / "train.py").write_text("from model import Net\nNet(2)")
    assert root_of(tmp_path / "a" / "model.py") == tmp_path / "a"
    assert first(constructions_elsewhere(str(tmp_path / "a" / "model.py"), ["Net"])["Net"]) == [2]
    (tmp_path / ".git").mkdir()
    assert first(constructions_elsewhere(str(tmp_path / "a" / "model.py"), ["Net"])["Net"]) == [2, 1]


def test_every_file_is_read_once(find: Find, tmp_path: Path) -> None:
    find({"train.py": CALL.format(8)})
    repository = Repository(tmp_path / "model.py")
    read = repository.document(tmp_path / "train.py")
    (tmp_path / "train.py").unlink()
    assert repository.document(tmp_path / "train.py") is read is not None


def test_files_that_import_each_other(find: Find) -> None:
    files = {
        "a.py": "from b import WIDTH\nDEPTH = 2",
        "b.py": "from a import DEPTH\nWIDTH = 4",
        "train.py": "from model import Net\nimport a, b\nNet(a.WIDTH, b.DEPTH)",
    }
    (made,) = find(files)
    assert made.args == (4, 2)


def test_modules_that_import_each_other_again_and_again(find: Find) -> None:
    many = "\n".join(f"def f{n}():\n    from pkg import a, b, Net" for n in range(20))
    files = {"pkg/__init__.py": many, "pkg/a.py": many, "pkg/b.py": many, "train.py": "import pkg\npkg.Net(8, 1)"}
    assert find(files, model="pkg/model.py") == []
    files["pkg/__init__.py"] += "\nfrom .model import Net"
    assert first(find(files, model="pkg/model.py")) == [8]


def test_calls_of_which_some_arguments_are_known_come_last(find: Find) -> None:
    train = "from model import Net\nwords, depth = load()\nNet(len(words), 3)\nNet(8, depth=depth)\nNet(words, depth)\n"
    other = "from model import Net\nNet(4, 2)\n"
    made = find({"train.py": train, "zoo/other.py": other}, partly=True)
    assert [(c.place, c.args, c.kwargs) for c in made] == [
        ("zoo/other.py:2", (4, 2), {}),
        ("train.py:3", (Unsaid("len(words)"), 3), {}),
        ("train.py:4", (8,), {"depth": Unsaid("depth")}),
    ]
    assert [c.is_whole for c in made] == [True, False, False]
