"""Notebooks as modules: the code cells as one Python text, and where each of its lines stands."""

import ast
import bisect
import itertools
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location
from gradlint.discovery.cell_rows import cell_rows

SUFFIX = ".ipynb"
_PYTHON_CELLS = frozenset("time timeit capture prun debug python python3 pypy ipytest".split())  # noqa: SIM905
"""Cell magics (`%%time`) that leave the rest of the cell to this kernel, or to another Python."""
_MAGIC = re.compile(r"\s*[%!?]|\s*[\w.%]+\?{1,2}\s*$")
_ASSIGNED = re.compile(r"(\s*[A-Za-z_][\w., \[\]'\"]*=\s*)[%!](?!=)")
_TOKEN = re.compile(
    r"""#.*|(?P<triple>\"{3}|'{3})|"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|(?P<opens>[(\[{])|(?P<closes>[)\]}])"""
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One code cell. `text` is what stands in it, `code` the same lines without what only IPython understands."""

    number: int
    """Its place among all cells of the notebook, text included, from 1."""
    text: str
    code: str
    error: SyntaxError | ValueError | None = None
    """Why it is no Python, if it is none; then its code is blank."""


@dataclass(frozen=True)
class Cells:
    """The code cells of a notebook, in order."""

    cells: tuple[Cell, ...]
    language: str = "python"
    raw: str = ""
    """The notebook's own text."""

    @property
    def source(self) -> str:
        """All of them as one module."""
        return "".join(f"{cell.code}\n" for cell in self.cells)

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """The line of the module at which each cell begins."""
        return tuple(itertools.accumulate((cell.code.count("\n") + 1 for cell in self.cells[:-1]), initial=1))

    def place(self, line: int) -> tuple[int, int] | None:
        """Number of the cell that holds a line of the module, and the line in it; None where there is no cell."""
        index = bisect.bisect_right(self.firsts, line) - 1
        return (self.cells[index].number, line - self.firsts[index] + 1) if self.cells and index >= 0 else None

    @cached_property
    def _rows(self) -> Mapping[int, tuple[int, ...]]:
        return cell_rows(self.raw)

    def row(self, number: int, line: int) -> int | None:
        """The line of the notebook's file at which a line of a cell stands; None where that is not known."""
        rows = self._rows.get(number, ())
        return rows[line - 1] if 0 < line <= len(rows) else None

    def errors(self, path: str) -> Iterator[AnalysisError]:
        """What is wrong with the cells that are no Python (stage "parse"), at lines of the module."""
        for cell, first in zip(self.cells, self.firsts, strict=False):
            if isinstance(cell.error, SyntaxError):
                line, column = max(cell.error.lineno or 1, 1), max(cell.error.offset or 1, 1)
                place = Location(path, first + min(line - 1, cell.code.count("\n")), column)
                yield AnalysisError(f"not valid Python: {cell.error.msg}", stage="parse", location=place)
            elif cell.error is not None:
                yield AnalysisError(f"cannot be parsed: {cell.error}", stage="parse", location=Location(path, first))


def cells_of(text: str, path: str) -> Cells:
    """The code cells of a notebook.

    Args:
        text: what its file holds.
        path: the path that locations will carry.

    Raises:
        AnalysisError: (stage "read") where the text is no notebook, or one of a format before 4.
    """
    document = _document(text, path)
    if "worksheets" in document or (isinstance(version := document.get("nbformat"), int) and version < 4):
        reason = f"it is a notebook of format {document.get('nbformat', 3)}: expected format 4"
        raise _not_read(reason, path, remedy=f"convert it: jupyter nbconvert --to notebook --inplace {path}")
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise _not_read('it is no notebook: expected a list of "cells"', path)
    language = _language(document)
    found = (_cell(number, cell, path) for number, cell in enumerate(cells, 1))
    kept = tuple(cell for cell in found if cell is not None) if language == "python" else ()
    return Cells(kept, language, text)


def _not_read(reason: str, path: str, line: int = 1, column: int = 1, *, remedy: str = "") -> AnalysisError:
    remedy = remedy or "save it again in Jupyter, or leave it out with --exclude"
    return AnalysisError(reason, stage="read", location=Location(path, line, column), remedy=remedy)


def _document(text: str, path: str) -> dict[str, Any]:
    if not text.strip():
        raise _not_read("the file is empty: a notebook is a JSON document", path)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _not_read(f"it is no notebook: not JSON: {error.msg}", path, error.lineno, error.colno) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
        raise _not_read(f"it is no notebook: {error}", path) from error
    if not isinstance(document, dict):
        raise _not_read('it is no notebook: expected a JSON object with "cells"', path)
    return document


def _language(document: dict[str, Any]) -> str:
    """What the kernel speaks; a notebook that does not say is Python."""
    for part, key in (("language_info", "name"), ("kernelspec", "language")):
        named = _inside(document, "metadata", part, key)
        if isinstance(named, str) and named:
            return "python" if "python" in named.lower() else named
    return "python"


def _inside(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _cell(number: int, cell: Any, path: str) -> Cell | None:
    """A code cell; None for text."""
    kind = cell.get("cell_type") if isinstance(cell, dict) else None
    if not isinstance(kind, str):
        raise _not_read(f'cell {number} of the notebook has no "cell_type"', path)
    if kind != "code":
        return None
    lines = cell.get("source")
    lines = [lines] if isinstance(lines, str) else lines
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise _not_read(f'cell {number} of the notebook has no "source": expected a text, or a list of texts', path)
    text = "".join(lines).replace("\r\n", "\n").replace("\r", "\n")
    code = "\n".join(_python_of(text.split("\n")))
    is_foreign = _inside(cell, "metadata", "vscode", "languageId") not in (None, "python")
    error = None if is_foreign else _error(code)
    return Cell(number, text, "\n" * text.count("\n") if is_foreign or error is not None else code, error)


def _error(code: str) -> SyntaxError | ValueError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in a user's string is no concern of ours
            ast.parse(f"{code}\n")
    except (SyntaxError, ValueError) as error:
        return error
    except (RecursionError, MemoryError) as error:
        return ValueError(str(error) or "nested too deeply")
    return None


def _python_of(lines: list[str]) -> Iterator[str]:
    """As many lines as the cell has; magics, shell commands and questions for help are `pass`."""
    head = next((line for line in lines if line.strip()), "")
    if head.startswith("%%") and (head[2:].split() or [""])[0] not in _PYTHON_CELLS:
        yield from [""] * len(lines)  # another language
        return
    depth, quote, continued = 0, "", ""
    for line in lines:
        if continued:  # of a shell command
            yield ""
            continued = "\\" if line.rstrip().endswith("\\") else ""
            continue
        if not depth and not quote and (replaced := _replaced(line)) is not None:
            yield replaced
            continued = "\\" if line.rstrip().endswith("\\") else ""
            continue
        yield line
        depth, quote = _state(line, depth, quote)


def _replaced(line: str) -> str | None:
    """What stands in for a line that only IPython understands; None for any other."""
    if _MAGIC.match(line):
        return f"{line[: len(line) - len(line.lstrip())]}pass"
    assigned = _ASSIGNED.match(line)
    return f"{assigned[1]}None" if assigned else None


def _state(line: str, depth: int, quote: str) -> tuple[int, str]:
    """How many brackets, and which triple quotes, are open behind a line. (In them a line may begin with `%`.)"""
    at = 0
    while at < len(line):
        if quote:
            end = re.compile(rf"(?:\\.|(?!{quote})[^\\])*{quote}").match(line, at)
            if end is None:
                break
            at, quote = end.end(), ""
            continue
        token = _TOKEN.search(line, at)
        if token is None:
            break
        at, quote = token.end(), token["triple"] or ""
        depth = max(0, depth + (token["opens"] is not None) - (token["closes"] is not None))
    return depth, quote
