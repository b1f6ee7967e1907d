"""Shapes that a forward states of its arguments: in its docstring, its comments, jaxtyping's annotations, and where it
unpacks them (`B, C, H, W = x.shape`)."""

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from gradlint.building.feeding.forward_source import Argument, forward_text, function_tree

Dim = int | str
"""A number, or the words that stand for a dimension: `batch_size`, `text_seq_len + image_seq_len`."""

_SHAPE = re.compile(
    r"[(\[]\s*([\w*+/.\- ]+?(?:,\s*[\w*+/.\- ]+?)+|[\w ]+?,)\s*,?\s*[)\]]|shape:? `?[(\[]\s*(\w+)\s*[)\]]"
)
_CALLED_SHAPE = re.compile(r"(?i)\bshapes?\b[^()\[\]]{0,20}$")
_NO_DIM = re.compile(
    r"(?i)\b(torch|tensor|int|float|bool|str|optional|defaults?|none|list|tuple|dict|true|false|np)\b|\."
)
_JAXTYPING = re.compile(
    r"\w*(Float|Int|Bool|Shaped|Num|Integer|UInt\d*|Int\d+|Float\d+)\[\s*[\w.]+,\s*['\"]([^'\"]+)['\"]\s*\]"
)
_INTEGERS = re.compile(r"LongTensor|IntTensor|\bint64\b|torch\.long\b")
_ENTRY = r"(?m)^[ \t#*\-]*(?:\w+[ \t]+)??`{{0,2}}{name}`{{0,2}}[ \t]*[:(\[=-]"
_NEXT = re.compile(r"(?m)^[ \t#*\-]*`{0,2}[A-Za-z_]\w*`{0,2}[ \t]*(?::|\()")
_FAR = 400
"""Characters of a parameter's description within which its shape is looked for."""
_MOST_DIMS = 6


@dataclass(frozen=True, slots=True)
class Documented:
    """What is said of one argument."""

    dims: tuple[Dim, ...] = ()
    integers: bool = False


def documented(owner: type[nn.Module], argument: Argument) -> Documented:
    """What a forward says of the shape of an argument; no dimensions where it says nothing."""
    integers = bool(_INTEGERS.search(argument.annotation))
    match = _JAXTYPING.search(argument.annotation)
    if match is not None:
        words = tuple(match[2].replace("*", "").split())
        return Documented(_dims(words), integers or match[1].startswith(("Int", "UInt")))
    text = forward_text(owner)
    for entry in _entries(text, argument.name):
        shapes = list(_shapes(entry))
        named = [words for words, is_named in shapes if is_named]  # "coordinates (t, h, w)" beside it are no shape
        words = max(named or [words for words, _ in shapes], key=len, default=())  # fewer are a single sample's
        if words:
            return Documented(_dims(words), integers or bool(_INTEGERS.search(entry)))
    return Documented(_unpacked(owner, argument.name), integers)


def _shapes(entry: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """All shapes that a description names, and whether it calls them so."""
    for found in _SHAPE.finditer(entry):
        words = tuple(word.strip() for word in (found[1] or found[2]).split(",") if word.strip())
        if len(words) <= _MOST_DIMS and not any(_NO_DIM.search(word) for word in words):
            yield words, found[2] is not None or _CALLED_SHAPE.search(entry[: found.start()]) is not None


def _entries(text: str, name: str) -> Iterator[str]:
    """Descriptions of a parameter, up to the next one: in the docstring, and in comments."""
    prose = "\n".join(_prose(text))
    for start in re.finditer(_ENTRY.format(name=re.escape(name)), prose):
        rest = prose[start.end() - 1 : start.end() + _FAR]
        line, _, others = rest.partition("\n")
        following = _NEXT.search(others)
        yield f"{line}\n{others[: following.start()] if following else others}"


def _prose(text: str) -> Iterator[str]:
    """The docstring and the comments of a function."""
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:
        tree = None
    function = tree.body[0] if tree is not None and tree.body else None
    if isinstance(function, ast.FunctionDef):
        yield ast.get_docstring(function) or ""
    for line in text.splitlines():
        code, mark, comment = line.partition("#")
        if mark and code.count('"') % 2 == 0:
            yield comment
            parameter = re.match(r"\s*(\w+)\s*(?::[^,]*)?,?\s*$", code)  # `x,  # (B, C, H, W)`
            if parameter is not None:
                yield f"{parameter[1]}: {comment}"


def _dims(words: tuple[str, ...]) -> tuple[Dim, ...]:
    return tuple(int(word) if word.isdigit() else word for word in words)


def _unpacked(owner: type[nn.Module], name: str) -> tuple[Dim, ...]:
    """The names that an argument's own shape is unpacked to, before it is anything else."""
    tree = function_tree(owner, "forward")
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Tuple):
            continue
        if ast.unparse(node.value) in (f"{name}.shape", f"{name}.size()"):
            parts = node.targets[0].elts
            names = [part.id if isinstance(part, ast.Name) else "" for part in parts]
            return tuple(names) if all(names) and not _is_bound(tree, name, node.lineno) else ()
    return ()


def _is_bound(tree: ast.AST | None, name: str, line: int) -> bool:
    """Whether a name is given another value before a line."""
    assigned = (node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AugAssign)) if tree else ()
    for node in assigned:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
        if node.lineno < line and name in names:
            return True
    return False
