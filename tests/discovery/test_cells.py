"""Notebooks read as modules: what is kept of a cell, where a line stands, and what is no notebook at all."""

import ast
import json
import time
from typing import Any

import pytest

from gradlint.core.errors import AnalysisError
from gradlint.discovery.cells import Cells, cells_of


def code(source: object, **more: object) -> dict[str, object]:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None, **more}


def read(*cells: object, **document: Any) -> Cells:
    return cells_of(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **document}), "a.ipynb"
    )


def test_code_cells_are_one_module_and_keep_their_lines() -> None:
    markdown = {"cell_type": "markdown", "source": "import os"}
    found = read(
        markdown, code("import torch\nx = 1"), {"cell_type": "raw", "source": "raw"}, code(["y = 2\n", "z = 3\n"])
    )
    assert found.source == "import torch\nx = 1\ny = 2\nz = 3\n\n"
    assert [found.place(line) for line in range(1, 6)] == [(2, 1), (2, 2), (4, 1), (4, 2), (4, 3)]


def test_outputs_are_no_code() -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["class Net(nn.Module): ...\n"]}
    assert read(code("x = 1", outputs=[output])).source == "x = 1\n"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install \\\n  torch \\\n  numpy\nx = 1", "pass\n\n\nx = 1"),
        ("if x:\n    !ls\n    %cd ..", "if x:\n    pass\n    pass"),
        ("?torch.nn\ntorch.nn??\ntorch.nn?", "pass\npass\npass"),
        ("files = !ls\na, b = %who\n", "files = None\na, b = None\n"),
        ("%%bash\nls\nrm x", "\n\n"),
        ("\n%%html\n<p>", "\n\n"),
        ("%%", ""),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("x = (7\n  % 3)", "x = (7\n  % 3)"),
        ('s = """\n%d\n!\n"""\n!ls', 's = """\n%d\n!\n"""\npass'),
        ("s = '''a''' + \"(\" # (\n!ls", "s = '''a''' + \"(\" # (\npass"),
        ("x = {1: [\n  2,\n]}\n%who", "x = {1: [\n  2,\n]}\npass"),
        ("a != b\nx %= 3\n# why?", "a != b\nx %= 3\n# why?"),
        ("await f()", "await f()"),
        ("x = 1\r\ny = 2", "x = 1\ny = 2"),
    ],
)
def test_what_only_ipython_understands(given: str, kept: str) -> None:
    (cell,) = read(code(given)).cells
    assert (cell.code, cell.error) == (kept, None)
    assert ast.parse(cell.code) is not None
    assert cell.code.count("\n") == cell.text.count("\n")


def test_a_cell_that_is_no_python_is_told_at_its_line_and_the_others_are_kept() -> None:
    found = read(code("x = 1\ny = 2"), code("a = 1\nb = = 2\nc = 3"), code("z = 3"))
    assert found.source == "x = 1\ny = 2\n\n\n\nz = 3\n"
    (error,) = found.errors("a.ipynb")
    assert error.location is not None
    assert (error.message, error.stage) == ("not valid Python: invalid syntax", "parse")
    assert found.place(error.location.line) == (2, 2)
    assert error.location.column == 5


@pytest.mark.parametrize("source", ["x = (1,", "x = 1 \\", 's = """', "def f():", "x = '\ud800'", "x = \0"])
def test_what_a_cell_leaves_open_ends_with_it(source: str) -> None:
    found = read(code(source), code("z = 3"))
    (error,) = found.errors("a.ipynb")
    assert error.location is not None
    assert found.place(error.location.line) == (1, 1)
    assert found.source.splitlines()[-1] == "z = 3"


@pytest.mark.parametrize(
    "source",
    [
        '"""' + "\\" * 20_000,
        "'" * 20_001 + "!ls",
        "!a\n" * 20_000,
        "a" * 50_000 + "= 1",
        "a " * 50_000 + "?",
        "(" * 50_000,
    ],
)
def test_no_cell_takes_long(source: str) -> None:
    began = time.process_time()
    (cell,) = read(code(source)).cells
    assert cell.code.count("\n") == source.count("\n")
    assert time.process_time() - began < 5


def test_cells_in_other_languages() -> None:
    assert read(code("SELECT 1", metadata={"vscode": {"languageId": "sql"}}), code("x = 1")).source == "\nx = 1\n"
    foreign = read(code("x <- 1"), metadata={"kernelspec": {"language": "R"}})
    assert (foreign.source, foreign.language, foreign.place(1)) == ("", "R", None)
    assert read(code("x = 1"), metadata={"language_info": {"name": "ipython"}}).source == "x = 1\n"
    assert read(code("x = 1"), metadata=[]).source == "x = 1\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("  \n", "the file is empty"),
        ("import torch", "not JSON: Expecting value"),
        ('{"cells": [', "not JSON: Expecting value"),
        ("[" * 100_000, "it is no notebook: "),
        ("[]", "expected a JSON object"),
        ("3", "expected a JSON object"),
        ("{}", 'expected a list of "cells"'),
        ('{"cells": 3}', 'expected a list of "cells"'),
        ('{"nbformat": 3, "worksheets": [{"cells": []}]}', "a notebook of format 3: expected format 4"),
        ('{"nbformat": 2, "cells": []}', "a notebook of format 2: expected format 4"),
        ('{"cells": [3]}', 'cell 1 of the notebook has no "cell_type"'),
        ('{"cells": [{"cell_type": "markdown"}, {"cell_type": "code"}]}', 'cell 2 of the notebook has no "source"'),
        ('{"cells": [{"cell_type": "code", "source": [3]}]}', 'cell 1 of the notebook has no "source"'),
    ],
)
def test_what_is_no_notebook(text: str, reason: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        cells_of(text, "a.ipynb")
    assert reason in caught.value.message
    assert caught.value.stage == "read"
    assert caught.value.remedy
    assert caught.value.location is not None
