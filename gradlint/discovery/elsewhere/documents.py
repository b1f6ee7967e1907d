"""The Python code in scripts, in the cells of notebooks and in the fenced blocks of Markdown."""

import ast
import re
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path

from gradlint.core.errors import AnalysisError
from gradlint.discovery.cells import SUFFIX, Cells, cells_of

SUFFIXES = (".py", SUFFIX, ".md")
_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*(?:\{?\.?)(python3?|py|pycon)\b[^\n]*\n(.*?)^[ \t]*\1",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
_PROMPT = re.compile(r"^(>>>|\.\.\.) ?")


@dataclass(frozen=True, slots=True)
class Document:
    """Python code of one file, and where each of its lines stands."""

    code: str
    cells: Cells | None = None
    """The cells of a notebook."""
    is_prose: bool = False
    """Whether the code illustrates a text: imports may be left out."""

    def place(self, shown: str, line: int) -> str:
        """Where a line is found, in words."""
        found = self.cells.place(line) if self.cells is not None else None
        return f"{shown}:{line}" if found is None else f"{shown}:cell {found[0]}:{found[1]}"


def document(path: Path, text: str) -> Document | None:
    """The Python code in a file's text; None where there is none."""
    if path.suffix == ".py":
        return Document(text)
    if path.suffix == ".md":
        return _markdown(text)
    return _notebook(text, str(path))


def _markdown(text: str) -> Document | None:
    """The blocks that are Python, each at its own line; one that is not (`...` for what is left out) is passed over."""
    lines = [""] * (text.count("\n") + 1)
    for block in _FENCE.finditer(text):
        first = text.count("\n", 0, block.start(3))
        code = _without_prompts(block[3])
        if _is_python(code):
            for offset, line in enumerate(code.split("\n")):
                lines[first + offset] = line
    return Document("\n".join(lines), is_prose=True) if any(lines) else None


def _without_prompts(block: str) -> str:
    """A block as a script: of a session at the prompt, what was typed."""
    lines = textwrap.dedent(block).splitlines()
    if not any(line.startswith(">>>") for line in lines):
        return "\n".join(lines)
    return "\n".join(_PROMPT.sub("", line) if _PROMPT.match(line) else "" for line in lines)


def _notebook(text: str, path: str) -> Document | None:
    try:
        cells = cells_of(text, path)
    except AnalysisError:  # whatever it is, it is no notebook
        return None
    return Document(cells.source, cells=cells) if cells.cells else None


def _is_python(code: str) -> bool:
    return parsed(code) is not None


def parsed(code: str) -> ast.Module | None:
    """The syntax tree of a text; None where it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in a user's string is no concern of ours
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
