"""How the code of a constructor uses a parameter: as a number, a list, a class to call, a module, a text, an object."""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from gradlint.discovery.names import mentions

LAYERS: dict[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features"),
    "LazyLinear": ("out_features",),
    "Embedding": ("num_embeddings", "embedding_dim"),
    "MultiheadAttention": ("embed_dim", "num_heads", "dropout"),
    "LayerNorm": ("normalized_shape",),
    "GroupNorm": ("num_groups", "num_channels"),
    "Dropout": ("dropout",),
    "TransformerEncoderLayer": ("d_model", "nhead", "dim_feedforward"),
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), ("in_channels", "out_channels", "kernel_size", "stride")),
    **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d"), ("in_channels", "out_channels", "kernel_size", "stride")),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm2d"), ("num_features",)),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), ("input_size", "hidden_size", "num_layers")),
    **dict.fromkeys(("LSTMCell", "GRUCell", "RNNCell"), ("input_size", "hidden_size")),
}
"""What the positions of torch's own layers stand for."""


class Kind(StrEnum):
    """What sort of thing a parameter takes."""

    NUMBER = "number"
    FRACTION = "fraction"
    FLAG = "flag"
    TEXT = "text"
    SEQUENCE = "sequence"
    CALLABLE = "callable"
    MODULE = "module"
    MODULES = "modules"
    OBJECT = "object"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Usage:
    """What the code says of one parameter."""

    kind: Kind = Kind.UNKNOWN
    at_least: int = 0
    """Sequences: how many elements are asked for by index."""
    exactly: int = 0
    """Sequences: into how many names they are unpacked; 0 where they are not."""
    names: tuple[str, ...] = ()
    """Under which names other constructors get to see it, torch's own layers first."""
    choices: tuple[str, ...] = ()
    """Texts that it is compared with, or looked up as."""
    classes: tuple[str, ...] = ()
    """Names of the classes that it is checked against."""
    is_list: bool = False
    """Whether it is treated as only a list can be."""
    leads_with_channels: bool = False
    """Whether it is a shape whose first entry is a number of channels."""
    numbers: tuple[float, ...] = ()
    """Numbers that it is compared with."""


def definition_of(thing: Any, trees: Mapping[str, ast.Module]) -> ast.AST | None:
    """The syntax tree of a class or a function; None where there is no source.

    Args:
        thing: the class or function.
        trees: syntax trees of modules by their names, where they are known; others are read.
    """
    tree = trees.get(getattr(thing, "__module__", "")) or module_tree(getattr(thing, "__module__", ""))
    kinds = (ast.ClassDef, ast.FunctionDef)
    name = getattr(thing, "__name__", "")
    return next((node for node in ast.walk(tree) if isinstance(node, kinds) and node.name == name), None)


def module_tree(name: str) -> ast.Module:
    """The syntax tree of an imported module; an empty one where it has no source."""
    try:
        return _parsed(inspect.getsource(sys.modules[name]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return ast.Module([], [])


@lru_cache(maxsize=64)
def _parsed(source: str) -> ast.Module:
    """By what it holds: the next file's module may go by the same name."""
    return ast.parse(source)


def usage_of(name: str, tree: ast.AST | None, known: Callable[[str], tuple[str, ...]]) -> Usage:
    """Read a parameter's use off the code.

    Args:
        name: the parameter.
        tree: the class or function that takes it.
        known: names of the positional parameters of a callable of that dotted name (`()`: not known).
    """
    usage = Usage()
    nodes = list(ast.walk(tree)) if tree is not None else []
    kept = {f"self.{target}" for node in nodes for target in _kept_as(node, name)}
    for node in nodes:
        usage = _seen(usage, node, name, known)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in kept:
            usage = _as(usage, Kind.MODULE)
        elif not isinstance(node, ast.Attribute):
            for attribute in kept:
                usage = _seen(usage, node, attribute, known)
    return usage


def _is(node: ast.AST, name: str) -> bool:
    """Whether an expression is that name, `encoder` or `config.width`."""
    return isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) == name


def _kept_as(node: ast.AST, name: str) -> Iterator[str]:
    """`self.encoder = encoder`: the attributes that a parameter is kept as."""
    if isinstance(node, ast.Assign) and _is(node.value, name):
        for target in node.targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                yield target.attr


def annotated(annotation: Any) -> Kind:
    """The kind that an annotation stands for."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "") or str(annotation)
    if not isinstance(annotation, str) and getattr(annotation, "__args__", None):
        text = str(annotation)
    text = re.sub(r"typing\.|\bNone\b|\|\s*$|^\s*\||Optional", "", text).strip(" |[]")
    if re.search(r"(Sequence|[Ll]ist|[Tt]uple|Iterable)\b", text) and not re.match(r"(int|float)\b", text):
        return Kind.MODULES if "Module" in text else Kind.SEQUENCE
    for pattern, kind in _ANNOTATIONS:
        if re.match(pattern, text):
            return kind
    return Kind.UNKNOWN


def literals_of(annotation: Any) -> tuple[Any, ...]:
    """What an annotation lists: `Literal[8, 16]`; nothing where it is of another kind."""
    listed = re.search(r"\bLiteral\[(.*?)\]", str(annotation))
    try:
        values = ast.literal_eval(f"({listed[1]},)") if listed is not None else ()
    except (ValueError, SyntaxError):  # names of constants
        return ()
    return tuple(value for value in values if value is not None)


_ANNOTATIONS = (
    (r"bool\b", Kind.FLAG),
    (r"int\b", Kind.NUMBER),
    (r"float\b", Kind.FRACTION),
    (r"(str|Literal)\b", Kind.TEXT),
    (r"(\w+\.)*ModuleList\b", Kind.MODULES),
    (r"([Cc]allable|[Tt]ype|collections\.abc\.Callable)\b", Kind.CALLABLE),
    (r"(\w+\.)*Module\b", Kind.MODULE),
)


def _seen(usage: Usage, node: ast.AST, name: str, known: Callable[[str], tuple[str, ...]]) -> Usage:
    match node:
        case ast.Call():
            return _called(usage, node, name, known)
        case ast.If(test=used) | ast.IfExp(test=used) if _is(used, name):
            return _as(usage, Kind.FLAG)
        case ast.Compare(left=used, ops=[how], comparators=[right]) if _is(_as_typed(used), name):
            return _compared(usage, right, is_choice=isinstance(how, ast.Eq | ast.In))
        case ast.Attribute(value=used, attr=attribute) if _is(used, name):
            usage = replace(usage, is_list=usage.is_list or attribute in _OF_LISTS)
            return _as(usage, _ATTRIBUTES.get(attribute, Kind.OBJECT))
    return _several(usage, node, name)


def _as_typed(node: ast.expr) -> ast.expr:
    """A text whatever its case: `variant.upper()` is the variant."""
    match node:
        case ast.Call(func=ast.Attribute(value=used, attr="lower" | "upper" | "strip"), args=[]):
            return used
    return node


def _several(usage: Usage, node: ast.AST, name: str) -> Usage:
    """Signs that it is a list, or a tuple."""
    match node:
        case ast.For(iter=used) | ast.comprehension(iter=used) | ast.Starred(value=used) if _is(used, name):
            return _as(usage, Kind.SEQUENCE)
        case ast.Subscript(value=used, slice=index) if _is(used, name):
            return _indexed(usage, index)
        case ast.Assign(targets=[ast.Tuple(elts=[first, ast.Starred()])], value=used) if _is(used, name):
            usage = replace(usage, leads_with_channels=_is_channels(first))
        case ast.Assign(targets=[ast.Tuple(elts=[first, *rest])], value=used) if _is(used, name):
            usage = replace(usage, exactly=1 + len(rest), leads_with_channels=_is_channels(first))
        case ast.Assign(targets=[first], value=value) if _is_first_of(value, name) and _is_channels(first):
            usage = replace(usage, leads_with_channels=True)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if _is_list(left, right, name):
            usage = replace(usage, is_list=True)
        case _:
            return usage
    return _as(usage, Kind.SEQUENCE)


def _is_channels(target: ast.expr) -> bool:
    """`c, h, w = shape`, `in_channels = shape[0]`."""
    name = ast.unparse(target).rpartition(".")[2]
    return "chan" in name or name in ("c", "C", "nc", "in_ch")


def _is_list(left: ast.expr, right: ast.expr, name: str) -> bool:
    """`[3] + widths`, `widths + [10]`."""
    return (isinstance(left, ast.List) and _is(right, name)) or (isinstance(right, ast.List) and _is(left, name))


_OF_LISTS = ("append", "insert", "reverse", "copy", "extend", "pop")
_ATTRIBUTES = {
    **dict.fromkeys(("parameters", "modules", "state_dict", "named_modules", "children", "eval"), Kind.MODULE),
    **dict.fromkeys((*_OF_LISTS, "index", "count"), Kind.SEQUENCE),
    **dict.fromkeys(("lower", "upper", "startswith", "split"), Kind.TEXT),
}
_STRENGTH = (
    Kind.UNKNOWN, Kind.FLAG, Kind.NUMBER, Kind.FRACTION, Kind.OBJECT, Kind.TEXT, Kind.SEQUENCE, Kind.CALLABLE,
    Kind.MODULE, Kind.MODULES,
)  # fmt: skip


def _as(usage: Usage, kind: Kind) -> Usage:
    return replace(usage, kind=max(usage.kind, kind, key=_STRENGTH.index))


def _called(usage: Usage, call: ast.Call, name: str, known: Callable[[str], tuple[str, ...]]) -> Usage:
    function = ast.unparse(call.func)
    if function == name:
        return _as(usage, Kind.CALLABLE)
    arguments: list[tuple[int | str, ast.expr]] = [*enumerate(call.args)]
    arguments += [(keyword.arg or "", keyword.value) for keyword in call.keywords]
    for place, value in arguments:
        if _is(value, name):
            usage = _handed(usage, call, function, place, known)
        elif place == 0 and function.rpartition(".")[2].startswith("Conv") and _is_first_of(value, name):
            usage = replace(usage, leads_with_channels=True)
    return usage


def _is_first_of(value: ast.expr, name: str) -> bool:
    """`shape[0]`."""
    return isinstance(value, ast.Subscript) and _is(value.value, name) and ast.unparse(value.slice) == "0"


def _handed(
    usage: Usage, call: ast.Call, function: str, place: int | str, known: Callable[[str], tuple[str, ...]]
) -> Usage:
    if function == "range":
        return _as(usage, Kind.NUMBER)
    if function.endswith((".to", "torch.device")):
        return replace(_as(usage, Kind.TEXT), choices=("cpu",))
    return _listed(usage, call, function, place, known)


def _listed(
    usage: Usage, call: ast.Call, function: str, place: int | str, known: Callable[[str], tuple[str, ...]]
) -> Usage:
    if function in ("len", "enumerate", "zip", "reversed", "list", "tuple", "sum", "ModuleList", "nn.ModuleList"):
        return _as(usage, Kind.SEQUENCE)
    if function == "isinstance" and place == 0:
        classes = mentions(call.args[1])
        return replace(usage, classes=(*usage.classes, *classes))
    if isinstance(place, str):
        return replace(usage, names=(*usage.names, place)) if place else usage
    last = function.rpartition(".")[2]
    positions = LAYERS.get(last) or known(function)
    if place < len(positions):
        return replace(usage, names=(*usage.names, positions[place]))
    return usage


def _indexed(usage: Usage, index: ast.expr) -> Usage:
    match index:
        case ast.Constant(value=int() as at):
            return replace(_as(usage, Kind.SEQUENCE), at_least=max(usage.at_least, at + 1))
        case ast.Constant(value=str() as key):
            return replace(_as(usage, Kind.OBJECT), choices=(*usage.choices, key))
    return _as(usage, Kind.SEQUENCE)


def _compared(usage: Usage, right: ast.expr, *, is_choice: bool) -> Usage:
    texts = [leaf.value for leaf in ast.walk(right) if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)]
    if texts:
        return replace(_as(usage, Kind.TEXT), choices=(*usage.choices, *texts))
    constants = [leaf.value for leaf in ast.walk(right) if isinstance(leaf, ast.Constant)]
    numbers = [value for value in constants if isinstance(value, int | float) and not isinstance(value, bool)]
    if is_choice:
        usage = replace(usage, numbers=(*usage.numbers, *numbers))
    return _as(usage, Kind.NUMBER) if numbers else usage
