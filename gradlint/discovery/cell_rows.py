"""The lines of the file on which the lines of cells stand: platforms show notebooks as the JSON that they are."""

import ast
import warnings
from collections.abc import Iterator, Mapping


def cell_rows(text: str) -> Mapping[int, tuple[int, ...]]:
    """By number of the cell, counted from 1: for each of its lines the line of the file, counted from 1, too.

    JSON reads as Python does where positions matter, and Python's parser knows them. Empty where it does not parse.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # JSON may escape a slash
            document = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    cells = _entry(document, "cells")
    listed = cells.elts if isinstance(cells, ast.List) else []
    return {number: tuple(_rows(_entry(cell, "source"))) for number, cell in enumerate(listed, 1)}


def _entry(node: ast.AST | None, key: str) -> ast.AST | None:
    """The value of a key; of several, the last one counts."""
    pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
    found = [value for name, value in pairs if isinstance(name, ast.Constant) and name.value == key]
    return found[-1] if found else None


def _rows(source: ast.AST | None) -> Iterator[int]:
    """The row of each line of a text, or of a list of texts that are joined."""
    parts = source.elts if isinstance(source, ast.List) else [source]
    row, is_begun = 0, False
    for part in parts:
        if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
            continue
        first, *further = part.value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        row = row if is_begun else part.lineno
        for line in further:
            yield row
            row, is_begun = part.lineno, bool(line)
        is_begun = is_begun if further else is_begun or bool(first)
    if row:
        yield row
