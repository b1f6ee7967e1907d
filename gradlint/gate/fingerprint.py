"""What a finding is about, as a hash that moved lines, formatting, comments and renamed files leave alone."""

import ast
import hashlib
import warnings
from collections.abc import Callable

from gradlint.core.finding import Finding
from gradlint.core.location import Location
from gradlint.registry import UNANALYSABLE

_DIGITS = 16
_NAMELESS = frozenset(["ctx", "kind", "type_comment"])
"""Fields of syntax nodes that say nothing about what the statement does, or differ between versions of Python."""
_BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)


class Fingerprints:
    """Hashes of findings; every file is parsed once.

    Args:
        source_of: text of a file, empty where it cannot be read.
    """

    def __init__(self, source_of: Callable[[str], str]) -> None:
        self._source_of = source_of
        self._files: dict[str, tuple[ast.Module | None, list[str]]] = {}

    def of(self, finding: Finding) -> str:
        """Hash of the statements that the finding points at; for a model that was not analysed also of the stage."""
        about = sorted({self._statement(site.location) for site in finding.sites})
        if finding.code == UNANALYSABLE[0]:
            about.append(str(finding.predicted.get("stage", "")))
        text = "\n".join(about).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()[:_DIGITS]

    def _statement(self, location: Location) -> str:
        """The innermost statement at a place, without its blocks; the bare line where the file does not parse."""
        if location.path not in self._files:
            source = self._source_of(location.path)
            self._files[location.path] = (_parsed(source), source.splitlines())
        tree, lines = self._files[location.path]
        node = None if tree is None else _innermost(tree, location)
        if node is not None:
            try:
                return _plain(node)
            except RecursionError:  # an expression of thousands of terms: its first line has to do
                node = None
        return " ".join(lines[location.line - 1].split()) if 0 < location.line <= len(lines) else ""


def _parsed(source: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes, say: the user's own, told when the file is run
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the engine has reported it


def _innermost(tree: ast.Module, location: Location) -> ast.AST | None:
    """The statement that starts on the last line among those that hold the place; of several on it the column tells."""
    column = location.column - 1
    found: ast.AST | None = None
    best = (0, False, 0)
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt | ast.excepthandler):
            continue
        decorators = [item.lineno for item in getattr(node, "decorator_list", ())]
        first, last = min([node.lineno, *decorators]), node.end_lineno or node.lineno
        if first <= location.line <= last:
            is_begun = (first, node.col_offset) <= (location.line, column)
            rank = (first, is_begun, node.col_offset if is_begun else -node.col_offset)
            if found is None or rank > best:
                found, best = node, rank
    return found


def _plain(node: object) -> str:
    """A syntax node as text, the same under every version of Python: no positions, nothing that is empty."""
    if isinstance(node, list):
        return f"[{', '.join(map(_plain, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = [
        f"{name}={_plain(value)}"
        for name, value in ast.iter_fields(node)
        if name not in _NAMELESS and value not in (None, []) and not _is_block(value)
    ]
    return f"{type(node).__name__}({', '.join(parts)})"


def _is_block(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, _BLOCKS) for item in value)
