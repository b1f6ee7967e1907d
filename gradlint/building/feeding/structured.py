"""Arguments that hold several tensors: `batch["ids"]`, `data.x`, `x, y = pair`, a list of feature maps."""

import ast
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import register_pytree_node

from gradlint.building.feeding.forward_source import Argument, consumers_in, forward_tree
from gradlint.building.feeding.hints import Hints
from gradlint.building.feeding.leaves import alternatives, entry_leaves
from gradlint.core.target import InputSpec

_NODES, _EDGES = 32, 128
_LARGEST_MAP = 64
_RECORDS = 2
"""Samples in a list of such as need not have the same size."""
_LIST = re.compile(r"(\w+\.)*([Ll]ist|[Ss]equence|Iterable)\[[\w.]*Tensor\]")
_SIZES = re.compile(r"(?<!\[)\b[Ll]ist\[(?:\w+\.)*[Tt]uple\[(int(?:, int)*)\]\]")
"""The annotation of a list with the sizes of one map for each sample."""
_OF_TENSORS = frozenset(dir(Tensor))

Options = Callable[[Argument, int], list[InputSpec]]
"""Alternatives for one tensor, by the argument that it would be."""


class Bag(dict[str, Any]):
    """A batch whose entries are read as attributes or by key, like a `Data` of PyG or a `BatchEncoding`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to(self, *args: Any, **kwargs: Any) -> "Bag":
        """It is where it should be already."""
        return self


register_pytree_node(
    Bag, lambda bag: (list(bag.values()), list(bag)), lambda items, keys: Bag(zip(keys, items, strict=True))
)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a forward takes out of one argument."""

    keys: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    unpacked: tuple[str, ...] = ()
    beside: str = ""
    """Path of the module list whose members take one entry each."""


def structured(model: nn.Module, argument: Argument, hints: Hints, options: Options) -> Iterator[InputSpec]:
    """Specifications of an argument that is no tensor, likeliest first; none where the forward treats it as one.

    Args:
        model: whose forward it is.
        argument: one of its arguments.
        hints: sizes.
        options: alternatives for a part that is a tensor.
    """
    tree = forward_tree(model)
    if tree is None:
        return
    if _LIST.fullmatch(_annotation(tree, argument.name)):
        yield from _samples(argument, hints, options)
    elif (sizes := _SIZES.search(_annotation(tree, argument.name))) is not None:
        yield _sizes_of_maps(len(sizes[1].split(",")), hints)
        return
    elif (keys := _keys_of_records(tree, argument.name)) and "boxes" in keys:
        yield _boxes()
    parts = _parts_of(tree, argument.name)
    for kind, names in (("dict", parts.keys), ("object", parts.attributes), ("tuple", parts.unpacked)):
        if not names:
            continue
        plain = _Flattened(argument.name).visit(tree) if kind != "tuple" else tree
        flat = names if kind == "tuple" else [f"{argument.name}__{name}" for name in names]
        inside = [
            Argument(name, consumers=tuple(consumers_in(type(model), plain, alias)))
            for name, alias in zip(names, flat, strict=True)
        ]
        lists = [_known(part.name, hints) or options(part, at) for at, part in enumerate(inside)]
        if "edge_index" in names:
            lists = [[_of_nodes(spec, hints) for spec in found] for found in lists]
        for choice in range(3):
            chosen = [found[min(choice, len(found) - 1)] for found in lists]
            items = tuple(replace(spec, name=name) for spec, name in zip(chosen, names, strict=True))
            yield InputSpec((), kind, items=items)
    if parts.beside:
        yield from _beside(model, parts.beside, hints)
    elif hints.stages and _is_list(tree, argument.name):
        yield from _maps(hints)


def takes_either(model: nn.Module, name: str) -> bool:
    """Whether a forward asks what its argument is: it takes a plain tensor too."""
    tree = forward_tree(model)
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=asked), _]) if asked == name:
                return True
    return False


def is_walked_over(model: nn.Module, name: str) -> bool:
    """Whether a forward takes its argument one by one (`[self.style(s) for s in styles]`), and never as a tensor."""
    tree = forward_tree(model)
    nodes = list(ast.walk(tree)) if tree is not None else []
    walked = any(isinstance(node, ast.For | ast.comprehension) and _is(node.iter, name) for node in nodes)
    as_tensor = (n for n in nodes if isinstance(n, ast.Attribute) and _is(n.value, name) and n.attr in _OF_TENSORS)
    return walked and not any(as_tensor)


def _beside(model: nn.Module, path: str, hints: Hints) -> Iterator[InputSpec]:
    """A list with one entry for each member of a module list."""
    members = model.get_submodule(path)
    firsts = [entry_leaves(member, 1) for member in members.children()]
    if firsts and all(firsts):
        for choice in range(2):
            found = [alternatives(leaves[0], hints) for leaves in firsts]
            items = tuple(options[min(choice, len(options) - 1)] for options in found)
            yield InputSpec((), "list", items=items)


def _samples(argument: Argument, hints: Hints, options: Options) -> Iterator[InputSpec]:
    """A list of tensors: feature maps where the model was built for such, else single samples of whatever size."""
    if hints.stages:
        yield from _maps(hints)
    batches = [spec for spec in options(argument, 0) if len(spec.shape) > 1 and spec.shape[0] == hints.batch]
    for spec in batches[:3]:
        yield InputSpec((), "list", items=(replace(spec, shape=spec.shape[1:], name=""),) * _RECORDS)


def _sizes_of_maps(axes: int, hints: Hints) -> InputSpec:
    """For each sample the sizes of a map with as many places as a sequence has: (1, 8, 4)."""
    side = math.isqrt(hints.time)
    height = next(n for n in range(side, 0, -1) if hints.time % n == 0)
    sizes = (*(1,) * (axes - 2), hints.time // height, height) if axes > 1 else (hints.time,)
    return InputSpec((), "literal", value=[sizes] * hints.batch)


def _boxes() -> InputSpec:
    """What torchvision's detection models, and those made after them, learn from: boxes (x₁, y₁, x₂, y₂) in pixels of
    each image, and their classes (0 is the background)."""
    boxes = InputSpec((), "literal", "boxes", value=torch.tensor([[4.0, 4.0, 20.0, 20.0], [8.0, 2.0, 30.0, 25.0]]))
    labels = InputSpec((2,), "int64", "labels", low=1, high=2)
    return InputSpec((), "list", items=(InputSpec((), "dict", items=(boxes, labels)),) * _RECORDS)


def _keys_of_records(tree: ast.FunctionDef, name: str) -> set[str]:
    """What is read, by key, of the members of an argument that is walked over: `for target in targets`."""
    members: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.comprehension) and any(_is(n, name) for n in _expressions(node.iter)):
            members |= {leaf.id for leaf in ast.walk(node.target) if isinstance(leaf, ast.Name)}
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id=member), slice=ast.Constant(value=str() as key)) if member in members:
                found.add(key)
    return found


def _expressions(node: ast.expr) -> Iterator[ast.expr]:
    """An expression, and what `enumerate` or `zip` is called with in it."""
    yield node
    if isinstance(node, ast.Call):
        yield from node.args


def _annotation(tree: ast.FunctionDef, name: str) -> str:
    found = next((a.annotation for a in tree.args.args if a.arg == name and a.annotation is not None), None)
    return ast.unparse(found) if found is not None else _type_comments(tree).get(name, "")


def _type_comments(tree: ast.FunctionDef) -> dict[str, str]:
    """Annotations as TorchScript's users wrote them: `# type: (List[Tensor], Optional[Tensor]) -> Tensor`."""
    given, arrow, _ = (tree.type_comment or "").partition("->")
    names = [argument.arg for argument in tree.args.args if argument.arg != "self"]
    call = ast.parse(f"f{given.strip()}", mode="eval").body if arrow else None
    types = [ast.unparse(part) for part in call.args] if isinstance(call, ast.Call) else []
    return dict(zip(names, types, strict=True)) if len(types) == len(names) else {}


def _is_list(tree: ast.FunctionDef, name: str) -> bool:
    """Whether a forward's argument is annotated as a list of tensors, or sliced and turned round as only lists are."""
    text = _annotation(tree, name)
    if text:
        return "Tensor" in text and re.match(r"(\w+\.)*([Ll]ist|[Ss]equence|[Tt]uple|Iterable)\b", text) is not None
    slices = [n.slice for n in ast.walk(tree) if isinstance(n, ast.Subscript) and _is(n.value, name)]
    return any(isinstance(part, ast.Slice) and part.step is not None for part in slices)


def _maps(hints: Hints) -> Iterator[InputSpec]:
    """Feature maps of the widths that the model was built for: each half the size of the one before, or all alike."""
    for halves in (True, False):
        sides = [max(_LARGEST_MAP >> stage, 2) if halves else _LARGEST_MAP // 4 for stage in range(len(hints.stages))]
        items = zip(hints.stages, sides, strict=True)
        yield InputSpec((), "list", items=tuple(InputSpec((hints.batch, c, side, side)) for c, side in items))


def _known(name: str, hints: Hints) -> list[InputSpec]:
    """Parts of a graph, whose sizes fit one another; masks that leave nothing out."""
    known = {
        "edge_index": InputSpec((2, _EDGES), "int64", high=_NODES),
        "edge_weight": InputSpec((_EDGES,)),
        "batch": InputSpec((_NODES,), "int64", high=1),
        "num_nodes": InputSpec((), "literal", value=_NODES),
        "num_graphs": InputSpec((), "literal", value=1),
    }
    if "mask" in name.lower():
        return [InputSpec((hints.batch, hints.time), "int64", low=1, high=2)]
    return [known[name]] if name in known else []


def _of_nodes(spec: InputSpec, hints: Hints) -> InputSpec:
    """Features of nodes, where those of samples were meant."""
    of_samples = spec.dtype == "float32" and spec.shape[:1] == (hints.batch,)
    return replace(spec, shape=(_NODES, *spec.shape[1:])) if of_samples else spec


class _Flattened(ast.NodeTransformer):
    """`batch["x"]` and `data.x` as names of their own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:  # the name is NodeTransformer's
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str() as key)) if name == self.name:
                return ast.copy_location(ast.Name(f"{name}__{key}", ast.Load()), node)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # the name is NodeTransformer's
        if isinstance(node.value, ast.Name) and node.value.id == self.name and node.attr not in _OF_TENSORS:
            return ast.copy_location(ast.Name(f"{self.name}__{node.attr}", ast.Load()), node)
        return self.generic_visit(node)


def _parts_of(tree: ast.FunctionDef, argument: str) -> _Parts:
    keys: dict[str, None] = {}
    attributes: dict[str, None] = {}
    unpacked: tuple[str, ...] = ()
    beside = ""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str() as key)) if name == argument:
                keys[key] = None
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == argument:
                if attribute not in _OF_TENSORS and attribute not in ("items", "keys", "values", "get"):
                    attributes[attribute] = None
            case ast.Assign(targets=[ast.Tuple(elts=parts)], value=ast.Name(id=name)) if name == argument:
                unpacked = tuple(part.id for part in parts if isinstance(part, ast.Name))
                unpacked = unpacked if len(unpacked) == len(parts) else ()
            case ast.Call(func=ast.Name(id="zip"), args=given) if any(_is(a, argument) for a in given):
                others = [a.attr for a in given if isinstance(a, ast.Attribute) and _is(a.value, "self")]
                beside = others[0] if others else beside
    return _Parts(tuple(keys), tuple(attributes), unpacked, beside)


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
