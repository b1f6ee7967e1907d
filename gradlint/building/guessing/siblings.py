"""Module classes in the files beside one: what its wrappers take as arguments is mostly defined there."""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gradlint.building.loading import definitions_of
from gradlint.building.stubs import standing_in
from gradlint.building.surroundings import package_of
from gradlint.discovery.elsewhere.documents import parsed
from gradlint.discovery.harmless import NOT_CALLED
from gradlint.discovery.names import is_main_block

_MOST_FILES = 200
_MOST_BYTES = 300_000
_CLASS = re.compile(r"^class (\w+)\s*\([^)\n]*\w", re.MULTILINE)
_HARMLESS = frozenset(
    [
        "partial", "functools", "namedtuple", "collections", "TypeVar", "typing", "logging", "getLogger", "torch", "nn",
        "re", "math", "set", "dict", "list", "tuple", "frozenset", "range", "len", "int", "float", "cast",
    ]
)  # fmt: skip
"""What a constant may be computed with: to import a model's file is not to run a script."""
_FORWARD = "def forward"


@dataclass(frozen=True, slots=True)
class Sibling:
    """A class that a file of the same folder defines."""

    path: Path
    name: str
    importers: int
    """How many files of the folder import it from there: what a package is about, the others import."""
    is_part: bool
    """Whether its own file uses it for something else."""
    names_all: bool
    """Whether the class itself, not only its file, names all that is asked of it: another may still inherit it."""


def siblings_of(path: Path, asked: frozenset[str]) -> list[Sibling]:
    """Classes in the other files of a folder, those that most of them import first, models before parts.

    Args:
        path: the file.
        asked: words that the text of a file must hold.
    """
    texts = _texts(path.parent)
    found = [
        Sibling(other, name, _importers(other, name, path.parent), _is_part(name, text), _names(name, text, asked))
        for other, text in texts.items()
        if other != path and _FORWARD in text and all(re.search(rf"\b{word}\b", text) for word in asked)
        for name in _CLASS.findall(text)
    ]
    return sorted(found, key=lambda sibling: (-sibling.importers, sibling.is_part))


def imported(sibling: Sibling) -> object:
    """The class itself; None where its file does more than define things, or cannot be imported."""
    if not sibling.importers and not _only_defines(sibling.path):
        return None
    name, _ = package_of(sibling.path)
    try:
        with standing_in():
            module = sys.modules.get(name) or importlib.import_module(name)
    except Exception:  # noqa: BLE001 (another file's import: whatever it raises, it is of no use here)
        return None
    return vars(module).get(sibling.name)


def _only_defines(path: Path) -> bool:
    tree = parsed(_texts(path.parent)[path])
    return tree is not None and all(_defines(statement) for statement in tree.body)


def _defines(statement: ast.stmt) -> bool:
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    if is_text or is_main_block(statement) or definitions_of(statement) is not None:
        return True
    return isinstance(statement, ast.Assign | ast.AnnAssign) and all(map(_is_harmless, ast.walk(statement)))


def _is_harmless(node: ast.AST) -> bool:
    """`partial(nn.Linear, bias=False)`, `TypeVar("T")`, `logging.getLogger(__name__)`; not `load_data()`."""
    if not isinstance(node, ast.Call):
        return True
    parts = ast.unparse(node.func).split(".")
    return parts[0] in _HARMLESS and not NOT_CALLED & set(parts)


@lru_cache(maxsize=4)
def _texts(folder: Path) -> dict[Path, str]:
    """The Python files of a folder."""
    return dict(_read(folder))


def _read(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.glob("*.py"))[:_MOST_FILES]:
        try:
            if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                yield path, path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # a file that may not be read is no model's
            continue


def _names(name: str, text: str, words: frozenset[str]) -> bool:
    body = re.search(rf"^class {name}\b.*\n(?:[ \t#)].*\n|\n)*", text, re.MULTILINE)
    return body is not None and all(re.search(rf"\b{word}\b", body[0]) for word in words)


def _is_part(name: str, text: str) -> bool:
    return re.search(rf"(?<!class )(?<!\w){name}\(", text.partition("__main__")[0]) is not None


@lru_cache(maxsize=4096)
def _importers(path: Path, name: str, folder: Path) -> int:
    line = re.compile(rf"from\s+[\w.]*\b{re.escape(path.stem)}\s+import\s*(?:\([^)]*\b{name}\b|[^(\n]*\b{name}\b)")
    return sum(line.search(text) is not None for other, text in _texts(folder).items() if other != path)
