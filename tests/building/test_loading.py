"""Loading a file executes its definitions and nothing else."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.building import Namespace, load_module
from gradlint.core.errors import AnalysisError

Write = Callable[..., str]


def names(namespace: Namespace) -> set[str]:
    return {name for name in vars(namespace.module) if not name.startswith("__")}


def test_the_script_is_kept_back(write: Write) -> None:
    namespace = load_module(
        write(
            """
            WIDTH = 4
            HALF = WIDTH / 2
            data = open("/nowhere/at/all").read()
            size = data.size
            class Net(nn.Module): pass
            def train(): return data
            print("never")
            for i in range(10**12): pass
            with open("/nowhere"): pass
            while True: pass
            if torch.cuda.is_available() or True:
                train()
            if __name__ == "__main__":
                raise SystemExit
            """
        )
    )
    assert {"WIDTH", "HALF", "Net", "train"} <= names(namespace)
    assert not {"data", "size", "i"} & names(namespace)
    assert vars(namespace.module)["HALF"] == 2


def test_what_a_definition_needs_while_it_is_executed_is_run(write: Write) -> None:
    namespace = load_module(
        write(
            """
            table = dict(width=3)
            width = table["width"]
            unused = undefined_function()
            class Net(nn.Module):
                size = width
            def f(x=width): return x
            """
        )
    )
    assert vars(namespace.module)["Net"].size == 3
    assert "unused" not in names(namespace)


def test_what_an_expression_needs_is_run_in_order(write: Write) -> None:
    namespace = load_module(
        write(
            """
            order = list()
            order.append("first")
            for name in ("second", "third"):
                order.append(name)
            other = order.pop()
            def last(): return order[-1]
            """
        )
    )
    assert namespace.evaluate("last()") == "third"
    assert "other" not in names(namespace)
    assert namespace.evaluate("order") == ["first", "second", "third"]


def test_branches_define(write: Write) -> None:
    namespace = load_module(
        write(
            """
            try:
                import a_package_that_nobody_has as fast
            except ImportError:
                fast = None
                print("never")
            if fast is None:
                class Norm(nn.Module): pass
            else:
                class Norm(nn.Module): width = 3
            """
        )
    )
    assert vars(namespace.module)["fast"] is None
    assert not hasattr(vars(namespace.module)["Norm"], "width")


def test_dataclasses_and_future_annotations(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        '"""Docstring."""\nfrom __future__ import annotations\nfrom dataclasses import dataclass, field\n'
        "@dataclass\nclass C:\n    x: Undefined = 3\n    y: list[int] = field(default_factory=list)\n"
    )
    assert load_module(str(path)).evaluate("C().x") == 3


def test_siblings_relative_imports_and_the_root_are_found(tmp_path: Path) -> None:
    package = tmp_path / "repo" / "pkg" / "sub"
    package.mkdir(parents=True)
    (tmp_path / "repo" / "pyproject.toml").touch()
    (tmp_path / "repo" / "settings_of_root.py").write_text("ROOT = 1\n")
    (tmp_path / "repo" / "pkg" / "__init__.py").write_text("raise RuntimeError('not needed')\n")
    (tmp_path / "repo" / "pkg" / "layers.py").write_text("LAYER = 2\n")
    (package / "__init__.py").touch()
    (package / "near.py").write_text("NEAR = 3\n")
    path = package / "model.py"
    path.write_text(
        "from ..layers import LAYER\nfrom .near import NEAR\nfrom settings_of_root import ROOT\nimport pkg.layers\n"
        "import near\n"
    )
    found = vars(load_module(str(path)).module)
    assert (found["LAYER"], found["NEAR"], found["ROOT"], found["__package__"]) == (2, 3, 1, "pkg.sub")


def test_a_package_that_must_be_imported_is(tmp_path: Path) -> None:
    package = tmp_path / "pkg_with_init"
    package.mkdir()
    (package / "__init__.py").write_text("CONSTANT = 5\n")
    (package / "model.py").write_text("from . import CONSTANT\n")
    assert vars(load_module(str(package / "model.py")).module)["CONSTANT"] == 5


def test_each_file_has_siblings_of_its_own(tmp_path: Path) -> None:
    for folder, value in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sibling_module.py").write_text(f"VALUE = {value}\n")
        (tmp_path / folder / "model.py").write_text("from sibling_module import VALUE\n")
    values = [vars(load_module(str(tmp_path / folder / "model.py")).module)["VALUE"] for folder in ("one", "two")]
    assert values == [1, 2]


def test_a_file_named_like_a_library_hides_nothing(write: Write) -> None:
    namespace = load_module(write("import random\nVALUE = 3\n", "random.py"))
    import random

    assert hasattr(random, "randint")
    assert vars(namespace.module)["VALUE"] == 3


def test_the_interpreter_is_left_as_found(write: Write) -> None:
    path, arguments = list(sys.path), list(sys.argv)
    load_module(write("import sys\nsys.path.append('/x')\nsys.path.insert(0, '/y')\nsys.argv = ['z']\n"))
    assert sys.path == path
    assert sys.argv == arguments


def test_source_from_elsewhere(tmp_path: Path) -> None:
    namespace = load_module(str(tmp_path / "unsaved.py"), source="VALUE = 3\n")
    assert vars(namespace.module)["VALUE"] == 3


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("from math import no_such_name\n", 4, "ImportError: cannot import name 'no_such_name'"),
        ("X = 1\nY = X / 0\n", 5, "ZeroDivisionError"),
        ("def f():\n    raise SystemExit('no gpu')\n@f()\ndef g(): pass\n", 5, "it called sys.exit('no gpu')"),
        ("class E(BaseException): pass\nclass A:\n    def f():\n        raise E('x')\n    f()\n", 7, "E: x"),
    ],
)
def test_a_failing_definition_is_told_with_its_line(write: Write, text: str, line: int, message: str) -> None:
    path = write(text)
    with pytest.raises(AnalysisError) as caught:
        load_module(path)
    error = caught.value
    assert error.stage == "import"
    assert error.location is not None
    assert (error.location.path, error.location.line) == (path, line)
    assert message in error.message


def test_a_keyboard_interrupt_goes_through(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_module(write("def f():\n    raise KeyboardInterrupt\nclass A:\n    x = f()\n"))


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"class Net(:\n", "not valid Python"), (b"x = '\xff'\n", "not valid Python|cannot be read")],
)
def test_what_is_no_python_is_a_parse_error(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "model.py"
    path.write_bytes(data)
    with pytest.raises(AnalysisError, match=message) as caught:
        load_module(str(path))
    assert caught.value.stage == "parse"


def test_a_failed_import_names_the_innermost_cause(write: Write) -> None:
    path = write(
        """
        def load():
            try:
                return {}["width"]
            except KeyError as inner:
                try:
                    raise ValueError("no settings") from inner
                except ValueError as middle:
                    raise ImportError("cannot start") from middle
        class Net(nn.Module):
            width = load()
        """
    )
    reason = r"failed: ImportError: cannot start \(caused by KeyError: 'width'\)$"
    with pytest.raises(AnalysisError, match=reason):
        load_module(path)
