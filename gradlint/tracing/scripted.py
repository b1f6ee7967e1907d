"""Run TorchScript (scripted and traced modules and functions) operator by operator, so that the recorder sees it.

Its own interpreter dispatches below torch functions. Graphs are followed node by node, branches and loops included;
what is not in `_SIMPLE`, `_PLAIN` or among ATen's operators leaves the whole call to torch's interpreter, as one
opaque node.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

Values = dict[str, Any]


class NotFollowedError(Exception):
    """A graph holds what this interpreter does not know."""


NOT_FOLLOWED = (NotFollowedError, RuntimeError, TypeError, ValueError, LookupError, AttributeError)
"""Torch's own interpreter decides whether a call that raised here really fails; what it can run is one operator."""


def run_module(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The result of a script module's forward, its submodules called as modules.

    Raises:
        NotFollowedError: before anything has run; an operator that cannot be called on its own raises what it likes
            (`NOT_FOLLOWED`).
    """
    method: Any = module._c._get_method("forward")  # type: ignore[operator,union-attr]
    graph = method.graph
    if not all(_function(node) for node in _nodes(graph) if node.kind() == "prim::CallFunction"):
        graph = module.inlined_graph
    return _run(graph, [module, *_bound(method.schema, args, kwargs, skip=1)])


def run_function(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The result of a scripted function; raises as `run_module` does."""
    return _run(function.inlined_graph, _bound(function.schema, args, kwargs, skip=0))


def _bound(schema: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, skip: int) -> list[Any]:
    """All arguments in order, defaults filled in."""
    bound = list(args)
    for argument in schema.arguments[skip + len(args) :]:
        if argument.name not in kwargs and not argument.has_default_value():
            raise NotFollowedError(f"no value for {argument.name}")  # the call itself will say so
        bound.append(kwargs.get(argument.name, argument.default_value))
    return bound


def _run(graph: Any, given: list[Any]) -> Any:
    for node in _nodes(graph):
        if not _is_known(node):
            raise NotFollowedError(node.kind())
    values: Values = {value.debugName(): item for value, item in zip(graph.inputs(), given, strict=True)}
    results = _block(graph, values)
    return results[0] if len(results) == 1 else tuple(results)


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _is_known(node: Any) -> bool:
    kind = node.kind()
    if kind == "prim::CallFunction":
        return _function(node) is not None
    space, _, name = kind.partition("::")
    if kind in _STRUCTURE or kind in _SIMPLE:
        return True
    return space == "aten" and (name in _PLAIN or hasattr(torch.ops.aten, name))


def _function(node: Any) -> Callable[..., Any] | None:
    """The function of torch.nn.functional that a node calls by its name."""
    name = str(node.inputsAt(0).type())
    prefix = "__torch__.torch.nn.functional."
    found = getattr(nn.functional, name.removeprefix(prefix), None) if name.startswith(prefix) else None
    return found if callable(found) else None


def _block(block: Any, values: Values) -> list[Any]:
    for node in block.nodes():
        inputs = [values.get(value.debugName()) for value in node.inputs()]
        results = _results(node, inputs, values)
        values.update(zip((value.debugName() for value in node.outputs()), results, strict=True))
    return [values[value.debugName()] for value in block.outputs()]


def _results(node: Any, inputs: list[Any], values: Values) -> list[Any]:
    kind = node.kind()
    if kind in _STRUCTURE:
        return _STRUCTURE[kind](node, inputs, values)
    result = _SIMPLE[kind](*inputs) if kind in _SIMPLE else _operator(node, inputs)
    count = len(list(node.outputs()))
    return [result] if count == 1 else list(result) if count else []


def _operator(node: Any, inputs: list[Any]) -> Any:
    name = node.kind().partition("::")[2]
    if name in _PLAIN and (name in _ALWAYS_PLAIN or not any(isinstance(v, torch.Tensor) for v in inputs)):
        return _PLAIN[name](*inputs)
    arguments = torch._C.parse_schema(node.schema()).arguments
    places = zip(arguments, inputs, strict=True)
    named = {argument.name: value for argument, value in places if argument.kwarg_only and value is not None}
    placed = [value for argument, value in zip(arguments, inputs, strict=True) if not argument.kwarg_only]
    return getattr(torch.ops.aten, name)(*placed, **named)


def _constant(node: Any, inputs: list[Any], values: Values) -> list[Any]:
    output = node.output()
    return [None if output.type().kind() == "FunctionType" else output.toIValue()]


def _attribute(node: Any, inputs: list[Any], values: Values) -> list[Any]:
    return [getattr(inputs[0], node.s("name"))]


def _method(node: Any, inputs: list[Any], values: Values) -> list[Any]:
    name = node.s("name")
    owner = inputs[0]
    result = owner(*inputs[1:]) if name == "forward" else getattr(owner, name)(*inputs[1:])
    return [result]


def _call(node: Any, inputs: list[Any], values: Values) -> list[Any]:
    function = _function(node)
    assert function is not None
    return [function(*inputs[1:])]


def _branch(node: Any, inputs: list[Any], values: Values) -> list[Any]:
    taken, other = node.blocks()
    return _block(taken if bool(inputs[0]) else other, values)


def _loop(node: Any, inputs: list[Any], values: Values) -> list[Any]:
    (body,) = node.blocks()
    most, goes_on, carried = inputs[0], bool(inputs[1]), inputs[2:]
    turn = 0
    while goes_on and turn < most:
        values.update(zip((value.debugName() for value in body.inputs()), [turn, *carried], strict=True))
        again, *carried = _block(body, values)
        goes_on, turn = bool(again), turn + 1
    return carried


_STRUCTURE: dict[str, Callable[[Any, list[Any], Values], list[Any]]] = {
    "prim::Constant": _constant,
    "prim::GetAttr": _attribute,
    "prim::CallMethod": _method,
    "prim::CallFunction": _call,
    "prim::If": _branch,
    "prim::Loop": _loop,
    "prim::ListConstruct": lambda node, inputs, values: [inputs],
    "prim::TupleConstruct": lambda node, inputs, values: [tuple(inputs)],
    "prim::DictConstruct": lambda node, inputs, values: [dict(zip(inputs[::2], inputs[1::2], strict=True))],
    "prim::ListUnpack": lambda node, inputs, values: list(inputs[0]),
    "prim::TupleUnpack": lambda node, inputs, values: list(inputs[0]),
}


def _raise(message: object, *_: object) -> None:
    raise RuntimeError(str(message))


_SIMPLE: dict[str, Callable[..., Any]] = {
    "prim::TupleIndex": operator.getitem,
    "prim::NumToTensor": torch.tensor,
    "prim::RaiseException": _raise,
    "prim::Uninitialized": lambda: None,
    "prim::unchecked_cast": lambda value: value,
    "prim::dtype": lambda x: x.dtype,
    "prim::device": lambda x: x.device,
    "prim::is_cuda": lambda x: x.is_cuda,
    "prim::min": min,
    "prim::max": max,
}


def _sliced(x: Any, *where: Any) -> Any:
    """`x[start:end:step]` of a list, or along a dim of a tensor."""
    if not isinstance(x, torch.Tensor):
        return x[slice(*where)]
    dim, *ends = where
    return x[(*[slice(None)] * (dim % x.dim()), slice(*(None if e is not None and e > 2**60 else e for e in ends)))]


_PLAIN: dict[str, Callable[..., Any]] = {
    "slice": _sliced,
    "size": lambda x, *dim: x.shape[dim[0]] if dim else list(x.shape),
    "dim": lambda x: x.dim(),
    "len": len,
    "Int": int,
    "Float": float,
    "Bool": bool,
    "ScalarImplicit": lambda x: x.item(),
    "IntImplicit": int,
    "FloatImplicit": float,
    "format": lambda text, *values: text.format(*values),
    "append": lambda items, item: (items.append(item), items)[1],
    "is_floating_point": torch.is_floating_point,
    "__getitem__": operator.getitem,
    "__contains__": operator.contains,
    "__not__": operator.not_,
    "__is__": operator.is_,
    "__isnot__": operator.is_not,
    "__and__": operator.and_,
    "__or__": operator.or_,
    "add": lambda a, b, alpha=1: a + b,
    "sub": lambda a, b, alpha=1: a - b,
    "mul": operator.mul,
    "div": operator.truediv,
    "floordiv": operator.floordiv,
    "remainder": operator.mod,
    "neg": operator.neg,
    "pow": operator.pow,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
"""Operators on Python's own values, under ATen's names."""

_ALWAYS_PLAIN = frozenset(
    ("slice", "size", "dim", "len", "Int", "Float", "Bool", "ScalarImplicit", "IntImplicit", "FloatImplicit")
)
"""Those that are Python's for tensors too."""
