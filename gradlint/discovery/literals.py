"""Values that can be read off the syntax tree: literals, arithmetic on them, names bound to them."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from gradlint.core.target import InputSpec
from gradlint.discovery.names import Names

Scope = Mapping[str, ast.expr | None]
"""Expression last assigned to each local name; None where that is not known."""


class Unreadable(Exception):
    """An expression whose value the syntax tree does not tell."""


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_CASTS: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "bool": bool, "tuple": tuple, "list": list}
_LARGEST = 10**12  # no honest argument is larger, and `9 ** 9 ** 9` must not hang the scan


def evaluate(node: ast.expr, scope: Scope, depth: int = 12) -> Any:
    """The value of a literal expression; raises Unreadable where it depends on anything but literals."""
    if depth == 0:
        raise Unreadable
    match node:
        case ast.Constant(value=value) if not isinstance(value, bytes | complex) and value is not Ellipsis:
            return value
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            values = _elements(elements, scope, depth)
            return tuple(values) if isinstance(node, ast.Tuple) else values
        case ast.Dict(keys=keys, values=items):
            return {_key(k, scope, depth): evaluate(v, scope, depth - 1) for k, v in zip(keys, items, strict=True)}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(evaluate(operand, scope, depth - 1))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not evaluate(operand, scope, depth - 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _binary(_BINARY[type(op)], evaluate(left, scope, depth - 1), evaluate(right, scope, depth - 1))
        case ast.Name(id=name):
            bound = scope.get(name)
            if bound is not None:
                return evaluate(bound, scope, depth - 1)
        case ast.Call(func=ast.Name(id=name), args=[only], keywords=[]) if name in _CASTS:
            return _guarded(_CASTS[name], evaluate(only, scope, depth - 1))
    raise Unreadable


def _elements(nodes: list[ast.expr], scope: Scope, depth: int) -> list[Any]:
    values: list[Any] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            inner = evaluate(node.value, scope, depth - 1)
            if not isinstance(inner, tuple | list):
                raise Unreadable
            values.extend(inner)
        else:
            values.append(evaluate(node, scope, depth - 1))
    return values


def _key(node: ast.expr | None, scope: Scope, depth: int) -> str:
    key = None if node is None else evaluate(node, scope, depth - 1)
    if not isinstance(key, str):
        raise Unreadable
    return key


def _number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise Unreadable
    return value


def _binary(function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    small = all(not isinstance(side, int | float) or abs(side) <= 4096 for side in (left, right))
    if function is operator.pow and not (numbers and small and abs(right) <= 16):
        raise Unreadable
    if not numbers and not small:
        raise Unreadable  # a list repeated a million times
    value = _guarded(function, left, right)
    if isinstance(value, int | float) and abs(value) > _LARGEST:
        raise Unreadable
    return value


def _guarded(function: Callable[..., Any], *values: Any) -> Any:
    try:
        return function(*values)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise Unreadable from error


_FLOAT_FACTORIES = frozenset(["randn", "rand", "zeros", "ones", "empty", "normal"])
_UNCHANGED = frozenset(
    [
        "to",
        "cuda",
        "cpu",
        "contiguous",
        "requires_grad_",
        "detach",
        "clone",
        "type_as",
        "numpy_",
        "squeeze_",
        "pin_memory",
        "normal_",
        "uniform_",
        "fill_",
    ]
)
_CASTING = {"long": "int64", "int": "int32", "float": "float32", "half": "float16", "double": "float64", "bool": "bool"}


def read_input(node: ast.expr, scope: Scope, names: Names, name: str = "") -> InputSpec:
    """The input that an expression such as `torch.randn(4, 3, 32, 32)` makes; raises Unreadable otherwise."""
    if isinstance(node, ast.Name) and scope.get(node.id) is not None:
        bound = scope[node.id]
        assert bound is not None
        return read_input(bound, {**scope, node.id: None}, names, name)
    if isinstance(node, ast.Call):
        return _read_call(node, scope, names, name)
    value = evaluate(node, scope)
    return InputSpec(shape=(), dtype="literal", name=name, value=value)


def _read_call(node: ast.Call, scope: Scope, names: Names, name: str) -> InputSpec:
    dotted = names.dotted(node.func)
    if dotted == "torch.autograd.Variable" and node.args:
        return read_input(node.args[0], scope, names, name)
    if dotted.startswith("torch."):
        return _read_factory(node, dotted.removeprefix("torch."), scope, name)
    if isinstance(node.func, ast.Attribute):
        return _read_method(node.func, node, scope, names, name)
    raise Unreadable


def _read_factory(node: ast.Call, function: str, scope: Scope, name: str) -> InputSpec:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    dtype = _dtype(keywords.get("dtype"))
    if function in _FLOAT_FACTORIES or function in ("FloatTensor", "Tensor", "full"):
        arguments = node.args[:1] if function == "full" else node.args
        return InputSpec(_shape(arguments, keywords.get("size"), scope), dtype or "float32", name)
    if function == "randint":
        positions = [evaluate(argument, scope) for argument in node.args]
        low = evaluate(keywords["low"], scope) if "low" in keywords else 0
        size = evaluate(keywords["size"], scope) if "size" in keywords else positions.pop()
        high = evaluate(keywords["high"], scope) if "high" in keywords else positions.pop()
        low = positions.pop() if positions else low
        return InputSpec(_sizes(size), dtype or "int64", name, high=int(high), low=int(low))
    if function == "arange" and len(node.args) == 1:
        length = int(_number(evaluate(node.args[0], scope)))
        return InputSpec((length,), dtype or "int64", name, high=max(length, 1))
    if function in ("tensor", "LongTensor", "as_tensor") and node.args:
        return _read_literal_tensor(evaluate(node.args[0], scope), dtype, name)
    raise Unreadable


def _read_literal_tensor(value: Any, dtype: str, name: str) -> InputSpec:
    shape: list[int] = []
    leaves = [value]
    while leaves and isinstance(leaves[0], list | tuple):
        shape.append(len(leaves[0]))
        leaves = [item for row in leaves for item in row]
    if not leaves or not all(isinstance(leaf, int | float) for leaf in leaves):
        raise Unreadable
    if all(isinstance(leaf, int) and not isinstance(leaf, bool) for leaf in leaves):
        return InputSpec(tuple(shape), dtype or "int64", name, high=int(max(leaves)) + 1)
    return InputSpec(tuple(shape), dtype or "float32", name)


def _read_method(function: ast.Attribute, node: ast.Call, scope: Scope, names: Names, name: str) -> InputSpec:
    spec = read_input(function.value, scope, names, name)
    if spec.dtype == "literal":
        raise Unreadable
    if function.attr in _CASTING:
        return InputSpec(spec.shape, _CASTING[function.attr], name, spec.high, spec.low)
    if function.attr in _UNCHANGED:
        return spec
    if function.attr in ("view", "reshape"):
        shape = _shape(node.args, None, scope)
        return InputSpec(_inferred(shape, spec.shape), spec.dtype, name, spec.high, spec.low)
    if function.attr == "unsqueeze" and node.args:
        at = int(_number(evaluate(node.args[0], scope)))
        sizes = list(spec.shape)
        sizes.insert(at if at >= 0 else len(sizes) + 1 + at, 1)
        return InputSpec(tuple(sizes), spec.dtype, name, spec.high, spec.low)
    raise Unreadable


def _inferred(shape: tuple[int, ...], old: tuple[int, ...]) -> tuple[int, ...]:
    """Fill in the −1 of a `view`."""
    if -1 not in shape:
        return shape
    known = total = 1
    for size in old:
        total *= size
    for size in shape:
        known *= size if size != -1 else 1
    if known == 0 or total % known:
        raise Unreadable
    return tuple(total // known if size == -1 else size for size in shape)


def _shape(arguments: list[ast.expr], size: ast.expr | None, scope: Scope) -> tuple[int, ...]:
    if size is not None:
        return _sizes(evaluate(size, scope))
    values = _elements(arguments, scope, 12)
    return _sizes(values[0] if len(values) == 1 and isinstance(values[0], tuple | list) else values)


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or not all(isinstance(size, int) for size in value):
        raise Unreadable
    return tuple(value)


def _dtype(node: ast.expr | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ""
