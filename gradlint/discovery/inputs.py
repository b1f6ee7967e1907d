"""Inputs that a file makes itself: `torch.randn(4, 3, 32, 32)` and the like, read as shapes and dtypes."""

import ast
import builtins
from collections.abc import Iterator
from typing import Any

from gradlint.core.target import InputSpec
from gradlint.discovery.harmless import harmless_code
from gradlint.discovery.initialising import Functions
from gradlint.discovery.literals import Scope, UnreadableError, elements, evaluate, number
from gradlint.discovery.names import Names, mentions

_FLOAT_FACTORIES = frozenset("randn rand zeros ones empty normal".split())  # noqa: SIM905
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


def read_inputs(call: ast.Call, scope: Scope, names: Names, functions: Functions) -> tuple[InputSpec, ...]:
    """What a call feeds a model with: shapes where they can be read, else expressions that the worker evaluates.

    Raises:
        UnreadableError: where an argument is neither, or none of them is a tensor.
    """
    specs = []
    for node, name in _arguments(call, scope):
        try:
            specs.append(read_input(node, scope, names, name))
        except (UnreadableError, IndexError):
            code = harmless_code(node, scope, names, functions)
            specs.append(InputSpec((), "expression", name, value=code))
    if all(spec.dtype == "literal" for spec in specs):
        raise UnreadableError
    return tuple(specs)


def _arguments(call: ast.Call, scope: Scope) -> Iterator[tuple[ast.expr, str]]:
    """Arguments of a call with the names that they are passed by; `*pair` and `**batch` are taken apart."""
    for argument in call.args:
        if isinstance(argument, ast.Starred):
            listed = _bound(argument.value, scope)
            if not isinstance(listed, ast.Tuple | ast.List):
                raise UnreadableError
            yield from ((element, "") for element in listed.elts)
        else:
            yield argument, ""
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.value, keyword.arg
            continue
        mapping = _bound(keyword.value, scope)
        if not isinstance(mapping, ast.Dict):
            raise UnreadableError
        for key, value in zip(mapping.keys, mapping.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                raise UnreadableError
            yield value, key.value


def _bound(node: ast.expr, scope: Scope) -> ast.expr:
    return (scope.get(node.id) or node) if isinstance(node, ast.Name) else node


def from_elsewhere(node: ast.AST, scope: Scope, names: Names, depth: int = 6) -> bool:
    """Whether an expression depends on what its scope is handed: parameters, what a loop runs over."""
    for name in mentions(node):
        bound = scope.get(name)
        if bound is None and (name in scope or name not in names.top):
            return not hasattr(builtins, name)
        if bound is not None and depth and from_elsewhere(bound, scope, names, depth - 1):
            return True
    return False


def read_input(node: ast.expr, scope: Scope, names: Names, name: str = "") -> InputSpec:
    """The input that an expression such as `torch.randn(4, 3, 32, 32)` makes; raises UnreadableError otherwise."""
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
    raise UnreadableError


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
        length = int(number(evaluate(node.args[0], scope)))
        return InputSpec((length,), dtype or "int64", name, high=max(length, 1))
    if function in ("tensor", "LongTensor", "as_tensor") and node.args:
        return _read_literal_tensor(evaluate(node.args[0], scope), dtype, name)
    raise UnreadableError


def _read_literal_tensor(value: Any, dtype: str, name: str) -> InputSpec:
    shape: list[int] = []
    leaves = [value]
    while leaves and isinstance(leaves[0], list | tuple):
        shape.append(len(leaves[0]))
        leaves = [item for row in leaves for item in row]
    if not leaves or not all(isinstance(leaf, int | float) for leaf in leaves):
        raise UnreadableError
    if all(isinstance(leaf, int) and not isinstance(leaf, bool) for leaf in leaves):
        return InputSpec(tuple(shape), dtype or "int64", name, high=int(max(leaves)) + 1)
    return InputSpec(tuple(shape), dtype or "float32", name)


def _read_method(function: ast.Attribute, node: ast.Call, scope: Scope, names: Names, name: str) -> InputSpec:
    spec = read_input(function.value, scope, names, name)
    if spec.dtype == "literal":
        raise UnreadableError
    if function.attr in _CASTING:
        return InputSpec(spec.shape, _CASTING[function.attr], name, spec.high, spec.low)
    if function.attr in _UNCHANGED:
        return spec
    if function.attr in ("view", "reshape"):
        shape = _shape(node.args, None, scope)
        return InputSpec(_inferred(shape, spec.shape), spec.dtype, name, spec.high, spec.low)
    if function.attr == "unsqueeze" and node.args:
        at = int(number(evaluate(node.args[0], scope)))
        sizes = list(spec.shape)
        sizes.insert(at if at >= 0 else len(sizes) + 1 + at, 1)
        return InputSpec(tuple(sizes), spec.dtype, name, spec.high, spec.low)
    raise UnreadableError


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
        raise UnreadableError
    return tuple(total // known if size == -1 else size for size in shape)


def _shape(arguments: list[ast.expr], size: ast.expr | None, scope: Scope) -> tuple[int, ...]:
    if size is not None:
        return _sizes(evaluate(size, scope))
    values = elements(arguments, scope)
    return _sizes(values[0] if len(values) == 1 and isinstance(values[0], tuple | list) else values)


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or not all(isinstance(size, int) for size in value):
        raise UnreadableError
    return tuple(value)


def _dtype(node: ast.expr | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ""
