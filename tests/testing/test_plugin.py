"""`pytest --gradlint`, in a pytest of its own."""

import json
import os
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

MODEL = """from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential({layers})

    def forward(self, x):
        return self.body(x)
"""
HEALTHY = MODEL.format(layers="nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)")
SICK = MODEL.format(layers="*[m for _ in range(16) for m in (nn.Linear(8, 8), nn.Sigmoid())]")
NO_IMPORTS = """
import sys

def test_nothing_is_imported():
    packages = ("torch", "gradlint", "msgspec", "rich", "numpy")
    heavy = {{name for name in sys.modules if name.partition(".")[0] in packages}}
    assert heavy == {expected!r}
"""


@pytest.fixture
def plugin(
    pytester: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin as pip would install it: by its entry point."""
    info = tmp_path_factory.mktemp("site") / "gradlint_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gradlint-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\ngradlint = gradlint.testing.plugin\n")
    path = os.pathsep.join(filter(None, [str(info.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:cacheprovider -p no:hypothesispytest -p no:xdist")


@pytest.mark.usefixtures("plugin")
def test_it_costs_nothing_where_it_is_not_used(pytester: pytest.Pytester) -> None:
    expected = {"gradlint", "gradlint.testing", "gradlint.testing.plugin"}
    pytester.makepyfile(net=SICK, test_x=NO_IMPORTS.format(expected=expected))
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.usefixtures("plugin")
def test_files_with_models_are_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(healthy=HEALTHY, sick=SICK, tools="x = 1\n", excluded=SICK, test_x="def test_one(): pass\n")
    pytester.makefile(".toml", gradlint='extend-exclude = ["excluded.py"]\nfail-on = "error"\n')
    done = pytester.runpytest_subprocess("--gradlint", "--strict-markers", "-rA")
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(
        [
            "*sick.py (gradlint)*",
            "error[[]GL101[]]: saturating-stack  Net: 16 sigmoid layers starve the first ones of gradient",
            "  --> sick.py:7:*",
            "*predicted: gradient RMS*",
            "Found 1 error in 1 model (1 file).",
            "PASSED healthy.py::gradlint",
            "PASSED test_x.py::test_one",
            "FAILED sick.py::gradlint*",
        ]
    )
    done.stdout.no_fnmatch_line("*Traceback*")
    only = pytester.runpytest_subprocess("--gradlint", "-m", "gradlint", "--collect-only", "-q")
    assert only.outlines[:2] == ["healthy.py::gradlint", "sick.py::gradlint"]


@pytest.mark.usefixtures("plugin")
def test_notebooks_with_models_are_tests_too(pytester: pytest.Pytester) -> None:
    for name, source in (("sick", SICK), ("tools", "x = 1\n")):
        cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": source}
        pytester.makefile(".ipynb", **{name: json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4})})
    done = pytester.runpytest_subprocess("--gradlint")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["  --> sick.ipynb:cell 1:7:*"])


@pytest.mark.usefixtures("plugin")
def test_what_cannot_be_analysed_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(odd=SICK.replace("nn.Linear(8, 8)", "nn.Linear(8, 'x')"), broken="class (:\n")
    done = pytester.runpytest_subprocess("--gradlint")
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(["*GL001*not valid Python*", "*GL001*Net: not analysed*"])


@pytest.mark.usefixtures("plugin")
def test_a_wrong_configuration_is_an_error_and_not_green(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(net=HEALTHY)
    pytester.makefile(".toml", gradlint="tiemout = 3\n")
    done = pytester.runpytest_subprocess("--gradlint")
    assert done.ret != 0
    text = done.stdout.str() + done.stderr.str()
    assert 'unknown key "tiemout"' in text
    assert 'did you mean "timeout"' in text


def test_the_entry_point_is_declared() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\ngradlint = "gradlint.testing.plugin"\n' in text
