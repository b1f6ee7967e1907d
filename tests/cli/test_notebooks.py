"""Notebooks through the command: findings at cell and line in every format, clear words for what is no notebook."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SETUP = "%matplotlib inline\n!pip install \\\n  torch\nfrom torch import nn\nimport torch"
NET = """class SigmoidMLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        layers = []
        for _ in range(20):
            layers += [nn.Linear(width, width), nn.Sigmoid()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        return self.head(self.body(x))
"""
USE = "model = SigmoidMLP(32)\nout = model(torch.randn(8, 32))\n%timeit model(out)\nraise SystemExit(3)"
HEALTHY = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.layer = nn.Linear(8, 2)\n\n"
    "    def forward(self, x):\n        return self.layer(x)"
)
Call = Callable[..., tuple[int, str, str]]


def notebook(*sources: str) -> str:
    """A notebook with a text in front: its first code cell is cell 2."""
    output = {"output_type": "stream", "name": "stdout", "text": ["class Printed(nn.Module): ...\n"]}
    cells = [
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": 1,
            "outputs": [output],
            "source": text.splitlines(True),
        }
        for text in sources
    ]
    text = {"cell_type": "markdown", "metadata": {}, "source": ["# A model"]}
    return json.dumps({"cells": [text, *cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


@pytest.fixture
def call(here: Call, tmp_path: Path) -> Call:
    """The command in a folder with a sick notebook."""
    (tmp_path / "model.ipynb").write_text(notebook(SETUP, NET, USE))
    return here


def test_findings_are_at_cell_and_line(call: Call) -> None:
    code, text, errors = call("check", "model.ipynb", "-v")
    assert (code, errors) == (1, "")
    assert "  --> model.ipynb:cell 3:6:49 in SigmoidMLP.__init__\n" in text
    assert " 6 |             layers += [nn.Linear(width, width), nn.Sigmoid()]\n" in text
    assert "  ::: model.ipynb:cell 3:11:26 in SigmoidMLP.forward\n" in text
    assert "model.ipynb:cell 3:1 SigmoidMLP: built as in model.ipynb:cell 4:1; fed (8, 32) float32" in text
    assert "(as in model.ipynb:cell 4:2)" in text


def test_every_format_says_the_cell(call: Call, tmp_path: Path) -> None:
    names = ("json", "json-lines", "sarif", "github", "gitlab", "junit", "markdown")
    reports = [word for name in names for word in ("--report", f"{name}=out/{name}")]
    code, text, _ = call("check", ".", "--output-format", "concise", *reports)
    said = {name: (tmp_path / "out" / name).read_text() for name in names}
    assert code == 1
    assert text.startswith("model.ipynb:cell 3:6:49: error[GL101] saturating-stack SigmoidMLP: 20 sigmoid")
    (finding,) = json.loads(said["json"])["findings"]
    assert (finding["path"], finding["cell"], finding["line"], finding["column"]) == ("model.ipynb", 3, 6, 49)
    assert [(site["cell"], site["line"]) for site in finding["sites"]] == [(3, 6), (3, 11)]
    assert [(model["cell"], model["line"]) for model in json.loads(said["json"])["models"]] == [(3, 1)]
    assert '"cell":3' in said["json-lines"]
    (result,) = json.loads(said["sarif"])["runs"][0]["results"]
    assert result["message"]["text"].startswith("cell 3, line 6: SigmoidMLP: ")
    physical = result["locations"][0]["physicalLocation"]
    rows = (tmp_path / "model.ipynb").read_text().splitlines()
    row = next(number for number, text in enumerate(rows, 1) if "nn.Linear(width, width), nn.Sigmoid()]" in text)
    assert (physical["artifactLocation"]["uri"], physical["region"]["startLine"]) == ("model.ipynb", row)
    assert f"file=model.ipynb,line={row},col=1::cell 3, line 6: SigmoidMLP: " in said["github"]
    (issue,) = json.loads(said["gitlab"])
    assert issue["description"].startswith("cell 3, line 6: ")
    assert issue["location"] == {"path": "model.ipynb", "lines": {"begin": row}}
    (case,) = ElementTree.fromstring(said["junit"]).iter("testcase")
    assert case.attrib == {"name": "SigmoidMLP", "classname": "model"}
    assert "model.ipynb:cell 3:6:49: error[GL101]" in "".join(case.itertext())
    assert "model.ipynb:cell 3:6" in said["markdown"]


def test_a_comment_in_a_cell_silences(call: Call, tmp_path: Path) -> None:
    sick = NET.replace("nn.Sigmoid()]", "nn.Sigmoid()]  # gradlint: ignore[GL101] a demonstration")
    idle = HEALTHY.replace("(8, 2)", "(8, 2)  # gradlint: ignore[GL101] not needed")
    (tmp_path / "model.ipynb").write_text(notebook(SETUP, sick, USE, idle))
    code, text, _ = call("check", "model.ipynb", "--output-format", "concise")
    assert "GL101] saturating" not in text
    assert "silenced by comments" in text
    assert "model.ipynb:cell 5:4:" in text
    assert "GL002" in text
    assert code == 1


def test_siblings_are_imported_and_nothing_else_of_the_script_runs(call: Call, tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text(f"from torch import nn\n\n\n{HEALTHY}\n")
    body = HEALTHY.replace("class Net(nn.Module)", "class Mine(Net)")
    (tmp_path / "model.ipynb").write_text(
        notebook("from torch import nn\nfrom layers import Net", body, "open('x', 'w')")
    )
    code, text, _ = call("check", "model.ipynb")
    assert (code, text.splitlines()[0]) == (0, "All clear: 1 model checked.")
    assert not (tmp_path / "x").exists()


def test_one_model_is_named_and_its_flow_shown(call: Call) -> None:
    code, text, _ = call("check", "model.ipynb:SigmoidMLP", "--output-format", "concise")
    assert (code, "cell 3:6:49" in text) == (1, True)
    code, text, _ = call("flow", "model.ipynb:SigmoidMLP")
    assert (code, text.splitlines()[0]) == (0, "SigmoidMLP  model.ipynb:cell 3:1")
    code, _, errors = call("check", "model.ipynb:Missing")
    assert (code, errors) == (2, "")


def test_standard_input(call: Call) -> None:
    arguments = ("check", "-", "--stdin-filename", "other.ipynb", "--output-format", "full")
    code, text, _ = call(*arguments, stdin=notebook(NET.join(["from torch import nn\n", ""]), "import torch\n" + USE))
    assert code == 1
    assert "  --> other.ipynb:cell 2:7:49 in SigmoidMLP.__init__\n" in text
    assert " 7 |             layers += [nn.Linear(width, width), nn.Sigmoid()]\n" in text


def test_a_cell_that_is_no_python_keeps_the_others_from_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "model.ipynb").write_text(notebook(SETUP, "x = 1\nx = = 2", HEALTHY))
    code, text, _ = call("check", "model.ipynb", "--report", "json=out.json")
    document: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
    assert code == 1
    assert "--> model.ipynb:cell 3:2:5\n" in text
    assert "2 | x = = 2\n" in text
    assert [model["name"] for model in document["models"]] == ["Net"]
    assert [(item["cell"], item["line"]) for item in document["skipped"]] == [(3, 2)]


def test_errors_of_a_cell_are_told_where_they_are(call: Call, tmp_path: Path) -> None:
    sick = HEALTHY.replace("nn.Linear(8, 2)", "nn.Linear(8, 2, size=4)")
    (tmp_path / "model.ipynb").write_text(notebook(SETUP, "", sick))
    code, text, _ = call("check", "model.ipynb", "--output-format", "concise")
    assert text.startswith("model.ipynb:cell 4:4:")
    assert "GL001" in text
    assert code == 2


def test_lines_that_a_sentence_names(call: Call, tmp_path: Path) -> None:
    severed = NET.replace("self.head(self.body(x))", "self.head(self.body(x).detach())").replace("width):", "width=8):")
    (tmp_path / "model.ipynb").write_text(notebook(SETUP, severed))
    _, text, _ = call("check", "model.ipynb")
    assert ".detach() in line 11 of cell 3" in text
    assert "model.ipynb:cell 3:11" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"import torch", "not JSON"),
        (b'{"cells": 3}', 'expected a list of "cells"'),
        (b'{"nbformat": 3, "worksheets": []}', "a notebook of format 3"),
        (b'{"cells": "\xe9"}', "not valid UTF-8: byte 0xe9 in line 1, column 12"),
        (b'{"cells": [{"cell_type": "code", "source": 3}]}', 'cell 1 of the notebook has no "source"'),
    ],
)
def test_what_is_no_notebook_is_told_and_the_others_are_checked(
    call: Call, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "broken.ipynb").write_bytes(content)
    code, text, errors = call("check", ".", "--output-format", "concise")
    assert (code, errors) == (1, "")
    (told,) = [line for line in text.splitlines() if line.startswith("broken.ipynb:1:")]
    assert reason in told
    assert "model.ipynb:cell 3:6:49: error[GL101]" in text
    code, text, errors = call("check", "broken.ipynb")
    assert (code, errors, reason in text) == (2, "", True)


def test_a_notebook_without_models_or_in_another_language(call: Call, tmp_path: Path) -> None:
    document = json.loads(notebook("x <- 1"))
    document["metadata"] = {"kernelspec": {"language": "R"}}
    (tmp_path / "r.ipynb").write_text(json.dumps(document))
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "model-checkpoint.ipynb").write_text(notebook("x = = 1"))
    assert "it is a notebook in R, not in Python" in call("check", "r.ipynb")[1]
    code, text, _ = call("check", ".", "--show-skipped", "--exclude", "model.ipynb")
    assert (code, "checkpoint" in text) == (0, False)


def test_a_configuration_names_a_model_of_a_notebook(call: Call, tmp_path: Path) -> None:
    (tmp_path / "model.ipynb").write_text(notebook(SETUP, NET))
    entry = '[[targets]]\ntarget = "model.ipynb:SigmoidMLP"\nkwargs = { width = 16 }\ninputs = [[4, 16]]\n'
    (tmp_path / "gradlint.toml").write_text(entry)
    code, text, _ = call("check", "model.ipynb", "-v")
    assert code == 1
    assert "SigmoidMLP: built configured; fed (4, 16)" in text
