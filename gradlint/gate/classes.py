"""Base classes of a model, as its file spells them."""

import ast
from dataclasses import dataclass

from gradlint.core.location import Location


@dataclass(frozen=True, slots=True)
class ClassSpan:
    """A class statement: the place of its head, and the last line of its body."""

    head: Location
    last: int

    def holds(self, location: Location) -> bool:
        """Whether a place lies in it."""
        return location.path == self.head.path and self.head.line <= location.line <= self.last


def bases_of(path: str, source: str, name: str) -> tuple[ClassSpan, ...]:
    """Classes of the file that a class of the file is built on, however far up; none where it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()  # the engine has reported it
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: dict[str, ClassSpan] = {}
    waiting = [name]
    while waiting:
        node = classes.get(waiting.pop())
        for base in node.bases if node is not None else ():
            above = classes.get(base.id) if isinstance(base, ast.Name) else None
            if above is not None and above.name not in found:
                found[above.name] = ClassSpan(Location(path, above.lineno), above.end_lineno or above.lineno)
                waiting.append(above.name)
    return tuple(found.values())
