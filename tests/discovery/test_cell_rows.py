"""Lines of cells in the JSON that a notebook is."""

import json

import pytest

from gradlint.discovery.cell_rows import cell_rows
from gradlint.discovery.cells import cells_of

SOURCES = (["import torch\n", "\n", "x = 'é/\\n'"], "one = 1\ntwo = 2\n", [], ["a", " = 1\nb = 2\n", "c = 3"])


def notebook(indent: int | None, *, ascii_only: bool) -> str:
    cells = [
        {"cell_type": "code", "outputs": [{"text": ["import torch\n"]}], "metadata": {"ok": True}, "source": source}
        for source in SOURCES
    ]
    return json.dumps({"metadata": None, "cells": cells}, indent=indent, ensure_ascii=ascii_only)


@pytest.mark.parametrize("ascii_only", [True, False])
def test_each_line_of_a_cell_has_its_row(ascii_only: bool) -> None:
    text = notebook(1, ascii_only=ascii_only)
    rows = text.splitlines()
    found = cell_rows(text)
    assert [len(found[number]) for number in (1, 2, 3, 4)] == [3, 3, 0, 3]
    shown = [[rows[row - 1].strip().rstrip(",") for row in found[number]] for number in (1, 2, 4)]
    assert [json.loads(line) for line in shown[0]] == SOURCES[0]
    assert all(line.startswith('"source": "one') for line in shown[1])
    assert [json.loads(line) for line in shown[2]] == ["a", " = 1\nb = 2\n", "c = 3"]


def test_a_notebook_on_one_line_has_one_row() -> None:
    assert set(cell_rows(notebook(None, ascii_only=True))[4]) == {1}


def test_cells_know_rows_and_what_is_no_json_has_none() -> None:
    text = notebook(1, ascii_only=True)
    cells = cells_of(text, "a.ipynb")
    assert "x = " in text.splitlines()[(cells.row(1, 3) or 0) - 1]
    assert cells.row(1, 4) is None
    assert cells.row(9, 1) is None
    assert cell_rows("{") == {}
