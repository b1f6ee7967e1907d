"""Classes that others derive from: their forward is a placeholder, or calls parts that nothing gives."""

import ast
from collections.abc import Iterator, Sequence

from gradlint.discovery.entering import is_placeholder
from gradlint.discovery.names import Names

_GIVES_NO_PARTS = ("Module", "ABC", "ABCMeta", "Generic", "Protocol", "object")
_OTHERWISE = ("setattr", "add_module", "register_module", "__setattr__", "__getattr__", "__dict__", "_modules", "vars")
"""How attributes come about that no assignment shows."""
_OF_MODULES = (
    *("parameters", "named_parameters", "buffers", "named_buffers", "modules", "named_modules", "children"),
    *("named_children", "apply", "to", "cpu", "cuda", "float", "half", "double", "type", "eval", "train", "zero_grad"),
    *("requires_grad_", "state_dict", "load_state_dict", "get_submodule", "get_parameter", "get_buffer", "forward"),
    *("register_buffer", "register_parameter", "__call__"),
)


def is_abstract(forward: ast.FunctionDef, lineage: Sequence[ast.ClassDef], names: Names) -> bool:
    """Whether a class cannot run by itself.

    Args:
        forward: its own, or the one it inherits.
        lineage: the class, then those of the file that it derives from.
        names: what the file's names stand for.
    """
    return is_placeholder(forward) or _lacks_parts(forward, lineage, names)


def _lacks_parts(forward: ast.FunctionDef, lineage: Sequence[ast.ClassDef], names: Names) -> bool:
    """Whether `self.encoder(x)` is called of a class in which nothing is called so: only subclasses have one."""
    own = {ancestor.name for ancestor in lineage}
    bases = [names.dotted(base).rpartition(".")[2] for ancestor in lineage for base in ancestor.bases]
    if not all(base in own or base in _GIVES_NO_PARTS for base in bases):
        return False  # what comes from elsewhere may give anything
    given = set(_OF_MODULES)
    for ancestor in lineage:
        for node in ast.walk(ancestor):
            if isinstance(node, ast.Attribute | ast.Name) and _name_of(node) in _OTHERWISE:
                return False
            given.update(_bound(node))
    return "__getattr__" not in given and not _called(forward) <= given


def _called(forward: ast.FunctionDef) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(forward)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
    }


def _bound(node: ast.AST) -> Iterator[str]:
    """Attributes that a statement of a class gives: what it assigns, and what it defines."""
    match node:
        case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Call(func=ast.Attribute(attr="register_buffer" | "register_parameter"), args=[ast.Constant(v), *_]):
            yield str(v)


def _name_of(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id
